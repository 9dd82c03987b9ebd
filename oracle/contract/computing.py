"""What oracles that compute have in common: method digest, storage, and fields of evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from oracle.contract.evaluation import EVALUATION, Failed, Outcome
from oracle.materials.material import Material
from oracle.potentials.dft_settings import Potential
from oracle.potentials.forces import ForceField
from oracle.potentials.table import calculator, weights_digest
from oracle.runtime.context import Context
from oracle.runtime.digests import digest_of
from oracle.runtime.environment import environment
from oracle.runtime.errors import as_oracle_error
from oracle.runtime.stages import Damaged, StageStore, content, read_whole

_FILE = "evaluation.json"


class ComputingSettings(Protocol):
    """Settings of an oracle whose forces come from a potential."""

    @property
    def potential(self) -> Potential:
        """As for `oracle.potentials.table.calculator`, with its dispersion correction."""
        ...

    def tightened(self) -> Self:
        """Settings one level tighter."""
        ...

    def model_dump(self, *, mode: str = ...) -> dict[str, Any]:
        """The settings as plain values; as JSON if the mode is ``json``."""
        ...


S = TypeVar("S", bound=ComputingSettings)


class ComputingOracle(Generic[S]):
    """An oracle whose evaluations are computed with a potential and stored by content.

    Args:
        settings: all that changes the numbers.
        fidelity: name of the fidelity.
        identity: what the method digest is taken of, besides the potential's weights.

    Raises:
        OracleError: stage ``read``; unknown potential or one that is not installed.
    """

    def __init__(self, settings: S, fidelity: str, identity: Mapping[str, Any]) -> None:
        self._settings = settings
        self._fidelity = fidelity
        weights = weights_digest(settings.potential)
        self._method = digest_of({**identity, "weights": weights})

    @property
    def settings(self) -> S:
        """The settings of the oracle."""
        return self._settings

    @property
    def fidelity(self) -> str:
        """Name of the fidelity."""
        return self._fidelity

    @property
    def method_digest(self) -> str:
        """SHA-256 of settings, weights and the version of the physics."""
        return self._method

    def _tighter(self, level: int) -> S:
        """The settings, tightened `level` times."""
        settings = self._settings
        for _ in range(level):
            settings = settings.tightened()
        return settings

    def _field(self, context: Context) -> ForceField:
        """The potential, which stores its forces in the context's home."""
        return ForceField(self._settings.potential, self._store(context), context)

    def _store(self, context: Context) -> StageStore:
        """Where stages and evaluations are stored by content."""
        return StageStore(context.workdir / "stages")

    def _key(self, material: Material) -> str:
        """Digest under which an evaluation is stored."""
        return digest_of([material.model_dump(mode="json"), self._method])

    def _stored(self, store: StageStore, kind: str, material: Material) -> Outcome | None:
        """A stored evaluation; None where there is none, or where the stored one is damaged.

        One that belongs to another material or method counts as damaged.
        """

        def read(folder: Path) -> Outcome:
            evaluation = EVALUATION.validate_json(content(folder, _FILE))
            if (evaluation.material, evaluation.method) != (material, self._method):
                raise Damaged(
                    folder / _FILE, f"it is of another material or method: {evaluation.key}"
                )
            return evaluation

        folder = store.path(kind, self._key(material))
        return read_whole(folder, read) if folder.is_dir() else None

    def _keep(self, folder: Path, outcome: Outcome) -> None:
        """Write an evaluation among its artefacts."""
        (folder / _FILE).write_bytes(EVALUATION.dump_json(outcome))

    def _record(
        self, material: Material, stage: str, cost_s: float, **provenance: Any
    ) -> dict[str, Any]:
        """The fields that all evaluations share."""
        settings = self._settings.model_dump(mode="json")
        return {
            "material": material,
            "fidelity": self.fidelity,
            "method": self._method,
            "cost_s": cost_s,
            "stage": stage,
            "provenance": {"settings": settings, **provenance},
            "environment": environment(),
        }

    def _failed(
        self, material: Material, error: Exception, cost_s: float, relief: str, **fields: Any
    ) -> Failed:
        """The failed evaluation for an exception.

        Args:
            material: that was to be evaluated.
            error: of any class; libraries raise all kinds of errors on unusual structures.
            cost_s: seconds spent.
            relief: what the user can do if memory ran out.
            fields: further fields of the evaluation.
        """
        failure = as_oracle_error(error, relief)
        if failure.unexpected:
            calculator.cache_clear()  # so that another attempt begins with a fresh calculator
        return Failed(
            **self._record(material, failure.stage, cost_s),
            message=failure.message,
            permanent=not failure.transient,
            unexpected=failure.unexpected,
            **fields,
        )
