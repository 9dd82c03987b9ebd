"""Settings of the design spaces, one class per kind."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from agents.contract.element_symbols import SYMBOLS, Symbol
from agents.contract.settings import Settings
from oracle.runtime.local_inputs import FileOrFormula, UserPath
from oracle.runtime.own_classes import NAMED, OWN, OwnSettings, branch_of
from oracle.runtime.suggestions import did_you_mean

_MOST_COMPOSITIONS = 2_000_000  # of the largest number of elements; they are listed
_LAWRENCIUM = 103  # its atomic number
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
"""The named prototypes; any other is written as ``aflow:`` followed by its AFLOW label."""


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
PrototypeName = Annotated[str, AfterValidator(_prototype)]


class PrototypeSpaceSettings(Settings):
    """Prototypes decorated with elements, filtered by charge neutrality and electronegativity."""

    kind: Literal["prototypes"] = "prototypes"
    prototypes: tuple[PrototypeName, ...] = Field(
        default=("rocksalt", "zincblende", "wurtzite"), min_length=1
    )
    elements: tuple[Symbol, ...] | None = None
    """Elements to decorate with. The default is all except hydrogen, noble gases, radioactive
    elements and, unless `lanthanides` is set, the elements from La to Lu."""
    exclude_elements: tuple[Symbol, ...] = ()
    lanthanides: bool = False
    oxidation_states: Literal["common", "any"] = "common"
    """``common``: frequent charges of cations and filled-shell anions; ``any``: all charges that
    SMACT accepts."""
    max_atoms: int = Field(default=40, ge=1)
    """Largest number of atoms in the primitive cell."""

    @model_validator(mode="after")
    def _consistent(self) -> PrototypeSpaceSettings:
        if self.elements is not None and not set(self.elements) - set(self.exclude_elements):
            raise ValueError("exclude_elements leaves nothing of elements")
        return self


class CrystalSpaceSettings(Settings):
    """All crystals of some elements, of which nobody has made a list."""

    kind: Literal["crystals"] = "crystals"
    elements: tuple[Symbol, ...] = Field(min_length=1)
    exclude_elements: tuple[Symbol, ...] = ()
    components: tuple[int, int] = (2, 3)
    """Smallest and largest number of different elements in a crystal."""
    max_atoms: int = Field(default=10, ge=1)
    """Largest number of atoms in the primitive cell."""
    space_groups: tuple[Annotated[int, Field(ge=1, le=230)], ...] | None = Field(None, min_length=1)
    """By number; the default is all from 3 on. With a chiral group goes its mirror image."""
    forbidden: tuple[Annotated[tuple[Symbol, ...], Field(min_length=1)], ...] = ()
    """Elements that may not occur together, each combination as a list."""
    oxidation_states: Literal["common", "any", "none"] = "common"
    """As for prototypes; with ``none``, charges need not cancel."""

    @property
    def allowed(self) -> tuple[str, ...]:
        """The elements, each once, in their order."""
        return tuple(s for s in dict.fromkeys(self.elements) if s not in self.exclude_elements)

    @property
    def groups(self) -> tuple[int, ...]:
        """The numbers of the space groups."""
        return tuple(range(3, 231)) if self.space_groups is None else self.space_groups

    def forbids(self, elements: Iterable[str]) -> bool:
        """Whether elements include a combination that is forbidden."""
        present = set(elements)
        return any(present.issuperset(combination) for combination in self.forbidden)

    @model_validator(mode="after")
    def _consistent(self) -> CrystalSpaceSettings:
        fewest, most = self.components
        if not self.allowed:
            raise ValueError("exclude_elements leaves nothing of elements")
        heavy = set(self.allowed) & set(SYMBOLS[_LAWRENCIUM:])
        if heavy:
            raise ValueError(
                f"elements: given {', '.join(sorted(heavy))}, of which too little is known; "
                "expected elements up to Lr"
            )
        if not 1 <= fewest <= most:
            raise ValueError(
                f"components: given {[fewest, most]}; expected a smallest and a largest number of "
                "elements, such as [2, 3]"
            )
        if fewest > len(self.allowed):
            raise ValueError(
                f"components: given at least {fewest} for {len(self.allowed)} elements; give more "
                "elements or fewer components"
            )
        if fewest > self.max_atoms:
            raise ValueError(f"max_atoms: given {self.max_atoms} for {fewest} components")
        if math.comb(self.max_atoms, most) > _MOST_COMPOSITIONS:
            raise ValueError(
                f"components, max_atoms: given {most} elements in {self.max_atoms} atoms, which "
                f"have more than {_MOST_COMPOSITIONS:,} compositions; give fewer of either"
            )
        return self


class PoolSpaceSettings(Settings):
    """The user's own list: a folder of CIF or POSCAR files, an ASE database, JSON lines, or CSV."""

    kind: Literal["pool"] = "pool"
    path: UserPath
    on_error: Literal["stop", "skip"] = "stop"
    symmetries: tuple[LayerSymmetry, ...] = ()
    """Which sequences are the same design: ``mirror`` (a sequence and its reverse), or a
    permutation of the layers 0, 1, ..., which may be applied repeatedly."""

    @property
    def mirror(self) -> bool:
        """Whether a sequence and its reverse are the same design."""
        return "mirror" in self.symmetries

    @property
    def permutations(self) -> tuple[tuple[int, ...], ...]:
        """The symmetries given as permutations, each once, in a fixed order."""
        return tuple(sorted({order for order in self.symmetries if order != "mirror"}))


class SuperlatticeSpaceSettings(Settings):
    """All stacks of layers of some materials between two leads."""

    kind: Literal["superlattice"] = "superlattice"
    alphabet: dict[str, FileOrFormula]
    """The crystal of each layer material, by one character: the formula of an element or
    zincblende compound, or the path of a structure file."""
    leads: tuple[str, str]
    """Letters of the crystals on the left and on the right."""
    length: int = Field(ge=2, le=1000)
    """Layers between the leads."""
    cells: int = Field(default=1, ge=1)
    """Conventional cells per layer."""
    in_plane: float | None = Field(default=None, gt=0)
    """In-plane lattice parameter, Å; the default is that of the left lead."""
    composition: dict[str, int] | None = None
    """Number of layers of each letter; any by default."""
    min_thickness: int = Field(default=1, ge=1)
    """Smallest number of equal layers in a row."""
    max_interfaces: int | None = Field(default=None, ge=0)
    """Largest number of changes of material between neighbouring layers."""
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
    """All pairs of different crystals from the user's own list."""

    kind: Literal["interface"] = "interface"
    path: UserPath
    """A folder of CIF or POSCAR files, an ASE database, or JSON lines, as for ``pool``."""
    on_error: Literal["stop", "skip"] = "stop"


NamedSpaceSettings = Annotated[
    PrototypeSpaceSettings
    | CrystalSpaceSettings
    | PoolSpaceSettings
    | SuperlatticeSpaceSettings
    | InterfaceSpaceSettings,
    Field(discriminator="kind"),
]


class OwnSpaceSettings(OwnSettings):
    """A space of the user's own; `options` are what its class is called with."""


SpaceSettings = Annotated[
    Annotated[NamedSpaceSettings, Tag(NAMED)] | Annotated[OwnSpaceSettings, Tag(OWN)],
    Discriminator(branch_of),
]
