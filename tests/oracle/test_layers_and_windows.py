"""Layers cut from crystals, their isometries, and waves along them."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.green.hosts import atoms_of
from oracle.green.windows import Window, fourier
from oracle.materials.crystal import Crystal
from oracle.materials.layering import (
    Sites,
    in_plane_basis,
    operations,
    periodic,
    permutation,
    reduced,
    reversible,
    sites,
    sites_of,
)
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]


@functools.cache
def _crystal(kind: str) -> Crystal:
    groups = {
        "diamond": ("Fd-3m", 5.43, ["Si"], [[0.0] * 3]),
        "germanium": ("Fd-3m", 5.66, ["Ge"], [[0.0] * 3]),
        "zinc blende": ("F-43m", 5.65, ["Ga", "As"], [[0.0] * 3, [0.25] * 3]),
        "rock salt": ("Fm-3m", 5.64, ["Na", "Cl"], [[0.0] * 3, [0.5] * 3]),
    }
    group, length, symbols, places = groups[kind]
    return Crystal.from_structure(
        Structure.from_spacegroup(group, Lattice.cubic(length), symbols, places)
    )


# Isometries of one layer that keep the stacking axis and each atom's height: of diamond and zinc
# blende along [001] the point group mm2, of rock salt 4mm.
KEPT = {"diamond": 4, "zinc blende": 4, "rock salt": 8}


@pytest.mark.parametrize("kind", KEPT)
def test_isometries_of_a_layer_are_those_of_its_layer_group(kind: str) -> None:
    cell = sites(_crystal(kind))
    small = reduced(cell, in_plane_basis((cell,)))
    # The conventional cube holds two in-plane primitive cells.
    assert len(small.symbols) == len(cell.symbols) / 2
    found = operations((small,))
    kept = [one for one in found if not one.reverses]
    assert len(kept) == KEPT[kind]
    for one in found:
        image = permutation(small, one)
        assert image is not None
        assert sorted(image) == list(range(len(small.symbols)))  # every atom is met once
        assert [small.symbols[i] for i in image] == list(small.symbols)


@pytest.mark.parametrize(
    ("kind", "expected"), [("diamond", True), ("rock salt", True), ("zinc blende", False)]
)
def test_which_layers_can_be_turned_upside_down(kind: str, expected: bool) -> None:
    assert reversible((_crystal(kind),)) is expected


def test_of_several_layers_one_that_cannot_be_turned_decides() -> None:
    assert reversible((_crystal("diamond"), _crystal("germanium")))
    assert not reversible((_crystal("diamond"), _crystal("zinc blende")))


def test_layers_keep_their_volume_when_they_are_strained() -> None:
    lead, other = _crystal("diamond"), _crystal("germanium")
    stacked = periodic([lead, other, other], lead, None).structure()
    per_atom = {c.formula: c.structure().volume / len(c.species) for c in (lead, other)}
    counts = stacked.composition.get_el_amt_dict()
    expected = sum(per_atom[symbol] * count for symbol, count in counts.items())
    assert stacked.volume == pytest.approx(expected, rel=1e-6)
    assert counts["Ge"] == 2 * counts["Si"]


def test_a_stack_of_one_kind_is_that_crystal_again() -> None:
    lead = _crystal("diamond")
    assert periodic([lead] * 3, lead, None).digest == lead.digest
    strained = periodic([lead], lead, 5.6).structure()
    assert strained.volume / len(strained) == pytest.approx(5.43**3 / 8)


def test_a_slanted_axis_is_refused_with_its_angle() -> None:
    slanted = np.array([[4.0, 0, 0], [0, 4.0, 0], [0.5, 0, 4.0]])
    with pytest.raises(OracleError, match=r"82\.9°.*expected 90°"):
        sites_of(slanted, np.zeros((1, 3)), ("Na",))


def test_stacked_layers_keep_their_distances() -> None:
    layers = [sites(_crystal("diamond")), sites(_crystal("rock salt"))]
    atoms = atoms_of(layers)
    assert atoms.cell[2, 2] == pytest.approx(5.43 + 5.64)
    assert list(atoms.symbols) == [s for layer in layers for s in layer.symbols]
    assert atoms.positions[8, 2] - atoms.positions[0, 2] == pytest.approx(
        5.43
    )  # the lowest of each


def _window(spring: Array, size: int = 4) -> Window:
    """Two layers of one atom each on a square lattice, joined by springs.

    Args:
        spring: (2, 2), between neighbours in the plane of the first layer, along x and along y, of
            motions out of the plane; then the same to the atom above, and to its neighbours.
        size: repetitions of the cell.
    """
    grid = np.array(list(itertools.product(range(size), repeat=2)))
    constants = np.zeros((1, 3, 2, len(grid), 3))

    def at(i: int, j: int) -> int:
        return (i % size) * size + j % size

    along_x, along_y = spring[0]
    above, beside = spring[1]
    for sign in (1, -1):
        constants[0, 2, 0, at(sign, 0), 2] -= along_x
        constants[0, 2, 0, at(0, sign), 2] -= along_y
        constants[0, 2, 1, at(sign, 0), 2] -= beside
    constants[0, 2, 1, at(0, 0), 2] -= above
    constants[0, 2, 0, 0, 2] += 2 * along_x + 2 * along_y + above + 2 * beside
    return Window(
        constants, grid, (size, size), np.zeros((2, 2)), 3.0 * np.eye(2), (0, 1, 2), first=0
    )


SPRINGS = st.lists(st.floats(0.1, 5.0), min_size=4, max_size=4)
WAVES = st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=2)


@given(SPRINGS, WAVES)
@settings(max_examples=25, deadline=None)
def test_waves_on_a_square_lattice_of_springs(springs: list[float], wave: list[float]) -> None:
    """Sums of 2 K (1 - cos 2 pi q) over the springs, as for any lattice of springs."""
    along_x, along_y, above, beside = springs
    window, q = _window(np.reshape(springs, (2, 2))), np.array([wave])
    cosines = np.cos(2 * np.pi * q[0])
    own = fourier(window, 0, 0, q)[0]
    exact = 2 * along_x * (1 - cosines[0]) + 2 * along_y * (1 - cosines[1]) + above + 2 * beside
    assert own[2, 2] == pytest.approx(exact)
    across = fourier(window, 0, 1, q)[0]
    assert across[2, 2] == pytest.approx(-above - 2 * beside * cosines[0])
    # Nothing is felt when all atoms move together.
    together = np.zeros((1, 2))
    total = fourier(window, 0, 0, together) + fourier(window, 0, 1, together)
    np.testing.assert_allclose(total, 0, atol=1e-9)


@given(SPRINGS, WAVES, st.integers(-2, 2))
@settings(max_examples=25, deadline=None)
def test_waves_repeat_with_the_reciprocal_lattice_and_reverse_in_time(
    springs: list[float], wave: list[float], more: int
) -> None:
    window, q = _window(np.reshape(springs, (2, 2))), np.array([wave])
    plain = fourier(window, 0, 1, q)
    np.testing.assert_allclose(fourier(window, 0, 1, q + more), plain, atol=1e-9)
    np.testing.assert_allclose(fourier(window, 0, 1, -q), plain.conj(), atol=1e-9)


def test_sites_lie_in_the_cell_and_are_sorted_by_height() -> None:
    places = np.array([[0.5, 0.5, 0.9999999], [0.2, 1.3, 0.5], [-0.1, 0.0, 0.25]])
    found: Sites = sites_of(np.eye(3) * 4, places, ("A", "B", "C"))
    assert found.symbols == ("A", "C", "B")
    np.testing.assert_allclose(found.positions[1:], [[0.9, 0, 0.25], [0.2, 0.3, 0.5]])
    assert abs(found.positions[0, 2]) < 1e-6
