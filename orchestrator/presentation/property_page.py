"""The property table as text: for `docs/properties.md`, and for the web service's description.

``python -m orchestrator.presentation.property_page`` prints the table of the page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from oracle.contract.property_spec import PropertySpec
from oracle.contract.property_table import PROPERTY_TABLE

_HEADER = (
    "| property | symbol | unit | what it is | oracle (fidelity) | marks |",
    "|---|---|---|---|---|---|",
)


def table() -> str:
    """The table of the page, in Markdown."""
    rows = (_row(name, spec) for name, spec in PROPERTY_TABLE.items())
    return "\n".join((*_HEADER, *rows)) + "\n"


def objectives_in_words() -> str:
    """One line per property that can be an objective, for the descriptions of interfaces."""
    lines = (
        f"{name}{f' ({spec.unit})' if spec.unit else ''}: {spec.description}"
        for name, spec in PROPERTY_TABLE.items()
        if spec.can_be_sought
    )
    return "\n".join(lines)


def _row(name: str, spec: PropertySpec) -> str:
    names = ", ".join(f"`{each}`" for each in (name, *spec.aliases))
    oracles = ", ".join(
        f"{oracle} ({', '.join(fidelities)})" if fidelities else oracle
        for oracle, fidelities in spec.oracles.items()
    )
    cells = (names, spec.symbol, spec.unit, spec.description, oracles, "; ".join(_marks(spec)))
    return f"| {' | '.join(cells)} |"


def _marks(spec: PropertySpec) -> Iterator[str]:
    if spec.shape == "tensor":
        yield "tensor"
    if spec.shape == "array":
        yield "no objective"
    if spec.per_temperature:
        yield "per temperature"
    if spec.positive:
        yield "positive"
    if spec.limited:
        yield "may be limited"
    if spec.requires:
        yield f"with `oracle.{spec.requires}: true`"
    if spec.prior is not None:
        yield f"prior: {spec.prior}"


if __name__ == "__main__":
    sys.stdout.write(table())
