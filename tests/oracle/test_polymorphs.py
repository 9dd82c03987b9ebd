"""Energies of polymorphs and of formation, and their exact storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.energetics.corrections import correction
from oracle.energetics.elements import element_energy, reference_structures
from oracle.energetics.energies import curve, relaxed_energy
from oracle.energetics.polymorphs import thermochemistry
from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError

POTENTIAL = "7net-0"


def crystal(prototype: str, a: str, b: str, bond: float) -> Crystal:
    """A binary of bond length `bond`, Å."""
    if prototype == "wurtzite":
        lattice = Lattice.hexagonal(bond * (8 / 3) ** 0.5, bond * 8 / 3)
        sites = [[1 / 3, 2 / 3, 0.0], [1 / 3, 2 / 3, 0.375]]
        return Crystal.from_structure(Structure.from_spacegroup("P6_3mc", lattice, [a, b], sites))
    group, factor, second = {
        "rocksalt": ("Fm-3m", 2.0, [0.5, 0.5, 0.5]),
        "zincblende": ("F-43m", 4 / 3**0.5, [0.25, 0.25, 0.25]),
        "cscl": ("Pm-3m", 2 / 3**0.5, [0.5, 0.5, 0.5]),
    }[prototype]
    cell = Lattice.cubic(factor * bond)
    return Crystal.from_structure(
        Structure.from_spacegroup(group, cell, [a, b], [[0.0, 0.0, 0.0], second])
    )


def family(a: str, b: str, bond: float, *names: str) -> dict[str, Crystal]:
    return {name: crystal(name, a, b, bond) for name in names}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of energies that all tests share, so that each is computed once."""
    return tmp_path_factory.mktemp("energies")


def test_sodium_chloride_is_a_rocksalt_of_known_formation_energy(cache: Path) -> None:
    salt = crystal("rocksalt", "Na", "Cl", 2.9)
    rivals = family("Na", "Cl", 2.9, "cscl", "zincblende")
    result = thermochemistry(salt, rivals, POTENTIAL, cache)
    assert result.energy_above_best_polymorph == 0.0
    assert result.best_polymorph is None
    # Experiment: -411.2 kJ/mol (CRC Handbook), thus -2.13 eV per atom.
    assert result.formation_energy == pytest.approx(-2.13, abs=0.1)


@pytest.mark.parametrize("name", ["zincblende", "cscl"])
def test_hypothetical_polymorphs_of_sodium_chloride_lie_above_rocksalt(
    cache: Path, name: str
) -> None:
    rivals = family("Na", "Cl", 2.9, "rocksalt")
    result = thermochemistry(crystal(name, "Na", "Cl", 2.9), rivals, POTENTIAL, cache)
    assert result.best_polymorph == "rocksalt"
    # Above the 50 meV that a campaign allows by default. Rocksalt gives way to CsCl at 30 GPa
    # only, where the volume falls by about 1.5 Å³ per formula: some 0.1 eV/atom.
    assert 0.05 < result.energy_above_best_polymorph < 0.25


def test_zinc_sulfide_is_nearly_degenerate(cache: Path) -> None:
    blende, wurtzite = family("Zn", "S", 2.35, "zincblende", "wurtzite").values()
    result = thermochemistry(wurtzite, {"zincblende": blende}, POTENTIAL, cache)
    assert abs(result.energy_above_best_polymorph) < 0.015
    # Experiment: -206 kJ/mol, thus -1.07 eV per atom.
    assert result.formation_energy == pytest.approx(-1.07, abs=0.1)


def test_transition_metal_oxides_are_compared_on_one_level(cache: Path) -> None:
    # Without the correction for the Hubbard U, NiO would seem to fall apart (+0.4 eV/atom).
    result = thermochemistry(crystal("rocksalt", "Ni", "O", 2.1), {}, POTENTIAL, cache)
    assert result.formation_energy == pytest.approx(-1.24, abs=0.15)


def test_relaxation_lowers_the_energy_and_keeps_the_symmetry(cache: Path) -> None:
    wurtzite = crystal("wurtzite", "Be", "O", 1.8)
    unrelaxed = curve(wurtzite, POTENTIAL, cache).energy_per_atom
    assert relaxed_energy(wurtzite, POTENTIAL, cache) < unrelaxed + 1e-5


def test_corrections_depend_on_what_the_potential_learned() -> None:
    salt = crystal("rocksalt", "Na", "Cl", 2.8)
    assert correction(salt, -3.4, "7net-0") == pytest.approx(-0.614, abs=1e-3)
    assert correction(salt, -3.4, "chgnet") == 0.0
    assert correction(salt, -3.4, "my.module:potential") == 0.0
    alloy = crystal("cscl", "Ni", "Al", 2.5)
    assert correction(alloy, -5.0, "7net-0") == 0.0


# Experiment (Wyckoff; at or below room temperature): Å³ per atom.
VOLUMES = {"Na": 37.7, "Cu": 11.8, "Si": 20.0, "As": 21.5, "Mn": 12.2, "Ga": 19.6, "U": 20.6}


@pytest.mark.parametrize("symbol", VOLUMES)
def test_reference_structures_are_the_elements(symbol: str) -> None:
    structure = reference_structures(symbol)[0]
    assert structure.volume / len(structure) == pytest.approx(VOLUMES[symbol], rel=0.03)
    assert {site.specie.symbol for site in structure} == {symbol}


