"""Meshes are as dense as asked, positions wrap, and a crystal has the symmetry of its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from phonopy import Phonopy
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from scipy.spatial.transform import Rotation

from oracle.materials.canonical import conventional_cell, orthogonal, point_group, spacegroup_of
from oracle.materials.crystal_checks import Unusable, check_crystal, check_periodicity
from oracle.materials.reciprocal import coarsened, mesh_of, refined
from oracle.materials.rounding import rounded_positions, wrapped_positions
from oracle.phonons.atomic_data import phonopy_cell

Array = NDArray[np.float64]
MESHES = st.tuples(*(st.integers(1, 60) for _ in range(3)))
SPACINGS = st.floats(0.05, 1.0)


def _oblique(rng: np.random.Generator, angles: Sequence[float] | Array) -> Lattice:
    """A lattice with these angles in degrees."""
    a, b, c = rng.uniform(3, 9, 3)
    alpha, beta, gamma = angles
    return Lattice.from_parameters(a, b, c, alpha, beta, gamma)


BRAVAIS: dict[str, tuple[str, Callable[[np.random.Generator], Lattice]]] = {
    "primitive cubic": ("Pm-3m", lambda r: Lattice.cubic(r.uniform(3, 6))),
    "face-centred cubic": ("Fm-3m", lambda r: Lattice.cubic(r.uniform(3, 6))),
    "body-centred cubic": ("Im-3m", lambda r: Lattice.cubic(r.uniform(3, 6))),
    "hexagonal": ("P6/mmm", lambda r: Lattice.hexagonal(r.uniform(3, 6), r.uniform(3, 15))),
    "rhombohedral": ("R-3m", lambda r: Lattice.hexagonal(r.uniform(3, 6), r.uniform(3, 25))),
    "primitive tetragonal": (
        "P4/mmm",
        lambda r: Lattice.tetragonal(r.uniform(3, 6), r.uniform(3, 15)),
    ),
    "body-centred tetragonal": (
        "I4/mmm",
        lambda r: Lattice.tetragonal(r.uniform(3, 6), r.uniform(3, 15)),
    ),
    "primitive orthorhombic": ("Pmmm", lambda r: Lattice.orthorhombic(*r.uniform(3, 12, 3))),
    "base-centred orthorhombic": ("Cmmm", lambda r: Lattice.orthorhombic(*r.uniform(3, 12, 3))),
    "body-centred orthorhombic": ("Immm", lambda r: Lattice.orthorhombic(*r.uniform(3, 12, 3))),
    "face-centred orthorhombic": ("Fmmm", lambda r: Lattice.orthorhombic(*r.uniform(3, 12, 3))),
    "primitive monoclinic": (
        "P2/m",
        lambda r: _oblique(r, (90, r.uniform(91, 125), 90)),
    ),
    "base-centred monoclinic": (
        "C2/m",
        lambda r: _oblique(r, (90, r.uniform(91, 125), 90)),
    ),
    "triclinic": (
        "P-1",
        lambda r: _oblique(r, r.uniform(75, 105, 3)),
    ),
}
"""Space group and random lattice."""


def phonopy_of(structure: Structure) -> Phonopy:
    """A Phonopy object for a primitive cell."""
    cell = phonopy_cell(
        structure.lattice.matrix, structure.frac_coords, [str(s.specie) for s in structure]
    )
    return Phonopy(cell, supercell_matrix=np.eye(3), primitive_matrix=np.eye(3), log_level=0)


def _cell(seed: int) -> Array:
    """A random cell that is not too flat."""
    rng = np.random.default_rng(seed)
    return np.diag(rng.uniform(3, 9, 3)) + rng.uniform(-0.8, 0.8, (3, 3))


class TestMeshes:
    @given(st.integers(0, 10_000), SPACINGS)
    @settings(deadline=None)
    def test_points_are_as_close_as_asked_and_no_closer(self, seed: int, spacing: float) -> None:
        cell = _cell(seed)
        reciprocal = np.linalg.norm(2 * np.pi * np.linalg.inv(cell).T, axis=1)
        mesh = np.array(mesh_of(cell, spacing))
        assert np.all(reciprocal / mesh <= spacing * (1 + 1e-5))
        fewer = mesh - 1
        assert np.all((fewer == 0) | (reciprocal > fewer * spacing))

    @given(st.integers(0, 10_000), SPACINGS)
    @settings(deadline=None)
    def test_they_do_not_depend_on_orientation_or_unit(self, seed: int, spacing: float) -> None:
        cell, turn = _cell(seed), Rotation.random(random_state=seed).as_matrix()
        mesh = mesh_of(cell, spacing)
        assert mesh_of(cell @ turn.T, spacing) == mesh
        assert mesh_of(cell / 0.529, spacing * 0.529) == mesh

    @pytest.mark.parametrize("lattice", sorted(BRAVAIS))
    @given(number=st.integers(0, 10_000), spacing=st.floats(0.05, 0.5))
    @settings(deadline=None, max_examples=6)
    def test_they_have_the_symmetry_of_every_bravais_lattice(
        self, lattice: str, number: int, spacing: float
    ) -> None:
        """So do the coarser and finer ones that are made from them."""
        group, shape = BRAVAIS[lattice]
        rng = np.random.default_rng(number)
        structure = Structure.from_spacegroup(group, shape(rng), ["Si"], [[0, 0, 0]])
        phonons = phonopy_of(structure.get_primitive_structure())
        operations = phonons.primitive_symmetry.reciprocal_operations
        cell = np.asarray(phonons.primitive.cell)
        for every in (1, 2):
            mesh = mesh_of(cell, spacing, every, operations)
            assert all(n >= m for n, m in zip(mesh, mesh_of(cell, spacing, every), strict=True))
            for one in (mesh, coarsened(mesh, 1.4), refined(mesh, every)):
                ratios = np.array(one)[:, None] / np.array(one)
                images = operations * ratios
                np.testing.assert_allclose(images, np.rint(images), atol=1e-9)

    @given(MESHES)
    @settings(deadline=None)
    def test_refined_ones_have_more_points_along_each_vector(
        self, mesh: tuple[int, int, int]
    ) -> None:
        more = refined(mesh)
        for few, many in zip(mesh, more, strict=True):
            assert few + 2 <= many <= max(few + 2, 1.25 * few + 0.5)

    @given(MESHES, st.floats(1.0, 3.0))
    @settings(deadline=None)
    def test_coarsened_ones_never_fall_below_three(
        self, mesh: tuple[int, int, int], ratio: float
    ) -> None:
        for few, many in zip(coarsened(mesh, ratio), mesh, strict=True):
            least = min(3, many)  # a mesh with fewer points keeps them
            assert least <= few <= many
            assert few == least or abs(few - many / ratio) <= 0.5


class TestPositions:
    @given(st.lists(st.floats(-5.0, 5.0), min_size=3, max_size=3), st.integers(-4, 4))
    @settings(deadline=None)
    def test_lattice_vectors_do_not_matter(self, position: list[float], shift: int) -> None:
        given_once = np.array(position)
        wrapped = wrapped_positions(given_once)
        assert np.all((wrapped >= 0) & (wrapped < 1))
        np.testing.assert_array_equal(wrapped_positions(wrapped), wrapped)
        apart = wrapped_positions(given_once + shift) - wrapped
        np.testing.assert_allclose(apart - np.rint(apart), 0, atol=1e-4)

    @given(st.integers(0, 9999), st.floats(-4e-5, 4e-5))
    @settings(deadline=None)
    def test_noise_below_the_resolution_is_rounded_away(self, units: int, noise: float) -> None:
        assert rounded_positions(np.array([units / 1e4 + noise])).tolist() == [units]


def _named(name: str) -> Structure:
    cubic, origin = Lattice.cubic(5.0), [0.0, 0.0, 0.0]
    if name == "Fm-3m":
        return Structure.from_spacegroup(name, cubic, ["Al"], [origin])
    if name == "Fd-3m":
        return Structure.from_spacegroup(name, cubic, ["Si"], [origin])
    if name == "F-43m":
        return Structure.from_spacegroup(name, cubic, ["Zn", "S"], [origin, [0.25] * 3])
    if name == "P6_3mc":
        sites = [[1 / 3, 2 / 3, 0.0], [1 / 3, 2 / 3, 0.3748]]
        return Structure.from_spacegroup(name, Lattice.hexagonal(3.82, 6.26), ["Zn", "S"], sites)
    sites = [[0.276, 0.04, 0.208], [0.07, 0.33, 0.345]]
    lattice = Lattice.monoclinic(5.15, 5.21, 5.32, 99.2)
    return Structure.from_spacegroup(name, lattice, ["Zr", "O"], sites)


# Space-group number, order of the point group, and atoms of the conventional cell: International
# Tables for Crystallography, volume A.
GROUPS = {
    "Fm-3m": (225, 48, 4),
    "Fd-3m": (227, 48, 8),
    "F-43m": (216, 24, 8),
    "P6_3mc": (186, 12, 4),
    "P2_1/c": (14, 4, 8),
}


class TestSymmetry:
    @pytest.mark.parametrize("name", GROUPS)
    def test_groups_are_those_of_the_tables(self, name: str) -> None:
        number, order, atoms = GROUPS[name]
        structure = _named(name).get_primitive_structure()
        assert spacegroup_of(structure) == (name, number)
        rotations = point_group(structure)
        assert len(rotations) == order
        metric = structure.lattice.matrix @ structure.lattice.matrix.T
        for rotation in rotations:  # isometries of the lattice
            np.testing.assert_allclose(rotation.T @ metric @ rotation, metric, atol=1e-5)
        whole = conventional_cell(structure)
        assert len(whole) == atoms
        assert whole.volume / len(whole) == pytest.approx(structure.volume / len(structure))

    @pytest.mark.parametrize("name", ["F-43m", "P2_1/c"])
    def test_rotations_form_a_group(self, name: str) -> None:
        members = {tuple(map(int, r.ravel())) for r in point_group(_named(name))}
        for a in members:
            for b in members:
                product = np.reshape(a, (3, 3)) @ np.reshape(b, (3, 3))
                assert tuple(map(int, product.ravel())) in members

    @given(st.integers(0, 1000), st.floats(0.0, 1e-3))
    @settings(max_examples=30, deadline=None)
    def test_noise_is_taken_out_of_rotations(self, seed: int, noise: float) -> None:
        turn = Rotation.random(random_state=seed).as_matrix()
        noisy = turn + noise * np.random.default_rng(seed).uniform(-1, 1, (3, 3))
        clean = orthogonal(noisy)
        np.testing.assert_allclose(clean @ clean.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(clean, turn, atol=6e-3)


class TestRefusals:
    @pytest.mark.parametrize(
        ("periodic", "cell", "reason"),
        [
            ((True, True, False), np.eye(3), "periodic in 2 of 3 directions"),
            ((True, True, True), np.diag([3.0, 3.0, 0.0]), "periodic in 2 of 3 directions"),
            ((True, True, True), [[1, 0, 0], [0, 1, 0], [1, 1, 0]], "no volume"),
            ((True, True, True), np.full((3, 3), np.nan), "finite"),
        ],
    )
    def test_what_is_no_lattice(
        self, periodic: tuple[bool, ...], cell: object, reason: str
    ) -> None:
        with pytest.raises(Unusable, match=reason):
            check_periodicity(periodic, cell)

    def test_atoms_too_close_to_their_own_images(self) -> None:
        thin = Structure(Lattice.orthorhombic(0.3, 4, 4), ["Na"], [[0, 0, 0]])
        with pytest.raises(Unusable, match=r"less than 0\.5 Å apart"):
            check_crystal(thin)

    def test_masses_of_isotopes_but_not_of_other_tables(self) -> None:
        def with_mass(mass: float) -> Structure:
            return Structure(
                Lattice.cubic(3), ["Li"], [[0, 0, 0]], site_properties={"masses": [mass]}
            )

        check_crystal(with_mass(6.94))
        with pytest.raises(Unusable, match=r"mass 6\.015 u.*natural mass"):
            check_crystal(with_mass(6.015))

    @pytest.mark.parametrize("symbol", ["D", "T"])
    def test_heavy_hydrogen_is_named(self, symbol: str) -> None:
        with pytest.raises(Unusable, match=f"^{symbol} is .*isotope of H.*write H"):
            check_crystal(Structure(Lattice.cubic(3), [symbol], [[0, 0, 0]]))
