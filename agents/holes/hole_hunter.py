"""Which supercells to label, so that a few labels reduce the expected error of a potential most.

The error of a potential is modelled as a random field over its latent space, scaled by the expected
error of each structure. A label conditions the field, so it reduces the error of all similar
structures, and a second label of the same structure brings little more. Supercells are chosen one
by one; each choice minimises the sum of squared expected errors over the pool (greedy minimisation
of the summed posterior variance, "active learning Cohn": S. Seo et al., IJCNN 2000, 241).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surrogate.healing.hole_size import HoleSizes
from surrogate.healing.latent import Latent, LatentSpace

Array = NDArray[np.float64]
_NOISE = 0.1  # variance that a label leaves: other displacements of the same structure differ


@dataclass(frozen=True)
class ChosenSupercell:
    """One supercell to label.

    Args:
        index: of the structure in the pool.
        id: name of the supercell.
        force_error: expected force error before any of these labels, eV/Å.
        kappa_error: expected error of the natural logarithm of kappa.
        share: fraction of the pool's squared expected error that this label removes, given the
            labels chosen before it.
        reason: why it was chosen, in words.
    """

    index: int
    id: str
    force_error: float
    kappa_error: float
    share: float
    reason: str


@dataclass(frozen=True)
class Hunt:
    """A batch of supercells to label.

    Args:
        wanted: the supercells, the most useful one first.
        before: root-mean-square expected error on the pool, eV/Å.
        after: the same, as expected with all these labels.
        labels: number of reference labels that the expected errors are based on.
    """

    wanted: tuple[ChosenSupercell, ...]
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
    groups: Sequence[int] | None = None,
) -> Hunt:
    """Choose supercells to label.

    Args:
        ids: (n,), names of the displaced supercells in the pool.
        latents: (n,), their latent features under the potential to be fine-tuned.
        sizes: their expected errors.
        space: metric of the latent space.
        budget: largest number of supercells to choose.
        labelled: latent features of the structures that are labelled already.
        importance: (n,), weight of each structure's squared error, for instance how promising its
            material is; the default is 1.
        costs: (n,), relative cost of each label; the default is 1.
        least: eV/Å; structures with a smaller expected error are not holes and are not chosen.
        groups: (n,), number of the group of each structure, from 0, or -1 for none. Of each group
            the most useful structure is chosen before any other; the default is no groups.

    Raises:
        ValueError: an empty pool, arrays of different lengths, or a negative budget.
    """
    n = len(ids)
    weights = np.ones(n) if importance is None else np.asarray(importance, dtype=np.float64)
    prices = np.ones(n) if costs is None else np.asarray(costs, dtype=np.float64)
    group = np.full(n, -1) if groups is None else np.asarray(groups)
    _check(n, latents, sizes, weights, prices, group, budget)
    error = sizes.force_error * np.sqrt(weights)
    covariance = _conditioned(space, latents, labelled)
    free = sizes.force_error >= least
    total = remaining = float((np.square(error) * np.diag(covariance)).sum())
    wanted: list[ChosenSupercell] = []
    ahead = free & (group >= 0)
    while len(wanted) < budget and free.any():
        gain = np.square(error) @ np.square(covariance) / (np.diag(covariance) + _NOISE)
        eligible = ahead if ahead.any() else free
        at = int(np.argmax(np.where(eligible, gain / prices, -np.inf)))
        nearest = _most_helped(covariance, at, error)
        wanted.append(_wanted(at, ids, sizes, float(gain[at] / total), ids[nearest]))
        remaining -= float(gain[at])
        covariance = _given(covariance, at)
        free[at] = False
        ahead &= group != group[at]
    mean = float(weights.sum())
    return Hunt(
        tuple(wanted),
        float(np.sqrt(total / mean)),
        float(np.sqrt(max(remaining, 0.0) / mean)),
        sizes.labels,
    )


def _given(covariance: Array, at: int) -> Array:
    """Covariance (n, n) of the field once one of its structures is labelled."""
    column = covariance[at]
    return np.asarray(covariance - np.outer(column, column) / (column[at] + _NOISE))


def _conditioned(
    space: LatentSpace, latents: Sequence[Latent], labelled: Sequence[Latent]
) -> Array:
    """Covariance (n, n) of the field, of unit prior variance, given the labelled structures."""
    prior = space.kernel(latents, latents)
    if not labelled:
        return prior
    across = space.kernel(latents, labelled)
    among = space.kernel(labelled, labelled) + _NOISE * np.eye(len(labelled))
    return np.asarray(prior - across @ np.linalg.solve(among, across.T))


def _most_helped(covariance: Array, at: int, error: Array) -> int:
    """The other structure whose error a label of structure `at` reduces most."""
    reduction = np.square(error * covariance[at])
    reduction[at] = -1.0
    return int(np.argmax(reduction)) if len(reduction) > 1 else at


def _wanted(
    at: int, ids: Sequence[str], sizes: HoleSizes, share: float, kin: str
) -> ChosenSupercell:
    error, kappa = float(sizes.force_error[at]), float(sizes.kappa_error[at])
    basis = f"{sizes.labels} labels" if sizes.labels else "the prior alone"
    return ChosenSupercell(
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
    group: NDArray[np.int_],
    budget: int,
) -> None:
    if n == 0:
        raise ValueError("got an empty pool; expected displaced supercells to choose from")
    for name, length in (
        ("latents", len(latents)),
        ("sizes", len(sizes.force_error)),
        ("importance", len(weights)),
        ("costs", len(prices)),
        ("groups", len(group)),
    ):
        if length != n:
            raise ValueError(f"{name} has {length} entries; expected {n}, one for each structure")
    if budget < 0:
        raise ValueError(f"budget: got {budget}; expected 0 or more")
    if not ((weights >= 0).all() and np.isfinite(weights).all() and weights.any()):
        raise ValueError("importance: expected finite numbers of at least 0, not all of them 0")
    if not (prices > 0).all():
        raise ValueError("costs: expected positive numbers only")
