"""Layer sequences under constraints: counted exactly, listed, and drawn uniformly.

Layers are added one after another. Which layers may follow depends only on a small state, so the
number of possible completions is computed by dynamic programming, however many sequences exist.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

_State = tuple[str, int, int, tuple[int, ...]]
"""Last letter, its run so far (at most the least thickness), interfaces, and layers per letter."""


@dataclass(frozen=True)
class LayerRules:
    """Sequences of one length under constraints.

    Args:
        letters: of the alphabet.
        length: number of layers.
        composition: number of layers of each letter, in the order of `letters`; None allows any.
        thickness: smallest number of equal layers in a row.
        interfaces: largest number of changes of letter between neighbours; None allows any.
        palindromes: whether only sequences that equal their reverse are allowed.
    """

    letters: tuple[str, ...]
    length: int
    composition: tuple[int, ...] | None = None
    thickness: int = 1
    interfaces: int | None = None
    palindromes: bool = False
    _ways: dict[tuple[int, _State], int] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    _next: dict[tuple[int, _State], list[tuple[str, _State, int]]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @property
    def count(self) -> int:
        """Number of allowed sequences; a sequence and its reverse count as two."""
        return self._ways_from(0, ("", 0, 0, (0,) * len(self.letters)))

    def __contains__(self, sequence: str) -> bool:
        """Whether a sequence is allowed."""
        if len(sequence) != self.length or set(sequence) - set(self.letters):
            return False
        if self.palindromes and sequence != sequence[::-1]:
            return False
        counts = tuple(sequence.count(letter) for letter in self.letters)
        changes = [i for i in range(1, self.length) if sequence[i] != sequence[i - 1]]
        ends = [0, *changes, self.length]
        runs = [b - a for a, b in itertools.pairwise(ends)]
        return (
            min(runs) >= self.thickness
            and (self.interfaces is None or len(changes) <= self.interfaces)
            and (self.composition is None or counts == self.composition)
        )

    def __iter__(self) -> Iterator[str]:
        """All allowed sequences in alphabetical order."""
        yield from self._listed("", ("", 0, 0, (0,) * len(self.letters)))

    def draw(self, rng: np.random.Generator) -> str:
        """A uniformly random allowed sequence.

        Raises:
            ValueError: no sequence is allowed.
        """
        state: _State = ("", 0, 0, (0,) * len(self.letters))
        if not self.count:
            raise ValueError("no sequence is allowed")
        # Python integers: there may be more sequences than a float can represent exactly.
        at, drawn = _below(self.count, rng), ""
        for place in range(self._half):
            for letter, after, number in self._options(place, state):
                if at < number:
                    drawn, state = drawn + letter, after
                    break
                at -= number
        return self._whole(drawn)

    def _options(self, place: int, state: _State) -> list[tuple[str, _State, int]]:
        """Each letter that may come next, the state after it, and the number of completions."""
        key = (place, state)
        if key not in self._next:
            steps = self._steps(state)
            self._next[key] = [(x, s, self._ways_from(place + 1, s)) for x, s in steps]
        return self._next[key]

    @property
    def _half(self) -> int:
        return (self.length + 1) // 2 if self.palindromes else self.length

    def _whole(self, part: str) -> str:
        return part + part[: self.length // 2][::-1] if self.palindromes else part

    def _listed(self, part: str, state: _State) -> Iterator[str]:
        if not self._ways_from(len(part), state):
            return
        if len(part) == self._half:
            yield self._whole(part)
            return
        for letter, after in self._steps(state):
            yield from self._listed(part + letter, after)

    def _steps(self, state: _State) -> list[tuple[str, _State]]:
        """Each letter that may come next, with the state after it."""
        last, run, changes, counts = state
        options: list[tuple[str, _State]] = []
        for k, letter in enumerate(self.letters):
            after = list(counts)
            if self.composition is not None:
                after[k] += 1
                if after[k] > self.composition[k]:
                    continue
            if letter == last or not last:
                # The exact length of a run beyond the smallest thickness does not matter.
                new = (letter, min(run + 1, self.thickness), changes, tuple(after))
            elif run < self.thickness:
                continue
            else:
                new = (letter, 1, changes + 1 if self.interfaces is not None else 0, tuple(after))
            if self.interfaces is None or new[2] <= self.interfaces:
                options.append((letter, new))
        return options

    def _ways_from(self, place: int, state: _State) -> int:
        """Number of completions from a state after `place` layers."""
        if place == self._half:
            return int(self._may_end(state))
        key = (place, state)
        if key not in self._ways:
            steps = self._steps(state)
            self._ways[key] = sum(self._ways_from(place + 1, after) for _, after in steps)
        return self._ways[key]

    def _may_end(self, state: _State) -> bool:
        last, run, changes, counts = state
        totals = counts
        if self.palindromes:
            odd = self.length % 2
            run, changes = 2 * run - odd, 2 * changes
            totals = tuple(
                2 * n - (odd if letter == last else 0)
                for n, letter in zip(counts, self.letters, strict=True)
            )
        return (
            run >= self.thickness
            and (self.interfaces is None or changes <= self.interfaces)
            and (self.composition is None or totals == self.composition)
        )


def _below(limit: int, rng: np.random.Generator) -> int:
    """A uniform integer from 0 to limit - 1, of any size."""
    bits = limit.bit_length()
    while True:
        drawn = int.from_bytes(rng.bytes((bits + 7) // 8), "little") >> (-bits % 8)
        if drawn < limit:
            return drawn
