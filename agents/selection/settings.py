"""Settings of the selection of a batch."""

from __future__ import annotations

from pydantic import (
    Field,
    model_validator,
)

from agents.contract.settings import Settings, Share

_CRYSTAL_SHARES = (0.25, 0.1)


class SelectionSettings(Settings):
    """How a batch is divided."""

    hole_share: Share | None = None
    """For the candidates about which the surrogate knows least; None: 0.25, for layer sequences
    none, since what is improbable to be best there need not be known."""
    audit_share: Share | None = None
    """Drawn uniformly at random, to measure calibration; None: 0.1, for layer sequences 0.05."""
    floor_share: Share = 0.1
    """Least share of the rest that any agent keeps."""
    half_life: float = Field(default=3.0, gt=0)
    """Rounds after which what an agent found counts half."""
    pool_limit: int = Field(default=100_000, ge=1)
    """Largest space that is screened whole in one process with exact features of every crystal."""
    shortlist: int = Field(default=1000, ge=0)
    """Of a larger space, how many are looked at closely, after workers have screened all of it
    with quick features; 0: instead, a random sample of `pool_limit` stands for the space."""
    near_duplicates: bool = True
    """Whether crystals that differ from known ones by rounding only are dropped."""

    @model_validator(mode="after")
    def _room(self) -> SelectionSettings:
        total = self.holes + self.audits
        if total > 1:
            raise ValueError(f"hole_share + audit_share is {total:g}; it must not exceed 1")
        return self

    @property
    def holes(self) -> float:
        """`hole_share`, where nothing is given that of crystals."""
        return _CRYSTAL_SHARES[0] if self.hole_share is None else self.hole_share

    @property
    def audits(self) -> float:
        """`audit_share`, where nothing is given that of crystals."""
        return _CRYSTAL_SHARES[1] if self.audit_share is None else self.audit_share

    def resolved(self, shares: tuple[float, float] = _CRYSTAL_SHARES) -> SelectionSettings:
        """With shares of a kind of material, for holes and for audits, where none are given."""
        holes, audits = shares
        update = {
            "hole_share": holes if self.hole_share is None else self.hole_share,
            "audit_share": audits if self.audit_share is None else self.audit_share,
        }
        return SelectionSettings.model_validate({**self.model_dump(), **update})
