"""Supercells and meshes count along the axes of a file, and tensors are in its frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonopy.structure.cells import guess_primitive_matrix
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.io.vasp.inputs import Poscar
from rich.console import Console
from scipy.spatial.transform import Rotation

from oracle.contract.evaluation import Quantity, Unstable
from oracle.contract.report import evaluation_json, turned
from oracle.materials.crystal import Crystal
from oracle.phonons.atomic_data import phonopy_cell
from oracle.phonons.axes import axes_of, primitive_vectors
from oracle.phonons.settings import PhononSettings
from oracle.runtime.errors import OracleError
from oracle.structure_files.structure_io import read_structure, write_cif
from orchestrator.running.single import evaluate_file

QUIET = Console(quiet=True)
SIZES = {"fc2_supercell": (2, 1, 3), "fc3_supercell": (1, 1, 2), "mesh": (4, 6, 3)}


def _made(group: str, lattice: Lattice, *atoms: tuple[str, list[float]]) -> Structure:
    return Structure.from_spacegroup(
        group, lattice, [name for name, _ in atoms], [place for _, place in atoms]
    )


SNS = _made(
    "Pnma",
    Lattice.orthorhombic(11.2, 3.99, 4.33),
    ("Sn", [0.119, 0.25, 0.11]),
    ("S", [0.855, 0.25, 0.482]),
)
CRYSTALS = {
    "Pnma": SNS,
    "P2_1/c": _made(
        "P2_1/c",
        Lattice.monoclinic(5.15, 5.21, 5.32, 99.2),
        ("Zr", [0.276, 0.04, 0.208]),
        ("O", [0.07, 0.33, 0.345]),
        ("O", [0.45, 0.757, 0.48]),
    ),
    "I4/mmm": _made("I4/mmm", Lattice.tetragonal(4.0, 9.7), ("Sr", [0, 0, 0.35]), ("F", [0, 0, 0])),
    "Cmcm": _made("Cmcm", Lattice.orthorhombic(2.85, 5.87, 4.95), ("U", [0, 0.1, 0.25])),
    "R-3m": _made("R-3m", Lattice.hexagonal(4.38, 30.5), ("Bi", [0, 0, 0.4]), ("Te", [0, 0, 0])),
    "P6_3mc": _made(
        "P6_3mc",
        Lattice.hexagonal(3.82, 6.26),
        ("Zn", [1 / 3, 2 / 3, 0.0]),
        ("S", [1 / 3, 2 / 3, 0.3748]),
    ),
    "P3_121": _made("P3_121", Lattice.hexagonal(4.37, 4.96), ("Se", [0.22, 0, 1 / 3])),
    "Fm-3m": _made("Fm-3m", Lattice.cubic(5.64), ("Na", [0, 0, 0]), ("Cl", [0.5, 0.5, 0.5])),
    "P-1": _made(
        "P-1",
        Lattice.from_parameters(5.1, 6.2, 7.3, 81.0, 75.0, 68.0),
        ("Na", [0.1, 0.2, 0.3]),
        ("Cl", [0.6, 0.35, 0.8]),
    ),
}
OF_EACH_CENTRING = {
    **CRYSTALS,
    "Amm2": _made("Amm2", Lattice.orthorhombic(3.98, 5.67, 5.69), ("K", [0, 0, 0.02])),
    "Im-3m": _made("Im-3m", Lattice.cubic(3.16), ("W", [0, 0, 0])),
    "F222": _made("F222", Lattice.orthorhombic(4.1, 5.2, 6.4), ("Sr", [0, 0, 0])),
    "R3c": _made("R3c", Lattice.hexagonal(5.15, 13.86), ("Nb", [0, 0, 0]), ("Li", [0, 0, 0.28])),
    "C2/m": _made("C2/m", Lattice.monoclinic(7.9, 4.4, 5.6, 103.0), ("Ga", [0.1, 0, 0.8])),
}
LONSDALEITE = _made(
    "P6_3/mmc", Lattice.hexagonal(3.84, 6.27), ("Si", [1 / 3, 2 / 3, 0.0625])
)  # silicon, which tersoff knows, and quickly


def _with_axes(structure: Structure, matrix: Any, rotation: Any = None) -> Structure:
    """The same crystal with lattice vectors combined by the rows of a matrix, and rotated."""
    changed = structure.copy()
    changed.make_supercell(matrix, to_unit_cell=True)
    if rotation is None:
        return changed
    return Structure(
        Lattice(changed.lattice.matrix @ rotation.T), changed.species, changed.frac_coords
    )


def _same_lattice(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether the rows of two matrices span the same lattice."""
    transformation = first @ np.linalg.inv(second)
    whole = np.rint(transformation)
    return (
        bool(np.abs(transformation - whole).max() < 1e-3) and abs(round(np.linalg.det(whole))) == 1
    )


