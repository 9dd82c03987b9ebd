"""What a config says about spaces, objectives, constraints and agents. Imports only pydantic."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_serializer,
    model_validator,
)

from oracle.suggestions import did_you_mean

_SYMBOLS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As  Se Br
Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu  Gd Tb Dy Ho
Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np  Pu Am Cm Bk Cf Es
Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
PROTOTYPE_NAMES = (
    "rocksalt",
    "cscl",
    "zincblende",
    "wurtzite",
    "nickel-arsenide",
    "fluorite",
    "antifluorite",
    "rutile",
    "cadmium-iodide",
    "anti-cadmium-iodide",
    "half-heusler",
    "perovskite",
)
"""The prototypes that have a name of their own; any other is named ``aflow:`` and its label."""
_MISMATCH = frozenset({"interface_conductance", "interface_conductance_amm", "radiation_limit"})
_POSITIVE = _MISMATCH | {
    "kappa", "conductance", "heat_capacity", "bulk_modulus", "max_frequency"
}  # fmt: skip


def _element(symbol: str) -> str:
    if symbol not in _SYMBOLS.split():
        near = did_you_mean(symbol, _SYMBOLS.split())
        raise ValueError(f"{symbol!r} is not an element; {near}give symbols such as Na")
    return symbol


def _prototype(name: str) -> str:
    if name not in PROTOTYPE_NAMES and not (name.startswith("aflow:") and len(name) > 6):
        raise ValueError(
            f"{name!r} is not a prototype; {did_you_mean(name, PROTOTYPE_NAMES)}"
            f"allowed: {', '.join(PROTOTYPE_NAMES)}, "
            "or an AFLOW label such as aflow:AB_cF8_225_a_b"
        )
    return name


def _permutation(order: tuple[int, ...]) -> tuple[int, ...]:
    if sorted(order) != list(range(len(order))) or len(order) < 2:
        raise ValueError(
            f"{list(order)} is not an order of layers; expected each of 0 to {len(order) - 1} once"
        )
    return order


LayerSymmetry = Literal["mirror"] | Annotated[tuple[int, ...], AfterValidator(_permutation)]
Symbol = Annotated[str, AfterValidator(_element)]
PrototypeName = Annotated[str, AfterValidator(_prototype)]
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PrototypeSpaceSettings(Settings):
    """Named prototypes times elements, filtered by charge neutrality and electronegativity."""

    kind: Literal["prototypes"] = "prototypes"
    prototypes: tuple[PrototypeName, ...] = Field(
        default=("rocksalt", "zincblende", "wurtzite"), min_length=1
    )
    elements: tuple[Symbol, ...] | None = None
    """Elements to decorate with; None: all but hydrogen, noble gases, radioactive elements and,
    unless `lanthanides` is set, the elements from La to Lu."""
    exclude_elements: tuple[Symbol, ...] = ()
    lanthanides: bool = False
    oxidation_states: Literal["common", "any"] = "common"
    """``common``: frequent charges of cations and filled-shell anions; ``any``: all SMACT takes."""
    max_atoms: int = Field(default=40, ge=1)
    """Atoms in the primitive cell."""

    @model_validator(mode="after")
    def _consistent(self) -> PrototypeSpaceSettings:
        if self.elements is not None and not set(self.elements) - set(self.exclude_elements):
            raise ValueError("exclude_elements leaves nothing of elements")
        return self


class PoolSpaceSettings(Settings):
    """The user's own list: a folder of CIF or POSCAR files, an ASE database, or JSON lines."""

    kind: Literal["pool"] = "pool"
    path: Path
    on_error: Literal["stop", "skip"] = "stop"
    symmetries: tuple[LayerSymmetry, ...] = ()
    """Which sequences are one design: ``mirror`` (a sequence and its reverse), or an order of the
    layers as a permutation of 0, 1, ..., which may be applied again and again."""

    @property
    def mirror(self) -> bool:
        """Whether a sequence and its reverse are one design."""
        return "mirror" in self.symmetries

    @property
    def permutations(self) -> tuple[tuple[int, ...], ...]:
        """The other symmetries, each once, in a fixed order."""
        return tuple(sorted({order for order in self.symmetries if order != "mirror"}))


