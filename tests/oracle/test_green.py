"""The oracle `green` on silicon and germanium with Tersoff's potential."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Failed, Measured, scalar
from oracle.contract.protocol import Oracle
from oracle.green.device import Device, prepare_device
from oracle.green.oracle import VERSION, GreenOracle
from oracle.green.settings import GreenSettings
from oracle.materials.crystal import Crystal
from oracle.materials.layering import reversible
from oracle.materials.material import Material
from oracle.materials.superlattice import Stack, Superlattice
from oracle.potentials.forces import ForceField
from oracle.potentials.table import calculator, weights_digest
from oracle.runtime.context import Context
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError
from oracle.runtime.stages import StageStore

pytest.importorskip("matscipy")
SMALL = GreenSettings(frequencies=12, q_mesh=(2, 2), neighbours=0, in_plane_length=7.0)
"""Coarse settings, with windows no wider than a pair of layers; exact relations still hold."""


def _diamond(element: str, length: float) -> Crystal:
    lattice = Lattice.cubic(length)
    return Crystal.from_structure(
        Structure.from_spacegroup("Fd-3m", lattice, [element], [[0.0, 0.0, 0.0]])
    )


def _stack(leads: tuple[str, str] = ("S", "S"), germanium: float = 5.658) -> Stack:
    layers = (("G", _diamond("Ge", germanium)), ("S", _diamond("Si", 5.431)))
    return Stack(layers=layers, leads=leads)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("green")


def _device(home: Path, stack: Stack, settings: GreenSettings = SMALL) -> Device:
    store = StageStore(home / "stages")
    return prepare_device(stack, settings, ForceField(settings.calculator, store, Context(home)))


@pytest.fixture(scope="module")
def device(home: Path) -> Device:
    return _device(home, _stack())


def test_parameters_give_the_published_crystals() -> None:
    """Tersoff 1989, table II: lattice constants 5.432 and 5.657 Å, -4.63 and -3.85 eV."""
    for element, length, energy in (("Si", 5.432, -4.63), ("Ge", 5.657, -3.85)):
        atoms = _diamond(element, length).structure().to_ase_atoms()
        atoms.calc = calculator("tersoff")
        assert atoms.get_potential_energy() / 2 == pytest.approx(energy, abs=0.005)
        assert np.abs(atoms.get_stress()).max() < 1e-4


def test_perfect_lead_counts_its_modes(device: Device) -> None:
    """The transmission at one wave vector is the number of modes that propagate to the right."""
    transmitted = device.many(["SSSS"])[0].transmission
    onsite = device.blocks.onsite("SSSSS"[: device.blocks.reach + 2 * device.blocks.neighbourhood])
    across = device.blocks.coupling("SSSS"[: 2 * device.blocks.reach])
    phases = np.exp(2j * np.pi * np.arange(6000) / 6000)[:, None, None]
    modes = np.zeros(len(transmitted))
    for i, weight in enumerate(device.mesh.weights):
        full = onsite[i] + phases * across[i] + (phases * across[i]).conj().swapaxes(1, 2)
        bands = np.linalg.eigvalsh(full)
        for k, frequency in enumerate(device.frequencies[i]):
            above = bands > frequency**2
            crossings = np.count_nonzero(above != np.roll(above, 1, axis=0))
            modes[k] += weight * crossings / 2
    np.testing.assert_allclose(transmitted, modes, atol=1e-6)
    assert modes.max() > 2


def test_between_nothing_and_all_modes(device: Device) -> None:
    perfect, mixed, full = (x.transmission for x in device.many(["SSSS", "SGSG", "GGGG"]))
    for through in (mixed, full):
        assert through.min() > -1e-9
        assert (through < perfect + 1e-6).all()


def test_both_directions_are_equal(home: Path, device: Device) -> None:
    """Compare a sequence and its reverse, which the oracle treats as one design."""
    there, back = device.many(["SGGS" + "GSSS", "SSSG" + "SGGS"])
    np.testing.assert_allclose(there.conductance, back.conductance, rtol=1e-4)


def test_many_are_as_each_alone(device: Device) -> None:
    sequences = ["SGSG", "GGSS", "GSSG"]
    together = [x.transmission for x in device.many(sequences)]
    separately = [device.many([x])[0].transmission for x in sequences]
    np.testing.assert_allclose(together, separately, atol=1e-10)


def test_no_force_on_shifting_all(device: Device) -> None:
    """The sum rule holds for mixed neighbourhoods as well."""
    lib = device.blocks.at(np.zeros((1, 2)))
    whole = "S" * 8 + "GSGGS" + "S" * 8
    width, sees = lib.size, lib.neighbourhood
    first = 10
    root = np.sqrt(np.repeat(device.hosts.masses["S"], 3))
    total = np.zeros((width, 3), dtype=complex)
    for j in (-1, 0, 1):
        letter = whole[first + j]
        heavy = np.sqrt(np.repeat(device.hosts.masses[letter], 3))
        shift = np.tile(np.eye(3), (width // 3, 1)) * heavy[:, None]
        if j == 0:
            block = lib.onsite(whole[first - sees : first + sees + 1])[0]
        else:
            low = min(first, first + j)
            m = lib.settings.neighbours
            block = lib.coupling(whole[low - m : low + 2 + m])[0]
            block = block if j > 0 else block.conj().T
        total += block @ shift
    assert np.abs(total).max() / root.max() < 1e-3 * np.abs(lib.onsite("SSS")).max()


def test_evaluation(home: Path) -> None:
    oracle = GreenOracle(SMALL)
    assert isinstance(oracle, Oracle)
    design = Superlattice.from_sequence("GSSG", stack=_stack())
    evaluation = oracle.evaluate(design, context=Context(home))
    assert isinstance(evaluation, Measured)
    value = scalar(evaluation, "conductance", 300.0)
    assert value is not None
    assert value[1] is None  # by symmetry one wave vector is left, which tells of no error
    assert 5e7 < value[0] < 1.2e9
    denser = GreenOracle(SMALL.model_copy(update={"q_mesh": (4, 4)}))
    denser_value = scalar(denser.evaluate(design, context=Context(home)), "conductance", 300.0)
    assert denser_value is not None
    assert denser_value[1] is not None
    assert 0 < denser_value[1] < denser_value[0]
    length = evaluation.properties["length"].value * 1e-10
    conductivity = scalar(evaluation, "kappa", 300.0)
    assert conductivity is not None
    assert conductivity[0] == pytest.approx(value[0] * length)
    assert evaluation.properties["interfaces"].value == 4
    written = json.loads((home / evaluation.artefacts["transmission"]).read_text())
    assert written["modes_per_cell"] == evaluation.properties["transmission"].value
    assert oracle.evaluate(design, context=Context(home)) == evaluation


def test_layers_differ_only_in_mass(home: Path) -> None:
    device = _device(home, _stack(), SMALL.model_copy(update={"masses": "S"}))
    plain, heavy = device.many(["SSSS", "GGGG"])
    assert 0 < heavy.conductance[0] < 0.6 * plain.conductance[0]
    assert device.length("S") == pytest.approx(device.length("G"))


def _failure(design: Material, home: Path, settings: GreenSettings = SMALL) -> str:
    evaluation = GreenOracle(settings).evaluate(design, context=Context(home))
    assert isinstance(evaluation, Failed)
    assert evaluation.permanent
    return evaluation.message


def test_wrong_inputs_are_explained(home: Path) -> None:
    assert "needs a sequence" in _failure(_diamond("Si", 5.43), home)
    assert "stack" in _failure(Superlattice.from_sequence("SGS"), home)
    strict = SMALL.model_copy(update={"strain_max": 0.02})
    message = _failure(Superlattice.from_sequence("SGS", stack=_stack()), home, strict)
    assert "-4.0 %" in message
    lead = Stack(layers=(("A", _diamond("Al", 5.4)),), leads=("A", "A"))
    message = _failure(Superlattice.from_sequence("AA", stack=lead), home)
    assert "does not know Al" in message
    with pytest.raises(OracleError, match="unknown calculator"):
        GreenOracle(SMALL.model_copy(update={"calculator": "tersof"}))


def test_mirror_needs_layers_that_can_be_turned_round() -> None:
    assert reversible(tuple(_stack().materials.values()))
    cubic = Structure.from_spacegroup(
        "F-43m", Lattice.cubic(5.65), ["Ga", "As"], [[0, 0, 0], [0.25, 0.25, 0.25]]
    )
    layers = (("A", Crystal.from_structure(cubic)),)
    assert not Stack(layers=layers, leads=("A", "A")).symmetric
    assert _stack().symmetric
    assert not _stack(("S", "G")).symmetric


def test_periodic_superlattice_is_a_crystal() -> None:
    crystal = Superlattice.from_sequence("SG", stack=_stack()).crystal()
    assert sorted(crystal.species).count("Ge") == len(crystal.species) // 2
    silicon = Superlattice.from_sequence("SS", stack=_stack()).crystal()
    assert silicon.digest == _diamond("Si", 5.431).digest


def test_cautions_about_the_layers_are_those_of_the_sequence(home: Path) -> None:
    design = Superlattice.from_sequence("GS", stack=_stack(germanium=5.2))
    evaluation = GreenOracle(SMALL).evaluate(design, context=Context(home))
    assert isinstance(evaluation, Measured), evaluation
    assert "relaxation scaled the structure of Ge: volume by +" in str(evaluation.low_confidence)


def test_dispersion_belongs_to_the_method_only_where_it_is_set() -> None:
    settings = GreenSettings(calculator="7net-0")
    document = settings.model_dump(mode="json")
    del document["dispersion"]
    identity = {"oracle": "green", "version": VERSION, "settings": document}
    expected = digest_of({**identity, "weights": weights_digest("7net-0")})
    assert GreenOracle(settings).method_digest == expected
    pytest.importorskip("dftd3")
    corrected = settings.model_copy(update={"dispersion": "d3"})
    assert corrected.potential == "7net-0+d3"
    assert GreenOracle(corrected).method_digest != expected
