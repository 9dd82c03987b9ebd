"""The oracle `phonon-bte`: relaxation, force constants, stability gate, Boltzmann equation."""

from __future__ import annotations

import time
from typing import Literal

from oracle.contract.computing import ComputingOracle
from oracle.contract.evaluation import Outcome, make_quantity
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.phonons.settings import PhononSettings
from oracle.potentials.dft import digest
from oracle.potentials.dft_settings import EspressoSettings, described
from oracle.potentials.forces import ForceField
from oracle.potentials.table import weights_digest
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError

VERSION = 17
"""To be raised when the numbers of the same material and settings would change."""
Fidelity = Literal["harmonic", "bte"]


class PhononBTE(ComputingOracle[PhononSettings]):
    """Lattice thermal conductivity from a potential.

    Args:
        settings: all that changes the numbers.
        fidelity: ``bte``, or ``harmonic`` for second order and Slack's formula only.

    Raises:
        OracleError: stage ``read``; unknown potential or one that is not installed.
    """

    def __init__(self, settings: PhononSettings, fidelity: Fidelity = "bte") -> None:
        self._depth: Fidelity = fidelity
        # The list of fidelities of a campaign does not change this one.
        document = settings.model_dump(mode="json", exclude={"fidelities"})
        if settings.reference_temperature is None or fidelity == "harmonic":
            document.pop("reference_temperature")  # as before there was this setting
        if not settings.full_solution:
            document.pop("full_solution")  # as before there was this setting
        document["calculator"] = described(settings.calculator)
        if settings.dispersion is None:
            del document["dispersion"]  # methods without it are as they were
        else:
            document["dispersion"] = weights_digest(settings.potential)
        if isinstance(settings.born, EspressoSettings):
            document["born"] = digest(settings.born)
        # Earlier versions stated one error for all temperatures; only with several of them does
        # the method differ from theirs.
        several = len(settings.temperatures) > 1 and fidelity == "bte"
        dft = not isinstance(settings.calculator, str)
        super().__init__(
            settings,
            # A full evaluation with a DFT program is a fidelity of its own.
            "dft" if dft and fidelity == "bte" else fidelity,
            {
                "oracle": "phonon-bte",
                "version": VERSION,
                "fidelity": fidelity,
                "settings": document,
                **({"errors": "per temperature"} if several else {}),
            },
        )

    def tightened(self, level: int) -> PhononBTE:
        """The oracle that confirms a leader: other snapshots, more of them, a denser mesh."""
        return PhononBTE(self._tighter(level), self._depth)

    def evaluate(self, material: Material, *, context: Context) -> Outcome:
        """The evaluation of one crystal; finished stages under ``context.workdir`` are reused."""
        started = time.perf_counter()
        field = self._field(context)
        try:
            if not isinstance(material, Crystal):
                raise OracleError(
                    "read", f"got {material.kind} material; phonon-bte needs a crystal"
                )
            return self._stored_or_new(material, field, started)
        except Exception as error:
            return self._failed(
                material,
                error,
                time.perf_counter() - started,
                "give smaller supercells or meshes",
                properties={"force_calls": make_quantity("force_calls", field.calls)},
            )

    def _stored_or_new(self, material: Crystal, field: ForceField, started: float) -> Outcome:
        """Read a stored evaluation, or compute one and store it with its artefacts."""
        context = field.context
        large = context.keep_large
        key = self._key(material)
        kinds = ("evaluations", "evaluations-large")
        small, complete = (self._stored(field.store, kind, material) for kind in kinds)
        if complete is not None:
            return complete
        if small is not None and not large:
            return small
        from oracle.phonon_bte.pipeline import Pipeline  # phono3py takes a second to import

        kind = kinds[large]
        with field.store.directory(kind, key) as folder:
            pipeline = Pipeline(material, self._settings, field, folder)
            result = pipeline.run(self._depth)
            home = field.store.path(kind, key).relative_to(context.workdir)
            cost = time.perf_counter() - started if small is None else small.cost_s
            record = self._record(material, result.stage, cost, **pipeline.provenance)
            record["artefacts"] = {k: str(home / v) for k, v in pipeline.artefacts.items()}
            outcome = result.outcome(**record)
            self._keep(folder, outcome)
        return outcome
