"""Temperatures that settings may have. Only pydantic is imported here."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

_COLDEST, _HOTTEST = 1.0, 5000.0  # K


def _sensible(temperature: float) -> float:
    if not _COLDEST <= temperature <= _HOTTEST:
        raise ValueError(
            f"{_COLDEST:g} to {_HOTTEST:g} K (colder, heat sits in waves longer than any mesh or "
            "sample; hotter, no crystal is left)"
        )
    return temperature


Temperature = Annotated[
    float,
    AfterValidator(_sensible),
    Field(
        description=f"a temperature from {_COLDEST:g} to {_HOTTEST:g} K",
        json_schema_extra={"minimum": _COLDEST, "maximum": _HOTTEST},
    ),
]
"""K."""
