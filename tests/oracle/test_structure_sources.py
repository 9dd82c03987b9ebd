"""What sources say of a crystal: formulas, steps of a trajectory, documents, names of files."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice
from pymatgen.core.operations import SymmOp
from pymatgen.core.structure import Structure
from pymatgen.symmetry.groups import SpaceGroup

from oracle.materials.crystal_checks import Reading, Unusable
from oracle.structure_files.cif_symmetry import check_symmetry
from oracle.structure_files.document_shapes import documents, is_structure_document
from oracle.structure_files.formula_text import deviation, is_remarkable, stated_amounts
from oracle.structure_files.images import one_crystal
from oracle.structure_files.structure_documents import structure_of
from oracle.structure_files.structure_names import (
    files_below,
    is_born,
    is_perhaps_structure,
    is_poscar,
    is_structure,
)

AMOUNTS = st.dictionaries(
    st.sampled_from(["H", "O", "Si", "Fe", "Co", "Bi", "Te"]), st.integers(1, 60), min_size=1
)


class TestFormulas:
    @given(AMOUNTS, st.booleans(), st.randoms())
    @settings(deadline=None)
    def test_elements_may_come_in_any_order_and_case(
        self, amounts: dict[str, int], capital: bool, random: Any
    ) -> None:
        words = [f"{symbol}{n if n > 1 else ''}" for symbol, n in amounts.items()]
        random.shuffle(words)
        text = " ".join(words)
        found = stated_amounts(text.upper() if capital else text)
        assert amounts in found

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Na1+ Cl1-", {"Na": 1.0, "Cl": 1.0}),
            ("Fe2.95(3) O4", {"Fe": 2.95, "O": 4.0}),
            ("Ca, Ti, O3", {"Ca": 1.0, "Ti": 1.0, "O": 3.0}),
            ("Mg(OH)2", {"Mg": 1.0, "O": 2.0, "H": 2.0}),
            ("D2 O", {"D": 2.0, "O": 1.0}),
        ],
    )
    def test_ways_of_writing(self, text: str, expected: dict[str, float]) -> None:
        assert stated_amounts(text)[0] == pytest.approx(expected)

    def test_capitals_that_can_be_read_in_two_ways(self) -> None:
        assert {"Co": 1.0, "O": 1.0} in stated_amounts("CO O")
        assert {"C": 1.0, "O": 2.0} in stated_amounts("CO O")

    @pytest.mark.parametrize("text", ["", "?", ".", "unknown mineral", "Xx2 O3"])
    def test_what_is_no_formula(self, text: str) -> None:
        assert stated_amounts(text) == []

    @given(AMOUNTS, st.integers(1, 9))
    @settings(deadline=None)
    def test_the_unit_of_a_formula_does_not_matter(
        self, amounts: dict[str, int], factor: int
    ) -> None:
        multiple = {symbol: float(factor * n) for symbol, n in amounts.items()}
        assert deviation(amounts, multiple) == pytest.approx(0, abs=1e-9)
        assert deviation(multiple, amounts) == pytest.approx(0, abs=1e-9)

    @given(AMOUNTS, st.sampled_from(["Na", "Cl", "W"]))
    @settings(deadline=None)
    def test_another_element_is_another_material(self, amounts: dict[str, int], more: str) -> None:
        other = {**amounts, more: 1}
        assert deviation(amounts, other) is None
        assert deviation(other, amounts) is None

    def test_counted_atoms_are_exact_and_measured_ones_are_not(self) -> None:
        ideal = {"Fe": 3.0, "O": 4.0}
        assert deviation({"Fe": 299.0, "O": 400.0}, {"Fe": 300.0, "O": 400.0}) is None
        near = deviation({"Fe": 2.95, "O": 4.0}, ideal)
        assert near is not None
        assert 0.005 < near < 0.02
        assert is_remarkable(near)
        assert deviation({"Fe": 2.2, "O": 4.0}, ideal) is None
        # A dopant of a few parts in a thousand may be left out, not one of a few in a hundred.
        assert deviation({"Fe": 2.99, "O": 4.0, "Co": 0.02}, ideal) is not None
        assert deviation({"Fe": 2.7, "O": 4.0, "Co": 0.3}, ideal) is None


def _salt(length: float = 5.64, moved: float = 0.0, first: str = "Na") -> Structure:
    return Structure(
        Lattice.cubic(length / np.sqrt(2)), [first, "Cl"], [[moved, 0, 0], [0.5, 0.5, 0.5]]
    )


def _readings(*structures: Structure) -> list[Reading]:
    return [Reading(structure, (f"remark {i}",)) for i, structure in enumerate(structures)]


class TestImages:
    @given(st.lists(st.floats(-0.05, 0.05), min_size=2, max_size=5))
    @settings(max_examples=15, deadline=None)
    def test_of_a_relaxation_the_last_step_counts(self, moves: list[float]) -> None:
        steps = [_salt(5.6 + 0.01 * i, moved) for i, moved in enumerate(moves)]
        found = one_crystal(_readings(*steps), steps=True)
        assert found.structure == steps[-1]
        assert found.remarks[0] == f"remark {len(moves) - 1}"
        assert f"{len(moves)} steps" in found.remarks[1]

    def test_a_drift_of_all_atoms_is_no_move(self) -> None:
        after = _salt()
        after.translate_sites([0, 1], [0.4, 0.1, 0.3])
        found = one_crystal(_readings(_salt(), after), steps=True)
        assert "2 steps" in found.remarks[-1]

    @pytest.mark.parametrize("steps", [True, False])
    def test_one_crystal_repeated_is_one_crystal(self, steps: bool) -> None:
        doubled = _salt().make_supercell([2, 1, 1], in_place=False)
        found = one_crystal(_readings(_salt(), doubled), steps=steps)
        assert found.structure == doubled
        assert found.remarks == ("remark 1",)

    def test_what_is_several(self) -> None:
        with pytest.raises(Unusable, match="no structure"):
            one_crystal([], steps=True)
        with pytest.raises(Unusable, match=r"2 compounds \(NaCl, KCl\).*split the file"):
            one_crystal(_readings(_salt(), _salt(first="K")), steps=True)
        with pytest.raises(Unusable, match="2 different structures of NaCl"):
            one_crystal(_readings(_salt(), _salt(6.5)), steps=False)
        stretched = Structure(Lattice.tetragonal(3.5, 6.5), ["Na", "Cl"], [[0.0] * 3, [0.5] * 3])
        with pytest.raises(Unusable, match="2 different structures of NaCl"):
            one_crystal(_readings(_salt(), stretched), steps=True)


class TestDocuments:
    @given(st.integers(0, 10_000))
    @settings(max_examples=15, deadline=None)
    def test_dictionaries_of_pymatgen_survive(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = np.diag(rng.uniform(3, 8, 3)) + rng.uniform(-0.5, 0.5, (3, 3))
        symbols = list(rng.choice(["Na", "Cl", "O"], 4))
        given_structure = Structure(Lattice(rows), symbols, rng.random((4, 3)))
        found = structure_of(json.loads(json.dumps(given_structure.as_dict())))
        np.testing.assert_allclose(found.lattice.matrix, rows)
        np.testing.assert_allclose(found.frac_coords, given_structure.frac_coords)
        assert [site.specie.symbol for site in found] == symbols

    def test_lengths_and_angles_will_do(self) -> None:
        document = _salt().as_dict()
        del document["lattice"]["matrix"]
        assert structure_of(document).lattice.volume == pytest.approx(_salt().volume)

    def test_occupancies_of_one_element_add_up_and_charges_are_dropped(self) -> None:
        document = _salt().as_dict()
        document["sites"][0]["species"] = [
            {"element": "Na", "oxidation_state": 1, "occu": 0.5},
            {"element": "Na", "occu": 0.5},
        ]
        found = structure_of(document)
        assert found.is_ordered
        assert found.composition.reduced_formula == "NaCl"

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"sites": []}, "no atoms"),
            ({"sites": "Na"}, "not a pymatgen structure"),
            ({"lattice": {"a": 1}}, r"not a pymatgen structure \(KeyError"),
            ({"lattice": {"matrix": [1, 2]}}, "not a pymatgen structure"),
        ],
    )
    def test_broken_ones_are_refused(self, change: dict[str, Any], reason: str) -> None:
        with pytest.raises(Unusable, match=reason):
            structure_of(_salt().as_dict() | change)

    @pytest.mark.parametrize(
        ("symbol", "reason"), [("Qq", "'Qq' is not an element"), ("D", "isotope of H")]
    )
    def test_symbols_that_are_no_elements(self, symbol: str, reason: str) -> None:
        document = _salt().as_dict()
        document["sites"][1]["species"] = [{"element": symbol, "occu": 1}]
        with pytest.raises(Unusable, match=reason):
            structure_of(document)

    def test_where_structures_stand_in_a_value(self) -> None:
        plain = _salt().as_dict()
        for value, count in (
            (plain, 1),
            ({"structure": plain, "energy": -1}, 1),
            ([plain, {"structure": plain}], 2),
            ([plain, {"energy": -1}], 0),  # one of them is none
            ({"structure": "NaCl"}, 0),
            ([], 0),
            ("text", 0),
        ):
            assert documents(value) == [plain] * count

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (json.dumps({"ids": [1], "1": {}}), True),
            (json.dumps({"numbers": [11], "positions": [[0, 0, 0]]}), True),
            (json.dumps({"kappa": 3}), False),
            ("[" * 100_000, False),
            ("{", False),
        ],
    )
    def test_files_are_judged_by_content(self, tmp_path: Path, text: str, expected: bool) -> None:
        path = tmp_path / "any.json"
        path.write_text(text)
        assert is_structure_document(path) is expected
        assert not is_structure_document(tmp_path / "missing.json")


class TestNames:
    @pytest.mark.parametrize("ending", ["", ".gz", ".bz2", ".xz"])
    @pytest.mark.parametrize(
        "name", ["a.cif", "A.CIF", "m.mcif", "x.vasp", "POSCAR", "CONTCAR_2", "Si_POSCAR", "s.xyz"]
    )
    def test_structures(self, name: str, ending: str) -> None:
        assert is_structure(Path(name + ending))
        assert not is_perhaps_structure(Path(name + ending))

    @pytest.mark.parametrize("name", ["XDATCAR", "OUTCAR.gz", "relax.traj", "a.pdb", "all.zip"])
    def test_perhaps_structures(self, name: str) -> None:
        assert is_perhaps_structure(Path(name))
        assert not is_structure(Path(name))

    @pytest.mark.parametrize("name", ["notes.txt", "table.csv", "cif", "README.md"])
    def test_neither(self, name: str) -> None:
        assert not is_structure(Path(name))
        assert not is_perhaps_structure(Path(name))
        assert not is_poscar(name)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("BORN", True), ("NaCl.BORN", True), ("BORN_NaCl", True), ("BORN-1", True),
         ("REBORN", False), ("born", False), ("BORNEO", False)],
    )  # fmt: skip
    def test_born_files(self, name: str, expected: bool) -> None:
        assert is_born(name) is expected

    def test_hidden_files_and_homes_are_not_looked_into(self, tmp_path: Path) -> None:
        names = ("b.cif", "sub/a.cif", ".hidden/c.cif", "sub/.d.cif", "home/e.cif", "home/x/f.cif")
        for name in (*names, "home/phonoscout.db"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        found = [str(path.relative_to(tmp_path)) for path in files_below(tmp_path)]
        assert found == ["b.cif", "sub/a.cif"]
        # What is asked for by name is looked into, home or not.
        inside = [path.name for path in files_below(tmp_path / "home")]
        assert sorted(inside) == ["e.cif", "f.cif", "phonoscout.db"]


@functools.cache
def _operations(name: str) -> list[SymmOp]:
    return list(SpaceGroup(name).symmetry_ops)


class TestSymmetry:
    @pytest.mark.parametrize("name", ["Fm-3m", "P6_3mc", "P2_1/c"])
    def test_a_cell_of_the_right_shape_is_accepted(self, name: str) -> None:
        lattice = {
            "Fm-3m": Lattice.cubic(5),
            "P6_3mc": Lattice.hexagonal(4, 6),
            "P2_1/c": Lattice.monoclinic(5, 6, 7, 100),
        }[name]
        number = str(SpaceGroup(name).int_number)
        tags = {"_symmetry_space_group_name_H-M": name, "_symmetry_Int_Tables_number": number}
        check_symmetry(lattice, _operations(name), tags)

    def test_a_cell_of_another_shape_is_not(self) -> None:
        tags = {"_symmetry_space_group_name_H-M": "Fm-3m"}
        with pytest.raises(Unusable, match=r"cell \(5, 5, 6, 90, 90, 90\).*'Fm-3m'"):
            check_symmetry(Lattice.tetragonal(5, 6), _operations("Fm-3m"), tags)

    def test_rounding_of_a_cell_is_forgiven(self) -> None:
        check_symmetry(
            Lattice.from_parameters(5.0, 5.0, 5.02, 90, 90, 90), _operations("Fm-3m"), {}
        )

    def test_name_and_number_must_agree_unless_operations_are_listed(self) -> None:
        tags: dict[str, Any] = {
            "_space_group_name_H-M_alt": ["Fm-3m"],
            "_space_group_IT_number": "216",
        }
        with pytest.raises(Unusable, match=r"'Fm-3m' is number 225.*given is 216"):
            check_symmetry(Lattice.cubic(5), _operations("Fm-3m"), tags)
        listed = tags | {"_symmetry_equiv_pos_as_xyz": ["x,y,z"]}
        check_symmetry(Lattice.cubic(5), _operations("Fm-3m"), listed)
        check_symmetry(
            Lattice.cubic(5), _operations("Fm-3m"), tags | {"_space_group_IT_number": "?"}
        )
