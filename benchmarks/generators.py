"""How many stable crystals generators find per relaxation.

    python benchmarks/generators.py FOLDER [--samples N] [--seed N] [--calculator NAME]

Each generator makes so many distinct crystals of one open space, which the potential relaxes. A hit
lies at most 0.1 eV/atom above the hull of the elements, of all prototypes with these elements, and
of everything that any generator found, and has no imaginary modes in a supercell of 14 Å.
Generators: the generative model as it is shipped; random crystals with the space's symmetries
(``symmetric-random``); and substitution, the prototypes of AFLOW's library with elements of the
space, the likelier the closer they are on Pettifor's scale. A hit "of a known type" has the
structure type of one of these prototypes. Energies and phonons are kept in FOLDER.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core.composition import Composition
from pymatgen.core.structure import Structure

from agents.chemistry.chemistry import neutral_charges
from agents.chemistry.duplicates import Admission
from agents.generators import wyckoff
from agents.generators.examples import prototypes, similarities
from agents.spaces.crystal_space import CrystalSpace
from agents.spaces.prototypes import PrototypeSpace
from agents.spaces.random_crystals import drawn, sized
from agents.spaces.settings import CrystalSpaceSettings, PrototypeSpaceSettings
from oracle.contract.evaluation import Measured
from oracle.energetics.elements import element_energy
from oracle.energetics.energies import relaxed_energy
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError

ELEMENTS = ("Li", "Na", "K", "Mg", "Ca", "Zn", "O", "S", "Cl", "Br")
RULES = CrystalSpaceSettings(elements=ELEMENTS, max_atoms=8)
_ABOVE = 0.1  # eV/atom
_TRIES = 40  # sets of elements until charges cancel


def generated(rng: np.random.Generator) -> Iterator[Crystal | None]:
    """What the shipped model writes."""
    return wyckoff.generated(wyckoff.shipped(), RULES, rng)


def randomly(rng: np.random.Generator) -> Iterator[Crystal | None]:
    """Random symmetric crystals."""
    return drawn(RULES, rng)


def substituted(rng: np.random.Generator) -> Iterator[Crystal | None]:
    """Prototypes with their elements exchanged, the likelier the more similar the ions."""
    library = [one.structure().get_primitive_structure() for one in prototypes()]
    library = [one for one in library if len(one) <= RULES.max_atoms and len(one.elements) > 1]
    while True:
        structure = library[int(rng.integers(len(library)))].copy()
        old = [element.symbol for element in structure.elements]
        for _ in range(_TRIES):
            new: dict[Any, Any] = {symbol: _drawn(similarities(symbol), rng) for symbol in old}
            counts = {new[s]: int(structure.composition[s]) for s in old}
            if len(counts) == len(old) and neutral_charges(Composition(counts)) is not None:
                structure.replace_species(new)
                yield sized(structure)
                break
        else:
            yield None


def _drawn(table: tuple[tuple[str, ...], NDArray[np.float64]], rng: np.random.Generator) -> str:
    elements, weights = table
    inside = np.array([element in ELEMENTS for element in elements])
    weights = np.where(inside, weights, 0.0)
    return elements[int(rng.choice(len(elements), p=weights / weights.sum()))]


GENERATORS = {"wyckoff": generated, "symmetric-random": randomly, "substitution": substituted}


def samples(name: str, number: int, seed: int) -> tuple[list[Crystal], int]:
    """Distinct crystals of the space, and how many were made for them."""
    space, admit = CrystalSpace(RULES), Admission()
    found: list[Crystal] = []
    for made, crystal in enumerate(GENERATORS[name](np.random.default_rng(seed)), start=1):
        if crystal is not None and crystal in space and admit(crystal):
            found.append(crystal)
        if len(found) == number or made > 100 * number:
            return found, made
    raise AssertionError("generators have no end")


def energy(crystal: Crystal, calculator: str, folder: Path) -> float | None:
    """Of the relaxed crystal, eV/atom; None where it does not relax."""
    try:
        return relaxed_energy(crystal, calculator, folder / "energies")
    except OracleError:
        return None


def hull(entries: list[tuple[Crystal, float]], calculator: str, folder: Path) -> PhaseDiagram:
    """Of the elements and of crystals with their energies, eV/atom."""
    phases = [
        PDEntry(Composition(symbol), e)
        for symbol in ELEMENTS
        if (e := element_energy(symbol, calculator, folder / "energies")) is not None
    ]
    phases += [
        PDEntry(Composition(c.formula), e * Composition(c.formula).num_atoms) for c, e in entries
    ]
    return PhaseDiagram(phases)


def is_stable(crystal: Crystal, calculator: str, folder: Path) -> bool:
    """Whether it has no imaginary modes."""
    settings = PhononSettings(
        calculator=calculator, fidelities=("harmonic",), fc2_length=14.0, fc2_atoms=160, bands=False
    )
    try:
        oracle = PhononBTE(settings, "harmonic")
        outcome = oracle.evaluate(crystal, context=Context(folder, threads=1))
    except OracleError:
        return False
    return isinstance(outcome, Measured)


@functools.cache
def _types() -> dict[tuple[int, int], list[Structure]]:
    found: dict[tuple[int, int], list[Structure]] = {}
    for one in prototypes():
        structure = one.structure().get_primitive_structure()
        found.setdefault((one.group, len(structure)), []).append(structure)
    return found


def is_a_prototype(crystal: Crystal) -> bool:
    """Whether it has the structure type of one of AFLOW's prototypes."""
    others = _types().get((crystal.spacegroup[1], len(crystal.species)), [])
    return any(StructureMatcher().fit_anonymous(crystal.structure(), other) for other in others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calculator", default="dpa4-neo-0704")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    calculator, folder = arguments.calculator, arguments.folder
    known = PrototypeSpace(PrototypeSpaceSettings(elements=ELEMENTS))
    competitors = [
        (c, e)
        for c in known
        if isinstance(c, Crystal) and (e := energy(c, calculator, folder)) is not None
    ]
    print(f"{len(competitors)} of {known.size} competing phases", flush=True)
    relaxed: dict[str, list[tuple[Crystal, float]]] = {}
    for name in GENERATORS:
        crystals, made = samples(name, arguments.samples, arguments.seed)
        relaxed[name] = [
            (c, e) for c in crystals if (e := energy(c, calculator, folder)) is not None
        ]
        print(
            f"{name}: {made} made, {len(crystals)} distinct, {len(relaxed[name])} relaxed",
            flush=True,
        )
    diagram = hull([*competitors, *itertools.chain(*relaxed.values())], calculator, folder)
    print(
        "| generator | relaxations | below 0.1 eV/atom | hits | of a known type | hits per 1,000 |"
    )
    print("|---|---|---|---|---|---|")
    for name, found in relaxed.items():
        low = []
        for crystal, e in found:
            composition = Composition(crystal.formula)
            above = diagram.get_e_above_hull(PDEntry(composition, e * composition.num_atoms))
            if above is not None and above <= _ABOVE:
                low.append(crystal)
        hits = [crystal for crystal in low if is_stable(crystal, calculator, folder)]
        types = sum(map(is_a_prototype, hits))
        rate = 1000 * len(hits) / arguments.samples
        print(
            f"| {name} | {arguments.samples} | {len(low)} | {len(hits)} | {types} | {rate:.0f} |",
            flush=True,
        )
        print("   " + json.dumps([f"{c.formula} {c.spacegroup[0]}" for c in hits]), flush=True)


if __name__ == "__main__":
    main()
