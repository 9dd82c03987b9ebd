"""Versions of the libraries that numbers may depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_LIBRARIES = (
    "phonoscout",
    "ase",
    "botorch",
    "chgnet",
    "numpy",
    "phono3py",
    "phonopy",
    "pymatgen",
    "sevenn",
    "spglib",
    "symfc",
    "torch",
)


def library_versions() -> dict[str, str]:
    """Version of each library that is installed, and of Python; read without importing any."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
