"""Versions of the libraries that an evaluation ran with."""

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
    "deepmd-kit",
    "gpaw",
    "nequix",
    "jax",
    "matscipy",
)


def environment() -> dict[str, str]:
    """Version of each relevant library that is installed."""
    return versions_of(_LIBRARIES)


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Version of each of these distributions that is installed; none is imported."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
