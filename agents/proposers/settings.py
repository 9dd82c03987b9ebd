"""Settings of the proposers, one class per kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Field,
    model_validator,
)

from agents.contract.settings import Settings


class RandomSettings(Settings):
    """Uniform draws from the space."""

    kind: Literal["random"] = "random"


class SubstitutionSettings(Settings):
    """Small changes of good candidates: similar elements, exchanged layers."""

    kind: Literal["substitution"] = "substitution"
    parents: int = Field(default=6, ge=1)
    """How many of the best candidates are changed."""


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
            raise ValueError("crossover, mutation and strain are all 0; at least one must be above")
        return self


class BayesianSettings(Settings):
    """An acquisition function over the surrogate's posterior of the whole pool."""

    kind: Literal["bayesian"] = "bayesian"
    acquisition: Literal["log-ei", "ucb", "thompson"] = "log-ei"
    beta: float = Field(default=1.5, ge=0)
    """Standard deviations added by ``ucb``."""


class TreeSearchSettings(Settings):
    """Monte-Carlo tree search over the beginnings of layer sequences."""

    kind: Literal["tree-search"] = "tree-search"
    exploration: float = Field(default=0.2, ge=0)
    """Weight of how seldom a beginning was tried, against ranks from 0 to 1."""


AgentSettings = Annotated[
    RandomSettings
    | SubstitutionSettings
    | EvolutionSettings
    | BayesianSettings
    | TreeSearchSettings,
    Field(discriminator="kind"),
]
