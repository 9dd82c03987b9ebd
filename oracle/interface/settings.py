"""What a user may set of the oracle `interface`. Nothing heavy is imported here."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from oracle.phonons.settings import PhononSettings
from oracle.runtime.local_inputs import PotentialName
from oracle.runtime.temperatures import Temperature

_TIGHTER = 0.75  # spacing of the meshes of a confirmation


class InterfaceSettings(BaseModel):
    """The oracle `interface`: what two crystals let through, from the phonons of each in bulk.

    The values of all fields but `fidelities` enter the method's digest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["interface"] = "interface"
    calculator: PotentialName = "7net-0"
    """A name of `oracle.potentials.table.POTENTIALS`, ``library:/path/to/weights`` or
    ``package.module:factory``."""
    temperatures: tuple[Temperature, ...] = Field((300.0,), min_length=1)
    """K, strictly ascending."""
    fidelities: tuple[Literal["overlap", "mismatch"], ...] = Field(
        ("overlap", "mismatch"), min_length=1
    )
    """What a campaign may ask for, cheapest first; the objective is measured at the last. Both
    measure the same, on meshes of `overlap_spacing` and of `mesh_spacing`."""
    axis: Literal[0, 1, 2] = 2
    """Cartesian axis of each conventional cell that is normal to the interface: 2 is normal to
    (001) in any crystal, 0 and 1 to (100) and (010) where the edges are at right angles."""

    relax_fmax: float = Field(2e-4, gt=0)
    """As in `phonon-bte`, like the next five."""
    relax_steps: int = Field(300, ge=1)
    volume_change: float = Field(0.5, gt=0)
    fc2_length: float = Field(9.5, gt=0)
    fc2_atoms: int = Field(100, ge=1)
    displacement: float = Field(0.03, gt=0, le=0.2)

    stability_tolerance: float = Field(0.1, ge=0)
    """THz; frequencies down to minus this count as numerical noise of acoustic modes."""
    stability_spacing: float = Field(0.12, gt=0)
    """1/Å (2π included); the stability gate's mesh is at least this dense."""

    frequency_step: float = Field(0.25, gt=0)
    """THz; intervals in which modes of both crystals are compared. Narrower ones make overlaps
    smaller, since densities of states have edges."""
    overlap_spacing: float = Field(0.18, gt=0)
    """1/Å (2π included); spacing of the mesh of wave vectors of the fidelity ``overlap``."""
    mesh_spacing: float = Field(0.09, gt=0)
    """1/Å; the same of the fidelity ``mismatch``."""

    @model_validator(mode="after")
    def _consistent(self) -> InterfaceSettings:
        if list(self.temperatures) != sorted(set(self.temperatures)):
            raise ValueError(
                f"temperatures: got {list(self.temperatures)}; expected ascending, no repeats"
            )
        if list(self.fidelities) not in (["overlap"], ["mismatch"], ["overlap", "mismatch"]):
            raise ValueError(
                f"fidelities: got {list(self.fidelities)}; expected each once, cheapest first"
            )
        if self.mesh_spacing > self.overlap_spacing:
            raise ValueError(
                f"mesh_spacing: got {self.mesh_spacing}; expected at most overlap_spacing, "
                f"{self.overlap_spacing}"
            )
        return self

    def harmonic(self) -> PhononSettings:
        """What relaxation and second order are done with; stages are shared with `phonon-bte`."""
        return PhononSettings(
            calculator=self.calculator,
            relax_fmax=self.relax_fmax,
            relax_steps=self.relax_steps,
            volume_change=self.volume_change,
            fc2_length=self.fc2_length,
            fc2_atoms=self.fc2_atoms,
            fc3_length=self.fc2_length,  # which would widen the supercell of second order
            fc3_atoms=self.fc2_atoms,
            displacement=self.displacement,
            stability_tolerance=self.stability_tolerance,
            stability_spacing=self.stability_spacing,
            bands=False,
        )

    def tightened(self) -> InterfaceSettings:
        """The settings of a confirmation: denser meshes of wave vectors."""
        return self.model_copy(
            update={
                "overlap_spacing": self.overlap_spacing * _TIGHTER,
                "mesh_spacing": self.mesh_spacing * _TIGHTER,
            }
        )
