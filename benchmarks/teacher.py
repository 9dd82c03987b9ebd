"""Healing with a near-DFT potential in place of DFT: are holes detected, and kappa corrected?

    python benchmarks/teacher.py WORKDIR TEACHER holes|labels|kappa [--student 7net-0] [...]

TEACHER is the file of Nequix OAM-1-PFT's weights; without it the script says so and stops.
``holes`` compares predicted hole sizes with true force errors, ``labels`` the hole hunter with
random choice, ``kappa`` the conductivity of compounds that were never labelled before and after
healing. Everything computed is kept under WORKDIR, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from agents.holes.hole_assessment import assess
from agents.holes.supercell_pool import PoolEntry, SupercellPoolSettings, supercell_pool
from agents.spaces.prototype_table import prototype
from oracle.contract.evaluation import scalar
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore
from orchestrator.healing.trusted import TRUSTED
from surrogate.healing.committee import softening
from surrogate.healing.fine_tuning import heal
from surrogate.healing.fine_tuning_settings import FineTuningSettings
from surrogate.healing.force_labels import ForceLabel, label, save_labels

Array = NDArray[np.float64]
HALF_HEUSLERS = (
    "TiNiSn ZrNiSn HfNiSn TiCoSb ZrCoSb HfCoSb NbCoSn VFeSb NbFeSb TaFeSb NbCoGe ZrCoBi TaCoSn "
    "TiNiGe ZrNiPb TiCoBi ScNiSb YNiSb"
)
POOL = {
    "half-heusler": HALF_HEUSLERS,
    "rocksalt": "NaCl KBr LiF MgO CaO SrSe BaTe PbTe RbI",
    "zincblende": "ZnS GaP InSb CdTe AlSb CuCl GaN BP",
    "antifluorite": "OLi SNa SeK",
}
TAUGHT = (
    "TiNiSn ZrCoSb HfNiSn NbCoSn VFeSb TaFeSb ZrNiPb TiCoBi YNiSb TiNiGe "
    "TaCoSn ZrCoBi VCoSn TaCoGe HfCoBi HfNiPb ZrNiGe VCoGe ScNiBi NbFeBi"
)
"""Half-Heuslers that are labelled; kappa is judged on others."""
ASKED = "NbCoGe ZrNiSn TiCoSb NbFeSb HfCoSb ScNiSb"
KAPPA = PhononSettings(
    temperatures=(300.0,),
    tolerance=0.05,
    pairs_start=6,
    pairs_max=20,
    fc3_supercell=((-1, 1, 1), (1, -1, 1), (1, 1, -1)),  # 48 atoms
    fc3_cutoff=4.6,
    mesh=(13, 13, 13),
    bands=False,
)
"""Settings for all potentials, so that only their forces differ."""
RELAXED_BY = "7net-0"
"""Potential that displaces the supercells for every student, so that each is labelled once."""
COMMITTEES = {"7net-0": ["7net-0", "chgnet"], "chgnet": ["chgnet", "7net-0"]}


@dataclass(frozen=True)
class Bench:
    """The folder of the results, the teacher and the student."""

    workdir: Path
    teacher: str
    student: str

    @property
    def context(self) -> Context:
        """Of every computation."""
        return Context(self.workdir)

    def field(self, potential: str) -> ForceField:
        """Forces of a potential, stored in the folder."""
        return ForceField(potential, StageStore(self.workdir / "stages"), self.context)

    def pool(self, table: dict[str, str], copies: int) -> list[PoolEntry]:
        """Displaced supercells of the compounds; one that cannot be relaxed is left out."""
        supercells = []
        for kind, names in table.items():
            for name in names.split():
                try:
                    supercells += supercell_pool(
                        [crystal(kind, name)],
                        self.field(RELAXED_BY),
                        SupercellPoolSettings(copies=copies),
                    )
                except Exception as error:
                    print(f"left out {kind} {name}: {error}")
        return supercells

    def labels(self, entries: Sequence[PoolEntry]) -> list[ForceLabel]:
        """The teacher's labels."""
        pairs = [(e.id, e.atoms) for e in entries]
        return label(pairs, self.teacher, self.field(self.teacher))


def crystal(kind: str, name: str) -> Crystal:
    return prototype(kind).decorate(re.findall("[A-Z][a-z]?", name))


def rms(values: Array) -> float:
    return float(np.sqrt(np.square(values).mean()))


def errors_of(potential: str, labels: Sequence[ForceLabel], bench: Bench) -> Array:
    """True force errors (n,) in eV/Å."""
    field = bench.field(potential)
    return np.array([rms(field.forces(one.atoms, "errors") - one.forces) for one in labels])


