"""The caution for crystals in which three phonons hardly scatter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.contract.evaluation import Measured, caution
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonon_bte.phase_space import PhaseSpace, counted
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context


def _made(optical: float, power: float, *, scale: float = 1.0) -> PhaseSpace:
    """Acoustic modes up to 5 THz times `scale`, whose processes go as a power of frequency."""
    acoustic = np.linspace(0.0, 5.0, 40)[:, None] * np.array([0.9, 0.95, 1.0])
    modes = np.hstack([acoustic, np.full((40, 3), optical)]) * scale
    processes = np.hstack([np.maximum(acoustic, 0.1) ** power, np.ones((40, 3))]) / scale
    return counted(np.ones(40), modes, processes)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
@pytest.mark.parametrize(
    ("optical", "power", "starved"),
    [(10.0, -1.0, True), (10.0, 1.0, False), (6.0, -1.0, False), (3.0, -1.0, False)],
)
def test_gap_and_few_processes_together_count_whatever_the_scale(
    optical: float, power: float, starved: bool, scale: float
) -> None:
    found = _made(optical, power, scale=scale)
    assert found.gap == pytest.approx(optical / 5.0)
    assert found.starved == starved


def test_the_caution_begins_where_acoustic_modes_are_populated() -> None:
    temperatures = (20.0, 100.0, 300.0, 1000.0)
    doubt = _made(10.0, -1.0).doubt(temperatures)
    # 5 THz are 240 K.
    np.testing.assert_array_equal(doubt.holds, [False, False, True, True])
    assert doubt.worst == 3
    assert "at 1000 K" in doubt.text(3, True)
    assert not _made(10.0, 1.0).doubt(temperatures).holds.any()
    stiffer = _made(10.0, -1.0, scale=4.0).doubt(temperatures)
    np.testing.assert_array_equal(stiffer.holds, [False, False, False, True])


def test_the_optical_modes_at_the_zone_centre_do_not_count() -> None:
    """Without charges they lie where they should not, and no acoustic mode decays into them."""
    modes = np.array([[0.0, 0.0, 0.0, 2.0, 2.0, 2.0], [1.0, 2.0, 4.0, 9.0, 9.0, 9.0]])
    assert counted(np.array([1.0, 7.0]), modes, np.ones((2, 6))).gap == pytest.approx(9.0 / 4.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("formula", "lattice", "named"), [("BSb", 5.25, True), ("GaAs", 5.65, False)]
)
def test_crystals(formula: str, lattice: float, named: bool, tmp_path: Path) -> None:
    structure = AseAtomsAdaptor.get_structure(bulk(formula, "zincblende", a=lattice))
    settings = PhononSettings(
        temperatures=(20.0, 300.0), mesh=(13, 13, 13), bands=False, coherence=False
    )
    evaluation = PhononBTE(settings).evaluate(
        Crystal.from_structure(structure), context=Context(tmp_path)
    )
    assert isinstance(evaluation, Measured), evaluation
    texts = [caution(evaluation, t) or "" for t in settings.temperatures]
    assert ["few three-phonon" in text for text in texts] == [False, named]
    # Cautions are joined by semicolons, and tables print what stands before a colon in each.
    whole = [part for part in texts[1].split("; ") if part.startswith("few three-phonon")]
    assert all(part.endswith("the hotter") for part in whole)
