"""What a config says about holes in the potential and how they are healed. Light to import."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from oracle.potentials.dft_settings import Potential
from oracle.runtime.local_inputs import PotentialName

_BARE = {"gpaw"}
"""Engines whose settings all have defaults, so that their name says enough."""


class DftSettings(BaseModel):
    """Reference labels where the potential cannot be trusted, and fine-tuning on them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Potential = "none"
    """What labels: ``none``, ``gpaw``, settings of a DFT program (``{engine: espresso, ...}``), or
    a potential that is trusted more than the campaign's own (a name, or an import path)."""
    max_labels: int = Field(default=0, ge=0)
    """Most labelled supercells in the whole campaign."""
    per_round: int = Field(default=8, ge=2)
    """Most labels of one round."""
    audit_share: float = Field(default=0.25, ge=0, lt=1)
    """Of the labels, for materials drawn at random, on which new weights may be no worse. With 0
    they may deviate by 5 % from the old ones on other materials, where these are taken for right.
    """
    threshold: float = Field(default=0.05, gt=0)
    """eV/Å; a supercell with less expected force error is no hole and is not labelled."""
    committee: tuple[PotentialName, ...] = Field(default=("chgnet",), min_length=1)
    """Potentials of other families, whose disagreement with the campaign's own is looked at."""
    materials: int = Field(default=6, ge=1)
    """Candidates that are looked at in a round: the leaders, then those evaluated last."""
    copies: int = Field(default=4, ge=1)
    """Displaced supercells of each."""
    most_atoms: int = Field(default=32, ge=1)
    """Of a supercell; the primitive cell itself where that has more."""
    replay: int = Field(default=12, ge=2)
    """Other materials of the space on which the new weights are held to the old ones."""
    epochs: int = Field(default=40, ge=1)
    """Most passes of a fine-tuning over the labels."""
    renewed: int = Field(default=5, ge=0)
    """Best candidates that are evaluated again in the round after new weights were accepted."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        engine = data.get("engine") if isinstance(data, dict) else None
        if isinstance(engine, str) and engine in _BARE:
            return {**data, "engine": {"engine": engine}}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> DftSettings:
        if self.engine == "none" and self.max_labels:
            raise ValueError(
                f"max_labels is {self.max_labels} but engine is none; name an engine, for "
                "instance gpaw, or set max_labels to 0"
            )
        if self.engine != "none" and self.max_labels < 2:
            raise ValueError(
                f"max_labels is {self.max_labels}; expected at least 2 with an engine, one to "
                "train on and one held out"
            )
        return self

    @property
    def heals(self) -> bool:
        """Whether there is anything to do."""
        return self.engine != "none"