@pytest.mark.parametrize("name", OF_EACH_CENTRING)
def test_primitive_vectors_are_those_that_phonopy_chooses(name: str) -> None:
    """Meshes refer to them, and phonopy computes on the meshes."""
    conventional = Crystal.from_structure(OF_EACH_CENTRING[name]).conventional()
    symbols = [site.specie.symbol for site in conventional]
    cell = phonopy_cell(conventional.lattice.matrix, conventional.frac_coords, symbols)
    expected = guess_primitive_matrix(cell).T
    np.testing.assert_array_equal(primitive_vectors(conventional), expected)


@pytest.mark.parametrize("name", CRYSTALS)
def test_what_is_given_for_the_canonical_cell_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    """A campaign's CIF repeats its evaluation: the settings beside it are for these axes."""
    crystal, _ = axes_of(CRYSTALS[name])
    write_cif(crystal.conventional(), tmp_path / "written.cif")
    again, axes = axes_of(read_structure(tmp_path / "written.cif"))
    assert again.digest == crystal.digest
    wanted = PhononSettings.model_validate(
        SIZES | {"fc3_supercell": [[0, 2, 0], [-2, 0, 1], [0, 0, 1]]}
    )
    if name in ("R-3m", "I4/mmm", "Cmcm", "Fm-3m"):
        assert axes.mesh((5, 5, 3)) == (5, 5, 3)
    assert axes.settings(wanted) == wanted


@pytest.mark.parametrize("name", [n for n in CRYSTALS if n.startswith("P")])
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**20), permutation=st.permutations(range(3)))
def test_supercells_and_meshes_are_those_of_the_given_axes(
    name: str, seed: int, permutation: list[int]
) -> None:
    structure = CRYSTALS[name]
    rotation = Rotation.random(random_state=seed).as_matrix()
    order = np.eye(3, dtype=int)[permutation]
    order *= round(np.linalg.det(order))  # left-handed cells are another matter
    rotated = _with_axes(structure, order, rotation)
    crystal, axes = axes_of(rotated)
    used = axes.settings(PhononSettings.model_validate(SIZES))
    cell = crystal.conventional().lattice.matrix
    for field in ("fc2_supercell", "fc3_supercell"):
        wanted = np.diag(SIZES[field]) @ rotated.lattice.matrix @ axes.rotation.T
        assert _same_lattice(np.array(getattr(used, field)) @ cell, wanted), field
    assert used.mesh is not None
    points = np.diag(SIZES["mesh"]) @ rotated.lattice.matrix @ axes.rotation.T
    assert _same_lattice(np.diag(used.mesh) @ cell, points)  # each mesh belongs to a supercell
    record = axes.record({"settings": used.model_dump(mode="json")})
    assert np.array_equal(record["fc2_supercell"], np.diag(SIZES["fc2_supercell"]))
    assert tuple(record["mesh"]) == SIZES["mesh"]


def test_two_settings_of_one_space_group_meet_when_their_sizes_do() -> None:
    other = _with_axes(SNS, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])  # Pbnm: a and b of Pnma come last
    np.testing.assert_allclose(other.lattice.abc, (4.33, 11.2, 3.99))
    (first, of_pnma), (second, of_pbnm) = axes_of(SNS), axes_of(other)
    assert first == second
    pnma = PhononSettings(fc2_supercell=(1, 3, 2), fc3_supercell=(1, 2, 2), mesh=(3, 8, 7))
    pbnm = PhononSettings(fc2_supercell=(2, 1, 3), fc3_supercell=(2, 1, 2), mesh=(7, 3, 8))
    assert of_pbnm.settings(pbnm) == of_pnma.settings(pnma) == pnma
    same = PhononSettings(fc2_supercell=(2, 1, 3))
    assert of_pbnm.settings(same) != of_pnma.settings(same)


@pytest.mark.parametrize("repeats", [(2, 1, 1), (1, 3, 1), (2, 2, 2)])
def test_a_file_that_holds_several_cells_counts_in_its_one_cell(
    repeats: tuple[int, int, int],
) -> None:
    turned_round = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    _, axes = axes_of(_with_axes(_with_axes(SNS, turned_round), np.diag(repeats)))
    settings = axes.settings(PhononSettings(fc2_supercell=(2, 1, 3), mesh=(7, 3, 8)))
    assert settings == PhononSettings(fc2_supercell=(1, 3, 2), mesh=(3, 8, 7))


