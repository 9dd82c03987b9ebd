"""Reading pools: every format, and how bad records are treated."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from agents.spaces.pool import PoolSpace
from agents.spaces.pool_files import content_sha256
from agents.spaces.settings import PoolSpaceSettings
from oracle.materials.crystal import Crystal
from oracle.materials.superlattice import Superlattice
from oracle.runtime.errors import OracleError

Write = Callable[[Sequence[object]], Path]


def rocksalt(cation: str, anion: str, a: float) -> Structure:
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )


SALTS = {"salt": rocksalt("Na", "Cl", 5.64), "sylvite": rocksalt("K", "Cl", 6.29)}
DIGESTS = {name: Crystal.from_structure(s).digest for name, s in SALTS.items()}


def records() -> list[dict[str, object]]:
    return [{"id": name, "structure": s.as_dict()} for name, s in SALTS.items()]


def pool(path: Path, **settings: object) -> PoolSpace:
    return PoolSpace(PoolSpaceSettings.model_validate({"path": path, **settings}))


def test_json_lines(write_lines: Write) -> None:
    space = pool(write_lines(records()))
    assert space.ids == {digest: name for name, digest in DIGESTS.items()}
    assert [space.label(m) for m in space] == ["salt", "sylvite"]


def test_a_folder_of_structure_files(tmp_path: Path) -> None:
    SALTS["salt"].to(filename=str(tmp_path / "a.cif"))
    SALTS["sylvite"].to(filename=str(tmp_path / "POSCAR"), fmt="poscar")
    (tmp_path / "notes.txt").write_text("not a structure")
    space = pool(tmp_path)
    assert space.ids == {DIGESTS["salt"]: "a.cif", DIGESTS["sylvite"]: "POSCAR"}


def test_an_ase_database(tmp_path: Path) -> None:
    from ase.db import connect
    from pymatgen.io.ase import AseAtomsAdaptor

    path = tmp_path / "pool.db"
    with connect(path) as rows:
        rows.write(AseAtomsAdaptor.get_atoms(SALTS["salt"]), name="salt")
        rows.write(AseAtomsAdaptor.get_atoms(SALTS["sylvite"]))
    assert pool(path).ids == {DIGESTS["salt"]: "salt", DIGESTS["sylvite"]: "2"}


def test_the_first_of_equal_materials_counts(write_lines: Write) -> None:
    doubled = {"id": "supercell", "structure": (SALTS["salt"] * (2, 1, 1)).as_dict()}
    space = pool(write_lines([*records(), doubled]))
    assert space.size == 2
    assert space.duplicates == 1
    assert space.ids[DIGESTS["salt"]] == "salt"
    assert space.reading.ids["supercell"] == DIGESTS["salt"]


def test_mirrored_sequences_are_equal_when_declared(write_lines: Write) -> None:
    path = write_lines([{"id": s, "sequence": s} for s in ("0011", "1100", "0101")])
    assert pool(path).size == 3
    mirrored = pool(path, symmetries=["mirror"])
    assert mirrored.size == 2
    assert Superlattice.from_sequence("1100", mirror=True) in mirrored


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{oops", "not JSON"),
        ({"structure": {}}, 'has no "id"'),
        ({"id": "x"}, 'one of "structure", "sequence" and "composition"'),
        ({"id": "x", "sequence": ""}, "string of layers"),
        ({"id": "x", "structure": {"lattice": 3}}, "not a pymatgen structure"),
        ([1, 2], 'has no "id"'),
        (
            {
                "id": "x",
                "structure": Structure(
                    Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]]
                ).as_dict(),
            },
            "partial occupancies",
        ),
    ],
)
def test_a_bad_record_is_named(write_lines: Write, bad: object, reason: str) -> None:
    path = write_lines([*records(), bad])
    with pytest.raises(OracleError) as caught:
        pool(path)
    assert "pool.jsonl line 3" in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    space = pool(path, on_error="skip")
    assert space.size == 2
    assert len(space.reading.skipped) == 1
    assert "line 3" in space.reading.skipped[0]


def test_ids_are_unique(write_lines: Write) -> None:
    twice = [{"id": "a", "sequence": "01"}, {"id": "a", "sequence": "10"}]
    with pytest.raises(OracleError, match=r"used before at pool\.jsonl line 1"):
        pool(write_lines(twice))


@pytest.mark.parametrize("name", ["absent.jsonl", "absent"])
def test_nothing_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(OracleError, match="does not exist"):
        pool(tmp_path / name)


def test_what_is_not_a_pool(tmp_path: Path) -> None:
    (tmp_path / "pool.txt").write_text("a,b\n")
    with pytest.raises(OracleError, match="is not a pool"):
        pool(tmp_path / "pool.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OracleError, match="no structure file"):
        pool(tmp_path / "empty")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(OracleError, match="no usable material"):
        pool(tmp_path / "empty.jsonl")


def test_a_broken_file_in_a_folder_is_named(tmp_path: Path) -> None:
    SALTS["salt"].to(filename=str(tmp_path / "good.cif"))
    (tmp_path / "broken.cif").write_text("data_\n_cell_length_a nonsense\n")
    with pytest.raises(OracleError, match=r"broken\.cif"):
        pool(tmp_path)
    space = pool(tmp_path, on_error="skip")
    assert (space.size, len(space.reading.skipped)) == (1, 1)


def test_canonical_forms_are_kept_by_content(tmp_path: Path, write_lines: Write) -> None:
    path = write_lines([*records(), "{oops"])
    settings = PoolSpaceSettings(path=path, on_error="skip")
    cache = tmp_path / "cache"
    fresh = PoolSpace(settings)
    first, second = (PoolSpace(settings, cache) for _ in range(2))
    (cache_file,) = cache.iterdir()
    assert cache_file.stem.startswith(f"pool-{fresh.content_sha256[:32]}")
    assert fresh.materials == first.materials == second.materials
    assert fresh.ids == first.ids == second.ids
    assert fresh.reading.skipped == second.reading.skipped
    with pytest.raises(OracleError, match="not JSON"):
        PoolSpace(PoolSpaceSettings(path=path), cache)
    path.write_text(json.dumps({"id": "x", "sequence": "01"}) + "\n")
    assert PoolSpace(settings, cache).size == 1


def test_the_content_digest_sees_every_change(tmp_path: Path, write_lines: Write) -> None:
    path = write_lines(records())
    before = content_sha256(path)
    assert before == pool(path).content_sha256
    path.write_text(path.read_text() + json.dumps({"id": "x", "sequence": "01"}) + "\n")
    assert content_sha256(path) != before
    folder = tmp_path / "folder"
    folder.mkdir()
    SALTS["salt"].to(filename=str(folder / "a.cif"))
    first = content_sha256(folder)
    (folder / "a.cif").rename(folder / "b.cif")
    assert content_sha256(folder) != first


def test_declared_orders_of_layers_are_one_design(write_lines: Write, tmp_path: Path) -> None:
    designs = ("0110", "1010", "1001", "0011")
    path = write_lines([{"id": s, "sequence": s} for s in designs])
    swapped = pool(path, symmetries=[[1, 0, 2, 3]])
    assert swapped.size == 3  # 0110 and 1010 are one
    assert set(swapped.ids.values()) == {"0110", "1001", "0011"}
    assert swapped.reading.ids["0110"] == swapped.reading.ids["1010"]
    both = PoolSpaceSettings.model_validate({"path": path, "symmetries": ["mirror", [1, 0, 2, 3]]})
    cache = tmp_path / "cache"
    assert PoolSpace(both, cache).size == 2
    assert PoolSpace(PoolSpaceSettings(path=path), cache).size == 4
    assert len(list(cache.iterdir())) == 2  # each under its own name


def test_an_order_of_another_length_is_refused(write_lines: Write) -> None:
    path = write_lines([{"id": "a", "sequence": "0110"}])
    with pytest.raises(OracleError, match=r"space\.symmetries: \[1, 0\] does not permute the 4"):
        pool(path, symmetries=[[1, 0]])
    with pytest.raises(ValueError, match="is not an order of layers"):
        pool(path, symmetries=[[0, 0, 1, 2]])
