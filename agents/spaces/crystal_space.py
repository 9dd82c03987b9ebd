"""The open space of all crystals of some elements, up to a number of atoms."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from pymatgen.core.structure import Structure

from agents.chemistry.chemistry import by_electronegativity
from agents.chemistry.duplicates import overlap
from agents.chemistry.substitutions import replacements
from agents.spaces.base import BaseSpace
from agents.spaces.random_crystals import check_compositions, drawn, is_neutral, sized
from agents.spaces.settings import CrystalSpaceSettings
from agents.spaces.site_changes import displaced, exchanged, moved, strained
from agents.spaces.site_description import SiteDescription, sites_of
from agents.spaces.splicing import spliced
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.runtime.errors import SetupError

_SAMPLED = 128  # crystals that surrogates predict, beside those of a local search
_DRAWS = 150  # draws in vain, in a row, after which a sample ends
_NEAREST = 24  # neighbours of a crystal
_CHILDREN = 6  # of a pair, or of a crystal, at a time
_DRAWN = 12  # changes of a crystal that are tried for them
_CUTS = 12  # cuts of a pair that are tried for them
_MIRRORED = (
    *((76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154), (169, 170), (171, 172)),
    *((178, 179), (180, 181), (212, 213)),
)
"""Space groups that are mirror images of each other; the canonical form of a crystal has either."""
_REMEMBERED = 20_000  # crystals of which it is known whether they belong to the space
_PARENTS = 1_000  # crystals whose neighbours are remembered, a tenth of a megabyte each


class CrystalSpace(BaseSpace):
    """All crystals of some elements, which nobody has listed.

    Members are drawn with random positions on Wyckoff sites; neighbours have elements replaced by
    those that replace them in known compounds.

    Args:
        settings: elements, sizes, space groups, and what is forbidden.

    Raises:
        ValueError: no neutral composition, or no crystal of any in these space groups.
        SetupError: pyxtal is missing.
    """

    def __init__(self, settings: CrystalSpaceSettings) -> None:
        if importlib.util.find_spec("pyxtal") is None:
            raise SetupError("kind crystals needs pyxtal: pip install 'phonoscout[crystals]'")
        check_compositions(settings)
        self._settings = settings
        mirrored = (pair for pair in _MIRRORED if set(pair) & set(settings.groups))
        self._groups = {*settings.groups, *itertools.chain.from_iterable(mirrored)}
        self._known: dict[str, bool] = {}
        self._near: dict[str, list[Material]] = {}
        self._strained: dict[str, list[Material]] = {}
        if not self.sample(1, np.random.default_rng(0)):
            raise ValueError(
                f"no crystal of at most {settings.max_atoms} atoms of "
                f"{', '.join(settings.allowed)} was found in the space groups "
                f"{', '.join(map(str, settings.groups))}; allow more atoms or other groups"
            )

    @property
    def size(self) -> None:
        """It is unbounded."""
        return None

    def __contains__(self, material: object) -> bool:
        if not isinstance(material, Crystal):
            return False
        digest = material.digest
        if digest not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[digest] = self._allows(material)
        return self._known[digest]

    def _allows(self, crystal: Crystal) -> bool:
        settings, elements = self._settings, sorted(set(crystal.species))
        fewest, most = settings.components
        return (
            fewest <= len(elements) <= most
            and set(elements) <= set(settings.allowed)
            and len(crystal.species) <= settings.max_atoms
            and not settings.forbids(elements)
            and is_neutral({s: crystal.species.count(s) for s in elements}, settings)
            and crystal.spacegroup[1] in self._groups
            and overlap(crystal) is None
        )

    def __iter__(self) -> Iterator[Material]:
        raise TypeError("the space kind: crystals is unbounded; draw from it with sample")

    def listed(self, limit: int, rng: np.random.Generator) -> Sequence[Material]:
        """A sample of its members."""
        return self.sample(min(limit, _SAMPLED), rng)

    def sample(self, n: int, rng: np.random.Generator) -> list[Material]:
        """At most n distinct random crystals; fewer where they are hard to find."""
        found: dict[str, Material] = {}
        in_vain = 0
        for crystal in drawn(self._settings, rng):
            if len(found) == n or in_vain == _DRAWS:
                break
            is_new = crystal is not None and crystal in self and crystal.digest not in found
            in_vain = 0 if is_new else in_vain + 1
            if crystal is not None and is_new:
                found[crystal.digest] = crystal
        return list(found.values())

    def neighbours(self, material: Material) -> list[Material]:
        """The same structure with one or two other elements, the most probable ones first."""
        if not isinstance(material, Crystal) or material not in self:
            return []
        if material.digest not in self._near:
            if len(self._near) >= _PARENTS:
                self._near.clear()
            self._near[material.digest] = self._replaced(material)
        return self._near[material.digest]

    def _replaced(self, crystal: Crystal) -> list[Material]:
        settings = self._settings
        rule = None if settings.oxidation_states == "none" else settings.oxidation_states
        counts = {symbol: crystal.species.count(symbol) for symbol in sorted(set(crystal.species))}
        found: dict[str, Material] = {}
        for swap in replacements(counts, settings.allowed, rule):
            other = self._decorated(crystal, swap)
            if other is not None and other.digest != crystal.digest:
                found.setdefault(other.digest, other)
            if len(found) == _NEAREST:
                break
        return list(found.values())

    def crossings(
        self, first: Material, second: Material, rng: np.random.Generator
    ) -> list[Material]:
        """A few children of both, in random order.

        Some have the structure of either parent with elements of both; others are spliced from
        parts of both cells, see `agents.spaces.splicing`.
        """
        if not (isinstance(first, Crystal) and isinstance(second, Crystal)):
            return []
        if first not in self or second not in self:
            return []
        exchanges = _exchanges(first, second)
        found: dict[str, Material] = {}
        for way in rng.permutation(len(exchanges) + _CUTS):
            if way < len(exchanges):
                child = self._decorated(*exchanges[way])
            else:
                child = self._member(spliced(first, second, self._may_be, rng))
            if child is not None and child.digest not in (first.digest, second.digest):
                found.setdefault(child.digest, child)
            if len(found) == _CHILDREN:
                break
        return list(found.values())

    def mutated(self, material: Material, rng: np.random.Generator) -> list[Material]:
        """A few members with atoms displaced, moved to other sites, or exchanged, as symmetry lets.

        None for a material not in the space.
        """
        if not isinstance(material, Crystal) or material not in self:
            return []
        described = sites_of(material)
        changes = (displaced, moved, exchanged)
        ways = (changes[int(k)](described, rng) for k in rng.integers(len(changes), size=_DRAWN))
        return self._distinct(ways, material)

    def strained(self, material: Material) -> list[Material]:
        """Members of the same symmetry with another shape of the cell; none of cubic ones.

        They are drawn at random, always the same for a material.
        """
        if not isinstance(material, Crystal) or material not in self:
            return []
        if material.digest not in self._strained:
            if len(self._strained) >= _PARENTS:
                self._strained.clear()
            described = sites_of(material)
            rng = np.random.default_rng(int(material.digest[:16], 16))
            ways = (strained(described, rng) for _ in range(_DRAWN))
            self._strained[material.digest] = self._distinct(ways, material)
        return self._strained[material.digest]

    def _distinct(self, ways: Iterable[SiteDescription | None], parent: Crystal) -> list[Material]:
        """The members among some crystals, each once, without the one they come from."""
        found: dict[str, Material] = {}
        for described in ways:
            child = self._member(None if described is None else described.structure())
            if child is not None and child.digest != parent.digest:
                found.setdefault(child.digest, child)
            if len(found) == _CHILDREN:
                break
        return list(found.values())

    def label(self, material: Material) -> str | None:
        """The symbol of the space group."""
        if isinstance(material, Crystal) and material in self:
            return material.spacegroup[0]
        return None

    def _decorated(self, crystal: Crystal, elements: dict[str, str]) -> Crystal | None:
        """The structure with other elements, at their volume, if it belongs to the space."""
        structure = crystal.structure()
        for i, symbol in enumerate(crystal.species):
            structure.replace(i, elements.get(symbol, symbol))
        return self._member(structure)

    def _member(self, structure: Structure | None) -> Crystal | None:
        """The crystal at its predicted volume, if it belongs to the space."""
        if structure is None:
            return None
        species = [site.specie.symbol for site in structure]
        # Before the symmetry is looked for, which takes a hundred times as long.
        if not self._may_be({symbol: species.count(symbol) for symbol in sorted(set(species))}):
            return None
        other = sized(structure)
        return other if other is not None and other in self else None

    def _may_be(self, counts: dict[str, int]) -> bool:
        """Whether elements are allowed together, and their charges cancel or need not."""
        fewest, most = self._settings.components
        return (
            fewest <= len(counts) <= most
            and not self._settings.forbids(counts)
            and is_neutral(counts, self._settings)
        )


def _exchanges(first: Crystal, second: Crystal) -> list[tuple[Crystal, dict[str, str]]]:
    """Either crystal with elements of both, which keep their order by electronegativity."""
    elements = by_electronegativity({*first.species, *second.species})
    exchanges = []
    for parent in (first, second):
        own = by_electronegativity(set(parent.species))
        for chosen in itertools.combinations(elements, len(own)):
            exchanges.append((parent, dict(zip(own, chosen, strict=True))))
    return exchanges
