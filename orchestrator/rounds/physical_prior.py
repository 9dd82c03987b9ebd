"""What physics says of the candidates before the first label."""

from __future__ import annotations

import numpy as np

from agents.acquisition.pool_posterior import SharedSurrogate
from agents.contract.objective import Objective
from agents.contract.protocol import Space
from agents.selection.settings import SelectionSettings
from agents.spaces.narrowed import Narrowed
from oracle.contract.property_table import spec_of
from orchestrator.assembly.build import build_surrogate
from orchestrator.calls.recipe import Recipe
from surrogate.contract.protocol import Surrogate
from surrogate.contract.settings import OwnSurrogateSettings
from surrogate.features.feature_store import FeatureStore


def physical_prior(
    recipe: Recipe,
    space: Space,
    objective: Objective,
    settings: SelectionSettings,
    features: FeatureStore,
) -> Surrogate | None:
    """A surrogate that knows no label; None where physics says nothing, or is not asked.

    Args:
        recipe: of the surrogate; its evaluations are not used.
        space: asked only if it is listed and not larger than `pool_limit`, or has a shortlist.
        objective: what is sought.
        settings: say how the first round is chosen.
        features: of the materials.
    """
    spec = spec_of(objective.output.property)
    if settings.first_round == "random" or spec.prior is None or objective.further:
        return None  # of several objectives, physics says too little
    if isinstance(recipe.surrogate, OwnSurrogateSettings):
        return None  # it need not be able to predict before it is fitted
    materials = space.shortlist if isinstance(space, Narrowed) else space.materials
    if materials is None or len(materials) > settings.pool_limit:
        return None
    prior = SharedSurrogate(
        build_surrogate(recipe.surrogate, (recipe.output,), recipe.fidelity, recipe.seed, features)
    )
    posterior = prior.posterior(materials, outputs=[objective.output], fidelity=recipe.fidelity)
    return prior if np.ptp(posterior.mean) > 0 else None
