"""Settings of the proposers, one class per kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from agents.contract.settings import Settings
from oracle.runtime.own_classes import NAMED, OWN, OwnSettings, branch_of


class RandomSettings(Settings):
    """Uniform draws from the space."""

    kind: Literal["random"] = "random"


class SubstitutionSettings(Settings):
    """Small changes of good candidates: similar elements, exchanged layers."""

    kind: Literal["substitution"] = "substitution"
    parents: int = Field(default=6, ge=1)
    """Number of best candidates whose neighbours are proposed."""


class EvolutionSettings(Settings):
    """Crossover, mutation and chemical strain among good candidates; weights are relative."""

    kind: Literal["evolution"] = "evolution"
    parents: int = Field(default=12, ge=2)
    crossover: float = Field(default=0.5, ge=0)
    mutation: float = Field(default=0.35, ge=0)
    strain: float = Field(default=0.15, ge=0)

    @model_validator(mode="after")
    def _some(self) -> EvolutionSettings:
        if self.crossover + self.mutation + self.strain <= 0:
            raise ValueError(
                "crossover, mutation and strain are all 0; expected at least one above 0"
            )
        return self


class BayesianSettings(Settings):
    """An acquisition function over the surrogate's posterior of the whole pool."""

    kind: Literal["bayesian"] = "bayesian"
    acquisition: Literal["log-ei", "ucb", "thompson"] = "log-ei"
    beta: float = Field(default=1.5, ge=0)
    """Number of standard deviations in the confidence bound of ``ucb``."""


class TreeSearchSettings(Settings):
    """Monte-Carlo tree search over the first layers (prefixes) of layer sequences."""

    kind: Literal["tree-search"] = "tree-search"
    exploration: float = Field(default=0.2, ge=0)
    """Weight of the exploration term, compared with mean ranks between 0 and 1."""


NamedAgentSettings = Annotated[
    RandomSettings
    | SubstitutionSettings
    | EvolutionSettings
    | BayesianSettings
    | TreeSearchSettings,
    Field(discriminator="kind"),
]


class OwnAgentSettings(OwnSettings):
    """A proposer of the user's own.

    Its class is called with `options`, and with ``name``, ``fidelity`` and ``near_duplicates`` as
    `agents.proposers.base.BaseProposer` is.
    """


AgentSettings = Annotated[
    Annotated[NamedAgentSettings, Tag(NAMED)] | Annotated[OwnAgentSettings, Tag(OWN)],
    Discriminator(branch_of),
]
