"""Born effective charges and the dielectric tensor, which split longitudinal optical modes off.

They belong to one crystal. phonopy's BORN file gives them in the frame of a structure file, atom by
atom of its primitive cell; here they are kept in the frame of the conventional cell.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oracle.errors import OracleError
from oracle.settings import BornCharges, Tensor

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

Array = NDArray[np.float64]
_SAME = 0.05  # Å; atoms of the given and of the canonical cell that belong together


def read_born(
    path: Path, given: Structure, conventional: Structure, rotation: Array
) -> BornCharges:
    """The charges of a BORN file.

    Args:
        path: of the file, in phonopy's format; the atoms are those of the primitive cell that
            phonopy finds for the structure.
        given: the structure beside which the file lies.
        conventional: cell of its canonical crystal.
        rotation: (3, 3), takes vectors of the given frame into that of `conventional`.

    Raises:
        OracleError: stage ``read``; not such a file, or not of this crystal.
    """
    from phonopy import Phonopy
    from phonopy.file_IO import parse_BORN
    from phonopy.structure.atoms import PhonopyAtoms

    cell = PhonopyAtoms(
        cell=given.lattice.matrix,
        scaled_positions=given.frac_coords,
        symbols=[site.specie.symbol for site in given],
    )
    primitive = Phonopy(cell, primitive_matrix="auto", log_level=0).primitive
    try:
        found = parse_BORN(primitive, filename=path)
    except (OSError, ValueError, RuntimeError, IndexError, TypeError) as error:
        cause = " ".join(str(error).split())[:150] or type(error).__name__
        raise OracleError(
            "read",
            f"{path} cannot be read ({cause}); expected phonopy's BORN format: a factor, the "
            "dielectric tensor, then one tensor for each independent atom of the primitive cell",
        ) from error
    born = np.asarray(found["born"], dtype=np.float64)
    dielectric = np.asarray(found["dielectric"], dtype=np.float64)
    if born.shape != (len(primitive), 3, 3) or np.linalg.eigvalsh(dielectric).min() < 1.0 - 1e-6:
        raise OracleError(
            "read",
            f"{path}: charges of {len(born)} atoms, least dielectric constant "
            f"{np.linalg.eigvalsh(dielectric).min():.3g}; expected {len(primitive)} and at least 1",
        )
    match = _matched(
        primitive.cell @ rotation.T,
        primitive.positions @ rotation.T,
        list(primitive.symbols),
        conventional,
    )
    if match is None:
        raise OracleError("read", f"{path}: its atoms do not lie on those of the structure")
    return BornCharges(
        dielectric=_tensor(rotation @ dielectric @ rotation.T),
        charges=tuple(_tensor(rotation @ born[i] @ rotation.T) for i in match),
    )


def _matched(
    lattice: Array, positions: Array, symbols: list[str], conventional: Structure
) -> NDArray[np.int64] | None:
    """Index of the primitive atom (n_conventional,) that each conventional atom repeats.

    Args:
        lattice: (3, 3), rows, primitive, turned into the frame of `conventional`.
        positions: (n_primitive, 3), Cartesian in that frame; the origin may differ.
        symbols: of those.
        conventional: the other cell.
    """
    there = np.asarray(conventional.cart_coords)
    names = np.array([site.specie.symbol for site in conventional])
    alike = names[:, None] == np.array(symbols)[None]
    inverse = np.linalg.inv(lattice)
    for first in np.flatnonzero(names == symbols[0]):
        shift = there[first] - positions[0]
        apart = (there[:, None] - positions[None] - shift) @ inverse
        distances = np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=2)
        fits = (distances < _SAME) & alike
        if (fits.sum(axis=1) == 1).all():
            return np.asarray(fits.argmax(axis=1))
    return None


def _tensor(array: Array) -> Tensor:
    a, b, c = ((float(x), float(y), float(z)) for x, y, z in array)
    return a, b, c
