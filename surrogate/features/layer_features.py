"""Physical descriptors of a layer stack: which layer is where, and which layers are close.

Waves reflected by two interfaces interfere according to their distance, so transmission depends on
the pair correlations of the layers (the Born approximation) and, where reflection is strong, on
their local order. Every descriptor is averaged over the images of a sequence under its declared
symmetries, so that equivalent designs have equal descriptors. For descriptors that include
multiple reflections, see `surrogate.features.layer_waves`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oracle.materials.orders import Order, group
from surrogate.features.inputs import Inputs
from surrogate.features.layer_waves import transmissions

Array = NDArray[np.float64]
Blocks = dict[str, Array]
_SEPARATE = 4  # distances up to this have a block each; larger ones share one block
_WORDS = (3, 4, 5)  # numbers of layers in the local environments that are counted
_MOST_WAVES = 16  # images; larger symmetry groups are not those of a stack, so waves are left out
_REFERENCE = 256  # number of random sequences that define centres and scales
_NONE = 1e-9  # variance at or below which a block carries no information


@dataclass(frozen=True)
class LayerFeatures:
    """Blocks of descriptors, each centred and scaled to a total variance of 1.

    Each column of a block of waves has the same variance, so that strong contrasts do not outweigh
    weak ones.

    Centres and scales are those of random sequences: shuffled ones where all labelled sequences
    have the same composition, and independent random letters otherwise.

    Args:
        alphabet: letters that have columns of their own.
        orders: generators of the symmetries, see `Superlattice.symmetries`.
        centres: (f,) of each block.
        scales: (f,) of each block.
    """

    alphabet: tuple[str, ...]
    orders: tuple[Order, ...]
    centres: dict[str, Array]
    scales: dict[str, Array]

    @classmethod
    def of(cls, inputs: Inputs) -> LayerFeatures:
        """Descriptors suited to a training set of at least one sequence."""
        alphabet = tuple(sorted(set("".join(inputs.words))))
        raw = raw_blocks(_reference(inputs.words, alphabet), inputs.orders, alphabet)
        variances = {name: float(block.var(axis=0).sum()) for name, block in raw.items()}
        names = [name for name, variance in variances.items() if variance > _NONE] or ["share"]
        scales = {name: _scale(name, raw[name]) for name in names}
        centres = {name: raw[name].mean(axis=0) for name in names}
        return cls(alphabet, inputs.orders, centres, scales)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the blocks in order; blocks that change sign under reversal end in a minus."""
        return tuple(self.scales)

    def __call__(self, inputs: Inputs) -> list[Array]:
        """Blocks (n, f_b) of n sequences."""
        raw = raw_blocks(inputs.words, self.orders, self.alphabet)
        return [(raw[name] - self.centres[name]) / scale for name, scale in self.scales.items()]


@functools.lru_cache(maxsize=6)
def raw_blocks(
    words: tuple[str, ...], orders: tuple[Order, ...], alphabet: tuple[str, ...]
) -> Blocks:
    """Descriptors of n sequences of equal length, averaged over their images; read-only arrays.

    Blocks: ``place`` (one column per layer and letter), ``share`` (fraction of each letter),
    ``apart-d`` (pairs of letters d layers apart), ``apart`` (pairs at larger distances),
    ``local-m`` (how often each word of m letters occurs, including the leads), ``waves-k``
    (transmission if the leads have letter k; the labels decide which k matters); and, unless
    reversal is among the symmetries, ``place-`` and ``local-3-``, which change sign under it.
    """
    letters = _codes(words, alphabet)
    images = group(orders, letters.shape[1])
    mirrored = tuple(range(letters.shape[1] - 1, -1, -1)) in images
    blocks: Blocks = {}
    for image in images:
        permuted = letters[:, list(image)]
        for name, block in _described(permuted, len(alphabet), directed=not mirrored).items():
            blocks[name] = blocks.get(name, 0.0) + block / len(images)
    if len(images) <= _MOST_WAVES:
        # An image and its reverse have the same transmission.
        sides = [i for i in images if not mirrored or i <= i[::-1]]
        for image in sides:
            for k, block in enumerate(transmissions(letters[:, list(image)], len(alphabet))):
                blocks[f"waves-{k}"] = blocks.get(f"waves-{k}", 0.0) + block / len(sides)
    for block in blocks.values():
        block.setflags(write=False)
    return blocks


