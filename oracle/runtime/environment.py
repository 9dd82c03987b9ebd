"""Which libraries an evaluation ran with."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

_LIBRARIES = (
    "phono3py",
    "phonopy",
    "symfc",
    "spglib",
    "ase",
    "torch",
    "sevenn",
    "chgnet",
    "gpaw",
    "nequix",
    "jax",
    "matscipy",
)


def environment() -> dict[str, str]:
    """Versions of the libraries that are installed."""
    return versions_of(_LIBRARIES)


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Version of each distribution that is installed; read without importing any."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
