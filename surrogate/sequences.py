"""Descriptors of layer sequences: which layer is where, and how alike layers are at a distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from surrogate.inputs import Inputs


class Chains:
    """Turns sequences into inputs; the alphabet and the length are those of the first call.

    Three blocks of descriptors: occupancies (one column per layer and letter), bonds (whether
    neighbouring layers are alike), and correlations (share of layers alike at each distance up
    to half the length, which do not depend on where in the sequence they are). The reversed
    sequence has the same columns in another order. The graph is a chain that ends in the leads.
    """

    def __init__(self) -> None:
        self._alphabet: tuple[str, ...] = ()
        self._length = 0

    def __call__(self, materials: Sequence[Any]) -> Inputs:
        """See `surrogate.inputs.Source`.

        Raises:
            ValueError: sequences of different lengths, or a letter the first call did not have.
        """
        from surrogate.inputs import Group, Inputs

        sequences = [material.sequence for material in materials]
        self._learn_shape(sequences)
        letters = self._letters(sequences)
        occupancy, alike = self._occupancies(letters), self._alikeness(letters)
        bonds = alike[1]
        correlations = np.stack([alike[d].mean(axis=1) for d in sorted(alike)], axis=1)
        blocks = (occupancy, bonds, correlations)
        per_site = occupancy.shape[1] // self._length
        mirror = np.arange(occupancy.shape[1]).reshape(self._length, per_site)[::-1].ravel()
        n_layers = np.arange(1, len(alike) + 1)
        return Inputs(
            n=len(sequences),
            groups=(Group(np.arange(len(sequences)), self._nodes(letters), self._edges()),),
            blocks=blocks,
            spreads=(
                np.ones(occupancy.shape[1]),
                np.ones(bonds.shape[1]),
                1.0 / np.sqrt(np.maximum(self._length - n_layers, 1)),
            ),
            mirrors=(mirror, np.arange(bonds.shape[1])[::-1], np.arange(correlations.shape[1])),
            descriptors={},
        )

    def _learn_shape(self, sequences: list[str]) -> None:
        if not self._alphabet:
            self._alphabet = tuple(sorted(set("".join(sequences)) | {"0", "1"}))
            self._length = len(sequences[0])
        for sequence in sequences:
            if len(sequence) != self._length:
                raise ValueError(
                    f"sequence {sequence!r} has {len(sequence)} layers; expected "
                    f"{self._length}, as in the others: search one length at a time"
                )

    def _letters(self, sequences: list[str]) -> NDArray[np.int64]:
        """Index (n, l) of each layer's letter in the alphabet."""
        index = {letter: k for k, letter in enumerate(self._alphabet)}
        try:
            return np.array([[index[letter] for letter in s] for s in sequences])
        except KeyError as error:
            raise ValueError(
                f"layer {error.args[0]!r} is not among {', '.join(self._alphabet)}"
            ) from error

    def _occupancies(self, letters: NDArray[np.int64]) -> NDArray[np.float64]:
        """One column per layer and letter but the first, which the others imply: (n, l·(k-1))."""
        one_hot = 2.0 * np.eye(len(self._alphabet))[letters] - 1.0
        return one_hot[:, :, 1:].reshape(len(letters), -1)

    def _alikeness(self, letters: NDArray[np.int64]) -> dict[int, NDArray[np.float64]]:
        """For each distance d, +1 where layers d apart are alike and -1 elsewhere: (n, l-d)."""
        farthest = max(1, min(self._length - 1, self._length // 2))
        return {
            d: np.where(letters[:, d:] == letters[:, :-d], 1.0, -1.0)
            if d < self._length
            else np.zeros((len(letters), 1))
            for d in range(1, farthest + 1)
        }

    def _nodes(self, letters: NDArray[np.int64]) -> NDArray[np.float32]:
        """Per layer, leads included: letter, being a lead, and distance from the middle."""
        n, length = letters.shape
        nodes = np.zeros((n, length + 2, len(self._alphabet) + 2), dtype=np.float32)
        nodes[:, 1:-1, : len(self._alphabet)] = np.eye(len(self._alphabet))[letters]
        nodes[:, [0, -1], -2] = 1.0
        nodes[:, :, -1] = np.abs(np.linspace(-1.0, 1.0, length + 2))
        return nodes

    def _edges(self) -> NDArray[np.float32]:
        """Layers one and two apart: (1, l+2, l+2, 2)."""
        site = np.arange(self._length + 2)
        apart = np.abs(site[:, None] - site[None])
        return np.stack([apart == 1, apart == 2], axis=2)[None].astype(np.float32)
