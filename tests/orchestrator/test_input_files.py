"""Config files in any encoding, what pins a pool, and what a campaign says of its files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.phonons.settings import PhononSettings
from orchestrator.assembly.build import build_space
from orchestrator.assembly.notes import campaign_notes
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import input_digests, load_config, set_key, validate
from orchestrator.running.single import oracle_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is a pool, with its table outside of it."""
    place = tmp_path / "pool"
    place.mkdir()
    rows = []
    for cation, a in (("Na", 5.64), ("K", 6.29)):
        salt = Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(a), [cation, "Cl"], [[0] * 3, [0.5] * 3]
        )
        salt.to(str(place / f"{cation}Cl.cif"))
        rows.append({"id": f"{cation}Cl.cif", "kappa": a})
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def _raw(folder: Path, **oracle: Any) -> dict[str, Any]:
    table = {"kind": "replay", "table": str(folder.parent / "table.jsonl"), "column": "kappa"}
    return {
        "name": "salts",
        "space": {"kind": "pool", "path": str(folder)},
        "objective": {"property": "kappa", "goal": "minimize"},
        "oracle": oracle or table,
        "budget": {"oracle_calls": 2},
    }


def _config(folder: Path, **oracle: Any) -> CampaignConfig:
    return validate(_raw(folder, **oracle), "test")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_files_in_any_encoding(tmp_path: Path, folder: Path, encoding: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(("# früher\n" + yaml.safe_dump(_raw(folder))).encode(encoding))
    assert load_config(path).name == "salts"
    path.write_bytes("calculator: chgnet # früher\n".encode(encoding))
    settings = oracle_settings(path, [])[0]
    assert isinstance(settings, PhononSettings)
    assert settings.calculator == "chgnet"


def _load(path: Path) -> object:
    return load_config(path)


def _settings(path: Path) -> object:
    return oracle_settings(path, [])


@pytest.mark.parametrize("load", [_load, _settings])
@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"name: x\nb: \xfc\n", "line 2: byte 0xfc is not UTF-8"),
        (b"a: [1\n", "not valid YAML"),
        (b"name: 2026-13-45\n", "not valid YAML: month"),
        (b"[" * 3000, "nested too deeply"),
        (b"a: &a [*a]\n", "refers to a value that contains it"),
        (b"- 1\n", "expected a mapping"),
        (None, "is not a file"),
    ],
)
def test_files_that_are_refused_on_one_line(
    tmp_path: Path, load: Callable[[Path], object], content: bytes | None, cause: str
) -> None:
    path = tmp_path / "c.yaml"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=cause) as caught:
        load(path)
    assert "c.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_given_by_hand_is_plain_too() -> None:
    for text in ("2026-13-45", "[" * 3000, "&a [*a]", "!!python/name:os.system"):
        with pytest.raises(ConfigError, match="is not valid YAML"):
            set_key({}, f"x={text}")


def _digest_of_every_file(folder: Path) -> str:
    """What earlier versions recorded of a folder."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(file.relative_to(folder)).encode() + b"\0")
        digest.update(file.read_bytes())
    return digest.hexdigest()


def test_only_what_is_read_pins_a_pool(folder: Path) -> None:
    config = _config(folder)
    first = input_digests(config)
    assert first["space.path"] == _digest_of_every_file(folder)  # as recorded before
    (folder / "README").write_text("mine")
    (folder / ".DS_Store").write_bytes(b"\0")
    assert input_digests(config) == first
    (folder / "NaCl.cif").write_text((folder / "KCl.cif").read_text())
    assert input_digests(config)["space.path"] != first["space.path"]


def test_a_digest_of_every_file_counts_until_one_changes(folder: Path) -> None:
    (folder / "README").write_text("mine")
    config = _config(folder)
    recorded = {"space.path": _digest_of_every_file(folder)}
    assert input_digests(config, recorded)["space.path"] == recorded["space.path"]
    assert input_digests(config)["space.path"] != recorded["space.path"]
    (folder / "README").write_text("yours")
    assert input_digests(config, recorded) == input_digests(config)


def test_notes_say_what_became_of_the_files(folder: Path) -> None:
    (folder / "BORN").write_text("14.4\n")
    (folder / "x.xsf").write_text("CRYSTAL\n")
    config = _config(folder)
    notes = "\n".join(campaign_notes(config, build_space(config.space)))
    assert "x.xsf" in notes
    assert "BORN" not in notes  # a table has no use for charges
    physics = _config(folder, kind="phonon-bte")
    notes = "\n".join(campaign_notes(physics, build_space(physics.space)))
    assert "BORN: charges of one crystal" in notes
    assert "phonoscout evaluate" in notes
