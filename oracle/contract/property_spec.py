"""What is known of a property without measuring it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Direction = tuple[float, float, float] | Literal["min", "max"]
"""A vector in the Cartesian frame of the crystal's conventional cell, of any length but 0; or the
smallest or largest principal value (eigenvalue), whatever its direction."""
Shape = Literal["number", "tensor", "array"]
"""``number``: one number, or one per temperature. ``tensor``: a symmetric (3, 3) tensor in
Cartesian coordinates, or one per temperature, whose number is a third of its trace. ``array``:
anything else, which can be shown but not sought."""
Prior = Literal["slack", "bulk-modulus", "debye-temperature", "debye-frequency"]
"""What surrogates expect of a property before any label; see `surrogate.training_data.prior`."""


@dataclass(frozen=True)
class PropertySpec:
    """All that is known of a property without measuring it.

    Args:
        label: its name in the field's terms.
        description: what it is, in one sentence.
        symbol: as in formulas; empty where there is none in use.
        unit: of its values; empty where it has no dimension.
        oracles: kind of each oracle that measures it, to the fidelities at which it does; no
            fidelities stand for all of them.
        shape: see `Shape`.
        numbers_from: oracles, with fidelities as in `oracles`, that give but one number of a
            tensor.
        requires: setting of the oracle that has to be true for it to be measured, if any.
        per_temperature: whether it is measured at each temperature.
        positive: whether it is above 0 for every stable material, so that its logarithm can be
            modelled, which is what campaigns do unless told otherwise.
        prior: what a surrogate expects before any label.
        slope: of log10 of the property with log10 of temperature before any label, and the
            standard deviation of that slope; None where it is taken to stay.
        temperature: K, of an objective that names none.
        limited: whether a constraint may set an upper limit to it.
        unit_varies: whether tables give it in so many units that nothing is taken for granted
            where one does not say.
        digits: significant ones that mean something where no error is stated.
        main: whether it is shown without being asked for.
        promised: whether documents of evaluations always have it, as null where it is unknown.
        aliases: other names under which objectives and records know it.
    """

    label: str
    description: str
    symbol: str = ""
    unit: str = ""
    oracles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shape: Shape = "number"
    numbers_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requires: str = ""
    per_temperature: bool = False
    positive: bool = False
    prior: Prior | None = None
    slope: tuple[float, float] | None = None
    temperature: float | None = None
    limited: bool = False
    unit_varies: bool = False
    digits: int = 4
    main: bool = False
    promised: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def axis(self) -> str:
        """What it is called on an axis: κ by its symbol, which everyone knows, others in words."""
        return self.symbol if self.symbol == "κ" else self.label

    @property
    def can_be_sought(self) -> bool:
        """Whether it can be an objective: a number that some oracle measures."""
        return self.shape != "array" and bool(self.oracles)

    def given_at(self, oracle: str, fidelity: str) -> bool:
        """Whether an oracle measures it at a fidelity; empty for oracles that have but one."""
        return _is_among(self.oracles, oracle, fidelity)

    def tensor_at(self, oracle: str, fidelity: str) -> bool:
        """Whether an oracle measures the whole tensor at a fidelity."""
        return (
            self.shape == "tensor"
            and self.given_at(oracle, fidelity)
            and not _is_among(self.numbers_from, oracle, fidelity)
        )


def _is_among(table: Mapping[str, tuple[str, ...]], oracle: str, fidelity: str) -> bool:
    fidelities = table.get(oracle)
    return fidelities is not None and (not fidelities or fidelity in fidelities)
