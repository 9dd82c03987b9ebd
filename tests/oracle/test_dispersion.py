"""The D3 correction: what it adds, which methods it makes, and what is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from pydantic import ValidationError
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.relax import relax
from oracle.phonons.settings import PhononSettings
from oracle.potentials import dispersion
from oracle.potentials.forces import ForceField
from oracle.potentials.table import calculator, copies_may_share, weights_digest
from oracle.runtime.context import Context
from oracle.runtime.errors import SetupError
from oracle.runtime.stages import StageStore

COPPER = "ase.calculators.emt:EMT+d3"
needs_d3 = pytest.mark.skipif(
    importlib.util.find_spec("dftd3") is None, reason="pip install 'phonoscout[d3]'"
)


@needs_d3
def test_dispersion_makes_another_method_and_nothing_else_does() -> None:
    plain, corrected = (
        PhononSettings(calculator="7net-0", dispersion=given) for given in (None, "d3")
    )
    assert PhononBTE(plain).method_digest != PhononBTE(corrected).method_digest
    assert (plain.potential, corrected.potential) == ("7net-0", "7net-0+d3")
    digests = {weights_digest(n) for n in ("7net-0", "7net-0+d3", "chgnet", "chgnet+d3")}
    assert len(digests) == 4
    assert not copies_may_share("7net-0+d3")
    for tighter in (corrected.tightened(), corrected.widened()):
        assert tighter.potential == "7net-0+d3"
    assert PhononSettings.model_validate_json(corrected.model_dump_json()) == corrected


def test_healed_weights_keep_the_correction() -> None:
    settings = PhononSettings(dispersion="d3").model_copy(update={"calculator": "7net:/weights"})
    assert settings.potential == "7net:/weights+d3"


def test_what_has_no_functional_is_refused() -> None:
    with pytest.raises(SetupError, match="fitted to experiments"):
        calculator("tersoff+d3")
    with pytest.raises(ValidationError, match="dispersion: got d3 with GPAW"):
        PhononSettings.model_validate({"calculator": {"engine": "gpaw"}, "dispersion": "d3"})


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for call in (
        lambda: dispersion.corrected("7net-0", EMT()),
        lambda: dispersion.digest("a", "b"),
    ):
        with pytest.raises(SetupError, match=r"pip install 'phonoscout\[d3\]'"):
            call()


@needs_d3
def test_forces_and_stress_are_slopes_of_the_energy() -> None:
    atoms = bulk("Cu", cubic=True) * (2, 2, 1)
    atoms.rattle(0.05, seed=3)
    atoms.calc = calculator(COPPER)
    forces, stress, volume, step = atoms.get_forces(), atoms.get_stress(), atoms.get_volume(), 1e-3

    def energy(changed: Atoms) -> float:
        changed.calc = calculator(COPPER)
        return float(changed.get_potential_energy())

    moved, strained = [], []
    for sign in (1, -1):
        copy = atoms.copy()
        copy.positions[5, 1] += sign * step
        moved.append(energy(copy))
        copy = atoms.copy()
        copy.set_cell(atoms.cell.array @ np.diag([1, 1, 1 + sign * step]), scale_atoms=True)
        strained.append(energy(copy))
    assert forces[5, 1] == pytest.approx(-(moved[0] - moved[1]) / (2 * step), abs=2e-5)
    assert stress[2] == pytest.approx((strained[0] - strained[1]) / (2 * step * volume), abs=2e-5)


@needs_d3
@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "a", "c", "sites", "atoms_per_layer"),
    [
        ("P6_3/mmc", 2.461, 6.708, {"C": (0, 0, 0.25), "C2": (1 / 3, 2 / 3, 0.25)}, 2),
        ("P6_3/mmc", 2.504, 6.661, {"B": (1 / 3, 2 / 3, 0.25), "N": (2 / 3, 1 / 3, 0.25)}, 2),
        ("P6_3/mmc", 3.160, 12.295, {"Mo": (1 / 3, 2 / 3, 0.25), "S": (1 / 3, 2 / 3, 0.621)}, 3),
        ("P-3m1", 3.635, 5.837, {"Hf": (0, 0, 0), "S": (1 / 3, 2 / 3, 0.25)}, 3),
    ],
    ids=["graphite", "hBN", "MoS2", "HfS2"],
)
def test_layers_are_as_far_apart_as_measured(
    group: str, a: float, c: float, sites: dict[str, tuple[float, float, float]],
    atoms_per_layer: int, tmp_path: Path,
) -> None:  # fmt: skip
    """The measured lattice parameters are the given ones."""
    structure = Structure.from_spacegroup(
        group, Lattice.hexagonal(a, c), [key.rstrip("2") for key in sites], list(sites.values())
    )
    settings = PhononSettings(dispersion="d3")
    field = ForceField(settings.potential, StageStore(tmp_path), Context(tmp_path))
    relaxed = relax(Crystal.from_structure(structure), settings, field)
    lengths = np.linalg.norm(relaxed.cell, axis=1)
    assert lengths[2] == pytest.approx(c, rel=0.04)
    assert lengths[0] == pytest.approx(a, rel=0.02)
    assert not any("dispersion" in caution for caution in relaxed.cautions)