@pytest.mark.parametrize("name", ["I4/mmm", "Cmcm", "R-3m", "Fm-3m"])
def test_a_primitive_cell_counts_in_the_standard_conventional_one(name: str) -> None:
    primitive = CRYSTALS[name].get_primitive_structure()
    assert len(primitive) < len(CRYSTALS[name])
    _, axes = axes_of(primitive)
    settings = axes.settings(PhononSettings(fc2_supercell=(3, 3, 2), mesh=(9, 9, 9)))
    assert settings == PhononSettings(fc2_supercell=(3, 3, 2), mesh=(9, 9, 9))


def test_another_cell_of_a_monoclinic_lattice_is_counted_in_its_own_vectors() -> None:
    """P2_1/n instead of P2_1/c: c' = -a - c; supercells follow, and only some meshes can."""
    structure = _with_axes(CRYSTALS["P2_1/c"], [[1, 0, 0], [0, 1, 0], [1, 0, 1]])
    crystal, axes = axes_of(structure)
    cell = crystal.conventional().lattice.matrix
    used = np.array(axes.supercell(((2, 0, 0), (0, 1, 0), (0, 0, 1))))
    wanted = np.diag([2, 1, 1]) @ structure.lattice.matrix @ axes.rotation.T
    assert _same_lattice(used @ cell, wanted)
    assert axes.supercell(((2, 0, 0), (0, 3, 0), (0, 0, 2))) == ((2, 0, 0), (0, 3, 0), (0, 0, 2))
    assert axes.mesh((5, 3, 5)) == (5, 3, 5)
    with pytest.raises(OracleError, match=r"mesh: \[5, 3, 4\].*three equal integers"):
        axes.mesh((5, 3, 4))


@pytest.mark.parametrize("name", CRYSTALS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**20), q=st.tuples(*[st.sampled_from([-0.5, 0.0, 0.25, 0.5])] * 3))
def test_wave_vectors_are_told_in_the_lattice_of_the_file(
    name: str, seed: int, q: tuple[float, float, float]
) -> None:
    rotation = Rotation.random(random_state=seed).as_matrix()
    structure = _with_axes(CRYSTALS[name], [[1, 1, 0], [0, 1, 0], [0, 0, 1]], rotation)
    crystal, axes = axes_of(structure)
    evaluation = Unstable(
        material=crystal, fidelity="bte", method="m", cost_s=1.0, stage="stability", q_point=q
    )
    q_point = evaluation_json(evaluation, axes=axes)["q_point"]
    primitive = Lattice(axes.primitive @ crystal.conventional().lattice.matrix)
    length = np.linalg.norm(primitive.reciprocal_lattice.get_cartesian_coords(q))
    there = structure.lattice.reciprocal_lattice.get_cartesian_coords(q_point)
    assert np.linalg.norm(there) == pytest.approx(length, abs=1e-4)


@given(seed=st.integers(0, 2**20), mirrored=st.booleans())
def test_a_voigt_matrix_turns_so_that_energies_stay(seed: int, mirrored: bool) -> None:
    rng = np.random.default_rng(seed)
    stiffness = rng.normal(size=(6, 6))
    stiffness += stiffness.T
    rotation = Rotation.random(random_state=seed).as_matrix() * (-1 if mirrored else 1)
    strain = rng.normal(size=(3, 3))
    strain += strain.T
    quantity = Quantity(value=stiffness.tolist(), unit="GPa", tensor="voigt-4")
    moved = np.array(turned(quantity, rotation))
    before = (
        _voigt(rotation @ strain @ rotation.T) @ stiffness @ _voigt(rotation @ strain @ rotation.T)
    )
    assert _voigt(strain) @ moved @ _voigt(strain) == pytest.approx(before, rel=1e-9, abs=1e-9)


def _voigt(strain: np.ndarray) -> np.ndarray:
    xx, yy, zz = np.diag(strain)
    return np.array([xx, yy, zz, 2 * strain[1, 2], 2 * strain[0, 2], 2 * strain[0, 1]])


def test_kinds_of_old_records_follow_from_their_shapes() -> None:
    assert Quantity(value=np.eye(3)[None].tolist(), unit="").tensor_kind == "cartesian-2"
    assert Quantity(value=np.eye(6).tolist(), unit="GPa").tensor_kind == "voigt-4"
    assert Quantity(value=[1.0, 2.0, 3.0], unit="", per_temperature=True).tensor_kind is None
    assert Quantity(value=2.0, unit="").tensor_kind is None


