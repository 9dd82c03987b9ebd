"""Special positions that a file without symmetry states with few decimals, as 0.33 for 1/3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import spglib
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

from oracle.materials.rounding import SYMPREC

Array = NDArray[np.float64]
_FEWEST = 2  # decimals; coordinates with fewer are exact
_SLACK = 1.02  # factor on half a unit of the last digit
_FACTORS = (4.0, 2.0, 1.0)
"""Tolerances of the search for symmetry, in units of the largest shift by rounding: the images of
two rounded atoms are compared. The widest come first, as they show the highest symmetry."""
_WIDEST = 0.5  # Å; in wider ones different atoms are taken for one another
_ROUNDS = 50


def with_special_positions(
    structure: Structure, printed: Sequence[Sequence[str]]
) -> tuple[Structure, tuple[str, ...]]:
    """The structure with atoms on the special positions that their rounded coordinates stand for.

    Atoms are moved only if this gives more symmetry, and none by more than rounding may have moved
    it: half a unit of the last digit of each coordinate as it is printed.

    Args:
        structure: as it was read.
        printed: three fractional coordinates for each atom, as text.

    Returns:
        The structure, and a remark if atoms were moved.
    """
    limits = _SLACK * np.array([[_half_unit(text) for text in row] for row in printed])
    farthest = float((limits * np.array(structure.lattice.abc)).max())
    if farthest < SYMPREC / 10:
        return structure, ()
    plain = _operations(structure, SYMPREC)
    for factor in _FACTORS:
        tolerance = min(factor * farthest, _WIDEST)
        operations = _operations(structure, tolerance) if tolerance > SYMPREC else ()
        if len(operations) <= len(plain):
            continue
        moved = _symmetrised(structure, operations)
        if moved is None or np.any(np.abs(moved - structure.frac_coords) > limits + 1e-9):
            continue
        ideal = Structure(structure.lattice, structure.species, moved)
        if len(_operations(ideal, SYMPREC)) >= len(operations):
            return ideal, (_remark(structure, ideal),)
    return structure, ()


def _half_unit(text: str) -> float:
    """Half a unit of the last digit of a printed number; 0 where it is exact."""
    decimals = len(text.lower().partition("e")[0].partition(".")[2])
    return 0.5 * 10.0**-decimals if decimals >= _FEWEST else 0.0


def _operations(structure: Structure, tolerance: float) -> Sequence[tuple[Array, Array]]:
    """Rotations (3, 3) and translations (3,) of a structure, in fractional coordinates."""
    cell = structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers
    found = spglib.get_symmetry(cell, symprec=tolerance)
    if found is None:
        return ()
    return list(zip(found["rotations"], found["translations"], strict=True))


def _symmetrised(structure: Structure, operations: Sequence[tuple[Array, Array]]) -> Array | None:
    """Positions (n, 3) that operations map onto themselves, or None where they do not converge.

    Each atom is put at the mean of all that is mapped onto it. Translations follow from the
    positions, whose origin is free.
    """
    positions = np.array(structure.frac_coords)
    images = list(_images(structure, operations))
    if len(images) < len(operations):
        return None
    for _ in range(_ROUNDS):
        total = np.zeros_like(positions)
        for (rotation, translation), image in zip(operations, images, strict=True):
            apart = positions @ rotation.T + translation - positions[image]
            cells = np.rint(apart)
            shift = translation - (apart - cells).mean(axis=0)
            mapped = positions @ rotation.T + shift - cells
            total[image] += mapped
        mean = total / len(operations)
        if np.abs(mean - positions).max() < 1e-12:
            return mean
        positions = mean
    return positions


def _images(
    structure: Structure, operations: Sequence[tuple[Array, Array]]
) -> Iterator[NDArray[np.int64]]:
    """For each operation, the atom (n,) that each atom is mapped onto."""
    positions, numbers = structure.frac_coords, np.array(structure.atomic_numbers)
    other = numbers[:, None] != numbers[None]
    for rotation, translation in operations:
        apart = (positions @ rotation.T + translation)[:, None] - positions[None]
        distances = np.linalg.norm((apart - np.rint(apart)) @ structure.lattice.matrix, axis=2)
        image = np.argmin(np.where(other, np.inf, distances), axis=1)
        if len(set(image)) == len(image):
            yield image


def _remark(before: Structure, after: Structure) -> str:
    names = [structure.get_space_group_info(symprec=SYMPREC)[0] for structure in (before, after)]
    return (
        f"its coordinates are rounded: as printed its space group is {names[0]}; atoms were moved "
        f"to the special positions of {names[1]}, none by more than its last digit allows"
    )
