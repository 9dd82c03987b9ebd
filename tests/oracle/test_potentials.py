"""Names, families and paths of potentials, and that only the intended weights are loaded."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from oracle.phonons.settings import PhononSettings
from oracle.potentials import table as potentials
from oracle.potentials.accuracy import published_srme
from oracle.potentials.potential_spec import Family, PotentialSpec, Separate
from oracle.potentials.table import (
    FAMILIES,
    POTENTIALS,
    calculator,
    is_installed,
    weights_digest,
    weights_folder,
    weights_path,
)
from oracle.runtime.errors import OracleError
from oracle.runtime.files import digest_of_path

NEQUIX = Path(__file__).parents[3] / "shared" / "data" / "potentials" / "nequix-oam-1-pft.nqx"
DPA4 = tuple(name for name in POTENTIALS if name.startswith("dpa4-"))
EMPIRICAL = ("tersoff", "stillinger-weber")
"""Potentials whose parameters stand in code."""
CONTENT = b"weights of a potential"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of weights; nothing is remembered from one test to the next."""
    weights = tmp_path / "potentials"
    monkeypatch.setenv("PHONOSCOUT_POTENTIALS", str(weights))
    monkeypatch.setattr(potentials, "POTENTIALS", dict(POTENTIALS))
    monkeypatch.setattr(potentials, "FAMILIES", dict(FAMILIES))
    calculator.cache_clear()
    weights_digest.cache_clear()
    yield weights
    calculator.cache_clear()
    weights_digest.cache_clear()


def _error(name: str) -> str:
    """The message with which both functions refuse a name."""
    with pytest.raises(OracleError) as first:
        weights_digest(name)
    with pytest.raises(OracleError) as second:
        calculator(name)
    assert first.value.stage == second.value.stage == "read"
    assert first.value.message == second.value.message
    assert "\n" not in first.value.message
    return first.value.message


def _separate(sha256: str | None) -> None:
    separate = Separate("emt.bin", "https://example.org/emt.bin", sha256)
    potentials.POTENTIALS["emt"] = PotentialSpec("ase", None, EMT, "pip install ase", separate)


def test_every_name_says_how_it_is_installed_and_where_its_weights_are() -> None:
    for name, spec in POTENTIALS.items():
        assert spec.install.startswith("pip install ")
        if name in EMPIRICAL:
            assert (spec.weights, spec.separate) == (None, None)
        else:
            assert (spec.weights is None) == (spec.separate is not None)
        if spec.separate is not None:
            assert weights_path(name) == weights_folder() / spec.separate.file
            assert spec.separate.url.startswith("https://")
            if spec.separate.sha256 is None:
                assert spec.separate.size is None
                assert spec.separate.packaged is None


def test_published_errors_are_of_potentials_that_have_a_name() -> None:
    known = {name: published_srme(name) for name in POTENTIALS}
    assert {name for name, published in known.items() if published is None} == {
        "7net-mf-0",
        "chgnet-r2scan",
        "nequix-oam-1-pft",
        *DPA4,
        *EMPIRICAL,
    }
    assert all(0 < p.srme < 2 and "Matbench" in p.source for p in known.values() if p is not None)
    assert published_srme("my.module:factory") is None


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert weights_folder() == tmp_path / "potentials"
    monkeypatch.delenv("PHONOSCOUT_POTENTIALS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert weights_folder() == tmp_path / "data" / "phonoscout" / "potentials"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    expected = tmp_path / "me" / ".local" / "share" / "phonoscout" / "potentials"
    assert weights_folder() == expected


def test_an_unknown_name_is_told_all_that_is_known() -> None:
    message = _error("7net-1")
    assert "7net-0" in message
    assert "nequix-oam-1-pft" in message
    assert "FAMILY:/path/to/weights" in message
    assert "package.module:factory" in message


def test_a_package_that_is_missing_is_named_with_what_to_type() -> None:
    potentials.POTENTIALS["x"] = PotentialSpec("no_such_package", None, EMT, "pip install it")
    potentials.FAMILIES["x"] = Family("no_such_package", lambda path: EMT(), "pip install it")
    for name in ("x", "x:/tmp/weights"):
        message = _error(name)
        assert "needs no_such_package" in message
        assert "pip install it" in message


def test_a_folder_of_the_same_name_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "not_a_package").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.util.find_spec("not_a_package") is not None
    assert not is_installed("not_a_package")


def test_missing_weights_say_how_to_get_them() -> None:
    _separate(DIGEST)
    message = _error("emt")
    assert "no weights at" in message
    assert message.endswith("phonoscout potentials fetch emt")
    _separate(None)
    message = _error("emt")
    assert "https://example.org/emt.bin" in message
    assert message.endswith("phonoscout potentials fetch emt --from FILE")


def test_pinned_weights_are_the_digest_and_others_are_refused(folder: Path) -> None:
    _separate(DIGEST)
    folder.mkdir()
    (folder / "emt.bin").write_bytes(CONTENT)
    assert weights_digest("emt") == DIGEST
    assert isinstance(calculator("emt"), EMT)
    calculator.cache_clear()
    weights_digest.cache_clear()
    (folder / "emt.bin").write_bytes(CONTENT + b"!")
    message = _error("emt")
    assert DIGEST in message
    assert hashlib.sha256(CONTENT + b"!").hexdigest() in message


def test_weights_that_are_not_pinned_are_still_digested(folder: Path) -> None:
    _separate(None)
    folder.mkdir()
    (folder / "emt.bin").write_bytes(b"any")
    assert weights_digest("emt") == hashlib.sha256(b"any").hexdigest()
    assert isinstance(calculator("emt"), EMT)


