"""What is said of a campaign's potential before it is believed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from agents.spaces.prototype_table import named_prototypes
from oracle.potentials import accuracy
from oracle.potentials.accuracy import known_accuracy
from oracle.potentials.calibration import Deviations, MeasuredTable
from oracle.potentials.table import POTENTIALS
from orchestrator.assembly.build import build_space
from orchestrator.assembly.notes import accuracy_notes, campaign_notes
from orchestrator.config.loading import validate


def _notes(folder: Path, structures: list[Structure], calculator: str = "7net-0") -> list[str]:
    lines = [
        json.dumps({"id": f"mp-{n}", "structure": structure.as_dict()})
        for n, structure in enumerate(structures)
    ]
    (folder / "pool.jsonl").write_text("\n".join(lines))
    raw: dict[str, Any] = {
        "name": "notes",
        "space": {"kind": "pool", "path": "pool.jsonl"},
        "objective": {"property": "kappa", "goal": "minimize"},
        "oracle": {"kind": "phonon-bte", "calculator": calculator},
    }
    config = validate(raw, "config", folder)
    return list(campaign_notes(config, build_space(config.space)))


def _made(name: str, *elements: str) -> Structure:
    return named_prototypes()[name].decorate(elements).conventional()


DIAMOND = Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0.0, 0.0, 0.0]])


@pytest.fixture
def as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of the literature only, which stay as they are when more is measured here."""
    monkeypatch.setattr(accuracy, "MEASURED", {})


@pytest.mark.usefixtures("as_published")
@pytest.mark.parametrize("potential", ["7net-0", "7net-l3i5"])
def test_a_pool_of_half_heuslers_is_warned_of(tmp_path: Path, potential: str) -> None:
    structures = [_made("half-heusler", *x) for x in (("Zr", "Ni", "Sn"), ("Ti", "Co", "Sb"))]
    notes = "\n".join(_notes(tmp_path, structures, potential))
    assert f"warning: a hole of {potential}" in notes
    assert "half-heusler: typically off by a factor of 6." in notes
    assert "mostly too low" in notes


@pytest.mark.usefixtures("as_published")
def test_families_of_a_pool_are_counted_and_the_rest_is_named(tmp_path: Path) -> None:
    rocksalts = [_made("rocksalt", "Na", x) for x in ("F", "Cl", "Br")]
    notes = _notes(tmp_path, [*rocksalts, _made("zincblende", "Zn", "S"), DIAMOND], "7net-l3i5")
    assert "  rocksalt (3 of 5): typically off by a factor of 1.2, mostly too low" in notes
    assert "  zincblende (1 of 5): typically off by a factor of 1.5, mostly too low" in notes
    assert any("the other 1 of 5: nothing is known" in note for note in notes)
    assert not any("warning" in note for note in notes)


def test_a_pool_of_strangers_has_no_figures(tmp_path: Path) -> None:
    notes = _notes(tmp_path, [DIAMOND])
    assert notes[1] == "accuracy: nothing is known of 7net-0 for"
    assert not any("factor" in note for note in notes)


def test_what_was_measured_here_fits_into_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Deviations(19, 3, 0.031, 3.8, 37.0, 140.0, 0.05)
    families = ("rocksalt", "zincblende", "wurtzite", "half-heusler")
    table = MeasuredTable(bad, dict.fromkeys(families, bad), 1.9, None)
    monkeypatch.setattr(accuracy, "MEASURED", {"nequix-oam-1-pft": table})
    notes = accuracy_notes("nequix-oam-1-pft", Counter(dict.fromkeys(families, 2000)))
    assert max(map(len, notes)) <= 80
    assert sum("spread" in note for note in notes) == len(families)
    assert f"  source: {table.source}" in notes


@pytest.mark.parametrize(
    "potential", [*POTENTIALS, "some.very.long.package_name.and_module:factory"]
)
@pytest.mark.parametrize("count", [1, 700, 12345])
def test_lines_fit_into_80_columns(potential: str, count: int) -> None:
    families: Counter[str | None] = Counter({None: count})
    families.update(dict.fromkeys(named_prototypes(), count))
    notes = accuracy_notes(potential, families)
    assert max(map(len, notes)) <= 80
    known = [s for s in known_accuracy(potential, named_prototypes()) if s.known is not None]
    for statement in known:
        assert any(statement.family in note and statement.text in note for note in notes)
