"""The non-analytic term: exact splitting, and charges that follow the crystal to its own frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import units
from phono3py import Phono3py
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from rich.console import Console
from scipy.spatial.transform import Rotation

from oracle.materials.crystal import canonicalize
from oracle.phonons import harmonic, supercells
from oracle.phonons.born import read_born
from oracle.phonons.relax import Relaxed
from oracle.phonons.settings import BornCharges, PhononSettings
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError
from oracle.runtime.stages import StageStore
from orchestrator.assembly.oracles import build_oracles
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.running.single import evaluate_file

EYE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
CHARGE, DIELECTRIC = 1.1, 2.4
NACL = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0.0] * 3, [0.5] * 3])


def _times(factor: float) -> tuple[tuple[float, float, float], ...]:
    return tuple(tuple(factor * x for x in row) for row in EYE)  # type: ignore[misc]


@pytest.fixture(scope="module")
def constants(tmp_path_factory: pytest.TempPathFactory) -> tuple[Phono3py, np.ndarray]:
    """NaCl with charges, and its constants of second order by 7net-0 in 64 atoms."""
    folder = tmp_path_factory.mktemp("born")
    born = BornCharges.model_validate(
        {"dielectric": _times(DIELECTRIC), "charges": [_times(CHARGE)] * 4 + [_times(-CHARGE)] * 4}
    )
    settings = PhononSettings(fc2_supercell=(2, 2, 2), born=born)
    conventional = canonicalize(NACL)[0].conventional()
    relaxed = Relaxed(
        conventional.lattice.matrix,
        conventional.frac_coords,
        tuple(site.specie.symbol for site in conventional),
        0.0,
        1,
        None,
    )
    phonons = supercells.phonons3(relaxed, settings, second=True)
    field = ForceField("7net-0", StageStore(folder), Context(folder))
    moved = supercells.second_order_displacements(phonons, 0.03)
    return phonons, supercells.second_order(phonons, field.many(moved, "fc2"))


def test_longitudinal_modes_split_off_as_electrostatics_wants(
    constants: tuple[Phono3py, np.ndarray],
) -> None:
    """Square of LO minus square of TO is ``Z² e² / (ε0 ε Ω μ)``, exactly (Born and Huang)."""
    phonons, fc2 = constants
    assert phonons.nac_params is not None
    modes = harmonic.dynamics(
        phonons.unitcell, phonons.phonon_supercell_matrix, phonons.phonon_primitive,
        fc2, phonons.nac_params,
    )  # fmt: skip
    at_gamma = modes.run_qpoints([[0.0, 0.0, 0.0]], nac_q_direction=[1.0, 0.0, 0.0])
    frequencies = at_gamma.frequencies[0]
    sodium, chlorine = phonons.phonon_primitive.masses
    reduced = sodium * chlorine / (sodium + chlorine)
    volume = phonons.phonon_primitive.volume
    # eV / Å² / amu to THz²
    square = 4 * np.pi * units.Hartree * units.Bohr * CHARGE**2 / (DIELECTRIC * volume * reduced)
    to_thz = np.sqrt(units._e / units._amu) * 1e10 / (2 * np.pi) * 1e-12
    assert frequencies[5] ** 2 - frequencies[4] ** 2 == pytest.approx(square * to_thz**2, rel=1e-4)
    assert frequencies[3] == pytest.approx(frequencies[4], abs=1e-4)


def _born_file(path: Path, turn: np.ndarray) -> None:
    """Of wurtzite whose axis was turned away from z."""
    axial = [
        turn @ np.diag(d) @ turn.T for d in ([3.6, 3.6, 3.8], [2.1, 2.1, 2.2], [-2.1, -2.1, -2.2])
    ]
    lines = ["14.399652", *(" ".join(f"{x:.12f}" for x in tensor.ravel()) for tensor in axial)]
    path.write_text("\n".join(lines) + "\n")


WURTZITE = Structure.from_spacegroup(
    "P6_3mc", Lattice.hexagonal(3.25, 5.2), ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.38]]
)


@pytest.mark.parametrize("seed", range(3))
def test_charges_follow_the_crystal_into_its_own_frame(tmp_path: Path, seed: int) -> None:
    turn = Rotation.random(random_state=seed).as_matrix()
    moved = WURTZITE.copy()
    moved.translate_sites(range(4), [0.13, 0.21, 0.07 * seed])
    structure = Structure(
        Lattice(moved.lattice.matrix @ turn.T), [s.specie for s in moved], moved.frac_coords
    )
    _born_file(tmp_path / "BORN", turn)
    crystal, rotation = canonicalize(structure)
    conventional = crystal.conventional()
    charges = read_born(tmp_path / "BORN", structure, conventional, rotation)
    np.testing.assert_allclose(charges.dielectric, np.diag([3.6, 3.6, 3.8]), atol=1e-6)
    for site, charge in zip(conventional, charges.charges, strict=True):
        sign = 1 if site.specie.symbol == "Zn" else -1
        np.testing.assert_allclose(charge, sign * np.diag([2.1, 2.1, 2.2]), atol=1e-6)


@pytest.mark.parametrize("text", ["", "14.4\n1 2 3\n", "x y z\n", "14.4\n" + "0 " * 9 + "\n"])
def test_a_file_that_holds_no_charges_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "BORN").write_text(text)
    crystal, rotation = canonicalize(WURTZITE)
    with pytest.raises(OracleError) as caught:
        read_born(tmp_path / "BORN", WURTZITE, crystal.conventional(), rotation)
    assert caught.value.stage == "read"
    assert str(tmp_path / "BORN") in caught.value.message
    assert "\n" not in caught.value.message


def test_evaluate_takes_the_file_beside_the_structure(tmp_path: Path) -> None:
    NACL.to(str(tmp_path / "NaCl.cif"))
    (tmp_path / "BORN").write_text(
        "14.399652\n2.4 0 0 0 2.4 0 0 0 2.4\n1.1 0 0 0 1.1 0 0 0 1.1\n-1.1 0 0 0 -1.1 0 0 0 -1.1\n"
    )
    overrides = ["fidelities=[harmonic]", "bands=false", "calculator=7net-0", "fc2_length=14"]
    highest = {}
    for name in ("with", "without"):
        console = Console(stderr=True, quiet=True)
        document = evaluate_file(tmp_path / "home", tmp_path / "NaCl.cif", None, overrides, console)
        highest[name] = document["max_frequency_thz"]
        (tmp_path / "BORN").unlink(missing_ok=True)
    assert highest["with"] > highest["without"] + 0.3


def test_a_campaign_refuses_charges_of_one_crystal() -> None:
    born = {"dielectric": _times(2.0), "charges": [_times(1.0), _times(-1.0)]}
    config = CampaignConfig.model_validate(
        {
            "name": "charged",
            "space": {"kind": "prototypes", "prototypes": ["rocksalt"], "elements": ["Na", "Cl"]},
            "objective": {"property": "kappa", "goal": "minimize"},
            "oracle": {"kind": "phonon-bte", "born": born},
        }
    )
    with pytest.raises(ConfigError, match=r"oracle\.born"):
        build_oracles(config, object())  # type: ignore[arg-type]
