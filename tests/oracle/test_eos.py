"""The energy-volume curve against experiment, DFT and its own formulas."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ase.build import bulk
from ase.calculators.lj import LennardJones
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.energetics.eos import EquationOfState, equation_of_state
from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError

POTENTIAL = "7net-0"
GPA = 160.21766  # in one eV/Å³


def rocksalt(a: str, b: str, length: float) -> Crystal:
    sites = [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5)]
    return Crystal.from_structure(
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(length), [a, b], sites)
    )


def zincblende(a: str, b: str, length: float) -> Crystal:
    sites = [(0.0, 0.0, 0.0), (0.25, 0.25, 0.25)]
    return Crystal.from_structure(
        Structure.from_spacegroup("F-43m", Lattice.cubic(length), [a, b], sites)
    )


def diamond(a: str, length: float) -> Crystal:
    return Crystal.from_structure(
        Structure.from_spacegroup("Fd-3m", Lattice.cubic(length), [a], [[0, 0, 0]])
    )


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


# Experiment: lattice parameter (Å), bulk modulus (GPa) and Debye temperature (K) from Kittel and
# Landolt-Börnstein; the bulk moduli of Si and GaAs as PBE has them (Haas, Tran & Blaha, PRB 79,
# 085104 (2009)), because the potential learned PBE.
KNOWN = [
    ("NaCl", rocksalt("Na", "Cl", 5.9), 5.9, 5.64, 24.4, 321),
    ("MgO", rocksalt("Mg", "O", 3.8), 3.8, 4.21, 155.0, 945),
    ("Si", diamond("Si", 5.0), 5.0, 5.43, 88.8, 645),
    ("GaAs", zincblende("Ga", "As", 6.3), 6.3, 5.65, 61.0, 344),
]


@pytest.mark.parametrize(("name", "crystal", "start", "length", "modulus", "debye"), KNOWN)
def test_known_solids(
    name: str, crystal: Crystal, start: float, length: float, modulus: float, debye: float
) -> None:
    eos = equation_of_state(crystal, POTENTIAL)
    assert start * eos.scale == pytest.approx(length, rel=0.02), name
    assert eos.bulk_modulus == pytest.approx(modulus, rel=0.2)
    assert eos.debye_temperature == pytest.approx(debye, rel=0.25)
    assert 3 < eos.bulk_modulus_derivative < 7


def test_stiffer_and_lighter_vibrate_faster() -> None:
    temperatures = [
        equation_of_state(crystal, POTENTIAL)
        for crystal in (
            rocksalt("Pb", "Te", 6.5),
            rocksalt("Na", "Cl", 5.7),
            rocksalt("Mg", "O", 4.2),
            diamond("C", 3.57),
        )
    ]
    debye = [eos.debye_temperature for eos in temperatures]
    assert debye == sorted(debye)
    assert temperatures[-1].slack_kappa(300) > 10 * temperatures[1].slack_kappa(300)


@pytest.mark.parametrize("factor", [0.85, 0.93, 1.07, 1.15])
def test_a_wrong_start_changes_nothing(factor: float) -> None:
    right = equation_of_state(rocksalt("Na", "Cl", 5.69), POTENTIAL)
    wrong = equation_of_state(rocksalt("Na", "Cl", 5.69 * factor), POTENTIAL)
    assert wrong.scale * factor == pytest.approx(right.scale, rel=1e-3)
    assert wrong.energy_per_atom == pytest.approx(right.energy_per_atom, abs=1e-4)
    assert wrong.bulk_modulus == pytest.approx(right.bulk_modulus, rel=0.01)
    assert wrong.bulk_modulus_derivative == pytest.approx(right.bulk_modulus_derivative, abs=0.15)


def test_deterministic() -> None:
    crystal = rocksalt("K", "Br", 6.6)
    assert equation_of_state(crystal, POTENTIAL) == equation_of_state(crystal, POTENTIAL)


def test_structure_is_at_the_minimum() -> None:
    crystal = rocksalt("Na", "Cl", 5.2)
    eos = equation_of_state(crystal, POTENTIAL)
    structure = eos.structure(crystal)
    assert structure.volume / len(structure) == pytest.approx(eos.volume_per_atom)
    assert structure.lattice.a == pytest.approx(crystal.structure().lattice.a * eos.scale)
    again = equation_of_state(Crystal.from_structure(structure), POTENTIAL)
    assert again.scale == pytest.approx(1.0, abs=1e-3)


def test_lennard_jones_crystal_has_a_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    sigma, epsilon = 3.4, 0.0104
    argon = LennardJones(sigma=sigma, epsilon=epsilon, rc=10 * sigma)
    monkeypatch.setattr("oracle.energetics.eos.calculator", lambda name: argon)
    primitive = Structure(bulk("Ar", "fcc", a=5.6).cell.array, ["Cu"], [(0.0, 0.0, 0.0)])
    eos = equation_of_state(Crystal.from_structure(primitive), "argon")
    a12, a6 = 12.13188, 14.45392  # lattice sums: Kittel, Introduction to Solid State Physics, ch. 3
    distance = sigma * (2 * a12 / a6) ** (1 / 6)
    assert eos.volume_per_atom == pytest.approx(distance**3 / math.sqrt(2), rel=1e-3)
    assert eos.energy_per_atom == pytest.approx(-epsilon * a6**2 / (2 * a12), rel=3e-3)
    modulus = 4 * a12 * (a6 / a12) ** 2.5 * epsilon / sigma**3  # Ashcroft & Mermin, eq. 20.17
    assert eos.bulk_modulus == pytest.approx(modulus * GPA, rel=0.03)
    assert eos.bulk_modulus_derivative == pytest.approx(8, rel=0.05)  # (12 + 6 + 6) / 3


def curve(**changes: Any) -> EquationOfState:
    silicon = EquationOfState(
        energy_per_atom=-5.4,
        volume_per_atom=20.0,
        bulk_modulus=98.0,
        bulk_modulus_derivative=4.2,
        scale=1.0,
        mean_mass=28.0855,
        atoms=2,
    )
    return dataclasses.replace(silicon, **changes)


def test_debye_temperature_scales_as_a_frequency() -> None:
    base = curve().debye_temperature
    assert curve(bulk_modulus=4 * 98.0).debye_temperature == pytest.approx(2 * base)
    assert curve(mean_mass=4 * 28.0855).debye_temperature == pytest.approx(base / 2)
    assert curve(atoms=8).debye_temperature == base
    assert curve(atoms=8).acoustic_debye_temperature == pytest.approx(base / 2)


def test_gruneisen_is_clipped() -> None:
    assert curve(bulk_modulus_derivative=4.0).gruneisen == pytest.approx(7 / 6)
    assert curve(bulk_modulus_derivative=-3.0).gruneisen == 0.5
    assert curve(bulk_modulus_derivative=40.0).gruneisen == 3.0


def test_slack_formula_falls_as_one_over_temperature() -> None:
    assert curve().slack_kappa(600) == pytest.approx(curve().slack_kappa(300) / 2)
    # Silicon in Morelli & Slack: θ_a = 395 K, γ = 1.06, δ = 2.71 Å, measured 166 W/m/K.
    silicon = curve(bulk_modulus_derivative=2 * (1.06 + 5 / 6))
    ratio = (395 / silicon.acoustic_debye_temperature) ** 3
    gamma = 1.06
    prefactor = 2.43e-6 / (1 - 0.514 / gamma + 0.228 / gamma**2)
    by_hand = prefactor * 28.0855 * 395**3 * 20 ** (1 / 3) * 2 ** (1 / 3) / (gamma**2 * 300)
    assert silicon.slack_kappa(300) * ratio == pytest.approx(by_hand)


def test_no_minimum_is_an_error_of_its_stage() -> None:
    gas = Crystal.from_structure(Structure(Lattice.cubic(60.0), ["Na"], [(0.0, 0.0, 0.0)]))
    with pytest.raises(OracleError, match=r"Na.*given lattice parameter") as caught:
        equation_of_state(gas, POTENTIAL)
    assert caught.value.stage == "eos"
    assert not caught.value.transient


def test_every_start_gives_the_order_of_polymorphs() -> None:
    def energies(build: Callable[[str, str, float], Crystal], starts: list[float]) -> list[float]:
        crystals = [build("Na", "Cl", start) for start in starts]
        return [equation_of_state(crystal, POTENTIAL).energy_per_atom for crystal in crystals]

    assert max(energies(rocksalt, [5.2, 5.9])) < min(energies(zincblende, [5.7, 6.5])) - 0.05


@pytest.mark.parametrize(
    ("derivative", "gruneisen", "clipped"),
    [(-1.0, 0.5, "-1.33"), (4.0, 4 / 2 - 5 / 6, None), (9.0, 3.0, "3.67")],
)
def test_a_clipped_gruneisen_parameter_is_said(
    derivative: float, gruneisen: float, clipped: str | None
) -> None:
    curve = EquationOfState(
        energy_per_atom=-3.0, volume_per_atom=20.0, bulk_modulus=50.0,
        bulk_modulus_derivative=derivative, scale=1.0, mean_mass=30.0, atoms=2,
    )  # fmt: skip
    assert curve.gruneisen == pytest.approx(gruneisen)
    if clipped is None:
        assert curve.caution is None
    else:
        assert clipped in str(curve.caution)
        assert f"of {gruneisen:g} instead" in str(curve.caution)
