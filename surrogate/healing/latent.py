"""Where structures lie in a potential's latent space, and how alike they are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.potentials.table import weights_digest
from oracle.runtime.threads import pinned_threads
from surrogate.features.node_features import node_features

Array = NDArray[np.float64]
_KEPT = 12  # principal directions


@dataclass(frozen=True, eq=False)
class Latent:
    """Invariant features of one structure's atoms, by element.

    Args:
        rows: (elements, d), mean over the atoms of each element.
        weights: (elements,), share of the atoms.
        version: SHA-256 of the potential's weights; features of others are not comparable.
    """

    rows: Array
    weights: Array
    version: str


def latents(potential: str, structures: Sequence[Atoms]) -> list[Latent]:
    """The latent features of structures under a potential.

    Raises:
        OracleError: stage ``read``; the potential is unknown or missing.
        ValueError: an element that the potential does not know.
    """
    version = weights_digest(potential)
    found = []
    with pinned_threads():
        for atoms in structures:
            nodes = node_features(potential, AseAtomsAdaptor.get_structure(atoms))[:, -1]
            kinds = sorted(set(atoms.numbers.tolist()))
            rows = [nodes[atoms.numbers == z].mean(axis=0) for z in kinds]
            shares = [float((atoms.numbers == z).mean()) for z in kinds]
            found.append(Latent(np.array(rows, dtype=np.float64), np.array(shares), version))
    return found


@dataclass(frozen=True, eq=False)
class LatentSpace:
    """A metric on latent features: principal directions of a population, scaled to unit spread.

    Args:
        mean: (d,).
        axes: (d, k), projects onto the scaled directions.
        length: distance over which structures are alike.
        version: of the features.
    """

    mean: Array
    axes: Array
    length: float
    version: str

    @classmethod
    def of(cls, population: Sequence[Latent]) -> LatentSpace:
        """The metric in which a population has unit spread in every kept direction.

        Raises:
            ValueError: no structures, or features of different potentials.
        """
        rows = _rows(population)
        mean = rows.mean(axis=0)
        _, values, directions = np.linalg.svd(rows - mean, full_matrices=False)
        spreads = values / np.sqrt(max(len(rows) - 1, 1))
        kept = min(_KEPT, int((spreads > 1e-6 * max(spreads[0], 1e-300)).sum()))
        axes = directions[:kept].T / np.maximum(spreads[:kept], 1e-300)
        projected = (rows - mean) @ axes
        apart = np.linalg.norm(projected[:, None] - projected[None], axis=2)
        others = apart[~np.eye(len(rows), dtype=bool)]
        typical = float(np.median(others)) if len(others) else 0.0
        length = typical / 4 if typical > 0 else 1.0
        return cls(mean, axes, length, population[0].version)

    def kernel(self, left: Sequence[Latent], right: Sequence[Latent]) -> Array:
        """Likeness (n, m) of structures, 1 where they are the same.

        The mean of Gaussians over all pairs of their atoms, normalised (the average kernel of
        S. De et al., Phys. Chem. Chem. Phys. 18, 13754 (2016)).
        """
        raw = self._raw(left, right)
        own = [np.array([self._raw([a], [a])[0, 0] for a in side]) for side in (left, right)]
        return raw / np.sqrt(np.outer(*own))

    def distance(self, structures: Sequence[Latent], trusted: Sequence[Latent]) -> Array:
        """Distance (n,) of each structure's atoms from the nearest of the trusted ones, on average.

        In units of the spread of the population; no trusted structures are infinitely far.
        """
        if not trusted:
            return np.full(len(structures), np.inf)
        known = self._projected(trusted)
        nearest = [
            np.linalg.norm(self._projected([s])[:, None] - known[None], axis=2).min(axis=1)
            for s in structures
        ]
        return np.array([w @ s.weights for w, s in zip(nearest, structures, strict=True)])

    def _raw(self, left: Sequence[Latent], right: Sequence[Latent]) -> Array:
        a, b = self._projected(left), self._projected(right)
        squared = np.square(a[:, None] - b[None]).sum(axis=2) / self.length**2
        likeness = np.exp(-squared / 2)
        return _folded(left) @ likeness @ _folded(right).T

    def _projected(self, population: Sequence[Latent]) -> Array:
        rows = _rows(population)
        if population[0].version != self.version:
            raise ValueError(
                f"latent features are of weights {population[0].version[:12]}; expected those of "
                f"{self.version[:12]}: compute them again"
            )
        return np.asarray((rows - self.mean) @ self.axes)


def _rows(population: Sequence[Latent]) -> Array:
    """All rows on end; refuses an empty population and mixed versions."""
    if not population:
        raise ValueError("got no structures; expected at least one")
    for number, one in enumerate(population):
        if one.version != population[0].version:
            raise ValueError(
                f"structure {number} has features of weights {one.version[:12]}; expected "
                f"{population[0].version[:12]}: compute them again"
            )
    return np.concatenate([one.rows for one in population])


def _folded(population: Sequence[Latent]) -> Array:
    """Weights (n, rows) of each structure's rows."""
    folded = np.zeros((len(population), sum(len(one.rows) for one in population)))
    at = 0
    for number, one in enumerate(population):
        folded[number, at : at + len(one.rows)] = one.weights
        at += len(one.rows)
    return folded
