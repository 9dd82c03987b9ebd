"""DFT programs as a source of forces: settings, digests, errors, restarts, and real runs."""

from __future__ import annotations

import importlib.util
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import phono3py
import pytest
from ase import Atoms
from ase.build import bulk
from phono3py.file_IO import read_fc2_from_hdf5
from pydantic import TypeAdapter, ValidationError
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Failed, Measured, scalar
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons import harmonic
from oracle.phonons.settings import PhononSettings
from oracle.potentials import dft, dft_engines, dft_settings, tether
from oracle.potentials import table as potentials
from oracle.potentials.dft_settings import DftSettings, EspressoSettings, GpawSettings
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError
from oracle.runtime.stages import StageStore

ENGINE: TypeAdapter[DftSettings] = TypeAdapter(DftSettings)
# Debian's quantum-espresso-data brings this one.
SILICON = Path("/usr/share/espresso/pseudo/Si.pz-vbc.UPF")
needs_gpaw = pytest.mark.skipif(
    importlib.util.find_spec("gpaw") is None, reason="gpaw is not installed; `make dft` does"
)
needs_pw = pytest.mark.skipif(
    shutil.which("pw.x") is None or not SILICON.is_file(),
    reason="apt-get install quantum-espresso brings pw.x and a pseudopotential",
)
COARSE = GpawSettings(cutoff_ev=150, k_spacing=1.3)


@pytest.fixture
def gpaw_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if gpaw were installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


