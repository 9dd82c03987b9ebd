"""How the generative model learns: from examples once, from a campaign's results in every round."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.generators.examples import Example
from agents.generators.grammar import Question, answers
from agents.generators.network import WyckoffNetwork, encoded, property_tables

_HELD_OUT = 0.03  # share of the examples
_BATCH = 96  # examples in a step
_REPORTED = 500  # steps between reports
_RATE, _DECAY = 2e-3, 0.02  # largest learning rate, and decay of weights
_CLIP = 1.0  # norm of a gradient
_STEERING_STEPS, _STEERING_RATE = 40, 1e-3  # steps, and learning rate, before a round
_AT_A_TIME = 48  # results, and samples, in such a step


def learned(
    examples: Sequence[Example],
    *,
    steps: int,
    seed: int = 0,
    report: Callable[[int, float], None] | None = None,
) -> WyckoffNetwork:
    """A network with the greatest likelihood of examples.

    Args:
        examples: in any order.
        steps: of the optimiser.
        seed: of the weights and batches.
        report: gets the step, and the mean of the negative logarithm of the likelihood of a word in
            examples that are held out.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)  # called by a script that does nothing else
    sentences = [answers(one.crystal, complete=one.complete) for one in examples]
    order = rng.permutation(len(sentences))
    held = [sentences[k] for k in order[: int(_HELD_OUT * len(order))]]
    # Batches of similar length waste less.
    known = sorted((sentences[k] for k in order[len(held) :]), key=lambda one: len(one[1]))
    network = WyckoffNetwork(property_tables())
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
    for step in range(steps):
        first = int(rng.integers(max(len(known) - _BATCH, 1)))
        batch = encoded(known[first : first + _BATCH])
        loss = -network.log_likelihood(batch, blurred=True).sum() / (batch[..., 0] >= 0).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        optimiser.step()
        schedule.step()
        if report is not None and held and (step + 1) % _REPORTED == 0:
            report(step + 1, _held_out(network, held))
    return network.eval()


def _held_out(network: WyckoffNetwork, held: Sequence[tuple[list[Question], list[int]]]) -> float:
    """Mean of the negative logarithm of the likelihood of a word."""
    batch = encoded(held)
    network.eval()
    with torch.no_grad():
        mean = float(-network.log_likelihood(batch).sum() / (batch[..., 0] >= 0).sum())
    network.train()
    return mean


def steered(
    prior: WyckoffNetwork,
    results: Tensor,
    weights: NDArray[np.float64],
    samples: Tensor,
    *,
    strength: float,
    seed: int,
) -> WyckoffNetwork:
    """A network that makes good results more likely, and what it made before nearly as likely.

    It maximises the mean log likelihood of results, drawn by their weights, plus that of samples of
    the prior: a smaller Kullback-Leibler divergence from the prior makes its samples likelier.

    Args:
        prior: is not changed.
        results: (n, steps, fields), sentences of measured crystals.
        weights: (n,), not negative, of sum 1.
        samples: (m, steps, fields), sentences drawn from the prior.
        strength: weight of the samples.
        seed: of what is drawn, and of dropout.

    Returns:
        Another network, in evaluation mode.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _steered(prior, results, weights, samples, strength, rng)


def _steered(
    prior: WyckoffNetwork,
    results: Tensor,
    weights: NDArray[np.float64],
    samples: Tensor,
    strength: float,
    rng: np.random.Generator,
) -> WyckoffNetwork:
    network = copy.deepcopy(prior).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=_STEERING_RATE)
    for _ in range(_STEERING_STEPS):
        # As many as 2,000 results cost no more than a few.
        drawn = rng.choice(len(results), _AT_A_TIME, p=weights)
        kept = rng.permutation(len(samples))[:_AT_A_TIME]
        good = network.log_likelihood(_without_ends(results[drawn]), blurred=True).mean()
        usual = network.log_likelihood(_without_ends(samples[kept]), blurred=True).mean()
        optimiser.zero_grad()
        loss = -good - strength * usual
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        optimiser.step()
    return network.eval()


def _without_ends(sentences: Tensor) -> Tensor:
    """Sentences as long as the longest of them."""
    return sentences[:, : int((sentences[..., 0] >= 0).sum(dim=1).max())]
