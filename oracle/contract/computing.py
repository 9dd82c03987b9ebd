"""What the oracles that compute have in common: the digest of a method, and what outcomes carry."""

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
    def calculator(self) -> Potential:
        """As for `oracle.potentials.table.calculator`."""
        ...

    def tightened(self) -> Self:
        """Settings one level tighter."""
        ...

    def model_dump(self, *, mode: str = ...) -> dict[str, Any]:
        """As JSON where the mode is ``json``."""
        ...


S = TypeVar("S", bound=ComputingSettings)


class ComputingOracle(Generic[S]):
    """An oracle whose outcomes are computed with a potential, and kept by content.

    Args:
        settings: all that changes the science.
        fidelity: its name.
        identity: what the digest of the method is of, besides the potential's weights.

    Raises:
        OracleError: stage ``read``; unknown potential or one that is not installed.
    """

    def __init__(self, settings: S, fidelity: str, identity: Mapping[str, Any]) -> None:
        self._settings = settings
        self._fidelity = fidelity
        weights = weights_digest(settings.calculator)
        self._method = digest_of({**identity, "weights": weights})

    @property
    def settings(self) -> S:
        """What it was made with."""
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
        """The settings, `level` times tightened."""
        settings = self._settings
        for _ in range(level):
            settings = settings.tightened()
        return settings

    def _field(self, context: Context) -> ForceField:
        """The potential, with the stages of the context's home."""
        return ForceField(self._settings.calculator, self._store(context), context)

    def _store(self, context: Context) -> StageStore:
        """Where stages and outcomes are kept, by content."""
        return StageStore(context.workdir / "stages")

    def _key(self, material: Material) -> str:
        """What a stored outcome is found by."""
        return digest_of([material.model_dump(mode="json"), self._method])

    def _stored(self, store: StageStore, kind: str, material: Material) -> Outcome | None:
        """A finished evaluation, or None where there is none, or it is damaged or another's."""

        def read(folder: Path) -> Outcome:
            found = EVALUATION.validate_json(content(folder, _FILE))
            if (found.material, found.method) != (material, self._method):
                raise Damaged(folder / _FILE, f"it is of another material or method: {found.key}")
            return found

        folder = store.path(kind, self._key(material))
        return read_whole(folder, read) if folder.is_dir() else None

    def _keep(self, folder: Path, outcome: Outcome) -> None:
        """Write an evaluation among its artefacts."""
        (folder / _FILE).write_bytes(EVALUATION.dump_json(outcome))

    def _record(
        self, material: Material, stage: str, cost_s: float, **provenance: Any
    ) -> dict[str, Any]:
        """What every outcome carries."""
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
        """The outcome where something was raised.

        Args:
            material: that was to be evaluated.
            error: any; libraries raise all kinds of things on structures they were not made for.
            cost_s: seconds spent.
            relief: what to do where memory ran out.
            fields: further fields of the outcome.
        """
        failure = as_oracle_error(error, relief)
        if failure.unexpected:
            calculator.cache_clear()  # another attempt is to begin with a fresh one
        return Failed(
            **self._record(material, failure.stage, cost_s),
            message=failure.message,
            permanent=not failure.transient,
            unexpected=failure.unexpected,
            **fields,
        )
