"""Settings of the oracle `green`. Only pydantic is imported here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from oracle.potentials.correction import Dispersion, check_dispersion, potential_of
from oracle.runtime.local_inputs import PotentialName
from oracle.runtime.temperatures import Temperature


class GreenSettings(BaseModel):
    """The oracle `green`: harmonic phonon transmission through layers between two leads.

    The values of all fields enter the method digest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["green"] = "green"
    calculator: PotentialName = "tersoff"
    """A name of `oracle.potentials.table.POTENTIALS` (among them ``tersoff`` and
    ``stillinger-weber``), ``library:/path/to/weights`` or ``package.module:factory``."""
    dispersion: Dispersion | None = None
    """As in `phonon-bte`: ``d3`` adds Grimme's D3(BJ) dispersion correction to the potential."""
    masses: str | None = Field(None, min_length=1, max_length=1)
    """Letter of a host whose force constants all layers have; they then differ only in masses."""
    temperatures: tuple[Temperature, ...] = Field((300.0,), min_length=1)
    """K, strictly ascending."""

    frequencies: int = Field(80, ge=4)
    """Number of equal intervals between zero and the highest frequency that both leads have."""
    q_mesh: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (12, 12)
    """Number of points along the in-plane reciprocal vectors, shifted by half a step from Γ and
    reduced by symmetry."""

    relax_fmax: float = Field(1e-4, gt=0)
    """Largest force at which relaxation ends, eV/Å (stress times volume counts as force)."""
    relax_steps: int = Field(500, ge=1)
    displacement: float = Field(0.01, gt=0, le=0.2)
    """Length by which atoms are displaced in both directions, Å."""
    strain_max: float = Field(0.06, gt=0, le=0.5)
    """Largest in-plane strain with which a layer may be matched to the left lead; it holds for a
    right lead of another material as well."""
    in_plane_length: float = Field(11.0, gt=0)
    """Least width of the cells in which force constants are computed, Å."""
    neighbours: int = Field(1, ge=0, le=3)
    """Number of layers on either side of a pair of layers on which its force constants depend."""
    reach_tolerance: float = Field(1e-3, gt=0, lt=1)
    """Force constants between two layers are left out if their norm, relative to that within a
    layer, is below this; larger ones make the principal layer thicker."""
    reach_max: int = Field(3, ge=1, le=4)
    """Largest number of layers in a principal layer."""

    @property
    def potential(self) -> str:
        """The source of forces: `calculator` with its dispersion correction, if there is one."""
        return potential_of(self.calculator, self.dispersion)

    @model_validator(mode="after")
    def _consistent(self) -> GreenSettings:
        check_dispersion(self.calculator, self.dispersion)
        if list(self.temperatures) != sorted(set(self.temperatures)):
            raise ValueError(
                f"temperatures: got {list(self.temperatures)}; expected ascending, no repeats"
            )
        return self

    def tightened(self) -> GreenSettings:
        """The settings of a confirmation: denser meshes in frequency and wave vector."""
        a, b = self.q_mesh
        return self.model_copy(
            update={
                "frequencies": self.frequencies * 3 // 2,
                "q_mesh": (a + max(2, a // 3), b + max(2, b // 3)),
            }
        )