OVERRIDES = ["calculator=tersoff", "bands=false", "temperatures=[300, 600]"]
ALONG_C = [*OVERRIDES, "fc2_supercell=[2, 2, 1]", "fc3_supercell=[2, 2, 1]", "mesh=[5, 5, 3]"]
ALONG_A = [*OVERRIDES, "fc2_supercell=[1, 2, 2]", "fc3_supercell=[1, 2, 2]", "mesh=[3, 5, 5]"]


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Hexagonal silicon, c along z, with sizes along its axes; and the home it was made in."""
    folder = tmp_path_factory.mktemp("upright")
    Poscar(LONSDALEITE).write_file(folder / "POSCAR")
    document = evaluate_file(folder / "home", folder / "POSCAR", None, ALONG_C, QUIET)
    assert document["status"] == "measured", document["message"]
    assert document["elastic_tensor"][0][0] != pytest.approx(
        document["elastic_tensor"][2][2], rel=0.02
    )
    return folder / "home", document


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_every_tensor_of_an_answer_turns_with_the_file(
    upright: tuple[Path, dict[str, Any]], seed: int
) -> None:
    home, before = upright
    rotation = Rotation.random(random_state=seed).as_matrix()
    path = home.parent / "POSCAR_turned"
    Poscar(_with_axes(LONSDALEITE, np.eye(3), rotation)).write_file(path, significant_figures=15)
    after = evaluate_file(home, path, None, ALONG_C, QUIET)
    assert after["oracle_digest"] == before["oracle_digest"]
    tensors = {n for n, v in before.items() if np.shape(v)[-2:] in ((3, 3), (6, 6))}
    assert tensors == {"kappa", "kappa_particle", "kappa_coherence", "elastic_tensor"}
    for name in tensors:
        # What holds before the turn, turned: the document's own tensors are those of c along z.
        quantity = Quantity(value=before[name], unit="")
        expected = np.array(turned(quantity, rotation.T))
        np.testing.assert_allclose(
            after[name], expected, atol=1e-6 * np.abs(expected).max(), err_msg=name
        )


def test_sizes_follow_the_axes_to_the_last_digit(upright: tuple[Path, dict[str, Any]]) -> None:
    """The same crystal with c as its first vector, and the same sizes in that order."""
    home, before = upright
    path = home.parent / "POSCAR_first"
    cycled = _with_axes(LONSDALEITE, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    upside = Structure(
        Lattice(cycled.lattice.matrix[:, [2, 0, 1]]), cycled.species, cycled.frac_coords
    )
    Poscar(upside).write_file(path, significant_figures=15)
    after = evaluate_file(home, path, None, ALONG_A, QUIET)
    assert after["oracle_digest"] == before["oracle_digest"]
    assert after["provenance"]["settings"] == before["provenance"]["settings"]
    assert after["provenance"]["axes"]["mesh"] == [3, 5, 5]
    np.testing.assert_array_equal(after["provenance"]["axes"]["fc3_supercell"], np.diag([1, 2, 2]))
    kappa, there = np.array(before["kappa"]), np.array(after["kappa"])
    np.testing.assert_allclose(there[:, 0, 0], kappa[:, 2, 2], rtol=1e-9)
    np.testing.assert_allclose(there[:, 1, 1], kappa[:, 0, 0], rtol=1e-9)
    stiffness, moved = np.array(before["elastic_tensor"]), np.array(after["elastic_tensor"])
    # Stiffnesses are fitted, and equal by symmetry within the error of the force constants.
    assert moved[0, 0] == pytest.approx(stiffness[2, 2], rel=1e-3)
    assert moved[1, 1] == pytest.approx(stiffness[0, 0], rel=1e-3)
    assert moved[0, 0] > 1.05 * moved[1, 1]


def test_the_same_sizes_along_other_axes_are_another_calculation(
    upright: tuple[Path, dict[str, Any]],
) -> None:
    home, before = upright
    path = home.parent / "POSCAR_first"
    cycled = _with_axes(LONSDALEITE, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    Poscar(cycled).write_file(path, significant_figures=15)
    harmonic = [*ALONG_C, "fidelities=[harmonic]"]
    after = evaluate_file(home, path, None, harmonic, QUIET)
    assert sorted(after["provenance"]["settings"]["mesh"][:2]) == [3, 5]
    assert after["provenance"]["settings"]["mesh"][2] == 5
    assert after["provenance"]["axes"]["mesh"] == [5, 5, 3]
    assert after["oracle_digest"] != before["oracle_digest"]
