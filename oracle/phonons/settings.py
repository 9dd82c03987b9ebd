"""What a user may set of phonon calculations. Only pydantic is imported, for the command line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from oracle.potentials.dft_settings import EspressoSettings, Potential
from oracle.runtime.temperatures import Temperature

_CLOSED = ConfigDict(frozen=True, extra="forbid")
_WIDER = 1.4  # lengths of that supercell

Row = tuple[int, int, int]
Matrix = tuple[Row, Row, Row]


def _as_matrix(value: Any) -> Any:
    """Three positive integers become the diagonal of a matrix; all else passes through."""
    if isinstance(value, (list, tuple)) and len(value) == 3:
        if all(isinstance(n, int) and not isinstance(n, bool) for n in value):
            if min(value) < 1:
                raise ValueError(f"got {list(value)}; repetitions must be at least 1")
            a, b, c = value
            return ((a, 0, 0), (0, b, 0), (0, 0, c))
        if all(isinstance(row, (list, tuple)) and len(row) == 3 for row in value):
            return value
    raise ValueError(f"got {value!r}; expected 3 integers or a 3x3 matrix of integers")


def _right_handed(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if determinant < 1:
        raise ValueError(f"its determinant is {determinant}; expected at least 1")
    return matrix


Supercell = Annotated[
    Matrix, BeforeValidator(_as_matrix), Field(description="rows in lattice vectors")
]
Mesh = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


Tensor = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]


class BornCharges(BaseModel):
    """Response of a crystal to electric fields, in the frame of its conventional cell."""

    model_config = _CLOSED

    dielectric: Tensor
    """Electronic dielectric tensor (3, 3), without unit."""
    charges: tuple[Tensor, ...]
    """Born effective charges (n_atoms, 3, 3) in elementary charges, in the order of the atoms of
    ``Crystal.conventional()``; rows belong to the field, columns to the displacement."""


def _which_born(given: Any) -> str:
    computed = isinstance(given, EspressoSettings) or (
        isinstance(given, dict) and "engine" in given
    )
    return "computed" if computed else "given"


Born = Annotated[
    Annotated[BornCharges, Tag("given")] | Annotated[EspressoSettings, Tag("computed")],
    Discriminator(_which_born),
]


class PhononSettings(BaseModel):
    """The oracle `phonon-bte`: relaxation, force constants and the phonon Boltzmann equation.

    Supercells refer to the canonical conventional cell, meshes to its primitive cell; what is
    given for the axes of a file is turned into them beforehand (`oracle.phonons.axes`). The values
    of all fields enter the method's digest.
    """

    model_config = _CLOSED

    kind: Literal["phonon-bte"] = "phonon-bte"
    calculator: Potential = "7net-0"
    """A name of `oracle.potentials.table.POTENTIALS`, ``library:/path/to/weights``,
    ``package.module:factory``, or settings of a DFT program, for instance ``{engine: gpaw}``."""
    temperatures: tuple[Temperature, ...] = Field((300.0,), min_length=1)
    """K, strictly ascending."""

    relax_fmax: float = Field(2e-4, gt=0)
    """Largest force at which relaxation ends, eV/Å (stress times volume counts as force)."""
    relax_steps: int = Field(300, ge=1)
    volume_change: float = Field(0.5, gt=0)
    """Relative change of volume in relaxation from which the structure counts as another one."""

    fc2_supercell: Supercell | None = None
    fc3_supercell: Supercell | None = None
    fc2_length: float = Field(9.5, gt=0)
    """Å; without `fc2_supercell`, every pair of opposite faces is at least this far apart."""
    fc3_length: float = Field(9.5, gt=0)
    """Å; the same for the third order."""
    fc2_atoms: int = Field(100, ge=1)
    """Most atoms that a supercell of second order chosen from its length may have. With 216 and
    12 Å instead kappa of Si and NaCl moves by 1 and 3 %, for twice the time."""
    fc3_atoms: int = Field(100, ge=1)
    """Most atoms that a supercell of third order chosen from its length may have."""
    displacement: float = Field(0.03, gt=0, le=0.2)
    """Å, the length by which atoms are displaced."""
    fidelities: tuple[Literal["harmonic", "bte"], ...] = Field(("bte",), min_length=1)
    """What a campaign may ask for, cheapest first; the objective is measured at the last.
    ``harmonic`` stops after second order and takes kappa from Slack's formula."""
    force_constants: Literal["adaptive", "finite-difference"] = "adaptive"
    """Third order from random displacements until the error is tolerable, or all pairs of atoms."""
    fc3_cutoff: float | None = Field(None, gt=0)
    """Å, longest pair in a third-order constant; None takes what `pairs_start` can determine."""
    pairs_start: int = Field(13, ge=1)
    """Most ± pairs of random snapshots before the error is looked at for the first time."""
    pairs_max: int = Field(40, ge=1)
    """Most ± pairs of random snapshots altogether."""
    oversampling: float = Field(1.3, ge=1.05)
    """Equations per unknown at the first fit."""
    tolerance: float = Field(0.03, gt=0)
    """Relative standard error of kappa, at the temperature nearest to 300 K, below which no more
    snapshots are added."""
    snapshot_seed: int = Field(0, ge=0)
    """Mixed into the seed of the snapshots, which otherwise follows from the material."""

    born: Born | None = None
    """For the non-analytic term of polar crystals: charges and dielectric tensor of one crystal,
    which `phonoscout evaluate` takes from a file ``BORN`` beside the structure; or settings of
    Quantum ESPRESSO (``{engine: espresso, ...}``), whose ph.x computes them for each crystal, also
    where another potential gives the forces."""

    stability_tolerance: float = Field(0.1, ge=0)
    """THz; frequencies down to minus this count as numerical noise of acoustic modes."""
    stability_spacing: float = Field(0.12, gt=0)
    """1/Å (2π included); the stability gate's mesh is at least this dense."""

    finite_temperature: Temperature | None = None
    """K; effective force constants at this temperature instead of those of the atoms at rest, for
    structures that only temperature stabilises."""
    finite_temperature_pairs: int = Field(8, ge=1)
    """± pairs of thermal displacements in each round of the self-consistent sampling."""
    finite_temperature_rounds: int = Field(10, ge=1)

    transport: Literal["rta", "lbte"] = "rta"
    """Relaxation-time approximation, or full solution of the linearised equation."""
    coherence: bool = True
    """Whether the off-diagonal (Wigner) part is added to kappa."""
    isotope: bool = True
    """Whether natural isotopes scatter."""
    boundary_um: float | None = Field(None, gt=0)
    """Distance between boundaries that scatter, µm."""
    boundary_specularity: float = Field(0.0, ge=0, lt=1)
    """Share p of phonons that a boundary reflects like a mirror; lengthens the mean free path by
    ``(1 + p) / (1 - p)`` (Ziman, Electrons and Phonons, section 11.2)."""
    converge: bool = False
    """Whether the mesh is made denser until kappa moves by less than `tolerance`."""
    converge_meshes: int = Field(5, ge=1)
    """Most meshes that are tried for that."""
    mesh: Mesh | None = None
    mesh_spacing: float = Field(0.18, gt=0)
    """1/Å (2π included); spacing of the mesh where `mesh` is not given."""
    mesh_effort: float = Field(6e6, gt=0)
    """Most triplets of q points times cubed bands of such a mesh, which is made coarser to stay
    below; a million costs about a second on one core."""
    bands: bool = True
    """Whether a band structure and a density of states are written for plots."""

    anharmonicity_limit: float = Field(0.35, gt=0)
    """Share of the force that second and third order leave unexplained, above which a result at
    that temperature is of low confidence: four-phonon scattering is missing."""
    soft_mode_thz: float = Field(0.15, ge=0)
    """THz; an optical or zone-boundary mode below this is called barely stable."""
    std_limit: float = Field(0.25, gt=0)
    """Relative standard error of kappa above which a result at that temperature is of low
    confidence."""

    @model_validator(mode="after")
    def _consistent(self) -> PhononSettings:
        if list(self.temperatures) != sorted(set(self.temperatures)):
            raise ValueError(
                f"temperatures: got {list(self.temperatures)}; expected ascending, no repeats"
            )
        if self.boundary_specularity and self.boundary_um is None:
            raise ValueError("boundary_specularity: needs boundary_um")
        for name in ("fc2_supercell", "fc3_supercell"):
            matrix = getattr(self, name)
            if matrix is not None:
                try:
                    _right_handed(matrix)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from error
        if list(self.fidelities) not in (["bte"], ["harmonic"], ["harmonic", "bte"]):
            raise ValueError(
                f"fidelities: got {list(self.fidelities)}; expected each once, cheapest first"
            )
        if self.pairs_max < self.pairs_start:
            raise ValueError(
                f"pairs_max: got {self.pairs_max}; expected at least pairs_start, "
                f"{self.pairs_start}"
            )
        return self

    def widened(self) -> PhononSettings:
        """Settings with the larger supercell in which an interpolated instability is checked."""
        return self.model_copy(
            update={
                "fc2_length": self.fc2_length * _WIDER,
                "fc2_atoms": round(self.fc2_atoms * _WIDER**3),
            }
        )

    def tightened(self) -> PhononSettings:
        """The settings of a confirmation: other snapshots, half as many again, a denser mesh."""
        mesh = self.mesh and tuple(n + max(2, n // 4) for n in self.mesh)
        return self.model_copy(
            update={
                "snapshot_seed": self.snapshot_seed + 1,
                "pairs_start": -(-self.pairs_start * 3 // 2),
                "pairs_max": self.pairs_max * 2,
                "oversampling": self.oversampling * 1.5,
                "tolerance": self.tolerance / 2,
                "mesh": mesh,
                "mesh_spacing": self.mesh_spacing * 0.8,
                "mesh_effort": self.mesh_effort * 4,
            }
        )