def _scale(name: str, block: Array) -> Array:
    """The divisors (f,) of a block's columns."""
    variance = block.var(axis=0)
    if not name.startswith("waves-"):
        variance = np.full(len(variance), variance.mean())
    return np.sqrt(np.where(variance > 0.0, variance, 1.0) * len(variance))


def _codes(words: Sequence[str], alphabet: Sequence[str]) -> NDArray[np.int64]:
    """Index (n, l) of each letter, the size of the alphabet for any other."""
    index = {letter: k for k, letter in enumerate(alphabet)}
    return np.array([[index.get(letter, len(index)) for letter in word] for word in words])


def _described(letters: NDArray[np.int64], kinds: int, *, directed: bool) -> Blocks:
    n, length = letters.shape
    one_hot = np.eye(kinds + 1)[letters][:, :, :kinds]
    place, reversed_place = one_hot.reshape(n, -1), one_hot[:, ::-1].reshape(n, -1)
    blocks: Blocks = {
        "share": one_hot.sum(axis=1) / np.sqrt(length),
        "place": (place + reversed_place) / 2,
    }
    far_pairs = []
    for distance in range(1, length // 2 + 1):
        pairs = np.einsum("nia,nib->nab", one_hot[:, distance:], one_hot[:, :-distance])
        pairs = (pairs + pairs.transpose(0, 2, 1)).reshape(n, -1) / np.sqrt(length - distance)
        if distance <= _SEPARATE:
            blocks[f"apart-{distance}"] = pairs
        else:
            far_pairs.append(pairs)
    if far_pairs:
        blocks["apart"] = np.concatenate(far_pairs, axis=1)
    for size in _WORDS:
        forward, backward = _counts(letters, kinds, size), _counts(letters[:, ::-1], kinds, size)
        blocks[f"local-{size}"] = (forward + backward) / 2
        if directed and size == _WORDS[0]:
            blocks[f"local-{size}-"] = (forward - backward) / 2
    if directed:
        blocks["place-"] = (place - reversed_place) / 2
    return blocks


def _counts(letters: NDArray[np.int64], kinds: int, size: int) -> Array:
    """Count of each word over the square root of the number of windows; leads are a letter too."""
    n = len(letters)
    padded = np.pad(letters, ((0, 0), (size - 1, size - 1)), constant_values=kinds + 1)
    codes = np.zeros((n, padded.shape[1] - size + 1), dtype=np.int64)
    for k in range(size):
        codes = codes * (kinds + 2) + padded[:, k : codes.shape[1] + k]
    columns = _columns(kinds, size)
    column = np.searchsorted(columns, codes)
    column = np.where(columns[np.minimum(column, len(columns) - 1)] == codes, column, len(columns))
    flat = column + np.arange(n)[:, None] * (len(columns) + 1)
    table = np.bincount(flat.ravel(), minlength=n * (len(columns) + 1)).reshape(n, -1)
    return np.asarray(table[:, : len(columns)] / np.sqrt(codes.shape[1]))


@functools.lru_cache(maxsize=32)
def _columns(kinds: int, size: int) -> NDArray[np.int64]:
    """Codes of all words of known letters, including words that overlap a lead at one end."""
    padded_words = []
    for lead in range(size):
        inner = np.indices((kinds,) * (size - lead)).reshape(size - lead, -1).T
        ends = np.full((len(inner), lead), kinds + 1)
        padded_words += [
            np.concatenate(p, axis=1) for p in ([ends, inner], [inner, ends])[: lead + 1]
        ]
    words = np.unique(np.concatenate(padded_words), axis=0)
    return np.sort(words @ (kinds + 2) ** np.arange(size - 1, -1, -1))


def _reference(words: Sequence[str], alphabet: Sequence[str]) -> tuple[str, ...]:
    """Random sequences that resemble the labelled ones."""
    rng = np.random.default_rng(len(words[0]))
    if len({"".join(sorted(word)) for word in words}) == 1:
        letters = np.array(list(words[0]))
        rows = [rng.permutation(letters) for _ in range(_REFERENCE)]
    else:
        rows = list(rng.choice(np.array(alphabet), size=(_REFERENCE, len(words[0]))))
    return tuple("".join(row) for row in rows)
