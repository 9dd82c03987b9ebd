"""The oracle `phonon-bte`: relaxation, force constants, stability gate, Boltzmann equation."""

from __future__ import annotations

import time
from typing import Any, Literal

from oracle.dft import EspressoSettings, described, digest
from oracle.environment import environment
from oracle.errors import OracleError, as_oracle_error
from oracle.evaluation import EVALUATION, Failed, Measured, Quantity, Unstable
from oracle.forces import ForceField
from oracle.material import Crystal, Material, digest_of
from oracle.potentials import weights_digest
from oracle.protocol import Context
from oracle.settings import PhononSettings
from oracle.stages import StageStore

VERSION = 6
"""Raise it when the same material and settings would get other numbers."""
Outcome = Measured | Unstable | Failed
Fidelity = Literal["harmonic", "bte"]


class PhononBTE:
    """Lattice thermal conductivity from a potential.

    Args:
        settings: all that changes the science.
        fidelity: ``bte``, or ``harmonic`` for second order and Slack's formula alone.

    Raises:
        OracleError: stage ``read``; unknown potential or one that is not installed.
    """

    def __init__(self, settings: PhononSettings, fidelity: Fidelity = "bte") -> None:
        self._settings = settings
        self._fidelity: Fidelity = fidelity
        # Which other fidelities a campaign may ask for changes nothing in this one.
        document = settings.model_dump(mode="json", exclude={"fidelities"})
        document["calculator"] = described(settings.calculator)
        if isinstance(settings.born, EspressoSettings):
            document["born"] = digest(settings.born)
        self._method = digest_of(
            {
                "oracle": "phonon-bte",
                "version": VERSION,
                "fidelity": fidelity,
                "settings": document,
                "weights": weights_digest(settings.calculator),
            }
        )

    @property
    def settings(self) -> PhononSettings:
        """What it was made with."""
        return self._settings

    @property
    def fidelity(self) -> str:
        """``harmonic``, ``bte``, or ``dft`` where a DFT program gives the forces."""
        dft = not isinstance(self._settings.calculator, str)
        return "dft" if dft and self._fidelity == "bte" else self._fidelity

    @property
    def method_digest(self) -> str:
        """SHA-256 of settings, weights and the version of the physics."""
        return self._method

    def tightened(self) -> PhononBTE:
        """The oracle that confirms a leader: other snapshots, more of them, a denser mesh."""
        return PhononBTE(self._settings.tightened(), self._fidelity)

    def evaluate(self, material: Material, *, context: Context) -> Outcome:
        """The outcome for one crystal; finished stages under ``context.workdir`` are reused."""
        started = time.perf_counter()
        store = StageStore(context.workdir / "stages")
        field = ForceField(self._settings.calculator, store, context)
        try:
            if not isinstance(material, Crystal):
                raise OracleError(
                    "read", f"got {material.kind} material; phonon-bte needs a crystal"
                )
            return self._stored_or_new(material, field, started)
        except Exception as error:
            # Libraries raise all kinds of things on structures they were not made for.
            failure = as_oracle_error(error, "give smaller supercells or meshes")
        return Failed(
            **self._record(material, field, started, failure.stage),
            message=failure.message,
            permanent=not failure.transient,
            properties={"force_calls": Quantity(value=field.calls, unit="")},
        )

    def _stored_or_new(self, material: Crystal, field: ForceField, started: float) -> Outcome:
        """Read a finished evaluation; else compute one and store it with its artefacts."""
        from oracle.pipeline import Pipeline  # phonopy and phono3py take a second to import

        context = field.context
        large = context.keep_large
        key = digest_of([material.model_dump(mode="json"), self._method])
        kinds = ("evaluations", "evaluations-large")
        found = [field.store.path(kind, key) / "evaluation.json" for kind in kinds]
        known = [EVALUATION.validate_json(p.read_bytes()) if p.is_file() else None for p in found]
        if known[1] is not None or (known[0] is not None and not large):
            stored = known[1] or known[0]
            assert stored is not None
            return stored
        kind = kinds[large]
        with field.store.directory(kind, key) as folder:
            pipeline = Pipeline(material, self._settings, field, folder)
            result = pipeline.run(self._fidelity)
            home = field.store.path(kind, key).relative_to(context.workdir)
            record = self._record(material, field, started, result.stage)
            record["provenance"] = {**record["provenance"], **pipeline.provenance}
            record["artefacts"] = {k: str(home / v) for k, v in pipeline.artefacts.items()}
            if known[0] is not None:
                record["cost_s"] = known[0].cost_s
            outcome = result.outcome(**record)
            (folder / "evaluation.json").write_bytes(EVALUATION.dump_json(outcome))
        return outcome

    def _record(
        self, material: Material, field: ForceField, started: float, stage: str
    ) -> dict[str, Any]:
        """What every outcome carries."""
        return {
            "material": material,
            "fidelity": self.fidelity,
            "method": self._method,
            "cost_s": time.perf_counter() - started,
            "stage": stage,
            "provenance": {"settings": self._settings.model_dump(mode="json")},
            "environment": environment(),
        }
