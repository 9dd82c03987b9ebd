"""Structures of users carry a caution where relaxation scales them; guesses of a space do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.io.vasp.inputs import Poscar
from rich.console import Console

from oracle.contract.evaluation import Measured, Unstable, make_quantity
from oracle.materials.crystal import Crystal
from oracle.phonons.doubts import scaling
from orchestrator.assembly.given_structures import with_scaling
from orchestrator.running.single import evaluate_file

EMT = "calculator=ase.calculators.emt:EMT"
QUICK = [EMT, "fc2_length=9", "bands=false", "fidelities=[harmonic]"]


def _silver(length: float) -> Structure:
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(length), ["Ag"], [[0] * 3])


def _measured(given: float, relaxed: float, **fields: Any) -> Measured:
    crystal = Crystal.from_structure(_silver(given))
    properties = {"volume": make_quantity("volume", relaxed**3 / 4)}
    common: dict[str, Any] = {"fidelity": "bte", "method": "m", "cost_s": 1.0, "stage": "bte"}
    return Measured(material=crystal, properties=properties, **common, **fields)


@pytest.mark.parametrize(
    ("given", "relaxed", "words"),
    [
        (4.0, 4.05, None),
        (4.0, 3.9, None),
        (4.0, 4.2, "volume by +16 %"),
        (4.2, 4.0, "volume by -14 %"),
    ],
)
def test_only_a_large_change_is_said(given: float, relaxed: float, words: str | None) -> None:
    for said in (None, "barely stable: a mode lies at 0.10 THz"):
        text = with_scaling(_measured(given, relaxed), said)
        if words is None:
            assert text == said
        else:
            assert str(text).startswith(said or "relaxation scaled")
            assert words in str(text)
            assert with_scaling(_measured(given, relaxed), text) == text  # once


def test_what_is_not_measured_stays_as_it_is() -> None:
    measured = _measured(4.0, 4.5)
    fields = measured.model_dump(include={"fidelity", "method", "cost_s", "stage"})
    unstable = Unstable(material=measured.material, properties=measured.properties, **fields)
    assert with_scaling(unstable, None) is None
    assert scaling(10.0, 10.5) is None


@pytest.mark.parametrize(("length", "sign"), [(3.8, "+"), (4.5, "-")])
def test_a_file_whose_lattice_parameter_is_wrong(length: float, sign: str, tmp_path: Path) -> None:
    path = tmp_path / "POSCAR"
    Poscar(_silver(length)).write_file(path)
    document = evaluate_file(tmp_path / "home", path, None, QUICK, Console(quiet=True))
    assert document["status"] == "measured", document
    assert f"relaxation scaled the structure: volume by {sign}" in str(document["low_confidence"])
