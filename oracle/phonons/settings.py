"""Settings of phonon calculations. Only pydantic is imported, so that the command line is fast."""

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

from oracle.potentials.correction import Dispersion, check_dispersion, potential_of
from oracle.potentials.dft_settings import EspressoSettings, Potential
from oracle.runtime.temperatures import Temperature

_CLOSED = ConfigDict(frozen=True, extra="forbid")
_ROOM = 300.0  # K
_WIDER = 1.3  # factor on the length of the supercell in which an instability is checked
_NARROWER = 5 / 6  # factor on the length of the supercell of a crystal of ions
_NARROWEST = 16.0  # Å; in narrower ones, too few atoms are far from each other
_SAMPLED = 1 / 2  # factor on the length of the supercell that is sampled at a temperature
_CONFIRMING = 1.2  # factor on the lengths of the supercells that confirm a leader

Row = tuple[int, int, int]
Matrix = tuple[Row, Row, Row]


def _as_matrix(value: Any) -> Any:
    """Turn three positive integers into a diagonal matrix; leave matrices as they are."""
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
    """Electronic dielectric tensor (3, 3), dimensionless."""
    charges: tuple[Tensor, ...]
    """Born effective charges (n_atoms, 3, 3) in units of the elementary charge, in the order of the
    atoms of ``Crystal.conventional()``; rows belong to the field, columns to the displacement."""


def _which_born(value: Any) -> str:
    computed = isinstance(value, EspressoSettings) or (
        isinstance(value, dict) and "engine" in value
    )
    return "computed" if computed else "given"


Born = Annotated[
    Annotated[BornCharges, Tag("given")] | Annotated[EspressoSettings, Tag("computed")],
    Discriminator(_which_born),
]