class SuperlatticeSpaceSettings(Settings):
    """All stacks of some layer materials between two leads."""

    kind: Literal["superlattice"] = "superlattice"
    alphabet: dict[str, str]
    """One character per layer material, and its crystal: an element or zincblende compound by
    formula, or the path of a structure file."""
    leads: tuple[str, str]
    """Letters of the crystals on the left and on the right."""
    length: int = Field(ge=2, le=1000)
    """Layers between the leads."""
    cells: int = Field(default=1, ge=1)
    """Conventional cells per layer."""
    in_plane: float | None = Field(default=None, gt=0)
    """Å, lattice parameter in the plane; None: that of the left lead."""
    composition: dict[str, int] | None = None
    """Layers of each letter; None: any."""
    min_thickness: int = Field(default=1, ge=1)
    """Least number of equal layers in a row."""
    max_interfaces: int | None = Field(default=None, ge=0)
    """Most changes of material between neighbouring layers."""
    palindromes: bool = False
    """Whether only designs that equal their reverse are allowed."""

    @model_validator(mode="after")
    def _possible(self) -> SuperlatticeSpaceSettings:
        letters = sorted(self.alphabet)
        if any(len(letter) != 1 for letter in letters):
            raise ValueError(f"alphabet: given {letters}; expected one character per material")
        if len(letters) < 2 or len(set(self.alphabet.values())) < len(letters):
            raise ValueError(
                f"alphabet: given {self.alphabet}; expected at least two different materials"
            )
        for lead in self.leads:
            if lead not in letters:
                raise ValueError(f"leads: given {lead!r}; expected letters of alphabet: {letters}")
        self._check_composition(letters)
        if self.min_thickness > self.length:
            raise ValueError(
                f"min_thickness: given {self.min_thickness}; expected at most length, {self.length}"
            )
        return self

    def _check_composition(self, letters: list[str]) -> None:
        wanted = self.composition
        if wanted is None:
            return
        strange = sorted(set(wanted) - set(letters))
        if strange or min(wanted.values(), default=0) < 0:
            raise ValueError(
                f"composition: given {wanted}; expected counts of at least 0 of {letters}"
            )
        if sum(wanted.values()) != self.length:
            raise ValueError(
                f"composition: given {wanted}, which are {sum(wanted.values())} layers; expected "
                f"length, {self.length}"
            )


class InterfaceSpaceSettings(Settings):
    """All pairs of different crystals out of the user's own list."""

    kind: Literal["interface"] = "interface"
    path: Path
    """A folder of CIF or POSCAR files, an ASE database, or JSON lines, as of ``pool``."""
    on_error: Literal["stop", "skip"] = "stop"


SpaceSettings = Annotated[
    PrototypeSpaceSettings | PoolSpaceSettings | SuperlatticeSpaceSettings | InterfaceSpaceSettings,
    Field(discriminator="kind"),
]


class ObjectiveSettings(Settings):
    """The property sought."""

    property: str = Field(default="kappa", min_length=1)
    temperature: float | None = Field(default=None, gt=0)
    """K; 300 where absent for kappa and the mismatch conductances of interfaces."""
    goal: Literal["minimize", "maximize", "target"] = "minimize"
    target: float | None = None
    """In the property's unit; with ``goal: target`` only."""
    log: bool | None = None
    """Whether log10 of the property is modelled; None: for quantities known to be positive."""

    @model_validator(mode="before")
    @classmethod
    def _default_temperature(cls, data: Any) -> Any:
        sought = data.get("property", "kappa") if isinstance(data, dict) else None
        if isinstance(sought, str) and sought in {"kappa", *_MISMATCH}:
            given = data.get("temperature")
            return {**data, "temperature": 300.0 if given is None else given}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> ObjectiveSettings:
        if (self.goal == "target") != (self.target is not None):
            wanted = "needs a number" if self.goal == "target" else "needs goal: target"
            raise ValueError(f"target is {self.target} with goal {self.goal}; target {wanted}")
        if self.in_log and self.target is not None and self.target <= 0:
            raise ValueError(f"target is {self.target}; a positive quantity needs a target above 0")
        return self

    @builtins.property  # `property` is a field of this class
    def in_log(self) -> bool:
        """Whether log10 of the property is modelled."""
        return self.property in _POSITIVE if self.log is None else self.log


CONSTRAINT_LIMITS: dict[str, str | None] = {
    "dynamically_stable": None,
    "non_metal": None,
    "max_atoms": "atoms in the primitive cell",
    "energy_above_best_polymorph": "eV/atom",
    "formation_energy": "eV/atom",
    "max_msd": "Å²",
    "anharmonicity": "dimensionless",
    "gruneisen_mean": "dimensionless",
}
"""Constraint to the unit of its upper limit; None for those that take no number."""


class ConstraintSettings(Settings):
    """One constraint, written as a name or as ``{name: upper limit}``."""

    name: str
    limit: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"name": data}
        if isinstance(data, dict) and len(data) == 1 and "name" not in data:
            ((name, limit),) = data.items()
            return {"name": name, "limit": limit}
        return data

    @model_validator(mode="after")
    def _known(self) -> ConstraintSettings:
        if self.name not in CONSTRAINT_LIMITS:
            allowed = ", ".join(CONSTRAINT_LIMITS)
            near = did_you_mean(self.name, CONSTRAINT_LIMITS)
            raise ValueError(f"{self.name!r} is not a constraint; {near}allowed: {allowed}")
        unit = CONSTRAINT_LIMITS[self.name]
        if unit is None and self.limit is not None:
            raise ValueError(f"{self.name} takes no limit, got {self.limit}; write just its name")
        if unit is not None and self.limit is None:
            raise ValueError(f"{self.name} needs an upper limit ({unit}): {{{self.name}: 0.05}}")
        return self

    @model_serializer
    def _as_written(self) -> str | dict[str, float]:
        return self.name if self.limit is None else {self.name: self.limit}


