"""Settings of the oracle `interface`. Nothing heavy is imported here."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from oracle.phonons.settings import PhononSettings
from oracle.potentials.correction import Dispersion, check_dispersion, potential_of
from oracle.runtime.local_inputs import PotentialName
from oracle.runtime.temperatures import Temperature

_TIGHTER = 0.75  # factor on the spacing of meshes for a confirmation


class InterfaceSettings(BaseModel):
    """The oracle `interface`: conductance between two crystals, from the bulk phonons of each.

    The values of all fields but `fidelities` enter the method digest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["interface"] = "interface"
    calculator: PotentialName = "dpa4-neo-0704"
    """A name of `oracle.potentials.table.POTENTIALS`, ``library:/path/to/weights`` or
    ``package.module:factory``."""
    dispersion: Dispersion | None = None
    """As in `phonon-bte`: ``d3`` adds Grimme's D3(BJ) dispersion correction to the potential."""
    temperatures: tuple[Temperature, ...] = Field((300.0,), min_length=1)
    """K, strictly ascending."""
    fidelities: tuple[Literal["overlap", "mismatch"], ...] = Field(
        ("overlap", "mismatch"), min_length=1
    )
    """Fidelities that a campaign may use, cheapest first; the objective belongs to the last. Both
    give the same properties, on meshes of `overlap_spacing` and of `mesh_spacing`."""
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
    """Largest imaginary frequency that counts as numerical noise of acoustic modes, THz."""
    stability_spacing: float = Field(0.12, gt=0)
    """Largest spacing of the mesh of the stability gate, 1/Å (2π included)."""

    frequency_step: float = Field(0.25, gt=0)
    """Width of the frequency intervals in which modes of both crystals are compared, THz. Narrower
    intervals make overlaps smaller, since densities of states have edges."""
    overlap_spacing: float = Field(0.18, gt=0)
    """Spacing of the mesh of wave vectors of the fidelity ``overlap``, 1/Å (2π included)."""
    mesh_spacing: float = Field(0.09, gt=0)
    """Spacing of the mesh of wave vectors of the fidelity ``mismatch``, 1/Å (2π included)."""

    @property
    def potential(self) -> str:
        """The source of forces: `calculator` with its dispersion correction, if there is one."""
        return potential_of(self.calculator, self.dispersion)

    @model_validator(mode="after")
    def _consistent(self) -> InterfaceSettings:
        check_dispersion(self.calculator, self.dispersion)
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
        """Settings of relaxation and second order, whose stages are shared with `phonon-bte`."""
        return PhononSettings(
            calculator=self.calculator,
            dispersion=self.dispersion,
            relax_fmax=self.relax_fmax,
            relax_steps=self.relax_steps,
            volume_change=self.volume_change,
            fc2_length=self.fc2_length,
            fc2_atoms=self.fc2_atoms,
            fc3_length=self.fc2_length,  # a longer one would widen the second-order supercell
            fc3_atoms=self.fc2_atoms,
            displacement=self.displacement,
            fitted_charges=False,
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
