"""What the physics of a stack depends on: which layer is where, and which are near each other.

Waves reflected by two interfaces interfere by the distance between them, so that transmission
follows the pair correlations of the layers (the Born approximation) and, where reflection is
strong, their local order. Every descriptor is averaged over the images of a sequence under its
declared symmetries, which makes equal designs equal here. What waves that are reflected many
times make of a stack, see `surrogate.features.layer_waves`.
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
_SEPARATE = 4  # distances up to it have a scale each; larger ones share one
_WORDS = (3, 4, 5)  # layers of the local environments that are counted
_MOST_WAVES = 16  # images; a larger group is not that of a stack that waves pass
_REFERENCE = 256  # random sequences from which typical sizes are taken
_NONE = 1e-9  # variance of a block that says nothing


@dataclass(frozen=True)
class LayerFeatures:
    """Blocks of descriptors, each centred and scaled to a total variance of 1.

    Of waves each column has the same variance, so that strong contrasts do not outweigh weak ones.

    Centre and scale are those of random sequences: shuffles of the labelled ones where all have
    one composition, else free draws of letters.

    Args:
        alphabet: letters that have columns of their own.
        orders: generators of the symmetries, see `Superlattice.symmetries`.
        centres: by block, (f,).
        scales: by block, (f,).
    """

    alphabet: tuple[str, ...]
    orders: tuple[Order, ...]
    centres: dict[str, Array]
    scales: dict[str, Array]

    @classmethod
    def of(cls, inputs: Inputs) -> LayerFeatures:
        """The descriptors that a training set of at least one sequence asks for."""
        alphabet = tuple(sorted(set("".join(inputs.words))))
        raw = raw_blocks(_reference(inputs.words, alphabet), inputs.orders, alphabet)
        total = {name: float(block.var(axis=0).sum()) for name, block in raw.items()}
        kept = [name for name, variance in total.items() if variance > _NONE] or ["share"]
        scales = {name: _scale(name, raw[name]) for name in kept}
        centres = {name: raw[name].mean(axis=0) for name in kept}
        return cls(alphabet, inputs.orders, centres, scales)

    @property
    def names(self) -> tuple[str, ...]:
        """Blocks in their order; those that change sign under reversal end in a minus."""
        return tuple(self.scales)

    def __call__(self, inputs: Inputs) -> list[Array]:
        """Blocks (n, f_b) of n sequences."""
        raw = raw_blocks(inputs.words, self.orders, self.alphabet)
        return [(raw[name] - self.centres[name]) / scale for name, scale in self.scales.items()]


@functools.lru_cache(maxsize=6)
def raw_blocks(
    words: tuple[str, ...], orders: tuple[Order, ...], alphabet: tuple[str, ...]
) -> Blocks:
    """Descriptors of n sequences of one length, averaged over their images; read-only.

    Blocks: ``place`` (one column per layer and letter), ``share`` (of each letter), ``apart-d``
    (pairs of letters d layers apart), ``apart`` (the same for larger distances), ``local-m``
    (how often each word of m letters occurs, the leads included), ``waves-k`` (what passes where
    the leads are of letter k; which they are nobody need say, labels do); and, unless reversal is
    among the symmetries, ``place-`` and ``local-3-``: what changes sign under it.
    """
    letters = _codes(words, alphabet)
    images = group(orders, letters.shape[1])
    mirrored = tuple(range(letters.shape[1] - 1, -1, -1)) in images
    total: Blocks = {}
    for image in images:
        turned = letters[:, list(image)]
        for name, block in _described(turned, len(alphabet), directed=not mirrored).items():
            total[name] = total.get(name, 0.0) + block / len(images)
    if len(images) <= _MOST_WAVES:
        # An image and its reverse let the same pass.
        sides = [i for i in images if not mirrored or i <= i[::-1]]
        for image in sides:
            for k, block in enumerate(transmissions(letters[:, list(image)], len(alphabet))):
                total[f"waves-{k}"] = total.get(f"waves-{k}", 0.0) + block / len(sides)
    for block in total.values():
        block.setflags(write=False)
    return total


def _scale(name: str, block: Array) -> Array:
    """What the columns (f,) of a block are divided by."""
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
    place, back = one_hot.reshape(n, -1), one_hot[:, ::-1].reshape(n, -1)
    blocks: Blocks = {"share": one_hot.sum(axis=1) / np.sqrt(length), "place": (place + back) / 2}
    far = []
    for distance in range(1, length // 2 + 1):
        pairs = np.einsum("nia,nib->nab", one_hot[:, distance:], one_hot[:, :-distance])
        pairs = (pairs + pairs.transpose(0, 2, 1)).reshape(n, -1) / np.sqrt(length - distance)
        if distance <= _SEPARATE:
            blocks[f"apart-{distance}"] = pairs
        else:
            far.append(pairs)
    if far:
        blocks["apart"] = np.concatenate(far, axis=1)
    for size in _WORDS:
        forth, against = _counts(letters, kinds, size), _counts(letters[:, ::-1], kinds, size)
        blocks[f"local-{size}"] = (forth + against) / 2
        if directed and size == _WORDS[0]:
            blocks[f"local-{size}-"] = (forth - against) / 2
    if directed:
        blocks["place-"] = (place - back) / 2
    return blocks


def _counts(letters: NDArray[np.int64], kinds: int, size: int) -> Array:
    """How often each word occurs, per root of the number of windows; leads are a letter too."""
    n = len(letters)
    padded = np.pad(letters, ((0, 0), (size - 1, size - 1)), constant_values=kinds + 1)
    codes = np.zeros((n, padded.shape[1] - size + 1), dtype=np.int64)
    for k in range(size):
        codes = codes * (kinds + 2) + padded[:, k : codes.shape[1] + k]
    columns = _columns(kinds, size)
    at = np.searchsorted(columns, codes)
    at = np.where(columns[np.minimum(at, len(columns) - 1)] == codes, at, len(columns))
    flat = at + np.arange(n)[:, None] * (len(columns) + 1)
    table = np.bincount(flat.ravel(), minlength=n * (len(columns) + 1)).reshape(n, -1)
    return np.asarray(table[:, : len(columns)] / np.sqrt(codes.shape[1]))


@functools.lru_cache(maxsize=32)
def _columns(kinds: int, size: int) -> NDArray[np.int64]:
    """Codes of all words of known letters that may have a lead at one end."""
    found = []
    for lead in range(size):
        inner = np.indices((kinds,) * (size - lead)).reshape(size - lead, -1).T
        ends = np.full((len(inner), lead), kinds + 1)
        found += [np.concatenate(p, axis=1) for p in ([ends, inner], [inner, ends])[: lead + 1]]
    words = np.unique(np.concatenate(found), axis=0)
    return np.sort(words @ (kinds + 2) ** np.arange(size - 1, -1, -1))


def _reference(words: Sequence[str], alphabet: Sequence[str]) -> tuple[str, ...]:
    """Random sequences like those labelled."""
    rng = np.random.default_rng(len(words[0]))
    if len({"".join(sorted(word)) for word in words}) == 1:
        letters = np.array(list(words[0]))
        rows = [rng.permutation(letters) for _ in range(_REFERENCE)]
    else:
        rows = list(rng.choice(np.array(alphabet), size=(_REFERENCE, len(words[0]))))
    return tuple("".join(row) for row in rows)
