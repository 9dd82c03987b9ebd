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
from oracle.runtime.local_inputs import Command
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


class ExternalSettings(Settings):
    """Crystals that a program writes, for instance a generative model."""

    kind: Literal["external"] = "external"
    command: Command
    """What is run once per round, without a shell and in a scratch folder, so that paths in it must
    be full ones. Two arguments are added: the path of a request in JSON, and that of an empty
    folder for structure files."""
    number: int = Field(default=16, ge=1)
    """Number of crystals that are asked for in each round; more if the batch needs more."""
    time_limit: float = Field(default=600.0, gt=0)
    """Longest time of one run, s."""


class WyckoffSettings(Settings):
    """Crystals that a generative model writes, in the space ``kind: crystals``."""

    kind: Literal["wyckoff"] = "wyckoff"
    number: int = Field(default=64, ge=1)
    """Number of crystals that are written in each round, from which the surrogate chooses."""
    steering: float = Field(default=1.0, ge=0)
    """Weight of measured crystals, in units of that of samples of the model as it was trained; with
    0 it stays as it is."""


NamedAgentSettings = Annotated[
    RandomSettings
    | SubstitutionSettings
    | EvolutionSettings
    | BayesianSettings
    | TreeSearchSettings
    | ExternalSettings
    | WyckoffSettings,
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
