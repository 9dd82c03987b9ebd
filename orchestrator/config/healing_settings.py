"""Settings for finding holes of the potential and healing them. Quick to import."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from oracle.potentials.dft_settings import Potential
from oracle.runtime.local_inputs import PotentialName

_BARE = {"gpaw"}
"""Engines whose settings all have defaults, so that the name alone is enough."""


class DftSettings(BaseModel):
    """Reference forces where the potential may be wrong, and fine-tuning on them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Potential = "none"
    """What computes force labels: ``none``, ``gpaw``, settings of a DFT program
    (``{engine: espresso, ...}``), or a potential that is trusted more than the campaign's own (a
    name, or an import path)."""
    max_labels: int = Field(default=0, ge=0)
    """Maximum number of labelled supercells in the whole campaign."""
    per_round: int = Field(default=8, ge=2)
    """Maximum number of labels in one round."""
    audit_share: float = Field(default=0.25, ge=0, lt=1)
    """Fraction of labels reserved for randomly drawn audit materials; new weights must not do worse
    on these. With 0, new weights are compared with the old ones on other materials, and may
    deviate from them by 5 %."""
    threshold: float = Field(default=0.05, gt=0)
    """eV/Å; supercells with a smaller expected force error are not labelled."""
    committee: tuple[PotentialName, ...] = Field(default=("chgnet",), min_length=1)
    """Potentials of other families, whose disagreement with the campaign's own shows where that may
    be wrong. That of `confirmation.second_opinion` takes the place of the default, and joins others
    that are named here."""
    materials: int = Field(default=6, ge=1)
    """Number of candidates examined per round: the leaders, then those evaluated last."""
    copies: int = Field(default=4, ge=1)
    """Displaced supercells per candidate."""
    most_atoms: int = Field(default=32, ge=1)
    """Maximum size of a supercell, atoms; a larger primitive cell is used as it is."""
    replay: int = Field(default=12, ge=2)
    """Number of other materials of the space on which the new weights must stay close to the old
    ones."""
    epochs: int = Field(default=40, ge=1)
    """Maximum number of epochs of a fine-tuning."""
    renewed: int = Field(default=5, ge=0)
    """Number of best candidates that are evaluated again in the round after new weights were
    accepted."""

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
        """Whether an engine is named, so that the potential can be healed."""
        return self.engine != "none"
