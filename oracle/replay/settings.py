"""Settings of the replay oracle."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from oracle.runtime.local_inputs import UserPath

_CLOSED = ConfigDict(frozen=True, extra="forbid")


class ReplayFidelity(BaseModel):
    """One fidelity of a replay table.

    Args:
        column: name of the number.
        stable_column: name of the boolean that says dynamically stable; absent means stable.
        cost_s: seconds one evaluation is charged with.
        std_column: name of the number's standard error.
        unit: of the number; where absent, that of docs/properties.md, or none for conductances.
        confirm_column: name of the number at tighter settings, which confirms a leader.
    """

    model_config = _CLOSED

    column: str
    stable_column: str | None = None
    cost_s: float = Field(0.0, ge=0)
    std_column: str | None = None
    confirm_column: str | None = None
    unit: str | None = None


class ReplaySettings(BaseModel):
    """The oracle `replay`: results are read from a JSON-lines or CSV table by ``id``."""

    model_config = _CLOSED

    kind: Literal["replay"] = "replay"
    table: UserPath
    column: str | None = None
    stable_column: str | None = None
    std_column: str | None = None
    confirm_column: str | None = None
    unit: str | None = None
    """Of the number; where absent, that of docs/properties.md, or none for conductances."""
    fidelities: dict[str, ReplayFidelity] | None = None
    """Cheapest first; the objective always belongs to the last."""

    @property
    def calculator(self) -> None:
        """No potential: nothing is computed."""
        return

    @model_validator(mode="after")
    def _one_source(self) -> ReplaySettings:
        if (self.column is None) == (self.fidelities is None):
            given = "neither" if self.column is None else "both"
            raise ValueError(f"got {given} of column and fidelities; expected exactly one")
        for name in ("stable_column", "std_column", "confirm_column", "unit"):
            if self.fidelities is not None and getattr(self, name) is not None:
                raise ValueError(f"{name}: belongs inside each of fidelities")
        if self.fidelities is not None and not self.fidelities:
            raise ValueError("fidelities: got none; expected at least one")
        return self