def by_compound(entries: Sequence[PoolEntry], values: Array) -> tuple[list[str], Array]:
    """Mean of each compound's supercells."""
    names = [e.material.formula for e in entries]
    kinds = list(dict.fromkeys(names))
    return kinds, np.array([values[[n == k for n in names]].mean() for k in kinds])


def holes(bench: Bench) -> None:
    """Rank of predicted hole sizes against true errors; calibration on other compounds only."""
    entries = bench.pool(POOL, 2)
    labels = bench.labels(entries)
    true = errors_of(bench.student, labels, bench)
    assessment = assess(
        entries,
        COMMITTEES[bench.student],
        StageStore(bench.workdir / "stages"),
        bench.context,
        trusted=[e.atoms for e in bench.pool(TRUSTED, 1)],
    )
    evidence, model, prior = assessment.evidence, assessment.model, assessment.sizes
    print("slopes", np.round(assessment.slopes, 3))
    size = np.array([rms(one.forces) for one in labels])
    kinds, truth = by_compound(entries, true)
    _, guess = by_compound(entries, prior.force_error)
    for name, e, p in zip(kinds, truth, guess, strict=True):
        print(f"{name:8s} true {e:.3f} prior {p:.3f}")
    field = bench.field(bench.student)
    own = [field.forces(one.atoms, "errors") for one in labels]
    print(
        f"slope of the student against the teacher {softening(own, [x.forces for x in labels]):.3f}"
    )
    print(f"compounds {len(kinds)}, supercells {len(entries)}")
    for what, value in (
        ("prior", prior.force_error),
        ("deviation alone", evidence.deviation),
        ("latent distance alone", evidence.distance),
        ("size of forces alone", evidence.size),
    ):
        _, mine = by_compound(entries, value)
        _, rel = by_compound(entries, value / evidence.size)
        _, relt = by_compound(entries, true / size)
        print(
            f"{what:22s} Spearman {spearmanr(mine, truth).statistic:.3f}, of relative ones "
            f"{spearmanr(rel, relt).statistic:.3f}"
        )
    for number in (10, 20, 40):
        ranks, cover, ratio = [], [], []
        for seed in range(20):
            taught = np.random.default_rng(seed).permutation(len(kinds))[: number // 2]
            names = {kinds[i] for i in taught}
            inside = np.array([e.material.formula in names for e in entries])
            rows, rest = np.flatnonzero(inside), np.flatnonzero(~inside)
            predicted = model.fitted(evidence.take(rows), true[rows]).predict(evidence.take(rest))
            others = [entries[i] for i in rest]
            ranks.append(
                spearmanr(
                    by_compound(others, predicted.force_error)[1],
                    by_compound(others, true[rest])[1],
                ).statistic
            )
            off = np.log(true[rest]) - predicted.log_mean
            cover.append(float((np.abs(off) < predicted.log_std).mean()))
            ratio.append(float(np.exp(np.abs(off).mean())))
        print(
            f"calibrated on {number} labels: Spearman on other compounds {np.mean(ranks):.3f} "
            f"(20 splits, lowest {min(ranks):.3f}), 68 % interval holds "
            f"{100 * np.mean(cover):.0f} %, typical factor {np.mean(ratio):.2f}"
        )


def ordered(
    bench: Bench, entries: Sequence[PoolEntry], labels: Sequence[ForceLabel], most: int
) -> list[int]:
    """The hunter's order, in rounds of 8 labels after each of which it is calibrated again."""
    trusted = [e.atoms for e in bench.pool(TRUSTED, 1)]
    chosen: list[int] = []
    while len(chosen) < most:
        free = [i for i in range(len(entries)) if i not in chosen]
        assessment = assess(
            [entries[i] for i in free],
            COMMITTEES[bench.student],
            StageStore(bench.workdir / "stages"),
            bench.context,
            labels=[labels[i] for i in chosen],
            trusted=trusted,
        )
        chosen += [free[w.index] for w in assessment.hunt(8).wanted]
    return chosen[:most]


def few_labels(bench: Bench, sizes: Sequence[int], seeds: int, epochs: int) -> None:
    """Force error on other displacements of all compounds against the number of labels."""
    entries = bench.pool(POOL, 4)
    labels = bench.labels(entries)
    inside = [i for i, e in enumerate(entries) if int(e.id[-1]) < 2]
    tests = [labels[i] for i, e in enumerate(entries) if int(e.id[-1]) >= 2]
    pool, own = [entries[i] for i in inside], [labels[i] for i in inside]
    replay = [e.atoms for e in bench.pool(TRUSTED, 1)]
    order = ordered(bench, pool, own, max(sizes))
    print("the hunter's first:", [own[i].id for i in order[:16]])
    before = errors_of(bench.student, tests, bench)
    print(f"{len(own)} in the pool, {len(tests)} tests, error before {rms(before):.4f} eV/Å")
    # This measures what is learned from the labels, not whether the weights are accepted.
    settings = FineTuningSettings(epochs=epochs, replay=2, tolerance=1e9)
    log = bench.workdir / f"labels-{bench.student}.jsonl"
    done = [json.loads(x) for x in log.read_text().splitlines()] if log.is_file() else []
    finished = {(d["who"], d["n"]): d for d in done}
    for number in sizes:
        for who in [*(f"random {s}" for s in range(seeds)), "hunter"]:
            if (who, number) not in finished:
                drawn = np.random.default_rng(int(who[-1]) if who != "hunter" else 0)
                rows = order if who == "hunter" else list(drawn.permutation(len(own)))
                taught = [own[i] for i in rows[:number]]
                healed = heal(
                    bench.student, taught, replay, bench.workdir / "weights", settings=settings
                )
                after = errors_of(healed.potential, tests, bench)
                line = {"who": who, "n": number, "error": rms(after), "reason": healed.reason}
                line |= {"seconds": healed.seconds, "epochs": healed.epochs}
                with log.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                finished[who, number] = line
            row = finished[who, number]
            print(f"{who:9s} {number:3d} labels: {row['error']:.4f} eV/Å", flush=True)


def kappas(bench: Bench, epochs: int) -> None:
    """Conductivity of half-Heuslers that were never labelled, and forces on other materials."""
    entries = bench.pool({"half-heusler": TAUGHT}, 2)  # 40 labels
    labels = bench.labels(entries)
    save_labels(bench.workdir / "labels.jsonl", labels)
    replay = bench.pool(TRUSTED, 2)
    rest = {k: v for k, v in POOL.items() if k != "half-heusler"}
    untouched = bench.labels(bench.pool(rest, 2))
    started = time.perf_counter()
    healed = heal(
        bench.student,
        labels,
        [e.atoms for e in replay],
        bench.workdir / "weights",
        settings=FineTuningSettings(epochs=epochs),
    )
    print(healed, f"{time.perf_counter() - started:.0f} s", flush=True)
    for potential in (bench.student, healed.potential):
        print(f"untouched {potential}: {rms(errors_of(potential, untouched, bench)):.4f} eV/Å")
    offs = []
    for name in ASKED.split():
        values = [
            kappa_of(bench, name, p) for p in (bench.teacher, bench.student, healed.potential)
        ]
        print(name, " ".join("none" if f is None else f"{f:.2f}" for f in values), flush=True)
        if None not in values:
            logs = np.log10(np.array(values, dtype=float))
            offs.append(np.abs(logs[1:] - logs[0]))
    before, after = np.mean(offs, axis=0)
    print(f"mean error of log10 kappa {before:.3f} to {after:.3f}, {before / after:.1f} times less")


def kappa_of(bench: Bench, name: str, potential: str) -> float | None:
    """At 300 K, W/m/K; None where it is unstable or fails."""
    oracle = PhononBTE(KAPPA.model_copy(update={"calculator": potential}))
    evaluation = oracle.evaluate(crystal("half-heusler", name), context=bench.context)
    value = scalar(evaluation, "kappa", 300.0)
    if value is None:
        print(
            name,
            potential,
            evaluation.status,
            getattr(evaluation, "reason", getattr(evaluation, "message", "")),
        )
    return None if value is None else value[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("part", choices=("holes", "labels", "kappa"))
    parser.add_argument("--student", choices=tuple(COMMITTEES), default="7net-0")
    parser.add_argument("--sizes", type=int, nargs="*", default=[6, 12, 24])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=FineTuningSettings.epochs)
    arguments = parser.parse_args()
    if not arguments.teacher.is_file():
        print(f"skipped: no weights of Nequix OAM-1-PFT at {arguments.teacher}")
        return
    warnings.filterwarnings("ignore")
    bench = Bench(arguments.workdir, f"nequix:{arguments.teacher.absolute()}", arguments.student)
    if arguments.part == "holes":
        holes(bench)
    elif arguments.part == "labels":
        few_labels(bench, arguments.sizes, arguments.seeds, arguments.epochs)
    else:
        kappas(bench, arguments.epochs)


if __name__ == "__main__":
    main()
