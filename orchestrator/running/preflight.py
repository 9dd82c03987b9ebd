"""Tries a campaign's potentials in a worker, before anything is recorded."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from agents.contract.protocol import Space
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.potentials.dft_settings import Potential
from orchestrator.assembly.build import kind_of, surrogate_settings
from orchestrator.calls.oracle_calls import PreflightRequest, try_potentials
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.kinds import KINDS
from orchestrator.executors.protocol import CallFailed, Executor

_EXAMINED = 200  # first materials and crystals of the space, of which the smallest are tried
_DRAWN = 16  # materials, where the space is unbounded
_TRIED = 4  # crystals


def check_potentials(
    executor: Executor, config: CampaignConfig, space: Space, potential: Potential | None
) -> None:
    """Check that the campaign's potentials work in a worker.

    Every worker loads them, as it would for its first call; the answer of the first is awaited.

    Args:
        executor: started.
        config: of the campaign.
        space: provides crystals on which they are tried.
        potential: the oracle's, or None where the oracle computes nothing with a potential.

    Raises:
        ConfigError: a potential cannot be loaded, or does not work.
    """
    features = [name for name in _feature_potentials(config, space) if name != potential]
    if potential is None and not features:
        return
    second = None if potential is None else config.confirmation.second_opinion
    crystals = tuple(_small_crystals(space))
    request = PreflightRequest(potential, crystals, tuple(features), second)
    requests = itertools.repeat(request, executor.slots)
    try:
        answer = next(iter(executor.map(try_potentials, requests)))
    except CallFailed as error:
        raise ConfigError(f"executor: {error}") from error
    if answer.refusal is not None:
        raise ConfigError(f"{answer.refusal.key}: {answer.refusal.message}")


def _feature_potentials(config: CampaignConfig, space: Space) -> list[str]:
    """Potentials from which the surrogate's features are computed."""
    features = surrogate_settings(config, space).features
    needs_potential = KINDS[kind_of(space)].from_potential
    return [features] if needs_potential and features != "none" else []


def _small_crystals(space: Space) -> list[Crystal]:
    """The smallest among some crystals of a space; layers and pairs give their crystals."""
    crystals = {c.digest: c for c in itertools.islice(_crystals(space), _EXAMINED)}
    return sorted(crystals.values(), key=lambda crystal: len(crystal.species))[:_TRIED]


def _crystals(space: Space) -> Iterator[Crystal]:
    if space.size is None:
        some: Iterable[Material] = space.sample(_DRAWN, np.random.default_rng(0))
    else:
        some = itertools.islice(iter(space), _EXAMINED)
    for material in some:
        yield from material.ingredients()
