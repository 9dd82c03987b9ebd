"""What a config says about surrogates. Imports only pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    features: str = "7net-0"
    """The frozen potential whose view of a crystal the surrogate learns from: a name of
    ``oracle.potentials`` or ``package.module:factory``. Layer sequences need none."""
    phonons: bool = False
    """Whether the frequencies of a doubled cell are among the features: a few forces per candidate,
    about what its energy-volume curve costs, that tell soft crystals from stable ones. Worth it
    where many candidates are unstable and the space has thousands, not millions, of members."""


class _NoPotential(BaseModel):
    """Of surrogates that learn from no potential; their ``features`` are ``none``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def phonons(self) -> bool:
        """Without a potential there are no frequencies."""
        return False


class GraphEnsembleSettings(_Settings):
    """An ensemble of graph networks, each with a Bayesian last layer."""

    kind: Literal["graph-ensemble"] = "graph-ensemble"
    members: int = Field(default=6, ge=2, le=50)
    """Networks; the spread among them is part of what is not known. They share the last layers of
    the potential among them, so that multiples of three serve best."""
    width: int = Field(default=24, ge=4, le=256)
    """Hidden features per atom."""
    steps: int = Field(default=60, ge=0, le=2000)
    """Gradient steps per fit."""
    learning_rate: float = Field(default=0.003, gt=0, le=1)
    """Of Adam, for the networks' weights."""
    anchoring: float = Field(default=20.0, gt=0)
    """How strongly the networks are held to their random start. Tens of labels are overfitted by
    less (with 30 labels of PhononDB, 2 covers 54 % within one standard deviation, 20 covers 67 %);
    hundreds outweigh it by themselves."""


class GaussianProcessSettings(_Settings):
    """A Gaussian process on descriptors."""

    kind: Literal["gaussian-process"] = "gaussian-process"
    exact_limit: int = Field(default=2000, ge=1)
    """Most materials for which the full posterior covariance is kept."""
    rank: int = Field(default=64, ge=1)
    """Columns of the covariance's root beyond `exact_limit`."""


class SequenceProcessSettings(_NoPotential):
    """A Gaussian process on what the physics of a stack depends on; for sequences only."""

    kind: Literal["sequence-process"] = "sequence-process"
    particles: int = Field(default=32, ge=4, le=1024)
    """Choices of the kernel's scales that are carried along."""
    draws: int = Field(default=8, ge=1, le=256)
    """How many of them the belief is averaged over."""
    sought: Literal["low", "high"] | None = None
    """The end of the labels whose differences matter most, see `surrogate.kernels.label_warping`;
    a campaign that minimises or maximises fills it in."""
    exact_limit: int = Field(default=300, ge=1)
    """Most sequences for which the full posterior covariance is kept."""
    rank: int = Field(default=48, ge=1)
    """Columns of the covariance's root beyond `exact_limit`."""
    features: Literal["none"] = "none"
    """It needs no potential."""


class RandomForestSettings(_NoPotential):
    """A random forest on composition and structure (a baseline; needs matminer)."""

    kind: Literal["random-forest"] = "random-forest"
    trees: int = Field(default=200, ge=10, le=5000)
    features: Literal["none"] = "none"
    """It needs no potential."""


class GradientBoostingSettings(_NoPotential):
    """Boosted trees on composition and structure (a baseline; needs matminer)."""

    kind: Literal["gradient-boosting"] = "gradient-boosting"
    members: int = Field(default=8, ge=2, le=100)
    """Boosted models, each on a bootstrap of the labels."""
    trees: int = Field(default=120, ge=10, le=5000)
    learning_rate: float = Field(default=0.08, gt=0, le=1)
    depth: int = Field(default=3, ge=1, le=12)
    features: Literal["none"] = "none"
    """It needs no potential."""


class MultiFidelitySettings(_Settings):
    """A Gaussian process over materials and fidelities at once."""

    kind: Literal["multi-fidelity"] = "multi-fidelity"
    exact_limit: int = Field(default=2000, ge=1)
    """Most materials for which the full posterior covariance is kept."""
    rank: int = Field(default=64, ge=1)
    """Columns of the covariance's root beyond `exact_limit`, of each of two processes."""


SurrogateSettings = Annotated[
    GraphEnsembleSettings
    | GaussianProcessSettings
    | MultiFidelitySettings
    | SequenceProcessSettings
    | RandomForestSettings
    | GradientBoostingSettings,
    Field(discriminator="kind"),
]
