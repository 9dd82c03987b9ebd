"""What a campaign computes with is tried in a worker before anything is recorded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from agents.contract.protocol import Space
from oracle.materials.crystal import Crystal
from oracle.potentials.dft_settings import Potential
from orchestrator.assembly.build import kind_of, surrogate_settings
from orchestrator.calls.oracle_calls import TrialRequest, try_potentials
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.kinds import KINDS
from orchestrator.executors.protocol import CallFailed, Executor

_LOOKED_AT = 200  # materials of the space, of which the smallest are taken
_TRIED = 4


def try_named(
    executor: Executor, config: CampaignConfig, space: Space, potential: Potential | None
) -> None:
    """Have the campaign's potentials work in a worker.

    Every worker loads them, as it would for the first call; the first that is ready is enough.

    Args:
        executor: started.
        config: of the campaign.
        space: gives crystals to try.
        potential: that measures, or None where nothing is computed.

    Raises:
        ConfigError: a potential cannot be loaded, or does not work.
    """
    learned = [name for name in _learned_from(config, space) if name != potential]
    if potential is None and not learned:
        return
    request = TrialRequest(potential, tuple(_small_crystals(space)), tuple(learned))
    requests = itertools.repeat(request, executor.slots)
    try:
        found = next(iter(executor.map(try_potentials, requests)))
    except CallFailed as error:
        raise ConfigError(f"executor: {error}") from error
    if found.refusal is not None:
        raise ConfigError(f"{found.refusal.key}: {found.refusal.message}")


def _learned_from(config: CampaignConfig, space: Space) -> list[str]:
    """Potentials whose features a surrogate learns from."""
    features = surrogate_settings(config, space).features
    described = KINDS[kind_of(space)].from_potential
    return [features] if described and features != "none" else []


def _small_crystals(space: Space) -> list[Crystal]:
    """The smallest of the first crystals of a space, or of the layers that it stacks."""
    found = {c.digest: c for c in itertools.islice(_crystals(space), _LOOKED_AT)}
    return sorted(found.values(), key=lambda crystal: len(crystal.species))[:_TRIED]


def _crystals(space: Space) -> Iterator[Crystal]:
    for material in itertools.islice(iter(space), _LOOKED_AT):
        yield from material.ingredients()
