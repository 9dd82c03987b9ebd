"""How much of the cell of slabs and wires is vacuum, for any cell and axes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.io.vasp.inputs import Poscar
from rich.console import Console

from agents.contract.objective import Objective
from oracle.contract.evaluation import Measured, make_quantity
from oracle.materials.crystal import Crystal
from oracle.materials.vacuum import Vacuum, vacuum_of
from orchestrator.running.single import evaluate_file

THICKNESS = 3.4  # Å, twice the van der Waals radius of carbon


def _graphene(height: float) -> Structure:
    return Structure(
        Lattice.hexagonal(2.53, height), ["C", "C"], [[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]]
    )


@pytest.mark.parametrize("height", [12.0, 15.0, 30.0])
@pytest.mark.parametrize(
    "cell",
    [
        np.eye(3),
        [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
        [[1, 0, 1], [0, 1, 0], [0, 0, 1]],
        2 * np.eye(3),
    ],
    ids=["as usual", "normal first", "oblique", "supercell"],
)
def test_a_sheet_of_one_atom_is_as_thick_as_two_radii(height: float, cell: Any) -> None:
    sheet = _graphene(height)
    sheet.make_supercell(np.rint(cell).astype(int))
    vacuum = vacuum_of(sheet)
    assert vacuum is not None
    assert not vacuum.wire
    assert vacuum.whole / vacuum.body == pytest.approx(height / THICKNESS, rel=1e-6)
    assert vacuum.share == pytest.approx(1 - THICKNESS / height, rel=1e-6)
    assert f"{1 - THICKNESS / height:.0%} is vacuum" in vacuum.caution


def test_a_sheet_on_the_edge_of_its_cell_is_one_sheet() -> None:
    sheet = _graphene(20.0)
    sheet.translate_sites([0, 1], [0, 0, 0.5])
    vacuum = vacuum_of(sheet)
    assert vacuum is not None
    assert vacuum.body == pytest.approx(THICKNESS)


def test_a_slab_of_several_layers_counts_from_face_to_face() -> None:
    silicon = Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0.0] * 3])
    slab = Structure(
        Lattice.tetragonal(5.43, 25.0),
        ["Si"] * 8,
        [[x, y, z * 5.43 / 25.0] for x, y, z in silicon.frac_coords],
    )
    vacuum = vacuum_of(slab)
    assert vacuum is not None
    assert vacuum.body == pytest.approx(0.75 * 5.43 + 2 * 2.1, abs=0.01)
    assert vacuum.whole == pytest.approx(25.0)


@pytest.mark.parametrize("width", [10.0, 14.0])
def test_a_chain_takes_the_disc_of_its_radius(width: float) -> None:
    lattice = Lattice.from_parameters(1.3, width, width, 90, 90, 90)
    vacuum = vacuum_of(Structure(lattice, ["C"], [[0.0, 0.3, 0.7]]))
    assert vacuum is not None
    assert vacuum.wire
    assert vacuum.whole == pytest.approx(width**2)
    assert vacuum.body == pytest.approx(np.pi * 1.7**2, rel=0.03)
    assert "wire" in vacuum.caution
    assert "Å²" in vacuum.caution


@pytest.mark.parametrize(
    "structure",
    [
        Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0.0] * 3]),
        Structure.from_spacegroup(  # graphite, in which layers touch
            "P6_3/mmc",
            Lattice.hexagonal(2.46, 6.71),
            ["C", "C"],
            [[0, 0, 0.25], [1 / 3, 2 / 3, 0.25]],
        ),
        Structure.from_spacegroup(
            "P6_3/mmc",
            Lattice.hexagonal(3.16, 12.3),
            ["Mo", "S"],
            [[1 / 3, 2 / 3, 0.25], [1 / 3, 2 / 3, 0.621]],
        ),
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.26), ["Ar"], [[0.0] * 3]),
    ],
    ids=["silicon", "graphite", "MoS2", "argon"],
)
def test_what_fills_its_cell_has_no_vacuum(structure: Structure) -> None:
    assert vacuum_of(structure) is None


@pytest.mark.slow  # two evaluations of a sheet
def test_one_sheet_has_one_conductivity_however_much_vacuum(tmp_path: Path) -> None:
    """kappa is inversely proportional to the height; the factor in the caution compensates."""
    overrides = [
        "calculator=tersoff",
        "bands=false",
        "coherence=false",
        "fc2_supercell=[3,3,1]",
        "fc3_supercell=[3,3,1]",
        "mesh=[5,5,1]",
    ]
    kappas, own, errors = [], [], []
    for height in (15.0, 30.0):
        path = tmp_path / "POSCAR"
        Poscar(_graphene(height)).write_file(path)
        document = evaluate_file(tmp_path / "home", path, None, overrides, Console(quiet=True))
        assert document["status"] == "measured", document["message"]
        assert "slab: kappa is per volume of the cell" in document["low_confidence"]
        factor = height / THICKNESS
        assert f"{height:.2f} / {THICKNESS:.2f} = {factor:.2f}" in document["low_confidence"]
        kappas.append(document["kappa"][0][0][0])
        own.append(document["provenance"]["kappa_on_mesh"] * factor)
        errors.append(document["provenance"]["relative_error"]["total"])
    assert kappas[0] > 1.5 * kappas[1]
    # The two have different snapshots; the factor without compensation would be 2.
    allowed = 2 * np.hypot(*errors)
    assert abs(np.log(own[0] / own[1])) < min(allowed, 0.3)


@pytest.mark.parametrize("cell", [np.eye(3), [[0, 0, 1], [1, 0, 0], [0, 1, 0]]])
def test_the_normal_of_a_sheet_turns_with_it(cell: Any) -> None:
    turned = _graphene(15.0)
    turned.make_supercell(np.rint(cell).astype(int))
    vacuum = vacuum_of(turned)
    assert vacuum is not None
    normal = np.cross(turned.lattice.matrix[np.argsort(turned.lattice.abc)[0]],
                      turned.lattice.matrix[np.argsort(turned.lattice.abc)[1]])  # fmt: skip
    assert abs(np.dot(vacuum.axis, normal / np.linalg.norm(normal))) == pytest.approx(1.0)


def _in_vacuum(*, wire: bool) -> Measured:
    """A body along x and y, or a wire along x alone."""
    axis = (1.0, 0.0, 0.0) if wire else (0.0, 0.0, 1.0)
    kappa = np.diag([8.0, 0.0 if wire else 5.0, 1e-9])
    return Measured(
        material=Crystal.from_structure(_graphene(15.0)),
        fidelity="bte",
        method="m",
        cost_s=1.0,
        stage="bte",
        temperature=(300.0,),
        properties={"kappa": make_quantity("kappa", [kappa.tolist()])},
        provenance={"vacuum": asdict(Vacuum(15.0, 3.4, wire, axis))},
    )


@pytest.mark.parametrize(
    ("direction", "slab", "wire"),
    [
        ((0, 0, 1), None, None),
        ((1, 0, 1), None, None),
        ("min", None, None),
        ((1, 0, 0), 8.0, 8.0),
        ((0, 3, 0), 5.0, None),
        ((1, 1, 0), 6.5, None),
        ("max", 8.0, 8.0),
    ],
)
def test_no_heat_is_sought_across_vacuum(
    direction: Any, slab: float | None, wire: float | None
) -> None:
    objective = Objective(direction=direction)
    for is_wire, expected in ((False, slab), (True, wire)):
        evaluation = _in_vacuum(wire=is_wire)
        if expected is None:
            assert "crosses the vacuum" in str(objective.problem(evaluation))
            assert objective.value(evaluation) is None
        else:
            value = objective.value(evaluation)
            assert value is not None
            assert value[0] == pytest.approx(expected)


def test_records_without_the_normal_stay_as_they_were() -> None:
    evaluation = _in_vacuum(wire=False)
    del evaluation.provenance["vacuum"]["axis"]
    assert Objective(direction=(0, 0, 1)).value(evaluation) is not None
