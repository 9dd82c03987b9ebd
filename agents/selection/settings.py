"""Settings of the selection of a batch."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    Field,
    model_validator,
)

from agents.contract.settings import Settings, Share

_CRYSTAL_SHARES = (0.0, 0.05)


class SelectionSettings(Settings):
    """How a batch is divided, and how much of a space is screened."""

    hole_share: Share | None = None
    """Fraction of the batch for exploration: the candidates about which the surrogate is most
    uncertain. The default is 0, because candidates that are unlikely to be the best need not be
    known; for pairs of crystals it is 0.25."""
    audit_share: Share | None = None
    """Fraction of the batch that is drawn uniformly at random, to measure the calibration of the
    surrogate's uncertainties. The default is 0.05; for pairs of crystals it is 0.1."""
    first_round: Literal["prior", "random"] = "prior"
    """How candidates are chosen before the first label: by a physical estimate of the objective
    where there is one (Slack's formula for kappa), or at random."""
    floor_share: Share = 0.1
    """Smallest fraction of the remaining batch that any agent gets."""
    half_life: float = Field(default=3.0, gt=0)
    """Number of rounds after which an agent's past success counts half."""
    exact_limit: int = Field(default=2000, ge=1)
    """Largest number of listed crystals whose features are computed with the potential. Of a larger
    space, these are chosen in each round by a random forest on descriptors of elements and
    geometry; before the first label, half by a rough estimate of the objective."""
    pool_limit: int = Field(default=100_000, ge=1)
    """Largest space that is screened in one process."""
    shortlist: int = Field(default=1000, ge=0)
    """For a larger space, the number of candidates that get exact features, after workers have
    screened it with quick features: the whole space or, of crystals, the 20 times as many that the
    random forest chooses. With 0, a random sample of `pool_limit` candidates
    is screened instead of the space."""
    near_duplicates: bool = True
    """Whether crystals that differ from known ones only by rounding are dropped."""

    @model_validator(mode="after")
    def _room(self) -> SelectionSettings:
        total = self.holes + self.audits
        if total > 1:
            raise ValueError(f"hole_share + audit_share is {total:g}; it must not exceed 1")
        return self

    @property
    def holes(self) -> float:
        """`hole_share`, or the default for crystals."""
        return _CRYSTAL_SHARES[0] if self.hole_share is None else self.hole_share

    @property
    def audits(self) -> float:
        """`audit_share`, or the default for crystals."""
        return _CRYSTAL_SHARES[1] if self.audit_share is None else self.audit_share

    def resolved(self, shares: tuple[float, float] = _CRYSTAL_SHARES) -> SelectionSettings:
        """With the default shares of a kind of material filled in: exploration, then audits."""
        holes, audits = shares
        update = {
            "hole_share": holes if self.hole_share is None else self.hole_share,
            "audit_share": audits if self.audit_share is None else self.audit_share,
        }
        return SelectionSettings.model_validate({**self.model_dump(), **update})
