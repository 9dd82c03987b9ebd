"""Equal materials have equal digests, however they are described."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from scipy.spatial.transform import Rotation

from oracle.materials.crystal import Crystal, canonicalize
from oracle.materials.material import Material
from oracle.materials.superlattice import Stack, Superlattice
from oracle.runtime.errors import OracleError


def _rocksalt() -> Structure:
    sites = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], sites)


def _wurtzite() -> Structure:
    sites = [[1 / 3, 2 / 3, 0.0], [1 / 3, 2 / 3, 0.3748]]
    return Structure.from_spacegroup("P6_3mc", Lattice.hexagonal(3.82, 6.26), ["Zn", "S"], sites)


def _half_heusler() -> Structure:
    sites = [[0.0] * 3, [0.25] * 3, [0.5] * 3]
    return Structure.from_spacegroup("F-43m", Lattice.cubic(5.9), ["Zr", "Ni", "Sn"], sites)


def _monoclinic() -> Structure:
    sites = [[0.276, 0.04, 0.208], [0.07, 0.33, 0.345], [0.45, 0.757, 0.48]]
    return Structure.from_spacegroup(
        "P2_1/c", Lattice.monoclinic(5.15, 5.21, 5.32, 99.2), ["Zr", "O", "O"], sites
    )


STRUCTURES = {
    "rocksalt": _rocksalt(),
    "wurtzite": _wurtzite(),
    "half-heusler": _half_heusler(),
    "monoclinic": _monoclinic(),
}


def _rewritten(structure: Structure, seed: int) -> tuple[Structure, np.ndarray]:
    """The crystal in another cell, origin, order and orientation, and the rotation to it."""
    rng = np.random.default_rng(seed)
    copy = structure.get_primitive_structure() if seed % 2 else structure.copy()
    copy.translate_sites(list(range(len(copy))), rng.random(3))
    matrix = rng.integers(-1, 2, (3, 3))
    while not 0.5 < abs(np.linalg.det(matrix)) < 2.5:
        matrix = rng.integers(-1, 2, (3, 3))
    copy.make_supercell(matrix)
    copy = Structure.from_sites([copy[int(i)] for i in rng.permutation(len(copy))])
    rotation = Rotation.random(random_state=seed).as_matrix()
    turned = Structure(Lattice(copy.lattice.matrix @ rotation.T), copy.species, copy.frac_coords)
    return turned, rotation


@pytest.mark.parametrize("name", STRUCTURES)
@given(seed=st.integers(0, 10_000))
@example(seed=11)  # an origin 0.004 Å from a centre of inversion
@settings(max_examples=12, deadline=None)
def test_digest_ignores_how_a_crystal_is_written(name: str, seed: int) -> None:
    expected = Crystal.from_structure(STRUCTURES[name])
    turned, _ = _rewritten(STRUCTURES[name], seed)
    assert Crystal.from_structure(turned).digest == expected.digest


@given(seed=st.integers(0, 10_000))
@settings(max_examples=12, deadline=None)
def test_rotation_takes_the_given_frame_into_the_conventional_one(seed: int) -> None:
    turned, rotation = _rewritten(_wurtzite(), seed)
    _, to_conventional = canonicalize(turned)
    axis = to_conventional @ rotation @ np.array([0.0, 0.0, 1.0])
    np.testing.assert_allclose(np.abs(axis), [0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(to_conventional @ to_conventional.T, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("name", STRUCTURES)
def test_canonical_form_is_its_own_canonical_form(name: str) -> None:
    crystal = Crystal.from_structure(STRUCTURES[name])
    assert Crystal.from_structure(crystal.structure()) == crystal
    assert Crystal.from_structure(crystal.conventional()).digest == crystal.digest


def test_different_crystals_have_different_digests() -> None:
    exchanged = Structure.from_spacegroup(
        "F-43m", Lattice.cubic(5.9), ["Ni", "Zr", "Sn"], [[0.0] * 3, [0.25] * 3, [0.5] * 3]
    )
    digests = {Crystal.from_structure(s).digest for s in (*STRUCTURES.values(), exchanged)}
    assert len(digests) == len(STRUCTURES) + 1


def test_materials_survive_json() -> None:
    adapter: TypeAdapter[Material] = TypeAdapter(Material)
    for material in (Crystal.from_structure(_wurtzite()), Superlattice(sequence="0110")):
        again = adapter.validate_json(material.model_dump_json())
        assert again == material
        assert again.digest == material.digest


@given(sequence=st.text("01", min_size=1, max_size=20))
def test_mirror_images_are_one_design_only_when_declared(sequence: str) -> None:
    forward = Superlattice.from_sequence(sequence, mirror=True)
    backward = Superlattice.from_sequence(sequence[::-1], mirror=True)
    assert forward.digest == backward.digest
    plain = Superlattice.from_sequence(sequence[::-1]).digest
    assert (plain == Superlattice.from_sequence(sequence).digest) == (sequence == sequence[::-1])


def test_partial_occupancy_and_overlap_are_refused_with_a_reason() -> None:
    mixed = Structure(Lattice.cubic(4.0), [{"Na": 0.5, "K": 0.5}], [[0.0, 0.0, 0.0]])
    with pytest.raises(OracleError, match="partial occupancies"):
        Crystal.from_structure(mixed)
    close = Structure(Lattice.cubic(4.0), ["Na", "Cl"], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.05]])
    with pytest.raises(OracleError, match="apart; expected at least"):
        Crystal.from_structure(close)


@settings(deadline=None)
@given(st.text("SG", min_size=1, max_size=8))
def test_lead_layers_at_the_ends_only_shift_a_design(sequence: str) -> None:
    silicon, germanium = (_diamond(a, x) for a, x in ((5.43, "Si"), (5.66, "Ge")))
    stack = Stack(layers=(("G", germanium), ("S", silicon)), leads=("S", "S"))
    design = Superlattice.from_sequence("S" + sequence, stack=stack)
    shifted = Superlattice.from_sequence(sequence + "S", stack=stack)
    assert design.digest == shifted.digest
    longer = Superlattice.from_sequence("SS" + sequence, stack=stack)
    assert longer.digest != design.digest  # its conductivity is that of another thickness
    other = Stack(layers=(("0", silicon), ("1", germanium)), leads=("0", "0"))
    renamed = sequence.translate(str.maketrans("SG", "01"))
    assert Superlattice.from_sequence(renamed + "0", stack=other).digest == design.digest


def test_between_unequal_leads_nothing_is_folded() -> None:
    silicon, germanium = (_diamond(a, x) for a, x in ((5.43, "Si"), (5.66, "Ge")))
    stack = Stack(layers=(("G", germanium), ("S", silicon)), leads=("S", "G"))
    digests = {Superlattice.from_sequence(x, stack=stack).digest for x in ("SGG", "GGS", "GSG")}
    assert len(digests) == 3


@functools.lru_cache
def _diamond(lattice: float, element: str) -> Crystal:
    return Crystal.from_structure(
        Structure.from_spacegroup("Fd-3m", Lattice.cubic(lattice), [element], [[0, 0, 0]])
    )
