"""Checks that the packages a config needs are installed, before anything is recorded."""

from __future__ import annotations

from agents.contract.protocol import Space
from oracle.potentials.table import is_installed, weights_digest
from oracle.runtime.errors import OracleError
from orchestrator.assembly.build import kind_of, surrogate_settings
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.kinds import KINDS

_BASELINES = ("random-forest", "gradient-boosting")


def check_surrogate(config: CampaignConfig, space: Space) -> None:
    """Check that the features of the surrogate can be computed on this machine.

    Raises:
        ConfigError: a package or weights are missing; says what to do.
    """
    settings = surrogate_settings(config, space)
    if settings.kind in _BASELINES and not is_installed("matminer"):
        raise ConfigError(
            f"surrogate.kind: {settings.kind!r} needs matminer; pip install 'phonoscout[baselines]'"
        )
    if settings.features == "none" or not KINDS[kind_of(space)].from_potential:
        return
    try:
        weights_digest(settings.features)
    except OracleError as error:
        raise ConfigError(f"surrogate.features: {error.message}") from error
