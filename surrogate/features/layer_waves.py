"""How much of a wave passes a stack, for layers whose materials nobody has described.

The letters of a sequence are given impedances and delays drawn at random, and the transmission
of a plane wave through the stack is computed exactly, with all multiple reflections (transfer
matrices: M. Born and E. Wolf, Principles of Optics, section 1.6; for sound in superlattices
S. Tamura, D. C. Hurley and J. P. Wolfe, Phys. Rev. B 38, 1427, 1988). Heat is carried by many
waves, each with an impedance and a delay of its own, so that a conductance is a sum of such
transmissions: labels tell which of the draws matter.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Single = NDArray[np.float32]  # enough for what is averaged anyway, and twice as fast
_DRAWS = 32
_POINTS = 8  # frequencies per band
_IMPEDANCE, _DELAY = 0.35, 0.3  # of logarithms: materials differ by a few ten per cent
_LOWEST, _HIGHEST = 0.1, 5.0  # radians per layer: from far longer than a layer to about one
_NARROW, _WIDE = 1.5, 6.0  # ratio of a band's ends
_WORDS = 128  # most short stacks whose matrices are multiplied once for all sequences
_ROWS = 64  # sequences whose matrices fit a cache
_LEAST = 1e-9  # transmission below which nothing passes


@dataclass(frozen=True)
class _Media:
    """Impedances and phases per layer (letters, draws * points), in units of the first draw's."""

    impedance: Single
    phase: Single

    @classmethod
    @functools.lru_cache(maxsize=8)
    def of(cls, letters: int) -> _Media:
        """Draws for so many letters; always the same."""
        rng = np.random.default_rng(letters)
        impedance = np.exp(_IMPEDANCE * rng.normal(size=(letters, _DRAWS, 1)))
        delay = np.exp(_DELAY * rng.normal(size=(letters, _DRAWS, 1)))
        low = np.exp(rng.uniform(np.log(_LOWEST), np.log(_HIGHEST), size=(_DRAWS, 1)))
        high = low * np.exp(rng.uniform(np.log(_NARROW), np.log(_WIDE), size=(_DRAWS, 1)))
        frequency = low + (high - low) * (np.arange(_POINTS) + 0.5) / _POINTS
        phase = (delay * frequency).reshape(letters, -1)
        same = np.broadcast_to(impedance, (letters, _DRAWS, _POINTS)).reshape(phase.shape)
        return cls(same.astype(np.float32), phase.astype(np.float32))


def transmissions(letters: NDArray[np.int64], kinds: int) -> list[Array]:
    """Logarithm of the share that passes, (n, draws) for each of `kinds` letters as both leads.

    It is the same from either side, here to the last bit.

    The stack's matrix turns displacement and stress on its right into those on its left; with
    entries A, iB, iC, D and leads of impedance z the share is 4 / ((A + D)² + (zB + C/z)²).

    Args:
        letters: (n, l), index of each layer's letter; `kinds` for any other letter.
        kinds: letters that are told apart.
    """
    media, letters = _Media.of(kinds + 1), _oriented(letters)
    size = max(1, int(np.log(_WORDS) / np.log(max(kinds, 2)) + 1e-9))
    parts = []
    for start in range(0, letters.shape[1], size):
        words, at = np.unique(letters[:, start : start + size], axis=0, return_inverse=True)
        parts.append((_matrices(words, media), at.ravel()))
    found: list[list[Array]] = [[] for _ in range(kinds)]
    for start in range(0, len(letters), _ROWS):
        rows = slice(start, start + _ROWS)
        whole = parts[0][0][:, parts[0][1][rows]]
        for matrices, at in parts[1:]:
            whole = _product(whole, matrices[:, at[rows]])
        for lead, table in enumerate(found):
            table.append(_passed(whole, media.impedance[lead]))
    return [np.concatenate(table) for table in found]


def _oriented(letters: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each sequence or its reverse, whichever is alphabetically first."""
    back = letters[:, ::-1]
    first = (letters != back).argmax(axis=1)
    rows = np.arange(len(letters))
    return np.where((letters[rows, first] > back[rows, first])[:, None], back, letters)


def _passed(whole: Single, lead: Single) -> Array:
    """Logarithm (n, draws) of the share that passes, averaged over each band."""
    with np.errstate(over="ignore", invalid="ignore"):  # very long stacks let nothing pass
        squares = np.square(whole[0] + whole[3]) + np.square(lead * whole[1] + whole[2] / lead)
        share = np.nan_to_num(4.0 / squares, nan=0.0).astype(np.float64)
    mean = share.reshape(len(share), _DRAWS, _POINTS).mean(axis=2)
    return np.log(np.maximum(mean, _LEAST))


def _matrices(words: NDArray[np.int64], media: _Media) -> Single:
    """Entries A, B, C, D (4, n, f) of the matrices of n short stacks."""
    cosine, sine = np.cos(media.phase), np.sin(media.phase)
    single = np.stack([cosine, sine / media.impedance, sine * media.impedance, cosine])
    whole = single[:, words[:, 0]]
    for layer in range(1, words.shape[1]):
        whole = _product(whole, single[:, words[:, layer]])
    return whole


def _product(m: Single, n: Single) -> Single:
    """The product of matrices ((A, iB), (iC, D)), of which only A, B, C, D are kept."""
    made = np.empty_like(m)
    with np.errstate(over="ignore", invalid="ignore"):
        made[0] = m[0] * n[0] - m[1] * n[2]
        made[1] = m[0] * n[1] + m[1] * n[3]
        made[2] = m[2] * n[0] + m[3] * n[2]
        made[3] = m[3] * n[3] - m[2] * n[1]
    return made
