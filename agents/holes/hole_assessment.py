"""How wrong a potential is expected to be on a pool of supercells, from all that is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from agents.holes.hole_hunter import Hunt, hunt
from agents.holes.label_pool import PoolEntry
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore
from surrogate.healing.committee import Forces, disagreement, member_forces, softening
from surrogate.healing.force_labels import ForceLabel, consistent
from surrogate.healing.hole_size import Evidence, HoleModel, HoleSizes
from surrogate.healing.latent import LatentSpace, latents

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Assessment:
    """What is known of a pool's holes.

    Args:
        entries: (n,), the pool.
        evidence: of the pool.
        labelled: of the labelled structures.
        model: calibrated on them, where there are any.
        sizes: expected errors of the pool.
        slopes: (members,), that corrected the committee.
    """

    entries: Sequence[PoolEntry]
    evidence: Evidence
    labelled: Evidence | None
    model: HoleModel
    sizes: HoleSizes
    slopes: Array

    def first(self, n: int) -> Assessment:
        """The same of the first n entries of the pool alone."""
        evidence = self.evidence.take(range(n))
        return replace(
            self,
            entries=self.entries[:n],
            evidence=evidence,
            sizes=self.model.predict(evidence),
        )

    def hunt(self, budget: int, *, importance: Array | None = None, least: float = 0.0) -> Hunt:
        """Which supercells to label; arguments as for `agents.holes.hole_hunter.hunt`."""
        return hunt(
            [entry.id for entry in self.entries],
            self.evidence.latents,
            self.sizes,
            self.model.space,
            budget=budget,
            labelled=self.labelled.latents if self.labelled is not None else (),
            importance=importance,
            least=least,
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
    """Expected force errors of a pool.

    Args:
        entries: supercells that could be labelled.
        committee: the potential to be judged first, then others of unlike families.
        store: keeps all forces.
        context: of the calculations.
        labels: reference labels so far; they calibrate and correct the softening. Those that the
            first potential was fine-tuned on say too little error: give those it was not.
        trusted: structures that the potential is right on, for instance those that are replayed.

    Raises:
        ValueError: an empty pool, a committee of one, labels of mixed settings.
        OracleError: a potential is missing or fails.
    """
    if not entries:
        raise ValueError("got an empty pool; expected displaced supercells to judge")
    if labels:
        consistent(labels)
    atoms = [entry.atoms for entry in entries] + [one.atoms for one in labels]
    members = member_forces(committee, atoms, store, context)
    n = len(entries)
    truth = [one.forces for one in labels]
    slopes = [softening(member[n:], truth) for member in members] if labels else None
    compared = disagreement(members, slopes)
    seen, known = latents(committee[0], atoms), latents(committee[0], trusted)
    space = LatentSpace.of([*seen, *known])
    distance = space.distance(seen, known)
    everything = Evidence(compared.deviations[0], compared.size, distance, seen)
    pool, rest = everything.take(range(n)), None
    model = HoleModel(space)
    if labels:
        rest = everything.take(range(n, len(atoms)))
        model = model.fitted(rest, _errors(members[0][n:], truth))
    return Assessment(entries, pool, rest, model, model.predict(pool), compared.slopes)


def _errors(forces: Forces, truth: Forces) -> Array:
    """True errors, root mean square of each structure, eV/Å."""
    return np.array(
        [float(np.sqrt(np.square(f - t).mean())) for f, t in zip(forces, truth, strict=True)]
    )
