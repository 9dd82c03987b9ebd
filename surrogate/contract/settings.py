"""The `surrogate` section of a config. Imports only pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from oracle.runtime.local_inputs import PotentialName
from oracle.runtime.own_classes import NAMED, OWN, OwnSettings, branch_of


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    features: PotentialName = "7net-0"
    """The potential whose frozen atomic features describe a crystal to the surrogate: a name in
    ``oracle.potentials`` or ``package.module:factory``. Layer sequences do not need one."""
    phonons: bool = False
    """Whether phonon frequencies of a doubled cell are added to the features. They take a few force
    calculations per candidate, about as much as its energy-volume curve, and distinguish soft
    crystals from stable ones. Worth the cost where many candidates are unstable and the space has
    thousands rather than millions of members."""


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
    """Number of networks; their disagreement is part of the epistemic uncertainty. Each reads one
    of the potential's last three layers, so multiples of three use all layers equally."""
    width: int = Field(default=24, ge=4, le=256)
    """Hidden features per atom."""
    steps: int = Field(default=60, ge=0, le=2000)
    """Gradient steps per fit."""
    learning_rate: float = Field(default=0.003, gt=0, le=1)
    """Adam's learning rate for the networks' weights."""
    anchoring: float = Field(default=20.0, gt=0)
    """How strongly the weights are pulled towards their random initial values. Smaller values
    overfit tens of labels (with 30 labels of PhononDB, 54 % of the errors lie within one standard
    deviation at 2, and 67 % at 20); hundreds of labels outweigh the pull by themselves."""


class GaussianProcessSettings(_Settings):
    """A Gaussian process on descriptors."""

    kind: Literal["gaussian-process"] = "gaussian-process"
    exact_limit: int = Field(default=2000, ge=1)
    """Largest number of materials whose full posterior covariance is computed exactly."""
    rank: int = Field(default=64, ge=1)
    """Rank of the approximate covariance used above `exact_limit`."""


class SequenceProcessSettings(_NoPotential):
    """A Gaussian process on physical descriptors of a layer stack; for layer sequences only."""

    kind: Literal["sequence-process"] = "sequence-process"
    particles: int = Field(default=32, ge=4, le=1024)
    """Number of samples of the kernel's hyperparameters in the sequential Monte Carlo."""
    draws: int = Field(default=8, ge=1, le=256)
    """Number of those samples over which predictions are averaged."""
    sought: Literal["low", "high"] | None = None
    """The end of the label range whose differences matter most, see
    `surrogate.kernels.label_warping`; set by a campaign that minimises or maximises."""
    exact_limit: int = Field(default=300, ge=1)
    """Largest number of sequences whose full posterior covariance is computed exactly."""
    rank: int = Field(default=48, ge=1)
    """Rank of the approximate covariance used above `exact_limit`."""
    undeclared_symmetries: bool = True
    """Whether to look for permutations of layers that leave the labels unchanged, such as reversal,
    beside those that `space.symmetries` declares; they are believed where labels are 20 times as
    probable with them."""
    features: Literal["none"] = "none"
    """This surrogate uses no potential."""


class RandomForestSettings(_NoPotential):
    """A random forest on composition and structure (a baseline; needs matminer)."""

    kind: Literal["random-forest"] = "random-forest"
    trees: int = Field(default=200, ge=10, le=5000)
    features: Literal["none"] = "none"
    """This surrogate uses no potential."""


class GradientBoostingSettings(_NoPotential):
    """Boosted trees on composition and structure (a baseline; needs matminer)."""

    kind: Literal["gradient-boosting"] = "gradient-boosting"
    members: int = Field(default=8, ge=2, le=100)
    """Number of boosted models, each trained on a bootstrap sample of the labels."""
    trees: int = Field(default=120, ge=10, le=5000)
    learning_rate: float = Field(default=0.08, gt=0, le=1)
    depth: int = Field(default=3, ge=1, le=12)
    features: Literal["none"] = "none"
    """This surrogate uses no potential."""


class MultiFidelitySettings(_Settings):
    """One Gaussian process for all materials and fidelities together."""

    kind: Literal["multi-fidelity"] = "multi-fidelity"
    exact_limit: int = Field(default=2000, ge=1)
    """Largest number of materials whose full posterior covariance is computed exactly."""
    rank: int = Field(default=64, ge=1)
    """Rank of the approximate covariance used above `exact_limit`, for each of two processes."""


NamedSurrogateSettings = Annotated[
    GraphEnsembleSettings
    | GaussianProcessSettings
    | MultiFidelitySettings
    | SequenceProcessSettings
    | RandomForestSettings
    | GradientBoostingSettings,
    Field(discriminator="kind"),
]


class OwnSurrogateSettings(OwnSettings):
    """A surrogate of the user's own.

    Its class is called with `options`, and with outputs, fidelity, ``seed`` and ``store`` as
    `surrogate.models.base.BaseSurrogate` is.
    """

    features: PotentialName = "none"
    """The potential whose features of crystals ``store`` computes."""
    phonons: bool = False
    """As for the other surrogates."""


SurrogateSettings = Annotated[
    Annotated[NamedSurrogateSettings, Tag(NAMED)] | Annotated[OwnSurrogateSettings, Tag(OWN)],
    Discriminator(branch_of),
]
