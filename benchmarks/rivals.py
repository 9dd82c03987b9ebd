"""Policies of other packages for `benchmarks/after_the_fact.py`, as a user would write them.

Each sees a table of descriptors (n, d) and asks for values one batch at a time; the first batch is
drawn at random. They maximise; what is to be minimised is negated.

- ``botorch``: a Gaussian process (SingleTaskGP, its default priors, with a length scale for each
  descriptor) and log expected improvement of a batch.
- ``baybe``: its recommendations with default settings, if the package is installed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rival = Callable[[Array, Array, int, np.random.Generator], list[int]]


def botorch(features: Array, values: Array, batch: int, rng: np.random.Generator) -> list[int]:
    """All rows of a table in the order in which the policy asks for them.

    Args:
        features: (n, d).
        values: (n,), to be maximised.
        batch: rows asked for at a time.
        rng: draws the first batch.
    """
    import torch
    from botorch.acquisition import qLogExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Normalize, Standardize
    from botorch.optim import optimize_acqf_discrete
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(int(rng.integers(2**31)))
    everything = torch.from_numpy(_scaled(features))
    answers = torch.from_numpy(values)[:, None]
    order = [int(k) for k in rng.permutation(len(values))[:batch]]
    while len(order) < len(values):
        left = [k for k in range(len(values)) if k not in order]
        model = SingleTaskGP(
            everything[order],
            answers[order],
            input_transform=Normalize(everything.shape[1]),
            outcome_transform=Standardize(1),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            chosen, _ = optimize_acqf_discrete(
                qLogExpectedImprovement(model, answers[order].max()),
                q=min(batch, len(left)),
                choices=everything[left],
                unique=True,
            )
        for row in chosen:
            nearest = int((everything[left] - row).abs().sum(dim=1).argmin())
            order.append(left.pop(nearest))
    return order


def baybe(features: Array, values: Array, batch: int, rng: np.random.Generator) -> list[int]:
    """As `botorch`, by BayBE's default recommender on the same descriptors."""
    import pandas as pd
    from baybe import Campaign
    from baybe.objectives import SingleTargetObjective
    from baybe.parameters import CustomDiscreteParameter
    from baybe.searchspace import SearchSpace
    from baybe.targets import NumericalTarget

    names = [f"m{k}" for k in range(len(values))]
    table = pd.DataFrame(_scaled(features), index=names)
    table.columns = [f"d{k}" for k in range(table.shape[1])]
    parameter = CustomDiscreteParameter(name="material", data=table)
    campaign = Campaign(
        SearchSpace.from_product([parameter]), SingleTargetObjective(NumericalTarget(name="value"))
    )
    order = [int(k) for k in rng.permutation(len(values))[:batch]]
    told = order
    while True:
        campaign.add_measurements(
            pd.DataFrame({"material": [names[k] for k in told], "value": values[told]})
        )
        left = len(values) - len(order)
        if not left:
            return order
        asked = campaign.recommend(min(batch, left))
        told = [names.index(name) for name in asked["material"]]
        order += told


RIVALS: dict[str, Rival] = {"botorch": botorch, "baybe": baybe}


def _scaled(features: Array) -> Array:
    """Descriptors of mean 0 and spread 1, without constant ones; unknown numbers are means."""
    known = np.where(np.isfinite(features), features, np.nan)
    means = np.nanmean(known, axis=0)
    filled = np.where(np.isnan(known), means, known)
    spread = filled.std(axis=0)
    varying = spread > 1e-9
    return np.ascontiguousarray((filled - means)[:, varying] / spread[varying])
