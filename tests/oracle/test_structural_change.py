"""Relaxation keeps a crystal, changes it noticeably, or turns it into another structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.materials.crystal import Crystal
from oracle.materials.dimensions import weakly_bound_parts
from oracle.phonons.doubts import scaling
from oracle.phonons.relax import Relaxed, relax
from oracle.phonons.settings import PhononSettings
from oracle.phonons.structural_change import structural_change
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore

THIRD = 1 / 3


def _crystal(group: str, parameters: tuple[float, ...], sites: dict[str, Any]) -> Structure:
    """A structure from its space group; keys are elements, with a number from the second on."""
    lattice = Lattice.from_parameters(*parameters)
    return Structure.from_spacegroup(
        group, lattice, [key.rstrip("0123456789") for key in sites], list(sites.values())
    )


def _cubic(a: float) -> tuple[float, ...]:
    return (a, a, a, 90, 90, 90)


def _hexagonal(a: float, c: float) -> tuple[float, ...]:
    return (a, a, c, 90, 90, 120)


BI2TE3 = _crystal(
    "R-3m",
    _hexagonal(4.386, 30.497),
    {"Bi": (0, 0, 0.4001), "Te": (0, 0, 0), "Te2": (0, 0, 0.2095)},
)
LINBO3 = _crystal(
    "R3c",
    _hexagonal(5.148, 13.863),
    {"Li": (0, 0, 0.2787), "Nb": (0, 0, 0), "O": (0.0476, 0.3433, 0.0633)},
)
CATIO3 = _crystal(
    "Pnma",
    (5.4423, 7.6401, 5.3796, 90, 90, 90),
    {
        "Ca": (0.0354, 0.25, -0.0068),
        "Ti": (0, 0, 0.5),
        "O": (0.4838, 0.25, 0.0710),
        "O2": (0.2895, 0.0374, -0.2895),
    },
)
HFS2 = _crystal("P-3m1", _hexagonal(3.635, 5.837), {"Hf": (0, 0, 0), "S": (THIRD, 2 * THIRD, 0.25)})
ANATASE = _crystal(
    "I4_1/amd", (3.785, 3.785, 9.514, 90, 90, 90), {"Ti": (0, 0, 0), "O": (0, 0, 0.2081)}
)
QUARTZ = _crystal(
    "P3_221",
    _hexagonal(4.9134, 5.4052),
    {"Si": (0.4699, 0, 2 * THIRD), "O": (0.4141, 0.2681, 0.7854)},
)
GRAPHITE = _crystal(
    "P6_3/mmc", _hexagonal(2.461, 6.708), {"C": (0, 0, 0.25), "C2": (THIRD, 2 * THIRD, 0.25)}
)
MOS2 = _crystal(
    "P6_3/mmc",
    _hexagonal(3.160, 12.295),
    {"Mo": (THIRD, 2 * THIRD, 0.25), "S": (THIRD, 2 * THIRD, 0.621)},
)
TELLURIUM = _crystal("P3_121", _hexagonal(4.457, 5.929), {"Te": (0.2633, 0, THIRD)})
ROCKSALT = _crystal("Fm-3m", _cubic(5.64), {"Na": (0, 0, 0), "Cl": (0.5, 0.5, 0.5)})
ZINCBLENDE = _crystal("F-43m", _cubic(5.65), {"Ga": (0, 0, 0), "As": (0.25, 0.25, 0.25)})
COPPER = _crystal("Fm-3m", _cubic(3.61), {"Cu": (0, 0, 0)})
LAYERED = {"Bi2Te3": BI2TE3, "HfS2": HFS2, "graphite": GRAPHITE, "MoS2": MOS2}
CONNECTED = {
    "LiNbO3": LINBO3,
    "CaTiO3": CATIO3,
    "anatase": ANATASE,
    "quartz": QUARTZ,
    "rocksalt": ROCKSALT,
    "zincblende": ZINCBLENDE,
    "copper": COPPER,
}
ALL = LAYERED | CONNECTED | {"tellurium": TELLURIUM}


def _atoms(structure: Structure) -> Atoms:
    return Atoms(
        [site.specie.symbol for site in structure],
        cell=structure.lattice.matrix,
        scaled_positions=structure.frac_coords,
        pbc=True,
    )


def _strained(atoms: Atoms, strain: NDArray[np.float64]) -> Atoms:
    changed = atoms.copy()
    changed.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return changed


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(sorted(ALL)), seed=st.integers(0, 2**31))
def test_noise_in_a_file_is_no_change_of_structure(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ideal = _atoms(ALL[name])
    noisy = _strained(ideal, rng.uniform(-0.004, 0.004, (3, 3)))
    noisy.positions += rng.uniform(-0.008, 0.008, (len(ideal), 3))
    assert structural_change(noisy, ideal, 0.5).verdict is None
    assert structural_change(ideal, noisy, 0.5).verdict is None


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(sorted(ALL)), factor=st.floats(0.55, 1.45))
def test_scaling_is_no_change_of_structure(name: str, factor: float) -> None:
    """Lattice parameters may be guessed; where they are given, the change of volume is said."""
    assume(all(abs(abs(factor - 1) - limit) > 1e-6 for limit in (0.05, 0.08)))
    given_atoms = _atoms(ALL[name])
    scaled = _strained(given_atoms, np.eye(3) * (factor ** (1 / 3) - 1))
    change = structural_change(given_atoms, scaled, 0.5)
    assert change.verdict is None
    assert change.noticeable == ()
    volumes = given_atoms.get_volume(), scaled.get_volume()
    assert (scaling(*volumes) is not None) == (abs(factor - 1) > 0.08)
    strict = structural_change(given_atoms, scaled, 0.05)
    assert (strict.verdict is not None) == (abs(factor - 1) > 0.05)


@settings(max_examples=20, deadline=None)
@given(name=st.sampled_from(sorted(LAYERED)), swelling=st.floats(0.0, 0.3))
def test_layers_may_move_apart(name: str, swelling: float) -> None:
    """Only the gap between layers grows; layers keep their thickness."""
    assume(abs(swelling - 0.08) > 1e-6)  # there rounding decides
    before = _atoms(LAYERED[name])
    heights = before.get_scaled_positions()[:, 2]
    order = np.argsort(heights)
    gaps = np.diff(np.append(heights[order], heights[order][0] + 1)) * before.cell.lengths()[2]
    # Between layers no atoms are near; the gaps there are the widest of all.
    wide = gaps > gaps.max() - 0.02
    growth = swelling * before.cell.lengths()[2] / wide.sum()
    shifts = np.concatenate([[0.0], np.cumsum(wide[:-1] * growth)])
    after = before.copy()
    after.cell[2] *= 1 + swelling
    after.positions[order, 2] += shifts
    change = structural_change(before, after, 0.5)
    assert change.verdict is None
    assert any(text.startswith("c by") for text in change.noticeable) == (swelling > 0.08)


def _buerger(share: float) -> Atoms:
    """From rocksalt (0) to caesium chloride (1) at constant volume, by the angle of the cell."""
    lattice = Lattice.rhombohedral(1.0, 60 + 30 * share)
    lattice = lattice.scale(45.0)
    return _atoms(Structure(lattice, ["K", "Br"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]])))


def _along_the_diagonal(share: float) -> Atoms:
    """From zincblende (0) to rocksalt (1), by a shift of one sublattice along [111]."""
    u = 0.25 + 0.25 * share
    lattice = Lattice.rhombohedral(4.0 - 0.3 * share, 60)
    return _atoms(Structure(lattice, ["Zn", "S"], np.array([[0, 0, 0], [u, u, u]])))


def _puckered(share: float) -> Atoms:
    """From rhombohedral graphite (0) to diamond (1), by puckering and compression."""
    lattice = Lattice.hexagonal(2.46 + 0.06 * share, 10.06 - 3.88 * share)
    z = 1 / 6 - share / 24
    return _atoms(Structure.from_spacegroup("R-3m", lattice, ["C"], [[0, 0, z]]))


def _untwisted(share: float) -> Atoms:
    """From the chains of tellurium (0) to the simple cubic structure (1)."""
    lattice = Lattice.hexagonal(4.457 + 0.07 * share, 5.929 - 0.39 * share)
    x = 0.2633 + share * (THIRD - 0.2633)
    return _atoms(Structure.from_spacegroup("P3_121", lattice, ["Te"], [[x, 0, THIRD]]))


def _centred(share: float) -> Atoms:
    """From ferroelectric (0) to paraelectric (1) lead titanate."""
    lattice = Lattice.tetragonal(3.90 + 0.05 * share, 4.15 - 0.2 * share)
    z = (1 - share) * np.array([0.0, 0.04, 0.11, 0.11, 0.11])
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    sites[:, 2] += z
    return _atoms(Structure(lattice, ["Pb", "Ti", "O", "O", "O"], sites))


def _bain(share: float) -> Atoms:
    """From a tetragonal structure near the body-centred one (0) to the face-centred one (1)."""
    lattice = Lattice.tetragonal(1.0, 1.1 + (np.sqrt(2) - 1.1) * share).scale(24.0)
    return _atoms(Structure(lattice, ["Fe", "Fe"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]])))


PATHS = [_buerger, _along_the_diagonal, _puckered, _untwisted, _centred, _bain]


@pytest.mark.parametrize("path", PATHS)
def test_another_structure_is_told_from_a_step_towards_it(path: Any) -> None:
    start, end = path(0.0), path(1.0)
    # An independent judge, which searches for a mapping of one structure onto the other.
    matcher = StructureMatcher(ltol=0.05, stol=0.05, angle_tol=2, scale=True)
    first, second = (
        Structure(a.cell.array, a.get_chemical_symbols(), a.get_scaled_positions())
        for a in (start, end)
    )
    assert not matcher.fit(first, second)
    assert structural_change(start, end, 0.5).verdict is not None
    for step in (0.02, 0.1):  # between structures of one space group, as relaxation keeps it
        assert structural_change(path(0.1), path(0.1 + step), 0.5).verdict is None


def test_the_verdict_does_not_depend_on_the_size_of_the_cell() -> None:
    for path in (_buerger, _puckered):
        start, end = path(0.0), path(1.0)
        small = structural_change(start, end, 0.5)
        large = structural_change(start * (2, 2, 2), end * (2, 2, 2), 0.5)
        assert small.verdict == large.verdict


@pytest.mark.parametrize(("name", "parts"), [
    *((name, "layers") for name in LAYERED),
    *((name, None) for name in CONNECTED),
    ("tellurium", "chains"),
])  # fmt: skip
def test_what_weak_forces_hold_together_is_recognised(name: str, parts: str | None) -> None:
    assert weakly_bound_parts(ALL[name]) == parts


@pytest.mark.parametrize(
    ("structure", "parts"),
    [
        (_crystal("Fm-3m", _cubic(6.46), {"Pb": (0, 0, 0), "Te": (0.5, 0.5, 0.5)}), None),
        (_crystal("Pm-3m", _cubic(3.83), {"Tl": (0, 0, 0), "Cl": (0.5, 0.5, 0.5)}), None),
        (_crystal("P6_3/mmc", _hexagonal(2.98, 5.62), {"Cd": (THIRD, 2 * THIRD, 0.25)}), None),
        (
            _crystal(
                "R-3m",
                _hexagonal(2.816, 14.05),
                {"Li": (0, 0, 0.5), "Co": (0, 0, 0), "O": (0, 0, 0.2604)},
            ),
            None,
        ),
        (
            _crystal(
                "P6/mmm", _hexagonal(3.08, 3.52), {"Mg": (0, 0, 0), "B": (THIRD, 2 * THIRD, 0.5)}
            ),
            None,
        ),
        (
            _crystal(
                "P-3m1",
                _hexagonal(4.557, 6.979),
                {"Pb": (0, 0, 0), "I": (THIRD, 2 * THIRD, 0.2675)},
            ),
            "layers",
        ),
        (_crystal("Fm-3m", _cubic(5.26), {"Ar": (0, 0, 0)}), "atoms"),
        (_crystal("Fm-3m", _cubic(4.46), {"Ne": (0, 0, 0)}), "atoms"),
        (_crystal("Pa-3", _cubic(5.31), {"H": (0.0402, 0.0402, 0.0402)}), "molecules"),
        (
            _crystal("P6_3/mmc", _hexagonal(3.57, 5.83), {"He": (THIRD, 2 * THIRD, 0.25)}),
            "atoms",
        ),
        (_crystal("Pa-3", _cubic(5.63), {"C": (0, 0, 0), "O": (0.118, 0.118, 0.118)}), "molecules"),
    ],
    ids=["PbTe", "TlCl", "Cd", "LiCoO2", "MgB2", "PbI2", "Ar", "Ne", "H2", "He", "CO2"],
)
def test_bonds_of_metals_ions_and_molecules(structure: Structure, parts: str | None) -> None:
    assert weakly_bound_parts(structure) == parts


def _relaxed(structure: Structure, folder: Path, calculator: str = "7net-0") -> Relaxed:
    """The relaxed crystal, which is the same when it is read from the store."""
    crystal, physics = Crystal.from_structure(structure), PhononSettings(calculator=calculator)
    field = ForceField(calculator, StageStore(folder), Context(folder))
    relaxed, again = (relax(crystal, physics, field) for _ in range(2))
    assert again.digest == relaxed.digest
    assert (again.change, again.cautions) == (relaxed.change, relaxed.cautions)
    return relaxed


def test_swollen_layers_are_a_caution(tmp_path: Path) -> None:
    relaxed = _relaxed(HFS2, tmp_path)
    assert relaxed.change is None
    dispersion, swollen = relaxed.cautions
    assert dispersion.startswith(
        "7net-0 lacks the dispersion forces that hold the layers of HfS2 together"
    )
    assert swollen.startswith("relaxation changed the structure: volume by +")


def test_a_chain_that_becomes_a_network_is_another_structure(tmp_path: Path) -> None:
    relaxed = _relaxed(TELLURIUM, tmp_path)
    assert relaxed.change is not None
    assert relaxed.change.startswith("Te ")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Bi2Te3", "LiNbO3", "CaTiO3", "anatase", "quartz", "graphite"])
def test_stable_crystals_are_not_refused(name: str, tmp_path: Path) -> None:
    relaxed = _relaxed(ALL[name], tmp_path)
    assert relaxed.change is None
    assert any("dispersion" in caution for caution in relaxed.cautions) == (name in LAYERED)
