"""Policies of other packages for `benchmarks/after_the_fact.py`, as a user would write them.

Each sees a table of descriptors (n, d) and asks for values one batch at a time; the first batch is
drawn at random. They maximise; what is to be minimised is negated.

- ``botorch``: a Gaussian process (SingleTaskGP, its default priors, with a length scale for each
  descriptor) and log expected improvement of a batch.
- ``baybe``: its recommendations with default settings, if the package is installed.
- ``ax``: its proposals in the box of all descriptors, of each of which the nearest row is measured,
  if the package ``ax-platform`` is installed.

They end when all rows that are sought have been asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Set

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rival = Callable[[Array, Array, int, np.random.Generator, Set[int]], list[int]]


def botorch(
    features: Array, values: Array, batch: int, rng: np.random.Generator, sought: Set[int]
) -> list[int]:
    """Rows of a table in the order in which the policy asks for them.

    Args:
        features: (n, d).
        values: (n,), to be maximised.
        batch: rows asked for at a time.
        rng: draws the first batch.
        sought: rows to be found.
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
    while not sought <= set(order):
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


def baybe(
    features: Array, values: Array, batch: int, rng: np.random.Generator, sought: Set[int]
) -> list[int]:
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
        if sought <= set(order):
            return order
        asked = campaign.recommend(min(batch, left))
        told = [names.index(name) for name in asked["material"]]
        order += told


def ax(
    features: Array, values: Array, batch: int, rng: np.random.Generator, sought: Set[int]
) -> list[int]:
    """As `botorch`, by Ax's default generation strategy."""
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig

    table = _scaled(features)
    names = [f"d{k}" for k in range(table.shape[1])]
    client = Client(random_seed=int(rng.integers(2**31)))
    bounds = zip(table.min(axis=0).tolist(), table.max(axis=0).tolist(), strict=True)
    client.configure_experiment(
        [
            RangeParameterConfig(name=name, parameter_type="float", bounds=pair)
            for name, pair in zip(names, bounds, strict=True)
        ]
    )
    client.configure_optimization("value")
    order: list[int] = []
    told = [int(k) for k in rng.permutation(len(values))[:batch]]
    while True:
        for row in told:
            trial = client.attach_trial(dict(zip(names, table[row].tolist(), strict=True)))
            client.complete_trial(trial, raw_data={"value": float(values[row])})
        order += told
        if sought <= set(order):
            return order
        left = [k for k in range(len(values)) if k not in order]
        told = []
        for trial, point in client.get_next_trials(min(batch, len(left))).items():
            wanted = np.array([point[name] for name in names])
            distances = np.linalg.norm(table[left] - wanted, axis=1)
            told.append(left.pop(int(np.argmin(distances))))
            client.mark_trial_abandoned(trial)


RIVALS: dict[str, Rival] = {"botorch": botorch, "baybe": baybe, "ax": ax}


def _scaled(features: Array) -> Array:
    """Descriptors of mean 0 and spread 1, without constant ones; unknown numbers are means."""
    known = np.where(np.isfinite(features), features, np.nan)
    means = np.nanmean(known, axis=0)
    filled = np.where(np.isnan(known), means, known)
    spread = filled.std(axis=0)
    varying = spread > 1e-9
    return np.ascontiguousarray((filled - means)[:, varying] / spread[varying])