DEFAULT_CONSTRAINTS = (
    ConstraintSettings(name="dynamically_stable"),
    ConstraintSettings(name="energy_above_best_polymorph", limit=0.05),
    ConstraintSettings(name="formation_energy", limit=0.0),
)


class RandomSettings(Settings):
    """Uniform draws from the space."""

    kind: Literal["random"] = "random"


class SubstitutionSettings(Settings):
    """Small changes of good candidates: similar elements, exchanged layers."""

    kind: Literal["substitution"] = "substitution"
    parents: int = Field(default=6, ge=1)
    """How many of the best candidates are changed."""


class EvolutionSettings(Settings):
    """Crossover, mutation and chemical strain among good candidates; weights are relative."""

    kind: Literal["evolution"] = "evolution"
    parents: int = Field(default=12, ge=2)
    crossover: float = Field(default=0.5, ge=0)
    mutation: float = Field(default=0.35, ge=0)
    strain: float = Field(default=0.15, ge=0)

    @model_validator(mode="after")
    def _some(self) -> EvolutionSettings:
        if self.crossover + self.mutation + self.strain <= 0:
            raise ValueError("crossover, mutation and strain are all 0; at least one must be above")
        return self


class BayesianSettings(Settings):
    """An acquisition function over the surrogate's posterior of the whole pool."""

    kind: Literal["bayesian"] = "bayesian"
    acquisition: Literal["log-ei", "ucb", "thompson"] = "log-ei"
    beta: float = Field(default=1.5, ge=0)
    """Standard deviations added by ``ucb``."""


class TreeSearchSettings(Settings):
    """Monte-Carlo tree search over the beginnings of layer sequences."""

    kind: Literal["tree-search"] = "tree-search"
    exploration: float = Field(default=0.2, ge=0)
    """Weight of how seldom a beginning was tried, against ranks from 0 to 1."""


AgentSettings = Annotated[
    RandomSettings
    | SubstitutionSettings
    | EvolutionSettings
    | BayesianSettings
    | TreeSearchSettings,
    Field(discriminator="kind"),
]


_CRYSTAL_SHARES = (0.25, 0.1)
_LAYER_SHARES = (0.0, 0.05)


class SelectionSettings(Settings):
    """How a batch is divided."""

    hole_share: Share | None = None
    """For the candidates about which the surrogate knows least; None: 0.25, for layer sequences
    none, since what is improbable to be best there need not be known."""
    audit_share: Share | None = None
    """Drawn uniformly at random, to measure calibration; None: 0.1, for layer sequences 0.05."""
    floor_share: Share = 0.1
    """Least share of the rest that any agent keeps."""
    half_life: float = Field(default=3.0, gt=0)
    """Rounds after which what an agent found counts half."""
    pool_limit: int = Field(default=100_000, ge=1)
    """Largest space that is screened whole in one process with exact features of every crystal."""
    shortlist: int = Field(default=1000, ge=0)
    """Of a larger space, how many are looked at closely, after workers have screened all of it
    with quick features; 0: instead, a random sample of `pool_limit` stands for the space."""
    near_duplicates: bool = True
    """Whether crystals that differ from known ones by rounding only are dropped."""

    @model_validator(mode="after")
    def _room(self) -> SelectionSettings:
        total = self.holes + self.audits
        if total > 1:
            raise ValueError(f"hole_share + audit_share is {total:g}; it must not exceed 1")
        return self

    @property
    def holes(self) -> float:
        """`hole_share`, where nothing is given that of crystals."""
        return _CRYSTAL_SHARES[0] if self.hole_share is None else self.hole_share

    @property
    def audits(self) -> float:
        """`audit_share`, where nothing is given that of crystals."""
        return _CRYSTAL_SHARES[1] if self.audit_share is None else self.audit_share

    def resolved(self, *, layers: bool) -> SelectionSettings:
        """With the shares that crystals, or layer sequences, have where none are given."""
        holes, audits = _LAYER_SHARES if layers else _CRYSTAL_SHARES
        update = {
            "hole_share": holes if self.hole_share is None else self.hole_share,
            "audit_share": audits if self.audit_share is None else self.audit_share,
        }
        return SelectionSettings.model_validate({**self.model_dump(), **update})
