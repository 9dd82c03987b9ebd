"""Settings of where and how a campaign runs, which do not affect its results. Quick to import."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from oracle.runtime.local_inputs import LocalUri

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)\s*$")


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _DURATION.match(value)
    if match is None:
        raise ValueError(_WORDS)
    return float(match[1]) * _UNITS[match[2]]


_WORDS = "seconds, or a text such as '90s', '30min', '2h' or '1d'"
Duration = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(gt=0, allow_inf_nan=False, description=_WORDS),
]
"""Seconds; also written as ``30min``."""


class ExecutorSettings(BaseModel):
    """How oracle calls are run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ray", "serial"] = "ray"
    """``serial`` runs everything in this process, without Ray."""
    address: str | None = None
    """Address of an existing Ray cluster; its nodes must see the home under the same path."""
    workers: int | None = Field(default=None, ge=1)
    """Number of oracle calls at the same time; None: as many as the CPUs allow."""
    cpus_per_call: int = Field(default=1, ge=1)
    gpus_per_call: float = Field(default=0, ge=0)
    memory_gb: float | None = Field(default=None, gt=0)
    """Memory reserved per worker, GiB."""
    time_limit: Duration = 3600.0
    """Time limit of one attempt, seconds; a call that takes longer is stopped and counts as a
    transient failure."""
    attempts: int = Field(default=2, ge=1)
    """How often a call is attempted if it fails for a transient reason."""
    max_failure_share: float = Field(default=0.5, ge=0, le=1)
    """The campaign stops when more than this share of its calls fail."""

    @model_validator(mode="after")
    def _consistent(self) -> ExecutorSettings:
        if self.kind == "serial" and (self.address is not None or (self.workers or 1) > 1):
            raise ValueError(
                "kind: serial runs one call at a time in this process; "
                "address and workers belong to kind: ray"
            )
        return self


class TrackingSettings(BaseModel):
    """Whether and where rounds are shown in MLflow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    uri: LocalUri | None = None
    """URI of an MLflow server, or of a store in a file; None: a store inside the home."""
