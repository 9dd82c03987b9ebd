"""Descriptors of layer sequences: the letter of each layer, and correlations between layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surrogate.features.inputs import Group, Inputs


@dataclass(frozen=True)
class Chains:
    """Turns layer sequences into inputs.

    Three blocks of descriptors: occupancies (one column per layer and letter), bonds (whether
    neighbouring layers are equal), and correlations (mean over the sequence of +1 for equal and -1
    for different layers, at each distance up to half the length). The reversed sequence has the
    same columns in another order. The graph is a chain that ends in the leads.

    Args:
        alphabet: letters that have columns; any other letter lies halfway between all of them.
        length: number of layers of every sequence.
        orders: declared symmetries, including reversal, see `Superlattice.symmetries`.
    """

    alphabet: tuple[str, ...]
    length: int
    orders: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, sequences: Sequence[str], orders: tuple[tuple[int, ...], ...] = ()) -> Chains:
        """Descriptors suited to a training set of at least one sequence."""
        return cls(tuple(sorted(set("".join(sequences)) | {"0", "1"})), len(sequences[0]), orders)

    def inputs(self, sequences: Sequence[str]) -> Inputs:
        """The descriptors of n sequences.

        Raises:
            ValueError: a sequence of another length.
        """
        letters = self._letters(sequences)
        occupancy, alike = self._occupancies(letters), self._alikeness(letters)
        bonds = alike[1]
        correlations = np.stack([alike[d].mean(axis=1) for d in sorted(alike)], axis=1)
        mirror = np.arange(occupancy.shape[1]).reshape(self.length, -1)[::-1].ravel()
        pairs = np.array([alike[d].shape[1] for d in sorted(alike)])
        return Inputs(
            n=len(sequences),
            groups=(Group(np.arange(len(sequences)), self._nodes(letters), self._edges()),),
            blocks=(occupancy, bonds, correlations),
            spreads=(np.ones(occupancy.shape[1]), np.ones(bonds.shape[1]), pairs**-0.5),
            mirrors=(mirror, np.arange(bonds.shape[1])[::-1], np.arange(len(pairs))),
            descriptors={},
            words=tuple(sequences),
            orders=self.orders,
        )

    def _letters(self, sequences: Sequence[str]) -> NDArray[np.int64]:
        """Index (n, l) of each layer's letter in the alphabet, or its size for any other."""
        index = {letter: k for k, letter in enumerate(self.alphabet)}
        for sequence in sequences:
            if len(sequence) != self.length:
                raise ValueError(
                    f"sequence {sequence!r} has {len(sequence)} layers; expected {self.length}, "
                    "as the other sequences have: search one length at a time"
                )
        return np.array([[index.get(letter, len(index)) for letter in s] for s in sequences])

    def _occupancies(self, letters: NDArray[np.int64]) -> NDArray[np.float64]:
        """One column per layer and letter, except the first letter, which the others imply.

        (n, l·(k-1)) for an alphabet of k letters.
        """
        codes = 2.0 * np.eye(len(self.alphabet)) - 1.0
        one_hot = np.vstack([codes, np.zeros(len(self.alphabet))])[letters]
        return one_hot[:, :, 1:].reshape(len(letters), -1)

    def _alikeness(self, letters: NDArray[np.int64]) -> dict[int, NDArray[np.float64]]:
        """For each distance d, +1 where layers d apart are equal and -1 otherwise: (n, l-d)."""
        if self.length == 1:
            return {1: np.zeros((len(letters), 1))}
        return {
            d: np.where(letters[:, d:] == letters[:, :-d], 1.0, -1.0)
            for d in range(1, max(1, self.length // 2) + 1)
        }

    def _nodes(self, letters: NDArray[np.int64]) -> NDArray[np.float32]:
        """Node features of each layer and lead: letter, whether it is a lead, and position.

        The position is the distance from the middle, 1 at the leads. Shaped like the features of a
        potential with a single layer: (n, l+2, 1, letters + 2).
        """
        n, length = letters.shape
        kinds = len(self.alphabet)
        nodes = np.zeros((n, length + 2, kinds + 2), dtype=np.float32)
        nodes[:, 1:-1, :kinds] = np.eye(kinds + 1)[letters][:, :, :kinds]
        nodes[:, [0, -1], -2] = 1.0
        nodes[:, :, -1] = np.abs(np.linspace(-1.0, 1.0, length + 2))
        return nodes[:, :, None]

    def _edges(self) -> NDArray[np.float32]:
        """Edge features: whether two layers are one, or two, apart: (1, l+2, l+2, 2)."""
        site = np.arange(self.length + 2)
        apart = np.abs(site[:, None] - site[None])
        return np.stack([apart == 1, apart == 2], axis=2)[None].astype(np.float32)
