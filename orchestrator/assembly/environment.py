"""Versions of the libraries that numbers may depend on."""

from __future__ import annotations

import platform

from oracle.runtime.environment import versions_of

_LIBRARIES = (
    "phonoscout",
    "ase",
    "botorch",
    "chgnet",
    "deepmd-kit",
    "matscipy",
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
    """Versions of Python and of the installed libraries, read without importing these."""
    return {"python": platform.python_version(), **versions_of(_LIBRARIES)}
