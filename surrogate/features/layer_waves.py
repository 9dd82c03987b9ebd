"""Transmission of waves through a stack whose layer materials are not specified.

The letters of a sequence get random impedances and delays, and the transmission of a plane wave
through the stack is computed exactly, including all multiple reflections (transfer matrices: M.
Born and E. Wolf, Principles of Optics, section 1.6; for sound in superlattices S. Tamura, D. C.
Hurley and J. P. Wolfe, Phys. Rev. B 38, 1427, 1988). Heat is carried by many waves, each with its
own impedance and delay, so a conductance is a sum of such transmissions. Which of the random draws
matter is learned from the labels.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Single = NDArray[np.float32]  # precise enough for averages, and twice as fast
_DRAWS = 32  # random sets of impedances, delays and frequency band
_POINTS = 8  # frequencies per band
_IMPEDANCE, _DELAY = 0.35, 0.3  # standard deviations of logarithms: tens of per cent
_LOWEST, _HIGHEST = 0.1, 5.0  # lower band edges, radians per layer: long waves to about one layer
_NARROW, _WIDE = 1.5, 6.0  # ratio of a band's upper to its lower edge
_WORDS = 128  # most short stacks whose matrices are computed once for all sequences
_ROWS = 64  # sequences at a time, so that their matrices fit into the cache
_LEAST = 1e-9  # smallest transmission that is distinguished from 0


@dataclass(frozen=True)
class _Media:
    """Relative impedance and phase (radians) of each letter's layer, (letters, draws * points)."""

    impedance: Single
    phase: Single

    @classmethod
    @functools.lru_cache(maxsize=8)
    def of(cls, letters: int) -> _Media:
        """Random media for a number of letters; always the same draws."""
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
    """Logarithm of the transmission (n, draws), for each of `kinds` letters as both leads.

    Transmission is the same from either side, here bit for bit.

    The stack's matrix maps displacement and stress on its right to those on its left. With entries
    A, iB, iC, D and leads of impedance z, the transmission is 4 / ((A + D)² + (zB + C/z)²).

    Args:
        letters: (n, l), index of each layer's letter; `kinds` for any other letter.
        kinds: number of letters that are distinguished.
    """
    media, letters = _Media.of(kinds + 1), _oriented(letters)
    size = max(1, int(np.log(_WORDS) / np.log(max(kinds, 2)) + 1e-9))
    parts = []
    for start in range(0, letters.shape[1], size):
        words, index = np.unique(letters[:, start : start + size], axis=0, return_inverse=True)
        parts.append((_matrices(words, media), index.ravel()))
    by_lead: list[list[Array]] = [[] for _ in range(kinds)]
    for start in range(0, len(letters), _ROWS):
        rows = slice(start, start + _ROWS)
        whole = parts[0][0][:, parts[0][1][rows]]
        for matrices, index in parts[1:]:
            whole = _product(whole, matrices[:, index[rows]])
        for lead, table in enumerate(by_lead):
            table.append(_passed(whole, media.impedance[lead]))
    return [np.concatenate(table) for table in by_lead]


def _oriented(letters: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each sequence or its reverse, whichever is alphabetically first."""
    reversed_letters = letters[:, ::-1]
    first = (letters != reversed_letters).argmax(axis=1)
    rows = np.arange(len(letters))
    return np.where(
        (letters[rows, first] > reversed_letters[rows, first])[:, None], reversed_letters, letters
    )


def _passed(whole: Single, lead: Single) -> Array:
    """Logarithm (n, draws) of the transmission averaged over each band."""
    with np.errstate(over="ignore", invalid="ignore"):  # overflow means no transmission
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
    product = np.empty_like(m)
    with np.errstate(over="ignore", invalid="ignore"):
        product[0] = m[0] * n[0] - m[1] * n[2]
        product[1] = m[0] * n[1] + m[1] * n[3]
        product[2] = m[2] * n[0] + m[3] * n[2]
        product[3] = m[3] * n[3] - m[2] * n[1]
    return product
