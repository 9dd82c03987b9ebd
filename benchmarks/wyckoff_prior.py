"""Train the generative model of crystals, and measure what it writes.

    python benchmarks/wyckoff_prior.py train [FILE] [--steps N]
    python benchmarks/wyckoff_prior.py measure [--samples N]
    python benchmarks/wyckoff_prior.py steer [FOLDER] [--samples N] [--seed N]

``train`` makes the weights that are shipped, in about half an hour on one core. ``measure`` lets
the shipped model write crystals of an open space, and counts what becomes of them: well packed,
inside of the space, distinct, and of a structure type that it was not trained on (by pymatgen's
StructureMatcher, elements disregarded, among the prototypes of AFLOW's library); beside
`symmetric-random` draws. ``steer`` seeks the highest bulk
modulus (from the energy-volume curve by the default potential): samples of the shipped model, five
rounds of 32 that the agent proposes without a surrogate, and as many samples of the model that has
learned from them.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core.structure import Structure

from agents.chemistry.chemistry import default_elements
from agents.contract.objective import Objective
from agents.generators import examples, wyckoff
from agents.generators.network import saved
from agents.generators.training import learned
from agents.generators.wyckoff import WyckoffProposer
from agents.proposers.settings import WyckoffSettings
from agents.spaces.crystal_space import CrystalSpace
from agents.spaces.random_crystals import drawn
from agents.spaces.settings import CrystalSpaceSettings
from oracle.contract.evaluation import Measured, Outcome, Quantity
from oracle.energetics.energies import curve
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.runtime.errors import OracleError

_WEIGHTS = Path(wyckoff.__file__).with_name("wyckoff_prior.safetensors")
_OPEN = CrystalSpaceSettings(
    elements=(
        *("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Zn", "Cd"),
        *("O", "S", "Se", "Te", "F", "Cl", "Br", "I"),
    ),
    max_atoms=8,
)
_SOURCES = (
    (examples.decorated_prototypes, 16_000),
    (examples.occupations, 20_000),
    (examples.random_examples, 2_000),
)


def train(file: Path, steps: int) -> None:
    """Train on the packaged examples and write the weights."""
    rng = np.random.default_rng(0)
    known: list[examples.Example] = []
    for source, number in _SOURCES:
        known += itertools.islice(source(rng), number)
        print(f"{source.__name__}: {number}", flush=True)
    network = learned(
        known, steps=steps, report=lambda step, loss: print(f"{step}: {loss:.3f}", flush=True)
    )
    saved(network, file)


def measure(samples: int) -> None:
    """Print the funnel of both generators."""
    rules = CrystalSpaceSettings(elements=default_elements(), max_atoms=12)
    space = CrystalSpace(rules)
    known = _types()
    print("| generator | written | well packed | in the space | distinct | new types | s |")
    print("|---|---|---|---|---|---|---|")
    for name, source in (
        ("wyckoff", wyckoff.generated(wyckoff.shipped(), rules, np.random.default_rng(1))),
        ("symmetric-random", drawn(rules, np.random.default_rng(1))),
    ):
        began = time.perf_counter()
        written = list(itertools.islice(source, samples))
        packed = [one for one in written if one is not None]
        inside = [one for one in packed if one in space]
        distinct = list({one.digest: one for one in inside}.values())
        seconds = time.perf_counter() - began
        new = sum(not _is_known(one, known) for one in distinct)
        counts = (len(written), len(packed), len(inside), len(distinct), new)
        print(f"| {name} | {' | '.join(map(str, counts))} | {seconds:.0f} |", flush=True)


def steer(folder: Path, samples: int, seed: int) -> None:
    """Print what the shipped and the steered model write, by the objective."""
    objective = Objective(property="bulk_modulus", temperature=None, goal="maximize")
    space = CrystalSpace(_OPEN)
    taken: list[Material] = []
    known: list[Outcome] = []  # of the rounds
    rng = np.random.default_rng(seed)
    for label, number, steering in (
        ("shipped", samples, 0.0),
        *((f"round {n}", 32, 1.0) for n in range(1, 6)),
        ("steered", samples, 1.0),
    ):
        settings = WyckoffSettings(number=number, steering=steering)
        proposed = WyckoffProposer(settings, _OPEN).propose(
            number,
            space=space,
            objective=objective,
            evaluations=known,
            pending=taken,
            surrogate=None,
            rng=rng,
        )
        outcomes = [_stiffness(one.material, folder) for one in proposed]
        measured = [one for one in outcomes if one is not None]
        taken += [one.material for one in proposed]
        if label.startswith("round"):
            known += measured
        values = [value[0] for one in measured if (value := objective.value(one)) is not None]
        print(
            f"{label}: {len(proposed)} proposed, {len(values)} measured, deciles 1, 5, 9: "
            f"{np.quantile(values, [0.1, 0.5, 0.9]).round(1).tolist()} GPa",
            flush=True,
        )


def _stiffness(material: Material, folder: Path) -> Measured | None:
    assert isinstance(material, Crystal)
    try:
        found = curve(material, "dpa4-neo-0704", folder)
    except OracleError:
        return None
    return Measured(
        material=material,
        fidelity="bte",
        method="curve",
        cost_s=1.0,
        stage="eos",
        properties={"bulk_modulus": Quantity(value=found.bulk_modulus, unit="GPa")},
    )


def _types() -> dict[tuple[int, int], list[Structure]]:
    """Prototypes by space group and number of atoms."""
    found: dict[tuple[int, int], list[Structure]] = {}
    for one in examples.prototypes():
        structure = one.structure().get_primitive_structure()
        found.setdefault((one.group, len(structure)), []).append(structure)
    return found


def _is_known(crystal: Crystal, known: dict[tuple[int, int], list[Structure]]) -> bool:
    """Whether a crystal has the structure type of a prototype."""
    matcher = StructureMatcher()
    others: Iterable[Structure] = known.get((crystal.spacegroup[1], len(crystal.species)), ())
    return any(matcher.fit_anonymous(crystal.structure(), other) for other in others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["train", "measure", "steer"])
    parser.add_argument("path", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--samples", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(arguments.path or _WEIGHTS, arguments.steps)
    elif arguments.what == "measure":
        measure(arguments.samples or 1000)
    else:
        warnings.simplefilter("ignore")
        folder = arguments.path or Path(tempfile.mkdtemp())
        steer(folder, arguments.samples or 40, arguments.seed)


if __name__ == "__main__":
    main()
