"""Settings of DFT programs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    pass

from oracle.runtime.local_inputs import PotentialName, UnpinnedPath

_CLOSED = ConfigDict(frozen=True, extra="forbid")
_ELEMENT = r"^[A-Z][a-z]?$"
Element = Annotated[str, Field(pattern=_ELEMENT)]


class _Magnetism(BaseModel):
    """Settings of spin and Hubbard corrections, which both programs share."""

    model_config = _CLOSED

    engine: str  # first, as it tells the programs apart
    magnetic_moments: dict[Element, float] = Field(default_factory=dict)
    """Initial magnetic moment of each atom by element, µB. Calculations are spin-polarised where
    one is not 0. Structures with other elements that are often magnetic are refused; 0 states that
    an element is not magnetic."""
    hubbard_u: dict[Element, Annotated[float, Field(ge=0, le=15)]] = Field(default_factory=dict)
    """Hubbard U of the d or f electrons by element, eV, applied in structures that contain oxygen
    or fluorine, as in the Materials Project. Oxides and fluorides of other elements for which it
    has a U are refused; 0 states that plain DFT is wanted."""


class GpawSettings(_Magnetism):
    """DFT with GPAW: plane waves and the projector-augmented wave method.

    The defaults converge forces, not only energies, well enough for third-order force constants,
    which are differences between forces of displaced supercells. With them, the forces on 16
    displaced atoms of NaCl are within 4e-6 eV/Å of those of a much tighter SCF; tolerances ten
    times looser, which save a tenth of the time, leave 7e-5 eV/Å.
    """

    engine: Literal["gpaw"] = "gpaw"
    cutoff_ev: float = Field(500.0, ge=100, le=3000)
    """Kinetic energy up to which plane waves are used, eV."""
    k_spacing: float = Field(0.25, gt=0.01, le=5)
    """Largest spacing of the mesh of k points, which includes Γ, 1/Å (2π included)."""
    xc: Literal["PBE", "RPBE", "revPBE", "LDA"] = "PBE"
    """Exchange-correlation functional, of those for which `gpaw-data` has atomic data sets."""
    smearing_ev: float = Field(0.05, ge=0.001, le=1)
    """Width of the Fermi-Dirac distribution, eV."""
    energy_tolerance: float = Field(1e-6, gt=0)
    """Change of energy per valence electron at which the SCF ends, eV."""
    density_tolerance: float = Field(1e-6, gt=0)
    """Integrated change of the density per valence electron at which the SCF ends."""
    eigenstates_tolerance: float = Field(1e-10, gt=0)
    """Integrated residual of the eigenstates per valence electron at which the SCF ends, eV²."""
    force_tolerance: float = Field(1e-4, gt=0)
    """Largest change of a force in one step at which the SCF ends, eV/Å."""
    scf_steps: int = Field(150, ge=1)
    """Steps after which an SCF counts as not converging."""
    cores: int = Field(1, ge=1)
    """Number of processes of one calculation; 1 runs without MPI. Not part of the digest."""
    mpi: str = "mpiexec -n {cores}"
    """Launcher that precedes the command where `cores` is above 1. Not part of the digest."""

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def __str__(self) -> str:
        return f"GPAW ({self.xc}, {self.cutoff_ev:g} eV)"

    @field_validator("mpi")
    @classmethod
    def _launches(cls, value: str) -> str:
        return _command(value)

    def launcher(self) -> list[str]:
        """Words of the launcher; none on one core."""
        return _words(self.mpi, self.cores) if self.cores > 1 else []


class EspressoSettings(_Magnetism):
    """DFT with Quantum ESPRESSO's ``pw.x``; the user's pseudopotentials fix the functional."""

    engine: Literal["espresso"] = "espresso"
    pseudo_dir: UnpinnedPath
    """Folder of the pseudopotentials, relative to the config file; made absolute, because workers
    run in other folders."""
    pseudopotentials: dict[Element, str] = Field(min_length=1)
    """File name in that folder by element, for instance ``Si: Si.upf``."""
    cutoff_ry: float = Field(60.0, ge=5, le=500)
    """Cutoff of the wave functions, Ry, as the pseudopotentials require."""
    density_cutoff_ry: float | None = Field(None, ge=20, le=5000)
    """Cutoff of the density, Ry; None is four times that of the wave functions, which is too little
    for ultrasoft and projector-augmented pseudopotentials."""
    k_spacing: float = Field(0.25, gt=0.01, le=5)
    """Largest spacing of the mesh of k points, which includes Γ, 1/Å (2π included)."""
    smearing_ev: float = Field(0.05, ge=0.001, le=1)
    """Width of the Fermi-Dirac distribution, eV."""
    scf_tolerance_ry: float = Field(1e-10, gt=0)
    """Estimated error of the energy at which the SCF ends, Ry."""
    scf_steps: int = Field(150, ge=1)
    """Steps after which an SCF counts as not converging."""
    cores: int = Field(1, ge=1)
    """Replaces ``{cores}`` in `command`. Not part of the digest."""
    command: str = "pw.x"
    """Command that runs pw.x, for instance ``mpiexec -n {cores} pw.x``. Not part of the digest."""

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def __str__(self) -> str:
        return f"Quantum ESPRESSO ({self.cutoff_ry:g} Ry)"

    @field_validator("pseudo_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("command")
    @classmethod
    def _launches(cls, value: str) -> str:
        return _command(value)

    def launcher(self) -> list[str]:
        """Words of the command, without pw.x's own arguments."""
        return _words(self.command, self.cores)


DftSettings = Annotated[GpawSettings | EspressoSettings, Field(discriminator="engine")]
"""Settings of a DFT program, which may replace the name of a potential; `engine` says which."""
Potential = PotentialName | DftSettings
"""A source of forces: the name or import path of a potential, or settings of a DFT program."""
_EXECUTION = {"cores", "mpi", "command", "pseudo_dir"}


def science(settings: DftSettings) -> dict[str, Any]:
    """The settings that change the numbers, as JSON; not those of where and how to run.

    Empty settings of spin and U are left out, as in earlier versions, which had none.
    """
    document = settings.model_dump(mode="json", exclude=_EXECUTION)
    return {k: v for k, v in document.items() if k not in _Magnetism.model_fields or v}


def described(potential: Potential) -> str | dict[str, Any]:
    """What identifies a potential in a method digest, besides its weights, as JSON.

    Names stay as they are. Of the user's own weights only the family is given, without the path, so
    that they can be moved. Of a DFT program only those settings are given that change the numbers,
    so that the number of cores does not make another method.
    """
    if not isinstance(potential, str):
        return science(potential)
    family, colon, where = potential.partition(":")
    return family + colon if colon and where.startswith(("/", "~")) else potential


def _command(value: str) -> str:
    """Check that a command splits into words and has no placeholder but ``{cores}``."""
    try:
        words = _words(value, 1)
    except (ValueError, KeyError, IndexError) as error:
        raise ValueError(
            f"got {value!r}; expected a command without placeholders other than {{cores}}"
        ) from error
    if not words:
        raise ValueError("got an empty command; expected a program")
    return value


def _words(command: str, cores: int) -> list[str]:
    return shlex.split(command.format(cores=cores))