@pytest.mark.parametrize(
    ("symbol", "bond"),
    [("H", 0.74), ("N", 1.10), ("O", 1.21), ("F", 1.42), ("Cl", 1.99), ("Br", 2.3), ("I", 2.7)],
)
def test_molecules_have_their_bond_length(symbol: str, bond: float) -> None:
    (structure,) = reference_structures(symbol)
    distances = structure.distance_matrix + 10 * np.eye(len(structure))
    assert distances.min() == pytest.approx(bond, rel=0.08)
    # Each atom has one partner only.
    assert (distances < 1.2 * distances.min()).sum() == len(structure)


def test_every_common_element_has_a_reference() -> None:
    rare = ("Fr", "Ra", "At", "Rn", "Pm", "He")
    from ase.data import chemical_symbols

    missing = [s for s in chemical_symbols[1:95] if not reference_structures(s)]
    assert set(missing) <= set(rare)


def test_an_element_without_reference_gives_no_formation_energy(cache: Path) -> None:
    assert element_energy("At", POTENTIAL, cache) is None


def test_the_lowest_reference_counts(cache: Path) -> None:
    carbon = element_energy("C", POTENTIAL, cache)
    diamond = Crystal.from_structure(
        Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.567), ["C"], [[0, 0, 0]])
    )
    assert carbon is not None
    assert carbon < relaxed_energy(diamond, POTENTIAL, cache)  # graphite, by PBE 0.13 eV


class Counted(Calculator):  # type: ignore[misc]
    """Springs of zero force at every volume but one: a cheap potential that counts its calls."""

    implemented_properties = ("energy", "forces", "stress")
    calls = 0

    def calculate(
        self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        type(self).calls += 1
        n = len(self.atoms)
        strain = self.atoms.get_volume() / (12.0 * n) - 1
        pressure = -2 * strain / 12.0
        self.results = {
            "energy": n * (strain**2 - 4.0),
            "forces": np.zeros((n, 3)),
            "stress": -pressure * np.array([1.0, 1.0, 1.0, 0, 0, 0]),
        }


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    Counted.calls = 0
    engine = Counted()
    for module in ("eos", "energies"):
        monkeypatch.setattr(f"oracle.energetics.{module}.calculator", lambda name: engine)
    return Counted


def test_tensor_files_energies_are_exact_and_cost_nothing(
    tmp_path: Path, counted: type[Counted]
) -> None:
    arguments = (
        crystal("rocksalt", "Na", "Cl", 2.3),
        family("Na", "Cl", 2.3, "cscl"),
        "ase.calculators.emt:EMT",
    )
    first = thermochemistry(*arguments, tmp_path)
    calls = counted.calls
    assert calls > 0
    assert thermochemistry(*arguments, tmp_path) == first
    assert counted.calls == calls
    assert thermochemistry(*arguments, tmp_path / "new") == first
    assert counted.calls == 2 * calls
    assert first.energy_per_atom == pytest.approx(-4.0, abs=1e-4)


def test_energies_of_other_weights_are_not_mixed_up(tmp_path: Path, counted: type[Counted]) -> None:
    salt = crystal("rocksalt", "Na", "Cl", 2.3)
    relaxed_energy(salt, "ase.calculators.emt:EMT", tmp_path)
    calls = counted.calls
    relaxed_energy(salt, "ase.calculators.lj:LennardJones", tmp_path)
    assert counted.calls == 2 * calls


def test_a_start_that_differs_is_another_key(tmp_path: Path, counted: type[Counted]) -> None:
    # Equal within the rounding of the digest, but not to the last bit of an energy.
    first, second = (crystal("rocksalt", "Na", "Cl", bond) for bond in (2.30001, 2.30002))
    assert first.digest == second.digest
    relaxed_energy(first, "ase.calculators.emt:EMT", tmp_path)
    calls = counted.calls
    relaxed_energy(second, "ase.calculators.emt:EMT", tmp_path)
    assert counted.calls == 2 * calls


def test_failures_are_kept_with_their_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: type[Counted]
) -> None:
    def refuse(*args: Any) -> None:
        counted.calls += 1
        raise KeyError("Og is not a known element")

    monkeypatch.setattr(Counted, "calculate", refuse)
    salt = crystal("rocksalt", "Na", "Cl", 2.3)
    messages = set()
    for _ in range(2):
        with pytest.raises(OracleError, match="failed on NaCl") as caught:
            thermochemistry(salt, {}, "ase.calculators.emt:EMT", tmp_path)
        messages.add(caught.value.message)
    assert len(messages) == 1
    assert counted.calls == 2  # once more, in case it was an accident, and never again


def test_rivals_without_minimum_are_left_out(tmp_path: Path, counted: type[Counted]) -> None:
    gas = Crystal.from_structure(
        Structure(Lattice.cubic(60.0), ["Na", "Cl"], [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
    )
    salt = crystal("rocksalt", "Na", "Cl", 2.3)
    result = thermochemistry(salt, {"gas": gas}, "ase.calculators.emt:EMT", tmp_path)
    assert result.best_polymorph is None
