"""One potential healed by DFT on one compound: conductivity before, after, and from DFT itself.

    python benchmarks/dft_cycle.py WORKDIR [--student 7net-0] [--labels 8] [--reference-only]

Boron phosphide by GPAW (PBE) in 16-atom supercells. The hole hunter chooses supercells, GPAW labels
them, the student is fine-tuned with the product's defaults, and its verdict decides. Then the same
evaluation, with the same supercells, mesh and number of snapshots, is made with the student before
and after and with GPAW's own forces. Force errors are judged on the supercells of GPAW's own
evaluation, which no training has seen. The supercell is too small for the crystal's own number:
compare the rows with each other.

Everything but the fine-tuning is kept in WORKDIR, so that a run that was killed goes on with the
supercell it was at; seconds add up over the runs. ``--reference-only`` stops after what needs GPAW.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from agents.holes.hole_assessment import assess
from agents.holes.supercell_pool import PoolEntry, SupercellPoolSettings, supercell_pool
from agents.spaces.prototype_table import prototype
from oracle.contract.evaluation import Measured, scalar
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.relax import relax
from oracle.phonons.settings import PhononSettings
from oracle.phonons.snapshots import random_displacements
from oracle.phonons.supercells import as_atoms, displaced, phonons3, second_order_displacements
from oracle.potentials.dft_settings import GpawSettings, Potential
from oracle.potentials.forces import ForceField
from oracle.potentials.table import weights_digest
from oracle.runtime.context import Context
from oracle.runtime.digests import digest_of
from oracle.runtime.stages import StageStore
from surrogate.healing.fine_tuning import heal
from surrogate.healing.force_labels import ForceLabel, label, load_labels, save_labels

Array = NDArray[np.float64]
COMPOUND = ("zincblende", ["B", "P"])
# A k mesh of 2x2x2 for the supercell, as 4x4x4 of the primitive cell. 100 eV more change the forces
# of rattled atoms, 1.1 eV/Å, by 0.003.
ENGINE = GpawSettings(cutoff_ev=350, k_spacing=0.65)
CELL = ((0, 1, 1), (1, 0, 1), (1, 1, 0))
"""Supercell in conventional vectors: the primitive cell doubled along each, 16 atoms."""
PHYSICS = PhononSettings(
    fc2_supercell=CELL,
    fc3_supercell=CELL,
    mesh=(11, 11, 11),
    # Always all five pairs, also if the fit seems to converge with fewer.
    tolerance=0.001,
    pairs_start=5,
    pairs_max=5,
    # A plane-wave basis changes with the cell, which leaves stresses of this size.
    relax_fmax=2e-3,
    bands=False,
)
POOL = SupercellPoolSettings(most_atoms=16, copies=16)
REPLAY = {
    "rocksalt": "NaCl KCl NaBr MgO LiCl MgS CaSe SrO",
    "zincblende": "ZnS ZnSe GaAs GaP InP CdS AlP AlAs",
    "half-heusler": "TiNiSn ZrCoSb NbFeSb LiAlSi",
}
"""Replay materials, on which the new weights must stay close to the old ones."""
COMMITTEES = {"7net-0": ["7net-0", "chgnet"], "chgnet": ["chgnet", "7net-0"]}


@dataclass(frozen=True)
class Bench:
    """The folder of the results, and the potential that is healed."""

    workdir: Path
    student: str

    @property
    def context(self) -> Context:
        """Of every computation."""
        return Context(self.workdir)

    def field(self, potential: Potential) -> ForceField:
        """Forces of a potential, stored in the folder."""
        return ForceField(potential, StageStore(self.workdir / "stages"), self.context)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the seconds of the block to those of earlier runs."""
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = self.seconds()
            seconds[what] = seconds.get(what, 0.0) + time.perf_counter() - started
            (self.workdir / "seconds.json").write_text(json.dumps(seconds, indent=1))

    def seconds(self) -> dict[str, float]:
        """Of each part, over all runs."""
        path = self.workdir / "seconds.json"
        return dict(json.loads(path.read_text())) if path.is_file() else {}

    def evaluated(self, potential: Potential, name: str) -> Measured:
        """Conductivity with a potential's forces, or the end of the script."""
        with self.timed(f"kappa {name}"):
            oracle = PhononBTE(PHYSICS.model_copy(update={"calculator": potential}))
            evaluation = oracle.evaluate(compound(), context=self.context)
        if not isinstance(evaluation, Measured):
            raise SystemExit(f"{potential}: no conductivity: {evaluation}")
        print(f"{name}: kappa {scalar(evaluation, 'kappa', 300.0)} W/m/K", flush=True)
        return evaluation


def compound() -> Crystal:
    return prototype(COMPOUND[0]).decorate(COMPOUND[1])


def symbols(name: str) -> list[str]:
    """Elements of a name like ``TiNiSn``."""
    return re.findall("[A-Z][a-z]?", name)


