"""What a worker is asked for to heal a potential, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agents.holes.supercell_pool import SupercellPoolSettings
from oracle.materials.crystal import Crystal
from oracle.potentials.dft_settings import Potential
from surrogate.healing.force_labels import ForceLabel


@dataclass(frozen=True)
class Surroundings:
    """What all calls of a healing have in common.

    Args:
        supercells: size of displaced supercells, and their number per crystal.
        workdir: folder where finished stages are stored, as for an evaluation.
    """

    supercells: SupercellPoolSettings
    workdir: Path


@dataclass(frozen=True)
class HuntRequest:
    """A hunt for supercells on which a potential's forces are wrong.

    Args:
        surroundings: common to all calls.
        materials: crystals whose displaced supercells are assessed.
        potential: the potential that is assessed; it also relaxes the crystals.
        committee: potentials of other families; their disagreement with `potential` tells where it
            may be wrong.
        labels: all force labels so far.
        trained: whether `potential` was fine-tuned on `labels`.
        seed: of that fine-tuning; decides which labels it held out.
        budget: most supercells to be chosen.
        threshold: least expected force error, eV/Å, of a supercell that is worth a label.
        audits: randomly drawn crystals; one supercell of each is labelled, whatever its expected
            error.
        first: digests of crystals of which one supercell each is chosen before all others, where
            their expected errors reach the threshold.
        suffix: ends the names of the supercells.
        importance: weight of the squared error of each of the materials, 1 for all where it is
            empty.
        trusted: crystals on which the potential is taken to be accurate; how far others are from
            them is evidence of a hole.
    """

    surroundings: Surroundings
    materials: tuple[Crystal, ...]
    potential: str
    committee: tuple[str, ...]
    labels: tuple[ForceLabel, ...]
    trained: bool
    seed: int
    budget: int
    threshold: float
    audits: tuple[Crystal, ...] = ()
    first: tuple[str, ...] = ()
    suffix: str = ""
    importance: tuple[float, ...] = ()
    trusted: tuple[Crystal, ...] = ()


@dataclass(frozen=True)
class WantedLabel:
    """One supercell that is to get a force label.

    Args:
        id: of the supercell.
        material: digest of its crystal.
        number: of the supercell among those of its crystal, from 0.
        purpose: ``hole`` where the potential is to learn from it; ``audit`` where it only tells
            whether new weights got worse elsewhere.
        force_error: expected error of the potential's forces in this supercell, eV/Å.
        kappa_error: expected error of the natural logarithm of kappa.
        reason: why it was chosen, in words.
    """

    id: str
    material: str
    number: int
    purpose: Literal["hole", "audit"]
    force_error: float
    kappa_error: float
    reason: str


@dataclass(frozen=True)
class HuntAnswer:
    """Result of a hole hunt.

    Args:
        cost_s: seconds it took.
        labels: supercells to be labelled; none where the potential can be trusted for now.
        pool: number of supercells that were assessed.
        expected: root mean square of their expected force errors, eV/Å.
        remaining: the same as it is expected to be with the labels, eV/Å.
    """

    cost_s: float
    labels: tuple[WantedLabel, ...] = ()
    pool: int = 0
    expected: float = 0.0
    remaining: float = 0.0


@dataclass(frozen=True)
class LabelRequest:
    """A force label to be computed for one supercell.

    Args:
        surroundings: common to all calls.
        material: the crystal.
        id: of the supercell.
        number: of the supercell among those of its crystal, from 0.
        potential: relaxes the crystal, as in the hunt.
        engine: computes the reference forces.
    """

    surroundings: Surroundings
    material: Crystal
    id: str
    number: int
    potential: str
    engine: Potential


@dataclass(frozen=True)
class LabelAnswer:
    """A force label, or why it could not be computed.

    Args:
        cost_s: seconds it took.
        label: the force label, or None.
        error: one line, where there is no label.
        refused: whether the engine refused the material before it computed anything.
    """

    cost_s: float
    label: ForceLabel | None = None
    error: str | None = None
    refused: bool = False


@dataclass(frozen=True)
class FineTuneRequest:
    """Fine-tuning of a potential on all force labels.

    Args:
        surroundings: common to all calls.
        replayed: crystals on which the new weights must stay close to the original ones.
        original: the potential with which the campaign began.
        current: the potential in use.
        labels: force labels to learn from.
        elsewhere: audit force labels; new weights must not do worse on these.
        folder: for the new weights.
        epochs: most passes over the labels.
        seed: of the random numbers of the training, and of the labels that are held out.
    """

    surroundings: Surroundings
    replayed: tuple[Crystal, ...]
    original: str
    current: str
    labels: tuple[ForceLabel, ...]
    elsewhere: tuple[ForceLabel, ...]
    folder: Path
    epochs: int
    seed: int


@dataclass(frozen=True)
class FineTuneAnswer:
    """Whether new weights take over, and why.

    Args:
        accepted: whether they take over.
        reason: why, in words.
        cost_s: seconds it took.
        family: of the potential, where there are new weights.
        weights: name of their file, where they take over.
        digest: SHA-256 of the weights, where they take over.
        labels: number of force labels that were used.
        errors: errors of the old weights (``_before``) and of the new ones (``_after``), on
            held-out force labels (eV/Å) and on audit force labels.
    """

    accepted: bool
    reason: str
    cost_s: float
    family: str = ""
    weights: str | None = None
    digest: str | None = None
    labels: int = 0
    errors: Mapping[str, float] = field(default_factory=dict)
