"""Creates everything that a campaign needs from its config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agents.contract.constraints import before
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
from orchestrator.assembly.oracles import answerable, build_oracles, check_table, second_oracle
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.kinds import OF_SPACE
from surrogate.contract.protocol import Output
from surrogate.contract.settings import OwnSurrogateSettings
from surrogate.features.feature_store import FeatureStore


@dataclass(frozen=True)
class Prepared:
    """The objects that a validated config describes, created once.

    Args:
        config: the settings.
        space: the design space.
        oracles: by fidelity, cheapest first.
        notes: notes for the user.
    """

    config: CampaignConfig
    space: Space
    oracles: dict[str, Oracle]
    notes: tuple[str, ...] = ()

    @property
    def methods(self) -> dict[str, str]:
        """Method digest by fidelity."""
        return {name: oracle.method_digest for name, oracle in self.oracles.items()}


def prepare(
    config: CampaignConfig, *, recorded: bool = False, cache: Path | None = None
) -> Prepared:
    """Create the space and the oracles of a config; writes nothing but the cache.

    Args:
        config: the settings.
        recorded: whether a campaign has already begun with them. Numbers that cannot be learned
            from are then not refused here; their trials fail.
        cache: folder for the canonical forms of a pool's structures; None keeps nothing.

    Raises:
        ConfigError: something that the config names is not available, or the space is empty.
    """
    space = build_space(config.space, cache)
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
    space = answerable(config, space)
    if not recorded:
        check_constraints(config, space)
    second_oracle(config)  # refuses one that is not available
    check_engines(config)
    check_own(config, space, list(oracles)[-1])
    return Prepared(config, space, oracles, () if recorded else tuple(check_table(config, space)))


def check_constraints(config: CampaignConfig, space: Space) -> None:
    """Check that a listed space has candidates that the constraints allow.

    Raises:
        ConfigError: it has none.
    """
    constraints = config.constraints or ()
    reason = None
    for material in space.materials or ():
        reason = before(constraints, material)
        if reason is None:
            return
    if reason is not None:
        raise ConfigError(
            f"constraints: none of the {space.size} candidates of space.kind "
            f"{config.space.kind!r} is allowed, the last because {reason}; relax them, or allow "
            "other elements in the space"
        )


def check_own(config: CampaignConfig, space: Space, fidelity: str) -> None:
    """Check that proposers and a surrogate of the user's own can be created, by creating them once.

    Raises:
        ConfigError: one of them cannot, or does not have the interface that it needs.
    """
    build_proposers(config, fidelity, kind_of(space))
    settings = surrogate_settings(config, space)
    if isinstance(settings, OwnSurrogateSettings):
        outputs = [
            Output(sought.property, sought.temperature, sought.in_log, sought.direction)
            for sought in (config.objective, *config.further_objectives)
        ]
        build_surrogate(settings, outputs, fidelity, config.seed, FeatureStore(settings.features))


def check_engines(config: CampaignConfig) -> None:
    """Check that engine and committee of the healing are available, without loading them.

    Raises:
        OracleError: stage ``read``; one of them is missing.
    """
    engines = [config.dft.engine, *config.dft.committee] if config.dft.heals else []
    for potential in engines:
        weights_digest(potential)
