"""Chooses the crystals of a large space for which a potential's features are worth computing.

Such features take some tenths of a second each, so that ten thousand crystals would take an hour
before the first evaluation. A random forest on descriptors of elements and geometry, which take
milliseconds, learns from the same labels and says which crystals may be good.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from pathlib import Path

import numpy as np

from agents.acquisition.shortlist import Marginals, shortlisted
from agents.chemistry.rough_estimates import rough_order
from agents.contract.objective import Objective
from agents.contract.protocol import Space, candidate_id
from agents.selection.settings import SelectionSettings
from agents.spaces.narrowed import Narrowed
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from orchestrator.calls.recipe import Recipe
from orchestrator.campaign.state import CampaignState
from surrogate.contract.settings import OwnSurrogateSettings, SurrogateSettings
from surrogate.features.plain_descriptors import PlainStore
from surrogate.models.forests import PlainForest

WIDER = 4
"""Times as many crystals get features where the constraints excluded all of a shortlist."""
_OF_QUICK = 20
"""Crystals that get quick features for each that then gets exact ones, see `pool_scan`."""


def needs_choice(space: Space, surrogate: SurrogateSettings, settings: SelectionSettings) -> bool:
    """Whether a listed space has more crystals than can have features of the potential."""
    materials = space.materials
    return (
        materials is not None
        and len(materials) > settings.exact_limit
        and isinstance(materials[0], Crystal)
        and not isinstance(surrogate, OwnSurrogateSettings)
        and surrogate.features != "none"
    )


def number_chosen(size: int, settings: SelectionSettings) -> int:
    """How many crystals of a space are chosen by plain descriptors.

    All that can have features at once; of a space beyond `pool_limit`, those that get quick
    features first.
    """
    if size <= settings.pool_limit:
        return settings.exact_limit
    return max(settings.exact_limit, _OF_QUICK * settings.shortlist)


def without_labels(
    space: Space,
    state: CampaignState,
    objective: Objective,
    surrogate: SurrogateSettings,
    settings: SelectionSettings,
    rng: np.random.Generator,
    times: int = 1,
    rejected: Iterable[str] = (),
) -> Space:
    """The space, with a shortlist of crystals not yet tried where it needs one; see `drawn`.

    Args:
        space: any.
        state: of the campaign.
        objective: what is sought.
        surrogate: whether it uses features of a potential.
        settings: how many crystals can have them.
        rng: draws.
        times: as many crystals, in units of that number.
        rejected: ids of candidates that the constraints excluded in this round.
    """
    if not needs_choice(space, surrogate, settings):
        return space
    tried = {trial.plan.candidate for trial in state.trials.values()}
    known = tried.union(state.rejected, rejected)
    return drawn(space, objective, count=times * settings.exact_limit, rng=rng, rejected=known)


def drawn(
    space: Space,
    objective: Objective,
    *,
    count: int,
    rng: np.random.Generator,
    rejected: Container[str] = (),
) -> Space:
    """The space with a shortlist before the first label, or after constraints excluded another.

    Half of it is best by a rough estimate of the objective, where there is one; the rest is random.
    Candidates whose ids are among the rejected ones are left out.
    """
    materials = [m for m in _listed(space) if candidate_id(m) not in rejected]
    rough = None
    if objective.goal != "target" and not objective.further:
        rough = rough_order(objective.output.property, materials)
    order = rng.permutation(len(materials))
    if rough is not None:
        best = np.argsort(rough if objective.goal == "minimize" else -rough, kind="stable")
        best = best[: count // 2]
        order = np.concatenate([best, order[~np.isin(order, best)]])
    return Narrowed(space, [materials[i] for i in np.sort(order[:count])])


def chosen(
    space: Space,
    recipe: Recipe,
    objective: Objective,
    *,
    count: int,
    cache: Path,
    rng: np.random.Generator,
    rejected: Container[str] = (),
) -> list[Material]:
    """The crystals of a space that get features, in its order; those with a label left out.

    Half have the largest expected improvement according to the forest, a quarter are those about
    which it knows least, and a quarter is random.

    Args:
        space: listed, of crystals.
        recipe: labels and seed.
        objective: what is sought.
        count: number of crystals to choose.
        cache: folder of the descriptors.
        rng: draws the random part; the same in all rounds, so that these crystals remain.
        rejected: ids of candidates that the constraints excluded.
    """
    materials = _listed(space)
    store = PlainStore(cache)
    store.inputs(materials)  # all at once, so that one file has them in every round
    forest = PlainForest(objective.outputs, recipe.fidelity, seed=recipe.seed, store=store)
    forest.fit(recipe.evaluations, calibration=recipe.calibration)
    posterior = forest.posterior(materials, outputs=objective.outputs, fidelity=recipe.fidelity)
    found: dict[str, Material] = {}
    for k, one in enumerate(objective.all):  # each gets its part of the places
        beliefs = Marginals(
            posterior.mean[:, k],
            posterior.epistemic[:, k],
            posterior.aleatoric[:, k],
            posterior.p_stable,
        )
        listed = shortlisted(
            materials,
            beliefs,
            one,
            recipe.evaluations,
            fidelity=recipe.fidelity,
            count=-(-count // len(objective.all)),
            rng=rng,
            rejected=rejected,
        )
        found |= {material.digest: material for material in listed}
    return [material for material in materials if material.digest in found]


def _listed(space: Space) -> list[Crystal]:
    assert space.materials is not None  # see `needs_choice`
    return [material for material in space.materials if isinstance(material, Crystal)]
