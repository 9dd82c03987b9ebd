"""Train the generative model of crystals, and measure what it writes.

    python benchmarks/wyckoff_prior.py train [FILE] [--steps N]
    python benchmarks/wyckoff_prior.py measure [--samples N]

``train`` makes the weights that are shipped, in about half an hour on one core. ``measure`` lets
the shipped model write crystals of an open space, and counts what becomes of them: well packed,
inside of the space, distinct, and of a structure type that it was not trained on (by pymatgen's
StructureMatcher, elements disregarded, among the prototypes of AFLOW's library); beside
`symmetric-random` draws.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core.structure import Structure

from agents.chemistry.chemistry import default_elements
from agents.generators import examples, wyckoff
from agents.generators.network import saved
from agents.generators.training import learned
from agents.spaces.crystal_space import CrystalSpace
from agents.spaces.random_crystals import drawn
from agents.spaces.settings import CrystalSpaceSettings
from oracle.materials.crystal import Crystal

_WEIGHTS = Path(wyckoff.__file__).with_name("wyckoff_prior.safetensors")
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
    parser.add_argument("what", choices=["train", "measure"])
    parser.add_argument("file", type=Path, nargs="?", default=_WEIGHTS)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--samples", type=int, default=1000)
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(arguments.file, arguments.steps)
    else:
        measure(arguments.samples)


if __name__ == "__main__":
    main()
