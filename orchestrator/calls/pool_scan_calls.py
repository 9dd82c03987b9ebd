"""Screens one shard of a large space in a worker: computes features, applies the surrogate."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from agents.acquisition.shortlist import Marginals
from oracle.contract.evaluation import Evaluation
from oracle.materials.material import Material, crystals_of
from orchestrator.assembly.build import build_surrogate
from orchestrator.executors.protocol import CallContext
from surrogate.contract.protocol import Calibration, Output, Surrogate
from surrogate.contract.settings import SurrogateSettings
from surrogate.features.shards import ShardStore

_EVALUATIONS: TypeAdapter[Any] = TypeAdapter(list[Evaluation])
_SETTINGS: TypeAdapter[Any] = TypeAdapter(SurrogateSettings)
_OUTPUT = TypeAdapter(Output)


@dataclass(frozen=True)
class ScreenRequest:
    """A shard of a large space.

    Args:
        materials: those of the shard.
        recipe: path of the surrogate's recipe, see `orchestrator.calls.recipe`.
        cache: folder where features are stored.
    """

    materials: tuple[Material, ...]
    recipe: Path
    cache: Path


@dataclass(frozen=True)
class _Fitted:
    surrogate: Surrogate
    store: ShardStore
    output: Output
    fidelity: str


def screen(request: ScreenRequest, context: CallContext) -> Marginals:
    """Predictions of a fitted surrogate for each material of a shard, in their order."""
    fitted = _fitted(request.recipe, request.cache)
    materials = request.materials
    by_digest = {c.digest: c for material in materials for c in crystals_of(material)}
    crystals = list(by_digest.values())
    if crystals and fitted.store.is_needed:
        fitted.store.load(crystals)
    posterior = fitted.surrogate.posterior(
        materials, outputs=[fitted.output], fidelity=fitted.fidelity
    )
    return Marginals(
        mean=posterior.mean[:, 0],
        epistemic=posterior.epistemic[:, 0],
        aleatoric=posterior.aleatoric[:, 0],
        p_stable=posterior.p_stable,
    )


@functools.lru_cache(maxsize=1)
def _fitted(recipe: Path, cache: Path) -> _Fitted:
    """The surrogate that a recipe describes, fitted once per worker and round."""
    document = json.loads(recipe.read_text())
    settings = _SETTINGS.validate_python(document["surrogate"])
    store = ShardStore(settings.features, cache)
    output = _OUTPUT.validate_python(document["output"])
    surrogate = build_surrogate(settings, (output,), document["fidelity"], document["seed"], store)
    surrogate.fit(
        _EVALUATIONS.validate_python(document["evaluations"]),
        calibration=Calibration(**document["calibration"]),
    )
    return _Fitted(surrogate, store, output, document["fidelity"])
