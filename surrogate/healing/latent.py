"""Positions of structures in a potential's latent space, and their similarity there."""

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
_MOST_DIRECTIONS = 12  # most principal directions that are kept


@dataclass(frozen=True, eq=False)
class Latent:
    """Invariant atomic features of one structure, averaged for each element.

    Args:
        rows: (elements, d), mean over the atoms of each element.
        weights: (elements,), fraction of the atoms.
        version: SHA-256 of the potential's weights; only features of equal weights are comparable.
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
    features = []
    with pinned_threads():
        for atoms in structures:
            nodes = node_features(potential, AseAtomsAdaptor.get_structure(atoms))[:, -1]
            elements = sorted(set(atoms.numbers.tolist()))
            rows = [nodes[atoms.numbers == z].mean(axis=0) for z in elements]
            shares = [float((atoms.numbers == z).mean()) for z in elements]
            features.append(Latent(np.array(rows, dtype=np.float64), np.array(shares), version))
    return features


@dataclass(frozen=True, eq=False)
class LatentSpace:
    """A metric on latent features: principal directions of a population, scaled to unit variance.

    Args:
        mean: (d,), mean of the population.
        axes: (d, k), projection onto the scaled principal directions.
        length: length scale of `kernel`, in scaled coordinates.
        version: of the features, see `Latent`.
    """

    mean: Array
    axes: Array
    length: float
    version: str

    @classmethod
    def of(cls, population: Sequence[Latent]) -> LatentSpace:
        """The metric in which a population has unit variance along every principal direction.

        Raises:
            ValueError: no structures, or features of different potentials.
        """
        rows = _rows(population)
        mean = rows.mean(axis=0)
        _, values, directions = np.linalg.svd(rows - mean, full_matrices=False)
        spreads = values / np.sqrt(max(len(rows) - 1, 1))
        n_kept = min(_MOST_DIRECTIONS, int((spreads > 1e-6 * max(spreads[0], 1e-300)).sum()))
        axes = directions[:n_kept].T / np.maximum(spreads[:n_kept], 1e-300)
        projected = (rows - mean) @ axes
        distances = np.linalg.norm(projected[:, None] - projected[None], axis=2)
        others = distances[~np.eye(len(rows), dtype=bool)]
        typical = float(np.median(others)) if len(others) else 0.0
        length = typical / 4 if typical > 0 else 1.0
        return cls(mean, axes, length, population[0].version)

    def kernel(self, left: Sequence[Latent], right: Sequence[Latent]) -> Array:
        """Similarity (n, m) of structures; 1 for identical ones.

        Gaussians of the distance averaged over all pairs of their atoms, and normalised (the
        average kernel of S. De et al., Phys. Chem. Chem. Phys. 18, 13754 (2016)).
        """
        raw = self._raw(left, right)
        own = [np.array([self._raw([a], [a])[0, 0] for a in side]) for side in (left, right)]
        return raw / np.sqrt(np.outer(*own))

    def distance(self, structures: Sequence[Latent], trusted: Sequence[Latent]) -> Array:
        """Mean distance (n,) of each structure's atoms from the nearest trusted atoms.

        In units of the population's standard deviation; infinite without trusted structures.
        """
        if not trusted:
            return np.full(len(structures), np.inf)
        trusted_rows = self._projected(trusted)
        nearest = [
            np.linalg.norm(self._projected([s])[:, None] - trusted_rows[None], axis=2).min(axis=1)
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
                f"latent features were computed with weights {population[0].version[:12]}; "
                f"expected weights {self.version[:12]}: compute the features again"
            )
        return np.asarray((rows - self.mean) @ self.axes)


def _rows(population: Sequence[Latent]) -> Array:
    """The rows of all structures in one array; refuses an empty population and mixed versions."""
    if not population:
        raise ValueError("got no structures; expected at least one")
    for number, one in enumerate(population):
        if one.version != population[0].version:
            raise ValueError(
                f"features of structure {number} were computed with weights {one.version[:12]}; "
                f"expected weights {population[0].version[:12]}: compute the features again"
            )
    return np.concatenate([one.rows for one in population])


def _folded(population: Sequence[Latent]) -> Array:
    """Matrix (n, rows) that averages the rows of each structure."""
    folded = np.zeros((len(population), sum(len(one.rows) for one in population)))
    at = 0
    for number, one in enumerate(population):
        folded[number, at : at + len(one.rows)] = one.weights
        at += len(one.rows)
    return folded
