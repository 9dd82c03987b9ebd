"""What a worker does to screen a shard of a large space: features, then a fitted surrogate."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from oracle.contract.evaluation import Evaluation
from oracle.materials.material import Material, crystals_of
from orchestrator.assembly.build import build_surrogate
from orchestrator.executors.protocol import CallContext
from surrogate.contract.protocol import Calibration, Output, Surrogate
from surrogate.contract.settings import SurrogateSettings
from surrogate.features.shards import ShardStore

_MATERIALS: TypeAdapter[Any] = TypeAdapter(list[Material])
_EVALUATIONS: TypeAdapter[Any] = TypeAdapter(list[Evaluation])
_SETTINGS: TypeAdapter[Any] = TypeAdapter(SurrogateSettings)
_OUTPUT = TypeAdapter(Output)


@dataclass(frozen=True)
class _Fitted:
    surrogate: Surrogate
    store: ShardStore
    output: Output
    fidelity: str


def screen(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """Mean, spreads and probability of stability of each material of a shard, as lists.

    Args:
        payload: ``materials``; ``recipe``, path of what `orchestrator.rounds.pool_scan` wrote;
        ``cache``,
            folder of the features.
        context: of the call.
    """
    fitted = _fitted(payload["recipe"], payload["cache"])
    materials = _MATERIALS.validate_python(payload["materials"])
    each = {c.digest: c for material in materials for c in crystals_of(material)}
    crystals = list(each.values())
    if crystals and fitted.store.is_needed:
        fitted.store.load(crystals)
    posterior = fitted.surrogate.posterior(
        materials, outputs=[fitted.output], fidelity=fitted.fidelity
    )
    return {
        "mean": posterior.mean[:, 0].tolist(),
        "epistemic": posterior.epistemic[:, 0].tolist(),
        "aleatoric": posterior.aleatoric[:, 0].tolist(),
        "p_stable": posterior.p_stable.tolist(),
    }


@functools.lru_cache(maxsize=1)
def _fitted(recipe: str, cache: str) -> _Fitted:
    """The surrogate that a recipe describes, fitted once per worker and round."""
    document = json.loads(Path(recipe).read_text())
    settings = _SETTINGS.validate_python(document["surrogate"])
    store = ShardStore(settings.features, Path(cache))
    output = _OUTPUT.validate_python(document["output"])
    surrogate = build_surrogate(settings, (output,), document["fidelity"], document["seed"], store)
    surrogate.fit(
        _EVALUATIONS.validate_python(document["evaluations"]),
        calibration=Calibration(**document["calibration"]),
    )
    return _Fitted(surrogate, store, output, document["fidelity"])