@pytest.fixture
def program(tmp_path: Path) -> Any:
    """Makes a stand-in for pw.x that prints a text and ends with a code."""

    def make(text: str, code: int = 0, errors: str = "") -> EspressoSettings:
        path = tmp_path / "pw.x"
        (tmp_path / "said").write_text(text)
        (tmp_path / "errors").write_text(errors)
        path.write_text(f"#!/bin/sh\ncat {tmp_path}/said\ncat {tmp_path}/errors >&2\nexit {code}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        (tmp_path / "Si.upf").write_text("a pseudopotential")
        return EspressoSettings(
            pseudo_dir=tmp_path, pseudopotentials={"Si": "Si.upf"}, command=str(path)
        )

    return make


def _forces(settings: DftSettings, atoms: Atoms) -> np.ndarray:
    ready = atoms.copy()
    ready.calc = potentials.calculator(settings)
    return ready.get_forces()


def _refusal(settings: DftSettings, atoms: Atoms | None = None) -> OracleError:
    with pytest.raises(OracleError) as caught:
        _forces(settings, bulk("Si") if atoms is None else atoms)
    assert "\n" not in caught.value.message
    return caught.value


def test_engine_tells_the_settings_apart(tmp_path: Path) -> None:
    assert isinstance(ENGINE.validate_python({"engine": "gpaw", "cutoff_ev": 400}), GpawSettings)
    settings = ENGINE.validate_python(
        {"engine": "espresso", "pseudo_dir": str(tmp_path), "pseudopotentials": {"Si": "Si.upf"}}
    )
    assert isinstance(settings, EspressoSettings)
    assert ENGINE.validate_json(ENGINE.dump_json(settings)) == settings
    relative = settings.model_dump() | {"pseudo_dir": "pseudo"}
    assert EspressoSettings.model_validate(relative).pseudo_dir.is_absolute()


@pytest.mark.parametrize(
    "given",
    [
        {"engine": "vasp"},
        {"engine": "gpaw", "cutoff": 400},
        {"engine": "gpaw", "cutoff_ev": 10},
        {"engine": "gpaw", "xc": "B3LYP"},
        {"engine": "gpaw", "cores": 0},
        {"engine": "gpaw", "mpi": ""},
        {"engine": "gpaw", "mpi": "mpiexec -n {ranks}"},
        {"engine": "gpaw", "mpi": "mpiexec '"},
        {"engine": "espresso", "pseudo_dir": ".", "pseudopotentials": {}},
        {"engine": "espresso", "pseudo_dir": ".", "pseudopotentials": {"silicon": "Si.upf"}},
        {"engine": "espresso", "pseudopotentials": {"Si": "Si.upf"}},
    ],
)
def test_wrong_settings_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ENGINE.validate_python(given)


def test_cores_fill_the_launcher_and_one_needs_none() -> None:
    assert GpawSettings().launcher() == []
    assert GpawSettings(cores=4).launcher() == ["mpiexec", "-n", "4"]
    assert GpawSettings(cores=4, mpi="srun -n {cores} --mpi=pmix").launcher()[2] == "4"


@pytest.mark.usefixtures("gpaw_there")
def test_digest_follows_the_science_and_not_the_machine() -> None:
    plain = potentials.weights_digest(GpawSettings())
    assert plain == dft.digest(GpawSettings(mpi="srun -n {cores}"))
    for change in ({"cutoff_ev": 400.0}, {"k_spacing": 0.3}, {"xc": "LDA"}, {"smearing_ev": 0.1}):
        assert dft.digest(GpawSettings.model_validate(change)) != plain
    assert dft_settings.described(GpawSettings(mpi="srun -n {cores}")) == dft_settings.described(
        GpawSettings()
    )
    assert dft_settings.described("7net-0") == "7net-0"


def test_digest_follows_the_pseudopotential(program: Any, tmp_path: Path) -> None:
    settings = program("")
    before = dft.digest(settings)
    assert dft.digest(settings.model_copy(update={"cores": 8})) == before
    (tmp_path / "Si.upf").write_text("another")
    assert dft.digest(settings) != before


def test_equal_settings_share_a_calculator(program: Any) -> None:
    settings = program("")
    again = EspressoSettings.model_validate(settings.model_dump())
    assert potentials.calculator(settings) is potentials.calculator(again)


def test_missing_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for call in (dft.calculator, dft.digest):
        with pytest.raises(OracleError, match=r"phonoscout\[dft\]") as caught:
            call(GpawSettings())
        assert caught.value.stage == "read"


@pytest.mark.usefixtures("gpaw_there")
def test_missing_launcher_is_named_with_its_cure() -> None:
    error = _refusal(GpawSettings(cores=2, mpi="no-such-launcher -n {cores}"))
    assert error.stage == "read"
    assert "'no-such-launcher'; install openmpi-bin" in error.message


def test_missing_binary_folder_and_pseudopotential(program: Any, tmp_path: Path) -> None:
    settings = program("")
    for change, words in (
        ({"command": "no-such-pw.x"}, "no program 'no-such-pw.x'; install quantum-espresso"),
        ({"command": "env no-such-pw.x"}, "no program 'no-such-pw.x'"),
        ({"pseudo_dir": tmp_path / "none"}, "set pseudo_dir"),
        ({"pseudopotentials": {"Si": "other.upf"}}, "no pseudopotential 'other.upf' of Si"),
    ):
        error = _refusal(settings.model_copy(update=change))
        assert error.stage == "read"
        assert words in error.message
    # It is missing in the settings, so the failure is not due to the material.
    error = _refusal(settings, bulk("Ge"))
    assert (error.stage, error.transient) == (
        "read",
        True,
    )  # the settings lack it, not the material
    assert "no pseudopotential of Ge" in error.message


def test_what_pw_says_becomes_one_line(program: Any) -> None:
    frame = "%" * 78
    error = _refusal(program("     convergence NOT achieved after 150 iterations\n JOB DONE\n"))
    assert (error.stage, error.transient) == ("dft", False)
    assert "has not converged in 150 steps; raise scf_steps" in error.message
    error = _refusal(
        program(f"{frame}\n     Error in routine readpp (1):\n  file broken\n {frame}\n", 1)
    )
    assert "Error in routine readpp (1): file broken" in error.message
    error = _refusal(program("     Program PWSCF starts\n", 3, "libmpi: no such device\n---\n"))
    assert error.transient
    assert "(exit code 3): libmpi: no such device" in error.message
    error = _refusal(program("", 1, "mpiexec has detected an attempt to run as root.\n"))
    assert "--allow-run-as-root" in error.message


def test_killed_program_is_taken_for_a_want_of_memory(program: Any) -> None:
    settings = program("")
    Path(settings.command).write_text("#!/bin/sh\nkill -9 $$\n")
    error = _refusal(settings)
    assert error.transient
    assert "killed, mostly for lack of memory" in error.message


def test_nothing_is_left_in_the_temporary_folder(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    _refusal(program("nothing of use", 1))
    assert list(scratch.iterdir()) == []


def test_command_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    # The command makes a file when it begins and one when it ends, and starts a child process.
    command = ["sh", "-c", f"touch {tmp_path}/begun; sleep 60; touch {tmp_path}/ended"]
    process = subprocess.Popen(
        [sys.executable, tether.__file__, str(folder), *command], stdin=subprocess.PIPE
    )
    for _ in range(200):
        if (tmp_path / "begun").exists():
            break
        time.sleep(0.05)
    assert process.stdin is not None
    process.stdin.close()  # as the end of its starter does, whatever killed it
    assert process.wait(timeout=30) != 0
    assert not folder.exists()
    assert not (tmp_path / "ended").exists()


@pytest.mark.usefixtures("gpaw_there")
def test_stress_comes_along_once_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = []

    def run(self: Any, atoms: Atoms, folder: Path, *, stress: bool) -> dict[str, Any]:
        requests.append(stress)
        output = {"energy": -1.0, "forces": np.zeros((len(atoms), 3)).tolist()}
        return {**output, "stress": [0.0] * 6} if stress else output

    monkeypatch.setattr(dft_engines.Gpaw, "run", run)
    atoms = bulk("Si")
    atoms.calc = dft_engines.Gpaw(GpawSettings())
    for _ in range(3):
        atoms.get_forces()
        assert atoms.get_stress().shape == (6,)
        atoms.positions[0] += 0.01
    assert requests == [False, True, True, True]
    larger = bulk("Si").repeat(2)
    larger.calc = atoms.calc
    larger.get_forces()
    assert requests[4:] == [False]


@pytest.mark.usefixtures("gpaw_there")
def test_killed_run_goes_on_with_its_last_supercell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = True
    ran: list[float] = []

    def run(self: Any, atoms: Atoms, folder: Path, *, stress: bool) -> dict[str, Any]:
        if not alive and len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(atoms.positions[0, 0])
        return {"energy": 0.0, "forces": (-atoms.positions).tolist()}

    monkeypatch.setattr(dft_engines.Gpaw, "run", run)
    cells = []
    for step in range(4):
        cells.append(bulk("Si"))
        cells[-1].positions[0, 0] += 0.01 * (step + 1)
    store = StageStore(tmp_path)
    alive = False
    field = ForceField(GpawSettings(cutoff_ev=300), store, Context(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        [field.forces(cell, "fc3") for cell in cells]
    alive = True
    # Another number of cores is not another calculation.
    again = ForceField(
        GpawSettings(cutoff_ev=300, cores=2, mpi="sh {cores}"), store, Context(tmp_path)
    )
    results = [again.forces(cell, "fc3") for cell in cells]
    assert (again.calls, again.computed, len(ran)) == (4, 2, 4)
    for cell, forces in zip(cells, results, strict=True):
        np.testing.assert_array_equal(forces, -cell.positions)


@pytest.mark.usefixtures("gpaw_there")
def test_oracle_takes_an_engine_in_place_of_a_name() -> None:
    document: dict[str, Any] = {"calculator": {"engine": "gpaw", "cutoff_ev": 400}}
    settings = PhononSettings.model_validate(document)
    assert settings.model_dump()["calculator"] == GpawSettings(cutoff_ev=400).model_dump()
    assert PhononSettings.model_validate_json(settings.model_dump_json()) == settings
    oracle = PhononBTE(settings)
    document["calculator"]["mpi"] = "srun -n {cores}"
    assert PhononBTE(PhononSettings.model_validate(document)).method_digest == oracle.method_digest
    document["calculator"]["cutoff_ev"] = 500
    assert PhononBTE(PhononSettings.model_validate(document)).method_digest != oracle.method_digest


@needs_gpaw
def test_gpaw_says_what_it_lacks() -> None:
    error = _refusal(COARSE.model_copy(update={"scf_steps": 2}))
    assert (error.stage, error.transient) == ("dft", False)
    assert "the SCF of Si2 has not converged in 2 steps" in error.message
    error = _refusal(COARSE, bulk("Pu", "fcc", a=5.0))
    assert (error.stage, error.transient) == ("read", False)
    assert "Pu.PBE" in error.message


@needs_gpaw
def test_gpaw_forces_are_the_slope_of_its_energy() -> None:
    atoms = bulk("Si")
    atoms.positions[0, 0] += 0.05
    atoms.calc = potentials.calculator(COARSE)
    forces = atoms.get_forces()
    assert np.abs(forces.sum(axis=0)).max() < 0.02
    energies = []
    for step in (-0.01, 0.01):
        moved = atoms.copy()
        moved.positions[0, 0] += step
        moved.calc = atoms.calc
        energies.append(moved.get_potential_energy())
    assert forces[0, 0] == pytest.approx(-(energies[1] - energies[0]) / 0.02, rel=0.02)


@needs_pw
def test_espresso_forces_are_the_slope_of_its_energy() -> None:
    settings = EspressoSettings(
        pseudo_dir=SILICON.parent,
        pseudopotentials={"Si": SILICON.name},
        cutoff_ry=16,
        k_spacing=0.9,
    )
    atoms = bulk("Si")
    atoms.positions[0, 0] += 0.05
    atoms.calc = potentials.calculator(settings)
    forces = atoms.get_forces()
    assert atoms.get_stress().shape == (6,)
    energies = []
    for step in (-0.01, 0.01):
        moved = atoms.copy()
        moved.positions[0, 0] += step
        moved.calc = atoms.calc
        energies.append(moved.get_potential_energy())
    assert forces[0, 0] == pytest.approx(-(energies[1] - energies[0]) / 0.02, rel=0.02)
    refused = _refusal(settings.model_copy(update={"scf_steps": 2}))
    assert "has not converged in 2 steps" in refused.message


@pytest.mark.slow
@pytest.mark.timeout(3600)
@needs_gpaw
def test_conductivity_of_nacl_from_dft(tmp_path: Path) -> None:
    sites = [[0.0] * 3, [0.5] * 3]
    crystal = Crystal.from_structure(
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.69), ["Na", "Cl"], sites)
    )
    cell = [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    physics: dict[str, Any] = {
        "fc2_supercell": cell,
        "fc3_supercell": cell,
        "mesh": [6, 6, 6],
        "relax_fmax": 5e-3,
        "bands": False,
    }
    # Coarser wave vectors make rocksalt unstable and a seventh too large.
    engine = {"engine": "gpaw", "cutoff_ev": 300, "k_spacing": 0.8}
    settings = PhononSettings.model_validate({**physics, "calculator": engine})
    evaluation = PhononBTE(settings).evaluate(crystal, context=Context(tmp_path))
    assert not isinstance(evaluation, Failed), evaluation.message
    assert isinstance(evaluation, Measured)
    kappa = scalar(evaluation, "kappa", 300.0)
    assert kappa is not None
    plain = PhononSettings.model_validate({**physics, "calculator": "7net-0"})
    potential = PhononBTE(plain).evaluate(crystal, context=Context(tmp_path))
    assert isinstance(potential, Measured)
    other = scalar(potential, "kappa", 300.0)
    assert other is not None
    assert 1 / 3 < kappa[0] / other[0] < 3


ARSENIDE = EspressoSettings(
    pseudo_dir=SILICON.parent,
    pseudopotentials={"Al": "Al.pz-vbc.UPF", "As": "As.pz-bhs.UPF"},
    cutoff_ry=20,
    k_spacing=0.22,
)
"""The norm-conserving pseudopotentials of Quantum ESPRESSO's own examples of ph.x."""


def _zincblende(first: str, second: str, a: float) -> Crystal:
    sites = [[0.0] * 3, [0.25] * 3]
    return Crystal.from_structure(
        Structure.from_spacegroup("F-43m", Lattice.cubic(a), [first, second], sites)
    )


@needs_pw
def test_charges_of_aluminium_arsenide_split_its_optical_modes(tmp_path: Path) -> None:
    """Measured: charges of ±2.18 and a dielectric constant of 8.2, which the local density
    approximation overestimates; modes at Γ at 10.8 (TO) and 12.1 THz (LO) at low temperature."""
    settings = PhononSettings(
        born=ARSENIDE, fidelities=("harmonic",), relax_fmax=1e-3, fc2_length=7.0, bands=False
    )
    context = Context(tmp_path)
    evaluation = PhononBTE(settings, "harmonic").evaluate(
        _zincblende("Al", "As", 5.66), context=context
    )
    assert isinstance(evaluation, Measured), evaluation
    born = evaluation.provenance["born"]
    charges = np.array(born["charges"])
    np.testing.assert_allclose(charges.sum(axis=0), 0.0, atol=1e-8)
    assert 0 < born["excess"] < 0.05
    assert isinstance(evaluation.material, Crystal)
    names = [site.specie.symbol for site in evaluation.material.conventional()]
    for name, charge in zip(names, charges, strict=True):
        expected = 2.18 if name == "Al" else -2.18
        np.testing.assert_allclose(charge, expected * np.eye(3), atol=0.05)
    np.testing.assert_allclose(born["dielectric"], np.eye(3) * born["dielectric"][0][0], atol=1e-6)
    assert 8.2 < born["dielectric"][0][0] < 10
    # The files with which a user continues contain them, and the longitudinal mode is correct.
    path = tmp_path / evaluation.artefacts["phono3py"]
    loaded = phono3py.load(path, produce_fc=False, log_level=0)
    assert loaded.nac_params is not None
    np.testing.assert_allclose(loaded.nac_params["born"][0], 2.18 * np.eye(3), atol=0.05)
    second = read_fc2_from_hdf5(tmp_path / evaluation.artefacts["fc2"])
    modes = harmonic.dynamics(
        loaded.unitcell, loaded.phonon_supercell_matrix, loaded.phonon_primitive,
        second, loaded.nac_params,
    )  # fmt: skip
    optical = modes.run_qpoints([[0.0] * 3], nac_q_direction=[1.0, 0.0, 0.0]).frequencies[0][3:]
    assert optical[0] == pytest.approx(optical[1], rel=1e-3)
    assert optical[2] / optical[1] == pytest.approx(12.1 / 10.8, rel=0.04)


@needs_pw
def test_metals_have_no_charges() -> None:
    settings = ARSENIDE.model_copy(update={"cutoff_ry": 12.0, "k_spacing": 1.2})
    with pytest.raises(OracleError) as caught:
        dft_engines.Espresso(settings).response(bulk("Al"))
    assert (caught.value.stage, caught.value.transient) == ("dft", False)


def test_settings_of_charges_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="espresso"):
        PhononSettings.model_validate({"born": {"engine": "gpaw"}})
    with pytest.raises(OracleError, match="no folder"):
        PhononBTE(PhononSettings(born=ARSENIDE.model_copy(update={"pseudo_dir": tmp_path / "no"})))