def test_weights_by_path_are_the_digest(tmp_path: Path) -> None:
    paths: list[Path] = []

    def load(path: Path) -> Any:
        paths.append(path)
        return EMT()

    potentials.FAMILIES["emt"] = Family("ase", load, "pip install ase")
    path = tmp_path / "my weights.bin"
    path.write_bytes(CONTENT)
    assert weights_digest(f"emt:{path}") == DIGEST
    assert isinstance(calculator(f"emt:{path}"), EMT)
    assert paths == [path]
    assert calculator(f"emt:{path}") is calculator(f"emt:{path}")


def test_a_path_must_be_absolute_and_exist(tmp_path: Path) -> None:
    potentials.FAMILIES["emt"] = Family("ase", lambda path: EMT(), "pip install ase")
    assert "expected an absolute one" in _error("emt:weights.bin")
    assert "expected an absolute one" in _error("emt:")
    assert f"no weights at {tmp_path / 'gone'}" in _error(f"emt:{tmp_path / 'gone'}")


def test_the_digest_of_a_folder_knows_names_and_contents(tmp_path: Path) -> None:
    def made(name: str, **files: bytes) -> str:
        for file, content in files.items():
            path = tmp_path / name / "inner" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return digest_of_path(tmp_path / name)

    first = made("first", a=b"1", b=b"2")
    assert made("same", b=b"2", a=b"1") == first
    assert made("swapped", a=b"2", b=b"1") != first
    assert made("renamed", a=b"1", c=b"2") != first


def test_an_import_path_still_works_beside_families() -> None:
    assert isinstance(calculator("ase.calculators.emt:EMT"), EMT)
    with pytest.raises(OracleError, match="cannot be imported"):
        calculator("mace_:/path")
    with pytest.raises(OracleError, match="cannot be imported"):
        calculator(":EMT")


def test_other_weights_are_another_method(tmp_path: Path) -> None:
    from oracle.phonon_bte.oracle import PhononBTE

    potentials.FAMILIES["emt"] = Family("ase", lambda path: EMT(), "pip install ase")
    path = tmp_path / "weights.bin"
    path.write_bytes(b"one")
    settings = PhononSettings(calculator=f"emt:{path}")
    first = PhononBTE(settings).method_digest
    assert PhononBTE(settings).method_digest == first
    weights_digest.cache_clear()
    path.write_bytes(b"two")
    assert PhononBTE(settings).method_digest != first


def test_orb_weights_must_tell_their_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Module:
        ORBCalculator = staticmethod(lambda model, device: (model, device))
        ORB_PRETRAINED_MODELS = {  # noqa: RUF012
            "orb-v3": lambda **options: ("short", options["weights_path"]),
            "orb-v3-conservative-inf-mpa": lambda **options: ("long", options["weights_path"]),
        }

    monkeypatch.setitem(sys.modules, "orb_models", Module)
    monkeypatch.setitem(sys.modules, "orb_models.forcefield", Module)
    monkeypatch.setitem(sys.modules, "orb_models.forcefield.calculator", Module)
    monkeypatch.setitem(sys.modules, "orb_models.forcefield.pretrained", Module)
    path = tmp_path / "orb-v3-conservative-inf-mpa-20250404.ckpt"
    model: Any = FAMILIES["orb"].load(path)
    assert model[0] == ("long", str(path))
    with pytest.raises(OracleError, match="rename the file"):
        FAMILIES["orb"].load(tmp_path / "weights.ckpt")


def _nequix() -> None:
    if not is_installed("nequix"):
        pytest.skip("the extra phonoscout[nequix] is not installed")
    if not NEQUIX.is_file():
        pytest.skip(f"the weights of Nequix OAM-1-PFT are not on this machine: {NEQUIX}")


def test_nequix_forces_are_those_of_its_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    _nequix()
    monkeypatch.setenv("PHONOSCOUT_POTENTIALS", str(NEQUIX.parent))
    name = "nequix-oam-1-pft"
    assert weights_digest(name) == POTENTIALS[name].separate.sha256  # type: ignore[union-attr]
    assert weights_digest(f"nequix:{NEQUIX}") == weights_digest(name)
    atoms = bulk("NaCl", "rocksalt", a=5.65, cubic=True)
    atoms.calc = calculator(name)
    assert np.abs(atoms.get_forces()).max() < 1e-4  # by symmetry, in single precision
    direction = np.array([0.6, 0.8, 0.0])
    energies = []
    for step in (-0.05, 0.05):
        moved = atoms.copy()
        moved.positions[0] += (0.1 + step) * direction
        moved.calc = calculator(name)
        energies.append(moved.get_potential_energy())
    atoms.positions[0] += 0.1 * direction
    forces = atoms.get_forces()
    assert forces[0] @ direction < -0.1
    assert forces[0] @ direction == pytest.approx(-(energies[1] - energies[0]) / 0.1, rel=0.02)
    assert np.abs(forces.sum(axis=0)).max() < 1e-4


_FORCES = """
import sys
import numpy as np
from ase.build import bulk
from oracle.potentials.table import calculator
atoms = bulk("NaCl", "rocksalt", a=5.65, cubic=True) * (2, 2, 2)
atoms.rattle(0.03, seed=0)
atoms.calc = calculator(sys.argv[1])
np.save(sys.argv[2], atoms.get_forces())
"""


@pytest.mark.slow
def test_nequix_forces_do_not_depend_on_the_number_of_cores(tmp_path: Path) -> None:
    _nequix()
    results = []
    for cores in ("1", "4"):  # JAX takes this for the number of cores
        path = tmp_path / f"{cores}.npy"
        words = [sys.executable, "-c", _FORCES, f"nequix:{NEQUIX}", str(path)]
        subprocess.run(words, check=True, env={**os.environ, "NPROC": cores})
        results.append(np.load(path, allow_pickle=False))
    assert np.array_equal(*results)
