"""Everything a campaign needs, made of its config."""

from __future__ import annotations

from dataclasses import dataclass

from agents.contract.protocol import Space
from oracle.contract.protocol import Oracle
from oracle.potentials.table import weights_digest
from orchestrator.assembly.build import (
    build_proposers,
    build_space,
    build_surrogate,
    kind_of,
    surrogate_settings,
)
from orchestrator.assembly.extras import check_surrogate
from orchestrator.assembly.oracles import build_oracles, check_table
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.kinds import OF_SPACE
from surrogate.contract.protocol import Output
from surrogate.contract.settings import OwnSurrogateSettings
from surrogate.features.feature_store import FeatureStore


@dataclass(frozen=True)
class Prepared:
    """What a validated config stands for, built once.

    Args:
        config: the settings.
        space: all materials.
        oracles: by fidelity, cheapest first.
        notes: what is to be told of them.
    """

    config: CampaignConfig
    space: Space
    oracles: dict[str, Oracle]
    notes: tuple[str, ...] = ()

    @property
    def methods(self) -> dict[str, str]:
        """Method digest by fidelity."""
        return {name: oracle.method_digest for name, oracle in self.oracles.items()}


def prepare(config: CampaignConfig, *, recorded: bool = False) -> Prepared:
    """Build the space and the oracles of a config; writes nothing.

    Args:
        config: the settings.
        recorded: whether a campaign has begun with them, so that it is too late to refuse numbers
            which cannot be learned from; their trials fail.

    Raises:
        ConfigError: what the config names cannot be had, or the space is empty.
    """
    space = build_space(config.space)
    if space.size == 0:
        raise ConfigError(
            f"space: no candidate is left of {config.space.kind!r}; allow more elements or "
            "prototypes"
        )
    if not recorded and config.space.kind not in OF_SPACE:
        try:
            config.check_kind(kind_of(space))
        except ValueError as error:
            raise ConfigError(str(error)) from error
    check_surrogate(config, space)
    oracles = build_oracles(config, space)
    check_engines(config)
    check_own(config, space, list(oracles)[-1])
    return Prepared(config, space, oracles, () if recorded else tuple(check_table(config, space)))


def check_own(config: CampaignConfig, space: Space, fidelity: str) -> None:
    """Make proposers and a surrogate of the user's own once, to see that they can be made.

    Raises:
        ConfigError: one cannot, or is none.
    """
    build_proposers(config, fidelity, kind_of(space))
    settings = surrogate_settings(config, space)
    if isinstance(settings, OwnSurrogateSettings):
        sought = config.objective
        output = Output(sought.property, sought.temperature, sought.in_log, sought.direction)
        build_surrogate(settings, (output,), fidelity, config.seed, FeatureStore(settings.features))


def check_engines(config: CampaignConfig) -> None:
    """Look for the potentials and programs that heal, without loading them.

    Raises:
        OracleError: stage ``read``; one is not there.
    """
    engines = [config.dft.engine, *config.dft.committee] if config.dft.heals else []
    for potential in engines:
        weights_digest(potential)
