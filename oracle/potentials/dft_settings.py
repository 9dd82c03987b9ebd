"""Settings of the DFT programs."""

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


class GpawSettings(BaseModel):
    """DFT by GPAW: plane waves and projector-augmented waves.

    The defaults aim at forces good enough for third-order constants, which are differences of
    forces of displaced supercells: they converge the forces, not only the energy. With them the
    forces of 16 rattled atoms of NaCl lie within 4e-6 eV/Å of the limit of a tighter SCF; with
    ten times looser ones, which save a tenth of the time, within 7e-5.
    """

    model_config = _CLOSED

    engine: Literal["gpaw"] = "gpaw"
    cutoff_ev: float = Field(500.0, ge=100, le=3000)
    """Kinetic energy up to which plane waves are used, eV."""
    k_spacing: float = Field(0.25, gt=0.01, le=5)
    """1/Å (2π included); the mesh, which holds Γ, has no points further apart."""
    xc: Literal["PBE", "RPBE", "revPBE", "LDA"] = "PBE"
    """Functionals that `gpaw-data` has atomic data sets for."""
    smearing_ev: float = Field(0.05, ge=0.001, le=1)
    """Width of the Fermi-Dirac distribution, eV."""
    energy_tolerance: float = Field(1e-6, gt=0)
    """Change of energy per valence electron at which the SCF ends, eV."""
    density_tolerance: float = Field(1e-6, gt=0)
    """Integrated change of the density per valence electron at which it ends."""
    eigenstates_tolerance: float = Field(1e-10, gt=0)
    """Integrated residual of the states per valence electron at which it ends, eV²."""
    force_tolerance: float = Field(1e-4, gt=0)
    """Largest change of a force in one step at which it ends, eV/Å."""
    scf_steps: int = Field(150, ge=1)
    """Steps after which an SCF counts as not converging."""
    cores: int = Field(1, ge=1)
    """Processes of one calculation; 1 runs without MPI. No part of the digest."""
    mpi: str = "mpiexec -n {cores}"
    """Put before the command where `cores` is above 1. No part of the digest."""

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def __str__(self) -> str:
        return f"GPAW ({self.xc}, {self.cutoff_ev:g} eV)"

    @field_validator("mpi")
    @classmethod
    def _launches(cls, value: str) -> str:
        return _command(value)

    def launcher(self) -> list[str]:
        """Words before the command, none on one core."""
        return _words(self.mpi, self.cores) if self.cores > 1 else []


class EspressoSettings(BaseModel):
    """DFT by Quantum ESPRESSO's ``pw.x`` with the user's pseudopotentials, which fix xc."""

    model_config = _CLOSED

    engine: Literal["espresso"] = "espresso"
    pseudo_dir: UnpinnedPath
    """Folder of the pseudopotentials, relative to the config file; made absolute, because workers
    run in other folders."""
    pseudopotentials: dict[Annotated[str, Field(pattern=_ELEMENT)], str] = Field(min_length=1)
    """File name in that folder by element, for instance ``Si: Si.upf``."""
    cutoff_ry: float = Field(60.0, ge=5, le=500)
    """Cutoff of the wave functions, Ry; what the pseudopotentials ask for."""
    density_cutoff_ry: float | None = Field(None, ge=20, le=5000)
    """Cutoff of the density, Ry; None is four times the other, too little for ultrasoft and
    projector-augmented pseudopotentials."""
    k_spacing: float = Field(0.25, gt=0.01, le=5)
    """1/Å (2π included); the mesh, which holds Γ, has no points further apart."""
    smearing_ev: float = Field(0.05, ge=0.001, le=1)
    """Width of the Fermi-Dirac distribution, eV."""
    scf_tolerance_ry: float = Field(1e-10, gt=0)
    """Estimated error of the energy at which the SCF ends, Ry."""
    scf_steps: int = Field(150, ge=1)
    """Steps after which an SCF counts as not converging."""
    cores: int = Field(1, ge=1)
    """Takes the place of ``{cores}`` in `command`. No part of the digest."""
    command: str = "pw.x"
    """What runs pw.x, for instance ``mpiexec -n {cores} pw.x``. No part of the digest."""

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
"""What may stand where a potential's name stands, told apart by `engine`."""
Potential = PotentialName | DftSettings
"""What gives forces: a potential's name or import path, or settings of a DFT program."""
_EXECUTION = {"cores", "mpi", "command", "pseudo_dir"}


def science(settings: DftSettings) -> dict[str, Any]:
    """The settings as JSON without those that say only where and how a calculation runs."""
    return settings.model_dump(mode="json", exclude=_EXECUTION)


def described(potential: Potential) -> str | dict[str, Any]:
    """What stands for a potential in a method's digest beside its weights, as JSON.

    A name as it is; of weights the user gives their family without the path, so that they may be
    moved; of a DFT program's settings those that change the numbers, so that more cores are no
    other method.
    """
    if not isinstance(potential, str):
        return science(potential)
    family, colon, where = potential.partition(":")
    return family + colon if colon and where.startswith(("/", "~")) else potential


def _command(value: str) -> str:
    """A command that splits into words and knows no other gap than ``{cores}``."""
    try:
        words = _words(value, 1)
    except (ValueError, KeyError, IndexError) as error:
        raise ValueError(f"got {value!r}; expected a command, with {{cores}} at most") from error
    if not words:
        raise ValueError("got an empty command; expected a program")
    return value


def _words(command: str, cores: int) -> list[str]:
    return shlex.split(command.format(cores=cores))