class PhononSettings(BaseModel):
    """The oracle `phonon-bte`: relaxation, force constants and the phonon Boltzmann equation.

    Supercells refer to the canonical conventional cell, meshes to its primitive cell; settings that
    refer to the axes of a file are converted beforehand (`oracle.phonons.axes`). The values of all
    fields enter the method digest.
    """

    model_config = _CLOSED

    kind: Literal["phonon-bte"] = "phonon-bte"
    calculator: Potential = "dpa4-neo-0704"
    """A name of `oracle.potentials.table.POTENTIALS`, ``library:/path/to/weights``,
    ``package.module:factory``, or settings of a DFT program, for instance ``{engine: gpaw}``."""
    dispersion: Dispersion | None = None
    """``d3`` adds Grimme's D3(BJ) dispersion correction to a potential, with the parameters of PBE
    (of r²SCAN for `chgnet-r2scan`). Needed where only dispersion forces hold layers together."""
    temperatures: tuple[Temperature, ...] = Field((300.0,), min_length=1)
    """K, strictly ascending."""
    reference_temperature: Temperature | None = None
    """The one of `temperatures`, K, at which `tolerance` is applied; None takes the one nearest to
    300 K. Campaigns take the one nearest to the temperature of their objective."""

    relax_fmax: float = Field(2e-4, gt=0)
    """Largest force at which relaxation ends, eV/Å (stress times volume counts as force)."""
    relax_steps: int = Field(300, ge=1)
    volume_change: float = Field(0.5, gt=0)
    """Relative change of volume in relaxation beyond which the structure counts as another one."""

    fc2_supercell: Supercell | None = None
    fc3_supercell: Supercell | None = None
    fc2_length: float = Field(24.0, gt=0)
    """Least distance of an atom from its own periodic images where `fc2_supercell` is not given, Å.
    The smallest supercell that has the full point symmetry of the crystal is taken."""
    fc3_length: float = Field(11.5, gt=0)
    """The same for the third-order supercell, Å."""
    fc2_atoms: int = Field(432, ge=1)
    """Largest number of atoms in a second-order supercell that is chosen by its length; if the
    length needs more, the widest supercell within is taken."""
    fc3_atoms: int = Field(120, ge=1)
    """Largest number of atoms in a third-order supercell that is chosen by its length."""
    displacement: float = Field(0.03, gt=0, le=0.2)
    """Length of the displacements of atoms, Å."""
    fidelities: tuple[Literal["harmonic", "bte"], ...] = Field(("bte",), min_length=1)
    """Fidelities that a campaign may use, cheapest first; the objective belongs to the last.
    ``harmonic`` stops after the second order and takes kappa from Slack's formula."""
    force_constants: Literal["adaptive", "finite-difference"] = "adaptive"
    """``adaptive`` fits third-order force constants to random displacements, of which there are
    more until the error is tolerable; ``finite-difference`` displaces all pairs of atoms."""
    fc3_cutoff: float | None = Field(None, gt=0)
    """Longest distance between atoms that share a third-order force constant, Å; None takes the
    longest with which `pairs_start` pairs suffice."""
    pairs_start: int = Field(13, ge=1)
    """Largest number of ± pairs of random snapshots before the error is first estimated."""
    pairs_max: int = Field(40, ge=1)
    """Largest number of ± pairs of random snapshots in all."""
    oversampling: float = Field(1.3, ge=1.05)
    """Equations per unknown at the first fit."""
    tolerance: float = Field(0.03, gt=0)
    """Relative standard error of kappa, at the reference temperature, below which no more snapshots
    are added."""
    snapshot_seed: int = Field(0, ge=0)
    """Mixed into the seed of the snapshots, which otherwise follows from the material."""

    born: Born | None = None
    """For the non-analytic term of polar crystals: either the charges and dielectric tensor of one
    crystal, which `phonoscout evaluate` reads from a file ``BORN`` beside the structure, or
    settings of Quantum ESPRESSO (``{engine: espresso, ...}``), whose ph.x computes them for each
    crystal, even where forces come from another potential."""
    fitted_charges: bool = True
    """Whether, without `born`, the interaction of dipoles is found in the force constants and not
    cut off at the supercell (`oracle.phonons.dipoles`)."""

    stability_tolerance: float = Field(0.1, ge=0)
    """Largest imaginary frequency that counts as numerical noise of acoustic modes, THz."""
    stability_spacing: float = Field(0.12, gt=0)
    """Largest spacing of the mesh of the stability gate, 1/Å (2π included)."""

    finite_temperature: Temperature | None = None
    """Temperature of effective force constants, K, which replace those of the atoms at rest, for
    structures that only temperature stabilises; None uses those of the atoms at rest."""
    finite_temperature_pairs: int = Field(8, ge=1)
    """Number of ± pairs of thermal displacements in each round of self-consistent sampling."""
    finite_temperature_rounds: int = Field(10, ge=1)

    transport: Literal["rta", "lbte"] = "rta"
    """Relaxation-time approximation, or full solution of the linearised Boltzmann equation."""
    full_solution: bool = False
    """Whether the conductivity by full solution is given beside that by the relaxation-time
    approximation, as `kappa_lbte`. Campaigns set it for confirmations."""
    coherence: bool = True
    """Whether the off-diagonal (Wigner) part is added to kappa."""
    isotope: bool = True
    """Whether scattering by natural isotopes is included."""
    boundary_um: float | None = Field(None, gt=0)
    """Distance between scattering boundaries, µm."""
    boundary_specularity: float = Field(0.0, ge=0, lt=1)
    """Fraction p of phonons that a boundary reflects specularly; it lengthens the mean free path by
    ``(1 + p) / (1 - p)`` (Ziman, Electrons and Phonons, section 11.2)."""
    converge: bool = False
    """Whether the mesh is refined until kappa has twice changed by less than `tolerance`."""
    converge_meshes: int = Field(5, ge=1)
    """Largest number of meshes that are tried for `converge`."""
    mesh: Mesh | None = None
    """Of q points, at all of which lifetimes are computed."""
    mesh_spacing: float = Field(0.12, gt=0)
    """Spacing of the mesh where `mesh` is not given, 1/Å (2π included). Lifetimes are computed at
    every second point along each vector and interpolated in between; the full solution of the
    Boltzmann equation takes these points only."""
    mesh_effort: float = Field(16e6, gt=0)
    """Largest number of triplets of q points times the cubed number of bands, per atom of the
    primitive cell, above which a mesh that is not given is made coarser; a million costs about half
    a second on one core for cubic crystals, and a second for hexagonal ones."""
    bands: bool = True
    """Whether a band structure and a density of states are written for plots."""

    anharmonicity_limit: float = Field(0.35, gt=0)
    """Fraction of the forces that second and third order leave unexplained, above which results at
    that temperature carry a caution: four-phonon scattering is missing."""
    soft_mode_thz: float = Field(0.15, ge=0)
    """Frequency of an optical or zone-boundary mode below which a crystal is called barely stable,
    THz."""
    std_limit: float = Field(0.25, gt=0)
    """Relative standard error of kappa above which results at that temperature carry a caution."""

    @model_validator(mode="after")
    def _consistent(self) -> PhononSettings:
        if list(self.temperatures) != sorted(set(self.temperatures)):
            raise ValueError(
                f"temperatures: got {list(self.temperatures)}; expected ascending, no repeats"
            )
        check_dispersion(self.calculator, self.dispersion)
        if self.reference_temperature not in (None, *self.temperatures):
            raise ValueError(
                f"reference_temperature: got {self.reference_temperature:g}; expected one of "
                f"temperatures, {list(self.temperatures)}"
            )
        if self.full_solution and self.transport == "lbte":
            raise ValueError(
                "full_solution: given true with transport: lbte, whose kappa is the full solution; "
                "expected transport: rta, or full_solution: false"
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

    @property
    def potential(self) -> Potential:
        """The source of forces: `calculator` with its dispersion correction, if there is one."""
        return potential_of(self.calculator, self.dispersion)

    @property
    def sparse(self) -> int:
        """Along each vector of the mesh, every so-many-th point has a lifetime of its own."""
        return 2 if self.mesh is None else 1

    @property
    def reference(self) -> float:
        """The temperature at which `tolerance` is applied, K."""
        return self.reference_temperature or self.nearest(_ROOM)

    def nearest(self, temperature: float) -> float:
        """The one of `temperatures` nearest to a temperature, of two the lower one; all in K."""
        return min(self.temperatures, key=lambda t: (abs(t - temperature), t))

    def referring_to(self, temperature: float) -> PhononSettings:
        """Settings for a purpose at a temperature in K, unless they name a reference themselves."""
        nearest = self.nearest(temperature)
        if self.reference_temperature is not None or nearest == self.reference:
            return self  # so that evaluations are shared where nothing differs
        return self.model_copy(update={"reference_temperature": nearest})

    def widened(self) -> PhononSettings:
        """Settings with a larger supercell, to check an instability between commensurate points."""
        return self.model_copy(
            update={
                "fc2_length": self.fc2_length * _WIDER,
                "fc2_atoms": round(self.fc2_atoms * _WIDER**3),
            }
        )

    def narrowed(self) -> PhononSettings | None:
        """Settings with a smaller supercell, which suffices if dipoles reach beyond it.

        None where none would be chosen, or it would be too small to find the dipoles.
        """
        length = self.fc2_length * _NARROWER
        found = self.fitted_charges and self.born is None and self.fc2_supercell is None
        if not found or self.finite_temperature is not None or length < _NARROWEST:
            return None
        atoms = round(self.fc2_atoms * _NARROWER**3)
        return self.model_copy(update={"fc2_length": length, "fc2_atoms": atoms})

    def sampled(self) -> PhononSettings:
        """Settings with the second-order supercell of `finite_temperature`.

        It is smaller, because its forces are computed a hundred times and more.
        """
        return self.model_copy(update={"fc2_length": self.fc2_length * _SAMPLED})

    def tightened(self) -> PhononSettings:
        """The settings of a confirmation.

        Supercells are larger, so that force constants reach further; snapshots are others and half
        as many more, and the mesh is denser. Supercells and meshes given by hand: only the mesh.
        """
        mesh = self.mesh and tuple(n + max(2, n // 4) for n in self.mesh)
        return self.model_copy(
            update={
                "fc2_length": self.fc2_length * _CONFIRMING,
                "fc2_atoms": round(self.fc2_atoms * _CONFIRMING**3),
                "fc3_length": self.fc3_length * _CONFIRMING,
                "fc3_atoms": round(self.fc3_atoms * _CONFIRMING**3),
                "snapshot_seed": self.snapshot_seed + 1,
                "pairs_start": -(-self.pairs_start * 3 // 2),
                "pairs_max": -(-self.pairs_max * 3 // 2),
                "oversampling": self.oversampling * 1.25,
                "tolerance": self.tolerance * 0.75,
                "mesh": mesh,
                "mesh_spacing": self.mesh_spacing * 0.85,
                "mesh_effort": self.mesh_effort * 3,
            }
        )