def chosen(bench: Bench, count: int, replay: list[Atoms]) -> list[PoolEntry]:
    """The supercells that the hole hunter wants labelled, in its order."""
    with bench.timed("hunt"):
        entries = supercell_pool([compound()], bench.field(bench.student), POOL)
        assessment = assess(
            entries,
            COMMITTEES[bench.student],
            StageStore(bench.workdir / "stages"),
            bench.context,
            trusted=replay,
        )
        wanted = assessment.hunt(count)
    print(f"expected force error of {len(entries)} supercells {wanted.before:.3f} eV/Å")
    for one in wanted.wanted:
        print(f"  {one.id}: {one.reason}")
    return [entries[one.index] for one in wanted.wanted]


def replayed(bench: Bench) -> list[Atoms]:
    """One displaced supercell of each other material, relaxed with the student."""
    settings = SupercellPoolSettings(copies=1)
    field = bench.field(bench.student)
    crystals = [prototype(k).decorate(symbols(n)) for k, v in REPLAY.items() for n in v.split()]
    with bench.timed("replay"):
        return [entry.atoms for c in crystals for entry in supercell_pool([c], field, settings)]


def labelled(bench: Bench, entries: list[PoolEntry]) -> list[ForceLabel]:
    """DFT labels, one after another; those of an earlier run in the same folder are taken."""
    file = bench.workdir / "labels.jsonl"
    if file.is_file():
        return load_labels(file)
    labels: list[ForceLabel] = []
    for entry in entries:
        with bench.timed("labels"):
            labels += label([(entry.id, entry.atoms)], ENGINE, bench.field(ENGINE))
        print(f"{time.strftime('%H:%M:%S')} label {len(labels)} of {len(entries)}", flush=True)
    save_labels(file, labels)
    return labels


def unseen(bench: Bench, direct: Measured) -> list[Atoms]:
    """The displaced supercells of GPAW's own evaluation, whose forces are in the store."""
    pairs = range((direct.provenance["fc3_supercells"] - 1) // 2)
    settings = PHYSICS.model_copy(update={"calculator": ENGINE})
    crystal = compound()
    relaxed = relax(crystal, settings, bench.field(ENGINE))
    second = second_order_displacements(
        phonons3(relaxed, settings, second=True), settings.displacement
    )
    rest = as_atoms(phonons3(relaxed, settings, second=False).supercell)
    seed = digest_of([crystal.digest, weights_digest(ENGINE), settings.snapshot_seed])
    drawn = random_displacements(len(rest), pairs, settings.displacement, seed)
    return [*second, *(displaced(rest, sign * u) for u in drawn for sign in (1.0, -1.0))]


def force_error(bench: Bench, potential: str, structures: list[Atoms]) -> tuple[float, float]:
    """Root-mean-square error and size of the forces of structures, eV/Å."""
    truth = np.array([bench.field(ENGINE).forces(one, "errors") for one in structures])
    forces = np.array([bench.field(potential).forces(one, "errors") for one in structures])
    return float(np.sqrt(np.square(forces - truth).mean())), float(np.sqrt(np.square(truth).mean()))


def row(name: str, evaluation: Measured, error: str, seconds: float) -> str:
    """One line of the table."""
    numbers = {key: one.value for key, one in evaluation.properties.items()}
    kappa = scalar(evaluation, "kappa", 300.0)
    assert kappa is not None
    volume = numbers["volume"]
    assert isinstance(volume, float)
    return (
        f"| {name} | {(8 * volume) ** (1 / 3):.3f} | {numbers['max_frequency_thz']:.2f} "
        f"| {kappa[0]:.0f} | {kappa[1] or 0:.0f} | {error} | {seconds:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--student", choices=tuple(COMMITTEES), default="7net-0")
    parser.add_argument("--labels", type=int, default=8)
    parser.add_argument("--reference-only", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    arguments.workdir.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments.workdir, arguments.student)
    before = bench.evaluated(bench.student, "before")
    replay = replayed(bench)
    labels = labelled(bench, chosen(bench, arguments.labels, replay))
    direct = bench.evaluated(ENGINE, "dft")
    if arguments.reference_only:
        return
    healed = heal(bench.student, labels, replay, bench.workdir / "weights")
    print(json.dumps(asdict(healed), indent=1, default=str))
    tests = unseen(bench, direct)
    rows = [(bench.student, before, bench.student)]
    if healed.accepted:
        after = bench.evaluated(healed.potential, "after")
        rows.append(("healed", after, healed.potential))
    seconds = {**bench.seconds(), "healing": healed.seconds}
    print(
        f"\n{time.strftime('%Y-%m-%d')}, one core, {platform.machine()}, GPAW {version('gpaw')}; "
        f"{compound().formula}, 16 atoms, mesh 11x11x11, 300 K, {sum(healed.labels)} labels\n"
    )
    print(
        "| forces | a (Å) | highest mode (THz) | kappa (W/m/K) | ± | force error on "
        f"{len(tests)} unseen supercells (eV/Å) | seconds |"
    )
    print("|---|---|---|---|---|---|---|")
    size = 0.0
    for name, evaluation, potential in rows:
        error, size = force_error(bench, potential, tests)
        print(row(name, evaluation, f"{error:.4f}", evaluation.cost_s))
    print(row(str(ENGINE), direct, f"of {size:.3f}", seconds["kappa dft"]))
    print("\nseconds: " + ", ".join(f"{key} {value:.0f}" for key, value in seconds.items()))


if __name__ == "__main__":
    main()
