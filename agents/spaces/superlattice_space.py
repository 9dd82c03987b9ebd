"""The design space of all stacks of a few layer materials between two leads."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from agents.contract.protocol import Space
from agents.spaces.base import BaseSpace
from agents.spaces.finite import FiniteSpace
from agents.spaces.layer_rules import LayerRules
from agents.spaces.settings import SuperlatticeSpaceSettings
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.materials.superlattice import Stack, Superlattice
from oracle.runtime.errors import OracleError

_SHORT = 16  # layers; in longer sequences, moves reach over at most half as many layers
_LISTED = 100_000  # largest number of designs that are listed
_SAMPLED = 2048  # size of the sample that surrogates predict in larger spaces
_ZINCBLENDE = {
    "AlAs": 5.661, "AlP": 5.464, "AlSb": 6.136, "BN": 3.616, "GaAs": 5.653, "GaP": 5.451,
    "GaSb": 6.096, "InAs": 6.058, "InP": 5.869, "InSb": 6.479, "SiC": 4.360,
}  # fmt: skip
"""Lattice parameters, Å, at room temperature (Vurgaftman et al., J. Appl. Phys. 89, 5815, 2001; BN
and SiC: Madelung, Semiconductors: Data Handbook, 2004); initial values, which the oracle relaxes.
"""


def superlattice_space(settings: SuperlatticeSpaceSettings) -> Space:
    """The space that the settings describe: listed up to 100,000 designs, or `LazySuperlattices`.

    Raises:
        OracleError: stage ``read``; a material that is neither known nor a file.
        ValueError: no sequence meets the constraints, or two letters have the same material.
    """
    crystals = tuple(
        (letter, material_of(name, f"alphabet.{letter}"))
        for letter, name in sorted(settings.alphabet.items())
    )
    digests = {crystal.digest for _, crystal in crystals}
    if len(digests) < len(crystals):
        raise ValueError(
            f"alphabet: given {settings.alphabet}, in which letters stand for the same crystal; "
            "expected different ones"
        )
    stack = Stack(
        layers=crystals,
        leads=settings.leads,
        cells=settings.cells,
        in_plane=settings.in_plane,
    )
    space = LazySuperlattices(rules_of(settings), stack)
    if not space.size:
        raise ValueError(
            f"no sequence of {settings.length} layers meets composition {settings.composition}, "
            f"min_thickness {settings.min_thickness}, max_interfaces {settings.max_interfaces} and "
            f"palindromes {settings.palindromes} at once; relax one of them"
        )
    if space.size > _LISTED:
        return space
    designs = list(space)
    return FiniteSpace(designs, [None] * len(designs))


def rules_of(settings: SuperlatticeSpaceSettings) -> LayerRules:
    """The constraints on sequences that the settings state."""
    letters = tuple(sorted(settings.alphabet))
    wanted = settings.composition
    return LayerRules(
        letters,
        settings.length,
        None if wanted is None else tuple(wanted.get(letter, 0) for letter in letters),
        settings.min_thickness,
        settings.max_interfaces,
        settings.palindromes,
    )


def material_of(name: str, place: str) -> Crystal:
    """A crystal from a structure file, or by the formula of an element or zincblende compound.

    Args:
        name: path or formula.
        place: key of the config, for error messages.

    Raises:
        OracleError: stage ``read``; the name is neither.
    """
    from ase.build import bulk
    from pymatgen.io.ase import AseAtomsAdaptor

    from oracle.structure_files.structure_io import read_structure

    if Path(name).suffix or "/" in name or Path(name).is_file():
        return Crystal.from_structure(read_structure(Path(name)))
    try:
        atoms = bulk(name, "zincblende", a=_ZINCBLENDE[name]) if name in _ZINCBLENDE else bulk(name)
    except (ValueError, KeyError, RuntimeError) as error:
        raise OracleError(
            "read",
            f"{place}: given {name!r}; expected an element such as Si, one of "
            f"{', '.join(_ZINCBLENDE)}, or the path of a structure file",
        ) from error
    return Crystal.from_structure(AseAtomsAdaptor.get_structure(atoms))


class LazySuperlattices(BaseSpace):
    """All allowed designs, created on demand instead of being held in memory.

    Args:
        rules: which sequences are allowed.
        stack: crystals of the letters; between equal leads a sequence and its reverse are the same
            design.
    """

    def __init__(self, rules: LayerRules, stack: Stack) -> None:
        self._rules = rules
        self._stack = stack
        self._symmetric = stack.symmetric

    @functools.cached_property
    def size(self) -> int:
        """The exact number of designs."""
        if not self._stack.symmetric:
            return self._rules.count
        # Burnside's lemma: designs are orbits under reversal, whose fixed points are palindromes.
        palindromes = replace(self._rules, palindromes=True)
        return (self._rules.count + palindromes.count) // 2

    def __contains__(self, material: object) -> bool:
        """Whether a design is allowed and has these layers and leads."""
        return (
            isinstance(material, Superlattice)
            and (material.stack is self._stack or material.stack == self._stack)
            and material.sequence in self._rules
        )

    def __iter__(self) -> Iterator[Superlattice]:
        """All designs, in alphabetical order of their sequences."""
        for sequence in self._rules:
            if not self._stack.symmetric or sequence <= sequence[::-1]:
                yield self._made(sequence)

    def sample(self, n: int, rng: np.random.Generator) -> list[Material]:
        """At most n distinct designs, drawn uniformly without replacement."""
        designs: dict[str, Material] = {}
        wanted, tries = min(n, self.size), 0
        while len(designs) < wanted and tries < 64 * n + 1024:
            tries += 1
            sequence = self._rules.draw(rng)
            # A design of two sequences is drawn twice as often as a palindrome.
            if self._stack.symmetric and sequence != sequence[::-1] and rng.random() < 0.5:
                continue
            design = self._made(sequence)
            designs.setdefault(design.digest, design)
        return list(designs.values())

    def listed(self, limit: int, rng: np.random.Generator) -> Sequence[Material]:
        """All designs if they are few, otherwise a sample of at most 2048."""
        return super().listed(min(limit, _SAMPLED), rng)

    def neighbours(self, material: Material) -> list[Material]:
        """Designs one move away: a changed layer, two exchanged, a reversed or moved block."""
        if material not in self or not isinstance(material, Superlattice):
            return []
        canonical = dict.fromkeys(map(self._canonical, self._moves(material.sequence)))
        designs: dict[str, Material] = {}
        for sequence in canonical:
            if sequence in self._rules:
                design = self._made(sequence)
                designs.setdefault(
                    design.digest, design
                )  # lead layers at the ends only shift a design
        designs.pop(material.digest, None)
        return list(designs.values())

    def label(self, material: Material) -> str | None:
        """None: designs have no name other than their sequence."""
        return None

    def _made(self, sequence: str) -> Superlattice:
        # As `Superlattice.from_sequence`, for letters that all stand for different crystals.
        return Superlattice(
            sequence=self._canonical(sequence), mirror=self._symmetric, stack=self._stack
        )

    def _canonical(self, sequence: str) -> str:
        return min(sequence, sequence[::-1]) if self._symmetric else sequence

    def _moves(self, sequence: str) -> Iterator[str]:
        if self._rules.palindromes:
            half = (len(sequence) + 1) // 2
            for part in _moves(sequence[:half], self._rules.letters):
                yield part + part[: len(sequence) // 2][::-1]
        else:
            yield from _moves(sequence, self._rules.letters)


def _moves(sequence: str, letters: tuple[str, ...]) -> Iterator[str]:
    """Sequences similar to the given one, the smallest changes first."""
    n = len(sequence)
    for i in range(n):
        yield from (sequence[:i] + x + sequence[i + 1 :] for x in letters if x != sequence[i])
    reach = n if n <= _SHORT else _SHORT // 2
    spans = [(i, j) for i in range(n) for j in range(i + 1, min(n, i + reach))]
    for i, j in spans:
        yield sequence[:i] + sequence[j] + sequence[i + 1 : j] + sequence[i] + sequence[j + 1 :]
    for i, j in spans:
        block, rest = sequence[i : j + 1], sequence[:i] + sequence[j + 1 :]
        yield from (sequence[:i] + x * (j + 1 - i) + sequence[j + 1 :] for x in letters)
        yield sequence[:i] + block[::-1] + sequence[j + 1 :]
        places = range(max(0, i - reach), min(len(rest), i + reach) + 1)
        yield from (rest[:k] + block + rest[k:] for k in places)
