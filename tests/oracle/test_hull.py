"""Energies above the convex hull."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.energetics import hull
from oracle.energetics.elements import element_energy
from oracle.energetics.energies import relaxed_energy
from oracle.energetics.hull import energy_above_hull
from oracle.energetics.polymorphs import thermochemistry
from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError

EMT = "ase.calculators.emt:EMT"


def ordered(a: str, b: str) -> Crystal:
    """Three atoms of the first element and one of the second, as in Cu3Au."""
    fractions = [(0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0), (0, 0, 0)]
    return Crystal.from_structure(Structure(Lattice.cubic(3.8), [a, a, a, b], fractions))


def layered(a: str, b: str) -> Crystal:
    """Equal numbers of both, as in CuAu."""
    lattice = Lattice.tetragonal(2.75, 3.7)
    return Crystal.from_structure(Structure(lattice, [a, b], [(0, 0, 0), (0.5, 0.5, 0.5)]))


CU3AU, AU3CU, CUAU = ordered("Cu", "Au"), ordered("Au", "Cu"), layered("Cu", "Au")


def test_it_is_what_decomposition_would_gain(tmp_path: Path) -> None:
    cu, au = (element_energy(s, EMT, tmp_path) for s in ("Cu", "Au"))
    assert cu is not None
    assert au is not None
    energies = {c.formula: relaxed_energy(c, EMT, tmp_path) for c in (CU3AU, CUAU)}
    own = energies[CU3AU.formula]

    def above(*phases: Crystal) -> float:
        found = energy_above_hull(CU3AU, own, phases, EMT, tmp_path)
        assert found is not None
        return found

    # Cu3Au decomposes into 3 Cu + Au, or into 2 Cu + CuAu, whichever is lower.
    into_elements = own - (3 * cu + au) / 4
    into_both = own - (2 * cu + 2 * energies[CUAU.formula]) / 4
    assert above() == pytest.approx(into_elements, abs=1e-9)
    assert above(CUAU) == pytest.approx(max(into_elements, into_both), abs=1e-9)
    assert above(CU3AU) == above()  # it does not compete with itself
    assert above(ordered("Ag", "Pd")) == above()  # nor with what has other elements


def test_an_element_lies_above_its_reference_and_an_unknown_reference_gives_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copper = Crystal.from_structure(Structure(Lattice.cubic(2.6), ["Cu"], [(0, 0, 0)]))
    reference = element_energy("Cu", EMT, tmp_path)
    assert reference is not None
    found = energy_above_hull(copper, reference + 0.45, [], EMT, tmp_path)
    assert found == pytest.approx(0.45)
    monkeypatch.setattr(hull, "element_energy", lambda *_: None)
    assert energy_above_hull(CU3AU, -1.0, [], EMT, tmp_path) is None


def test_phases_that_do_not_relax_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> float:
        raise OracleError("relax", "no minimum")

    monkeypatch.setattr(hull, "element_energy", lambda *_: -1.0)
    monkeypatch.setattr(hull, "relaxed_energy", failing)
    found = energy_above_hull(CU3AU, -0.9, [CUAU], EMT, tmp_path)
    assert found == pytest.approx(0.1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.floats(-3, 0), min_size=2, max_size=2), st.floats(-3, 0))
def test_more_phases_never_make_it_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: list[float], own: float
) -> None:
    known: Mapping[str, float] = {c.digest: e for c, e in zip((CUAU, AU3CU), others, strict=True)}
    monkeypatch.setattr(hull, "element_energy", lambda *_: -1.0)
    monkeypatch.setattr(hull, "relaxed_energy", lambda c, *_: known[c.digest])
    found = [
        energy_above_hull(CU3AU, own, phases, EMT, tmp_path)
        for phases in ([], [CUAU], [CUAU, AU3CU])
    ]
    assert None not in found
    assert found == sorted(found)  # type: ignore[type-var]
    assert found[0] == pytest.approx(own + 1.0)


def test_thermochemistry_has_it_only_where_phases_are_given(tmp_path: Path) -> None:
    without = thermochemistry(CU3AU, {}, EMT, tmp_path)
    assert without.energy_above_hull is None
    elements = thermochemistry(CU3AU, {}, EMT, tmp_path, {})
    assert elements.energy_above_hull == pytest.approx(without.formation_energy)
    # Polymorphs that were compared anyway are phases, too.
    rival = Crystal.from_structure(
        Structure(Lattice.tetragonal(2.7, 7.4), ["Cu", "Cu", "Cu", "Au"],
                  [(0.5, 0.5, 0.25), (0, 0, 0.5), (0.5, 0.5, 0.75), (0, 0, 0)])
    )  # fmt: skip
    both = thermochemistry(rival, {"other": CU3AU}, EMT, tmp_path, {"CuAu": CUAU})
    assert both.energy_above_hull is not None
    assert both.energy_above_hull >= both.energy_above_best_polymorph > 1e-3
