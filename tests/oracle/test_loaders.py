"""Loaders of libraries that few have installed, each on a model with random weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from oracle.potentials.forces import ForceField
from oracle.potentials.table import calculator, weights_digest
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError
from oracle.runtime.stages import StageStore

# Warnings of the libraries while a test makes a model are not the concern of this project.
pytestmark = pytest.mark.filterwarnings("ignore")


def _mace(folder: Path) -> Path:
    """The whole model, pickled in single precision."""
    pytest.importorskip("mace", reason="mace-torch is not installed")  # lets e3nn 0.4 be imported
    import torch
    from e3nn import o3
    from mace import modules

    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = modules.ScaleShiftMACE(
        r_max=5.0,
        num_bessel=4,
        num_polynomial_cutoff=5,
        max_ell=2,
        interaction_cls=block,
        interaction_cls_first=block,
        num_interactions=2,
        num_elements=2,
        hidden_irreps=o3.Irreps("8x0e+8x1o"),
        MLP_irreps=o3.Irreps("4x0e"),
        gate=torch.nn.functional.silu,
        atomic_energies=np.array([-1.0, -2.0]),
        avg_num_neighbors=8.0,
        atomic_numbers=[11, 17],
        correlation=2,
        atomic_inter_scale=[1.0],
        atomic_inter_shift=[0.0],
    )
    path = folder / "mace [1].model"  # as a pattern it is not its own name
    torch.save(model.float(), path)
    return path


def _orb(folder: Path) -> Path:
    """Only weights, of an architecture that the loader must know, so that it cannot be small."""
    pretrained: Any = pytest.importorskip(
        "orb_models.forcefield.pretrained", reason="orb-models is not installed"
    )
    import torch

    path = folder / "orb-v3-conservative-inf-mpa-20250404.ckpt"
    torch.save(pretrained.orb_v3_conservative_architecture(device="cpu").state_dict(), path)
    return path


def _matgl(folder: Path) -> Path:
    """The folder of a model with dropout."""
    pytest.importorskip("matgl", reason="matgl is not installed")
    import torch
    from matgl.apps.pes import Potential
    from matgl.models import CHGNet

    model = CHGNet(
        element_types=("Na", "Cl"),
        dim_atom_embedding=8,
        dim_bond_embedding=8,
        dim_angle_embedding=8,
        max_n=3,
        max_f=2,
        cutoff=5.0,
        threebody_cutoff=3.5,
        conv_dropout=0.5,
    )
    path = folder / "matgl"
    refs = np.array([-1.0, -2.0])
    Potential(model, data_std=torch.tensor(30.0), element_refs=refs).save(path)
    return path


def _mattersim(folder: Path) -> Path:
    """A dictionary with the weights and the sizes of the model."""
    pytest.importorskip("mattersim", reason="mattersim is not installed")
    from mattersim.forcefield.m3gnet.m3gnet import M3Gnet
    from mattersim.forcefield.potential import Potential

    model = M3Gnet(num_blocks=2, units=16, max_l=3, max_n=3, device="cpu")
    path = folder / "mattersim.pth"
    Potential(model, device="cpu").save(str(path))
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {
    "mace": _mace,
    "orb": _orb,
    "matgl": _matgl,
    "mattersim": _mattersim,
}


@pytest.fixture(scope="module", params=MAKERS)
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``family:/path/to/weights`` of a new model."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    # MACE sets a variable when it is imported.
    before = dict(os.environ)
    path = MAKERS[request.param](tmp_path_factory.mktemp("weights"))
    calculator.cache_clear()
    weights_digest.cache_clear()
    yield f"{request.param}:{path}"
    calculator.cache_clear()
    weights_digest.cache_clear()
    os.environ.clear()
    os.environ.update(before)


def _rattled() -> Atoms:
    """8 atoms of a rock-salt structure, displaced and strained so that no symmetry remains."""
    rng = np.random.default_rng(1)
    atoms = bulk("NaCl", "rocksalt", 5.64, cubic=True)
    atoms.positions += rng.normal(scale=0.08, size=(8, 3))
    strain = rng.normal(scale=0.02, size=(3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


def _energy(name: str, atoms: Atoms) -> float:
    atoms.calc = calculator(name)
    return float(atoms.get_potential_energy())


def test_forces_are_those_of_the_energy(name: str) -> None:
    atoms = _rattled()
    atoms.calc = calculator(name)
    forces = atoms.get_forces()
    assert forces.shape == (8, 3)
    assert np.isfinite(forces).all()
    size = np.linalg.norm(forces)
    energies = []
    for step in (-0.02, 0.02):
        moved = _rattled()
        moved.positions += step * forces / size
        energies.append(_energy(name, moved))
    assert (energies[0] - energies[1]) / 0.04 == pytest.approx(size, rel=0.02)


def test_stress_is_that_of_the_energy(name: str) -> None:
    """In eV/Å³, six numbers in the order of ASE, negative under pressure."""
    atoms = _rattled()
    atoms.calc = calculator(name)
    stress = atoms.get_stress()
    stresses = []
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        energies = []
        for step in (-0.005, 0.005):
            strain = np.zeros((3, 3))
            strain[i, j] += step / 2
            strain[j, i] += step / 2
            strained = _rattled()
            strained.set_cell(strained.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            energies.append(_energy(name, strained))
        stresses.append((energies[1] - energies[0]) / 0.01 / atoms.get_volume())
    np.testing.assert_allclose(stress, stresses, atol=0.01 * np.abs(stress).max())


def test_a_force_field_takes_it(name: str, tmp_path: Path) -> None:
    fields = [
        ForceField(name, StageStore(tmp_path / folder), Context(tmp_path)) for folder in "aab"
    ]
    forces = [field.forces(_rattled(), "fc2") for field in fields]
    assert [field.computed for field in fields] == [1, 0, 1]
    np.testing.assert_array_equal(forces[1], forces[0])
    # TorchScript optimises after the first call, which changes the rounding of later ones.
    np.testing.assert_allclose(forces[2], forces[0], atol=1e-6 * np.abs(forces[0]).max())


_LOAD = """
import json, os, sys, warnings
import torch
from ase.build import bulk
from oracle.potentials.table import calculator
def state():
    return [str(torch.get_default_dtype()), os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")]
before = state()
atoms = bulk("NaCl", "rocksalt", 5.64, cubic=True)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always", UserWarning)
    atoms.calc = calculator(sys.argv[1])
atoms.get_forces()
told = [str(one.message) for one in told if one.category is UserWarning]
with open(sys.argv[2], "w") as file:
    json.dump([before, state(), told], file)
"""


def test_loading_leaves_the_process_as_it_was(name: str, tmp_path: Path) -> None:
    """Nothing on stdout, no warnings, and nothing set for everything else."""
    path = tmp_path / "state.json"
    words = [sys.executable, "-c", _LOAD, name, str(path)]
    environment = {**os.environ}
    environment.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    ran = subprocess.run(words, check=True, env=environment, stdout=subprocess.PIPE)
    assert ran.stdout == b""
    before, after, warned = json.loads(path.read_text())
    assert after == before
    assert warned == []


def test_a_folder_without_a_matgl_model_is_refused_at_once(tmp_path: Path) -> None:
    """MatGL itself would ask the network for a model of that name."""
    pytest.importorskip("matgl", reason="matgl is not installed")
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(OracleError, match=r"no model\.pt, state\.pt there") as refused:
        calculator(f"matgl:{tmp_path}")
    assert refused.value.stage == "read"


def test_mace_says_which_element_it_does_not_know(tmp_path: Path) -> None:
    field = ForceField(f"mace:{_mace(tmp_path)}", StageStore(tmp_path), Context(tmp_path))
    with pytest.raises(OracleError, match="does not know Po"):
        field.forces(bulk("Po", "sc", 3.35), "fc2")
