"""Which libraries an evaluation ran with."""

from __future__ import annotations

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
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
