"""The expected error of a potential on a pool of supercells, from a committee and labels so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from agents.holes.hole_hunter import Hunt, hunt
from agents.holes.supercell_pool import PoolEntry
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore
from surrogate.healing.committee import Forces, disagreement, member_forces, softening
from surrogate.healing.force_labels import ForceLabel, consistent
from surrogate.healing.hole_size import Evidence, HoleModel, HoleSizes
from surrogate.healing.latent import LatentSpace, latents

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Assessment:
    """Expected errors of a potential on a pool of supercells.

    Args:
        entries: (n,), the pool.
        evidence: indicators of errors on the pool.
        labelled: the same for the labelled structures; None where there are none.
        model: calibrated on the labelled structures, where there are any.
        sizes: expected errors on the pool.
        slopes: (members,), factors that correct the softening of the committee's members.
    """

    entries: Sequence[PoolEntry]
    evidence: Evidence
    labelled: Evidence | None
    model: HoleModel
    sizes: HoleSizes
    slopes: Array

    def first(self, n: int) -> Assessment:
        """The assessment of the first n entries of the pool alone."""
        evidence = self.evidence.take(range(n))
        return replace(
            self,
            entries=self.entries[:n],
            evidence=evidence,
            sizes=self.model.predict(evidence),
        )

    def hunt(
        self,
        budget: int,
        *,
        importance: Array | None = None,
        least: float = 0.0,
        groups: Sequence[int] | None = None,
    ) -> Hunt:
        """Which supercells to label; for the arguments see `agents.holes.hole_hunter.hunt`."""
        return hunt(
            [entry.id for entry in self.entries],
            self.evidence.latents,
            self.sizes,
            self.model.space,
            budget=budget,
            labelled=self.labelled.latents if self.labelled is not None else (),
            importance=importance,
            least=least,
            groups=groups,
        )


def assess(
    entries: Sequence[PoolEntry],
    committee: Sequence[str],
    store: StageStore,
    context: Context,
    *,
    labels: Sequence[ForceLabel] = (),
    trusted: Sequence[Atoms] = (),
) -> Assessment:
    """Expected force errors of a potential on a pool of supercells.

    Args:
        entries: supercells that could be labelled.
        committee: first the potential to be assessed, then others, of different families.
        store: keeps all forces.
        context: of the calculations.
        labels: reference labels so far, which calibrate the model and correct the softening. Leave
            out labels the first potential was fine-tuned on: its errors there are too small.
        trusted: structures on which the potential is accurate, for instance the replayed ones.

    Raises:
        ValueError: an empty pool, a committee of one, or labels with different settings.
        OracleError: a potential is missing or fails.
    """
    if not entries:
        raise ValueError("got an empty pool; expected displaced supercells to assess")
    if labels:
        consistent(labels)
    atoms = [entry.atoms for entry in entries] + [one.atoms for one in labels]
    members = member_forces(committee, atoms, store, context)
    n = len(entries)
    truth = [one.forces for one in labels]
    slopes = [softening(member[n:], truth) for member in members] if labels else None
    comparison = disagreement(members, slopes)
    structure_latents, trusted_latents = (
        latents(committee[0], atoms),
        latents(committee[0], trusted),
    )
    space = LatentSpace.of([*structure_latents, *trusted_latents])
    distance = space.distance(structure_latents, trusted_latents)
    all_evidence = Evidence(comparison.deviations[0], comparison.size, distance, structure_latents)
    pool, labelled = all_evidence.take(range(n)), None
    model = HoleModel(space)
    if labels:
        labelled = all_evidence.take(range(n, len(atoms)))
        model = model.fitted(labelled, _errors(members[0][n:], truth))
    return Assessment(entries, pool, labelled, model, model.predict(pool), comparison.slopes)


def _errors(forces: Forces, truth: Forces) -> Array:
    """Root-mean-square force error on each structure, eV/Å."""
    return np.array(
        [float(np.sqrt(np.square(f - t).mean())) for f, t in zip(forces, truth, strict=True)]
    )
