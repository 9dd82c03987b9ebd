"""Which supercells to label: the fewest that take away most of the error expected of a potential.

The error of a potential is taken as a random field over its latent space whose size is the expected
error of each structure. A label conditions the field there, so it takes away error from everything
alike, and nothing more from a copy of itself. Supercells are chosen one by one, each the one that
lowers the sum of squared expected errors of the whole pool most (greedy minimisation of the summed
posterior variance, "active learning Cohn": S. Seo et al., IJCNN 2000, 241).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surrogate.healing.hole_size import HoleSizes
from surrogate.healing.latent import Latent, LatentSpace

Array = NDArray[np.float64]
_NOISE = 0.1  # variance of the field that a label leaves: another displacement of the structure


@dataclass(frozen=True)
class Wanted:
    """One supercell to label.

    Args:
        index: of the structure in the pool.
        id: its name.
        force_error: expected before any of these labels, eV/Å.
        kappa_error: expected error of the natural logarithm of kappa.
        share: of the pool's squared expected error that this label takes away, after those before.
        reason: in words.
    """

    index: int
    id: str
    force_error: float
    kappa_error: float
    share: float
    reason: str


@dataclass(frozen=True)
class Hunt:
    """A batch of labels.

    Args:
        wanted: in the order in which they are worth most.
        before: root-mean-square expected error of the pool, eV/Å.
        after: what is expected to remain of it with all these labels.
        labels: how many reference labels the expected errors rest on.
    """

    wanted: tuple[Wanted, ...]
    before: float
    after: float
    labels: int


def hunt(
    ids: Sequence[str],
    latents: Sequence[Latent],
    sizes: HoleSizes,
    space: LatentSpace,
    *,
    budget: int,
    labelled: Sequence[Latent] = (),
    importance: Array | None = None,
    costs: Array | None = None,
    least: float = 0.0,
) -> Hunt:
    """Choose supercells to label.

    Args:
        ids: (n,), names of the displaced supercells of the pool.
        latents: (n,), where they lie under the potential to heal.
        sizes: (n,), their expected errors.
        space: metric of the latent space.
        budget: most labels; 0 chooses none.
        labelled: where labels lie that training will use anyway.
        importance: (n,), weight of each structure's squared error, for instance a candidate's
            promise; 1 unless given.
        costs: (n,), of each label relative to the others; 1 unless given.
        least: eV/Å; structures with less expected error are no holes and are not chosen.

    Raises:
        ValueError: an empty pool, arrays that do not fit, a negative budget.
    """
    n = len(ids)
    weights = np.ones(n) if importance is None else np.asarray(importance, dtype=np.float64)
    prices = np.ones(n) if costs is None else np.asarray(costs, dtype=np.float64)
    _check(n, latents, sizes, weights, prices, budget)
    error = sizes.force_error * np.sqrt(weights)
    covariance = _conditioned(space, latents, labelled)
    free = sizes.force_error >= least
    total = float((np.square(error) * np.diag(covariance)).sum())
    left = total
    wanted: list[Wanted] = []
    while len(wanted) < budget and free.any():
        gain = np.square(error) @ np.square(covariance) / (np.diag(covariance) + _NOISE)
        at = int(np.argmax(np.where(free, gain / prices, -np.inf)))
        nearest = _kin(covariance, at, error)
        wanted.append(_wanted(at, ids, sizes, float(gain[at] / total), ids[nearest]))
        left -= float(gain[at])
        covariance = covariance - np.outer(covariance[at], covariance[at]) / (
            covariance[at, at] + _NOISE
        )
        free[at] = False
    mean = float(weights.sum())
    return Hunt(
        tuple(wanted),
        float(np.sqrt(total / mean)),
        float(np.sqrt(max(left, 0.0) / mean)),
        sizes.labels,
    )


def _conditioned(
    space: LatentSpace, latents: Sequence[Latent], labelled: Sequence[Latent]
) -> Array:
    """Covariance (n, n) of the field, of unit prior variance, given what is labelled already."""
    prior = space.kernel(latents, latents)
    if not labelled:
        return prior
    across = space.kernel(latents, labelled)
    among = space.kernel(labelled, labelled) + _NOISE * np.eye(len(labelled))
    return np.asarray(prior - across @ np.linalg.solve(among, across.T))


def _kin(covariance: Array, at: int, error: Array) -> int:
    """The other structure that a label at one helps most."""
    help_ = np.square(error * covariance[at])
    help_[at] = -1.0
    return int(np.argmax(help_)) if len(help_) > 1 else at


def _wanted(at: int, ids: Sequence[str], sizes: HoleSizes, share: float, kin: str) -> Wanted:
    error, kappa = float(sizes.force_error[at]), float(sizes.kappa_error[at])
    basis = f"{sizes.labels} labels" if sizes.labels else "the prior alone"
    return Wanted(
        at,
        ids[at],
        error,
        kappa,
        share,
        f"expected force error {error:.3f} eV/Å (from {basis}), of kappa {100 * kappa:.0f} %; its "
        f"label takes away {100 * share:.0f} % of the pool's squared error, most beside itself of "
        f"{kin}",
    )


def _check(
    n: int,
    latents: Sequence[Latent],
    sizes: HoleSizes,
    weights: Array,
    prices: Array,
    budget: int,
) -> None:
    if n == 0:
        raise ValueError("got an empty pool; expected displaced supercells to choose from")
    for name, length in (
        ("latents", len(latents)),
        ("sizes", len(sizes.force_error)),
        ("importance", len(weights)),
        ("costs", len(prices)),
    ):
        if length != n:
            raise ValueError(f"{name} has {length} entries; expected {n}, one of each structure")
    if budget < 0:
        raise ValueError(f"budget: got {budget}; expected 0 or more")
    if not ((weights >= 0).all() and np.isfinite(weights).all() and weights.any()):
        raise ValueError("importance: expected numbers of at least 0, not all 0")
    if not (prices > 0).all():
        raise ValueError("costs: expected positive numbers")
