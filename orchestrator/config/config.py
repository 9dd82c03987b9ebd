"""All settings of a campaign, composed of the settings that each layer declares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import (
    Field,
    ValidationInfo,
    model_validator,
)

from agents.contract.settings import (
    ConstraintSettings,
    ObjectiveSettings,
    default_constraints,
)
from agents.proposers.settings import AgentSettings
from agents.selection.settings import SelectionSettings
from agents.spaces.settings import SpaceSettings
from oracle.contract.own_oracle import OwnOracleSettings
from oracle.contract.property_table import names_of
from oracle.phonons.settings import PhononSettings
from oracle.runtime.errors import OracleError
from oracle.runtime.local_inputs import InputPath, marked
from oracle.runtime.plain_yaml import parse_yaml
from oracle.runtime.text_files import read_text
from orchestrator.config.budget_settings import BudgetSettings, ClosedSettings, ConfirmationSettings
from orchestrator.config.errors import ConfigError
from orchestrator.config.healing_settings import DftSettings
from orchestrator.config.kinds import OF_SPACE, check_agents_of, check_kind
from orchestrator.config.objective_rules import check_objective
from orchestrator.config.oracle_settings import AnyOracleSettings
from orchestrator.config.pareto_rules import check_together
from orchestrator.config.run_settings import ExecutorSettings, TrackingSettings
from surrogate.contract.settings import SurrogateSettings

REFUSED = ("space", "objective", "further_objectives", "oracle", "seed")
"""Keys that define the scientific question; they cannot change on resume."""
STEERED = ("agents", "surrogate", "constraints", "budget", "dft", "selection", "confirmation")
"""Keys that may change on resume; the change is recorded as an event."""
FREE = ("executor", "tracking")
"""Keys that say where to run; they may change at any time."""
TRAINABLE = ("7net", "chgnet")
"""Beginnings of the names of potentials that can be fine-tuned."""
_OF_POOLS = ("phonon-bte", "green", "replay")
"""Oracles that a pool may be combined with; which of them fit depends on its files."""


class CampaignConfig(ClosedSettings):
    """A validated campaign: `name`, `space`, `objective` and `oracle` have no default."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    seed: int = Field(default=0, ge=0)
    space: SpaceSettings
    objective: ObjectiveSettings
    further_objectives: tuple[ObjectiveSettings, ...] = ()
    """Properties that are sought at the same time; the best candidates are then a Pareto front."""
    constraints: tuple[ConstraintSettings, ...] | None = None
    """None: dynamically stable and, in a space of prototypes, at most 0.05 eV/atom above the best
    polymorph and not above the elements in energy; in an open space of crystals, at most 0.1
    eV/atom above the hull."""
    agents: tuple[AgentSettings, ...] | None = Field(default=None, min_length=1)
    """None: the default agents of the kind of material in `orchestrator.config.kinds`."""
    selection: SelectionSettings = SelectionSettings()
    surrogate: SurrogateSettings | None = None
    """None: a graph ensemble for crystals, a `sequence-process` for layer sequences, a Gaussian
    process for pairs of crystals."""
    oracle: AnyOracleSettings
    dft: DftSettings = DftSettings()
    confirmation: ConfirmationSettings = ConfirmationSettings()
    budget: BudgetSettings = BudgetSettings()
    executor: ExecutorSettings = ExecutorSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="before")
    @classmethod
    def _constrained(cls, data: Any, info: ValidationInfo) -> Any:
        """Write down the default constraints, so that a campaign keeps those that it began with."""
        if not isinstance(data, dict) or data.get("constraints") is not None:
            return data
        space = data.get("space")
        kind = space.get("kind") if isinstance(space, dict) else getattr(space, "kind", None)
        recorded = bool((info.context or {}).get("recorded"))
        return data | {"constraints": default_constraints(str(kind), recorded=recorded)}

    @model_validator(mode="after")
    def _possible(self, info: ValidationInfo) -> CampaignConfig:
        if self.oracle.kind == "replay" and self.space.kind != "pool":
            raise ValueError(
                "oracle.kind: replay looks answers up by the ids of a pool, but space.kind is "
                f"{self.space.kind!r}; expected space.kind: pool"
            )
        if self.dft.heals:
            self._check_healing()
        if self.confirmation.second_opinion is not None:
            self._check_second_opinion(self.confirmation.second_opinion)
        if not (info.context or {}).get("recorded"):
            check_agents_of(self.space.kind, [agent.kind for agent in self.agents or ()])
            if self.space.kind in OF_SPACE:
                self.check_kind(OF_SPACE[self.space.kind])
            elif self.space.kind == "pool" and self.oracle.kind == "interface":
                raise ValueError(
                    "oracle.kind: given 'interface' with space.kind 'pool'; allowed: "
                    f"{', '.join(_OF_POOLS)}"
                )
            if not isinstance(self.oracle, OwnOracleSettings):  # its properties are not known here
                check_objective(self.oracle, self.objective, self.constraints or ())
            objectives = (self.objective, *self.further_objectives)
            check_together(objectives, self.oracle, self.agents or ())
        return self

    def check_kind(self, kind: str) -> None:
        """Check that all parts of the config can handle a kind of material.

        Raises:
            ValueError: one of them cannot.
        """
        check_kind(
            kind,
            source=f"space.kind {self.space.kind!r}",
            oracle=self.oracle.kind,
            surrogate=None if self.surrogate is None else self.surrogate.kind,
            agents=[agent.kind for agent in self.agents or ()],
            constraints=[constraint.name for constraint in self.constraints or ()],
        )

    def _check_second_opinion(self, name: str) -> None:
        """Refuse a second potential that would be the first, or that has nothing to compare."""
        key = f"confirmation.second_opinion: given {name!r}"
        if not isinstance(self.oracle, PhononSettings):
            raise ValueError(
                f"{key} with oracle.kind: {self.oracle.kind}; expected oracle.kind: phonon-bte, "
                "the only one whose potential another can replace"
            )
        if name == self.oracle.calculator:
            raise ValueError(
                f"{key}, which is also oracle.calculator; expected another potential, of another "
                "architecture and other training data"
            )
        if self.objective.property not in names_of("kappa"):
            raise ValueError(
                f"{key} with objective.property: {self.objective.property}; expected kappa, the "
                "only property for which errors of potentials are known"
            )

    def _check_healing(self) -> None:
        """Refuse healing unless the oracle has a potential that can be fine-tuned."""
        if not isinstance(self.oracle, PhononSettings):
            raise ValueError(
                f"dft.engine: given with oracle.kind: {self.oracle.kind}, which has no potential; "
                "expected oracle.kind: phonon-bte"
            )
        potential = self.oracle.calculator
        family = potential if isinstance(potential, str) else potential.engine
        if not family.startswith(TRAINABLE):
            raise ValueError(
                f"dft.engine: oracle.calculator {family!r} cannot be fine-tuned; expected one that "
                f"begins with {' or '.join(TRAINABLE)}"
            )
        if self.dft.engine == potential or potential in self.dft.committee:
            raise ValueError(
                f"dft: oracle.calculator {potential!r} is also named as engine or in committee; "
                "expected other potentials, which can disagree with it"
            )


def read_yaml(path: Path) -> Any:
    """The content of a YAML file in any Unicode encoding.

    Raises:
        ConfigError: the file cannot be read, or is not YAML of plain values.
    """
    try:
        return parse_yaml(read_text(path))
    except OracleError as error:
        raise ConfigError(error.message) from error
    except ValueError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error


def input_paths(config: CampaignConfig) -> Iterator[tuple[str, Path]]:
    """Full keys and paths of the inputs whose content must not change during a campaign."""
    for key, value, mark in marked(config, InputPath):
        if mark.pinned and mark.is_path(str(value)):
            yield key, Path(value)
