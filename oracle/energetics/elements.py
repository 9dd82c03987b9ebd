"""Reference states of the elements, into which a compound may decompose.

Most metals are in ASE's table of experimental ground states; the others are listed here by space
group, lattice and one atom per orbit (Wyckoff, Crystal Structures, vol. 1, and Mehl et al.,
Comput. Mater. Sci. 136, S1 (2017)). Where an element has several entries, the one of lowest energy
counts. Approximations: sulfur has chains like selenium (rings need 32 atoms per cell; the two
differ by less than 0.05 eV/atom in PBE), fluorine has the structure of chlorine, hydrogen consists
of molecules on a hexagonal lattice, praseodymium and neodymium are simple hexagonal metals, and
there is no magnetic order beyond what the potential has learned.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from ase.build import bulk
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.energetics.energies import relaxed_energy
from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class _State:
    """A structure of one element.

    Args:
        spacegroup: international symbol, standard setting.
        lengths: a, b, c of the conventional cell, Å.
        angles: alpha, beta, gamma, degrees.
        orbits: fractional coordinates of one atom per orbit.
    """

    spacegroup: str
    lengths: Vector
    angles: Vector
    orbits: tuple[Vector, ...]

    def structure(self, symbol: str) -> Structure:
        lattice = Lattice.from_parameters(*self.lengths, *self.angles)
        return Structure.from_spacegroup(
            self.spacegroup, lattice, [symbol] * len(self.orbits), list(self.orbits)
        )


_RIGHT = (90.0, 90.0, 90.0)
_HEXAGONAL = (90.0, 90.0, 120.0)


def _halogen(a: float, b: float, c: float, y: float, z: float) -> _State:
    return _State("Cmce", (a, b, c), _RIGHT, ((0.0, y, z),))


def _chain(a: float, c: float, x: float) -> _State:
    return _State("P3_121", (a, a, c), _HEXAGONAL, ((x, 0.0, 5 / 6),))


_STATES: dict[str, tuple[_State, ...]] = {
    "H": (_State("P6_3/mmc", (3.776, 3.776, 6.162), _HEXAGONAL, ((1 / 3, 2 / 3, 0.19),)),),
    "B": (
        _State(
            "R-3m",
            (4.908, 4.908, 12.566),
            _HEXAGONAL,
            ((0.7844, 0.2156, 0.226), (0.1961, 0.8039, 0.0245)),
        ),
    ),
    "C": (
        _State("P6_3/mmc", (2.464, 2.464, 6.711), _HEXAGONAL, ((0, 0, 0.25), (1 / 3, 2 / 3, 0.25))),
        _State("Fd-3m", (3.567, 3.567, 3.567), _RIGHT, ((0, 0, 0),)),
    ),
    "N": (_State("Pa-3", (5.65, 5.65, 5.65), _RIGHT, ((0.0557, 0.0557, 0.0557),)),),
    "O": (_State("C2/m", (5.403, 3.433, 4.247), (90.0, 117.84, 90.0), ((0.933, 0, 0.827),)),),
    "F": (_halogen(5.13, 3.67, 6.81, 0.110, 0.085),),
    "P": (_State("Cmce", (3.3136, 10.478, 4.3763), _RIGHT, ((0, 0.6017, 0.5806),)),),
    "S": (_chain(3.85, 4.45, 0.22),),
    "Cl": (_halogen(6.145, 4.395, 8.154, 0.130, 0.100),),
    "Mn": (
        _State(
            "I-43m",
            (8.911, 8.911, 8.911),
            _RIGHT,
            (
                (0, 0, 0),
                (0.1821, 0.1821, 0.1821),
                (0.7181, 0.0896, 0.0896),
                (0.9654, 0.3571, 0.3571),
            ),
        ),
    ),
    "Ga": (_State("Cmce", (4.523, 7.661, 4.524), _RIGHT, ((0, 0.6549, 0.581),)),),
    "Se": (_chain(4.366, 4.954, 0.2254),),
    "Br": (_halogen(6.737, 4.548, 8.761, 0.1451, 0.110),),
    "Sn": (
        _State("I4_1/amd", (5.832, 5.832, 3.182), _RIGHT, ((0, 0, 0),)),
        _State("Fd-3m", (6.489, 6.489, 6.489), _RIGHT, ((0, 0, 0),)),
    ),
    "Te": (_chain(4.456, 5.921, 0.2636),),
    "I": (_halogen(7.119, 4.66, 9.796, 0.1548, 0.1175),),
    "La": (_State("P6_3/mmc", (3.77, 3.77, 12.16), _HEXAGONAL, ((0, 0, 0), (1 / 3, 2 / 3, 0.25))),),
    "Pa": (_State("I4/mmm", (3.932, 3.932, 3.238), _RIGHT, ((0, 0, 0),)),),
    "U": (_State("Cmcm", (2.844, 5.869, 4.932), _RIGHT, ((0, 0.1023, 0.25),)),),
    "Np": (
        _State("Pnma", (6.663, 4.723, 4.887), _RIGHT, ((0.464, 0.25, 0.292), (0.181, 0.25, 0.658))),
    ),
    "Pu": (_State("Fm-3m", (4.637, 4.637, 4.637), _RIGHT, ((0, 0, 0),)),),
}


def reference_structures(symbol: str) -> list[Structure]:
    """Plausible ground-state structures of an element; empty where none is known."""
    if symbol in _STATES:
        return [state.structure(symbol) for state in _STATES[symbol]]
    try:
        atoms = bulk(symbol)
    except (KeyError, ValueError, RuntimeError, NotImplementedError):
        return []  # ASE knows no structure
    return [AseAtomsAdaptor.get_structure(atoms)]


def element_energy(symbol: str, potential: str, cache_dir: Path) -> float | None:
    """Energy of the lowest reference state of an element, eV/atom.

    It is relaxed with the potential and stored under the digest of its weights. Two processes that
    compute it at the same time write the same file.

    Args:
        symbol: of the element.
        potential: as for `oracle.potentials.table.calculator`.
        cache_dir: folder of stored energies.

    Returns:
        The energy, or None for an element without a known structure.

    Raises:
        OracleError: stage ``relax``; the potential fails on every reference state.
    """
    energies: list[float] = []
    failures: list[OracleError] = []
    for crystal in _reference_crystals(symbol):
        try:
            energies.append(relaxed_energy(crystal, potential, cache_dir, scaled=False))
        except OracleError as error:
            failures.append(error)
    if energies:
        return min(energies)
    if failures:
        raise failures[0]
    return None


@functools.lru_cache(maxsize=128)
def _reference_crystals(symbol: str) -> tuple[Crystal, ...]:
    return tuple(Crystal.from_structure(s) for s in reference_structures(symbol))
