"""The objective of a campaign, as a score that is better when higher."""

from __future__ import annotations

import builtins
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from oracle.contract.directions import across_vacuum, in_words
from oracle.contract.evaluation import Failed, Measured, Unstable, quantity_of, scalar
from oracle.contract.property_spec import Direction
from oracle.contract.property_table import spec_of
from surrogate.contract.protocol import Output


@dataclass(frozen=True)
class Objective:
    """A property at a temperature, to be minimised, maximised or brought close to a target.

    Scores are computed on the modelled scale (log10 if `log`), so that scores of evaluations and
    of posterior samples can be compared.

    Args:
        property: any name of a property (`oracle.contract.property_table`).
        temperature: in K, or None for a property that does not depend on temperature.
        direction: of a tensor; None for a third of its trace.
        goal: direction of the search.
        target: the desired value, in the property's unit, when ``goal`` is ``target``.
        log: whether log10 of the property is modelled.
        limits: (property, upper limit) pairs that a material must meet, in the properties' units;
            a property that was not measured excludes nothing.
        further: objectives that are sought at the same time, so that the best are a Pareto front.
    """

    property: str = "kappa"
    temperature: float | None = 300.0
    goal: Literal["minimize", "maximize", "target"] = "minimize"
    target: float | None = None
    log: bool = True
    limits: tuple[tuple[str, float], ...] = ()
    direction: Direction | None = None
    further: tuple[Objective, ...] = ()

    @builtins.property  # `property` is a field of this class
    def all(self) -> tuple[Objective, ...]:
        """This objective and the further ones."""
        return (self, *self.further)

    @builtins.property
    def outputs(self) -> tuple[Output, ...]:
        """What a surrogate must predict for all objectives."""
        return tuple(one.output for one in self.all)

    @builtins.property
    def output(self) -> Output:
        """What a surrogate must predict for this objective."""
        return Output(self.property, self.temperature, self.log, self.direction)

    @builtins.property
    def quantity(self) -> str:
        """What is sought, in words without its unit: ``κ along [0 0 1] at 300 K``."""
        at = "" if self.temperature is None else f" at {self.temperature:g} K"
        return in_words(spec_of(self.property).axis, self.direction) + at

    def value(self, evaluation: Measured | Unstable | Failed) -> tuple[float, float | None] | None:
        """(value, standard error) in the property's unit; None without a usable value."""
        if not isinstance(evaluation, Measured) or self.problem(evaluation) is not None:
            return None
        return scalar(evaluation, self.property, self.temperature, self.direction)

    def problem(self, evaluation: Measured) -> str | None:
        """Why the measured value is not usable, or None.

        A property that was not measured at all is not a problem of the evaluation.
        """
        try:
            measured = scalar(evaluation, self.property, self.temperature, self.direction)
        except (TypeError, ValueError):
            return f"{self.property} is not a real number"
        if measured is None:
            return None
        vacuum = evaluation.provenance.get("vacuum")
        if vacuum is not None and across_vacuum(vacuum, self.direction):
            what = "wire" if vacuum["wire"] else "slab"
            return (
                f"{self.quantity} crosses the vacuum around a {what}, which conducts no heat; "
                f"expected a direction within the {what}, or the largest principal value "
                "(objective.direction: max)"
            )
        value, error = measured
        quantity = quantity_of(evaluation, self.property)
        assert quantity is not None  # it has a number
        if not np.all(np.isfinite(np.asarray(quantity.value, float))):
            return f"{self.property} is not finite; expected finite numbers"
        if error is not None and not (math.isfinite(error) and error >= 0):
            return f"the standard error of {self.property} is {error}; expected at least 0"
        if self.log and value <= 0:
            return (
                f"{self.property} is {value:.4g}; expected a number above 0, because its "
                "logarithm is modelled (objective.log: false models the number itself)"
            )
        return None

    def modelled(self, value: float) -> float:
        """A value on the modelled scale."""
        return float(np.log10(value)) if self.log else value

    def score(self, modelled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of an array, of any shape, of modelled values; higher is better."""
        if self.goal == "maximize":
            return modelled
        if self.goal == "minimize":
            return -modelled
        assert self.target is not None  # the config demands it
        return -np.abs(modelled - self.modelled(self.target))

    def score_of(self, evaluation: Measured | Unstable | Failed) -> float | None:
        """Score of an outcome; None if it has no usable value or exceeds a limit."""
        value = self.value(evaluation)
        if value is None or self.refusal(evaluation):
            return None
        return float(self.score(np.array(self.modelled(value[0]))))

    def refusal(self, evaluation: Measured | Unstable | Failed) -> str | None:
        """Which limit an outcome exceeds, as NaN does, or None."""
        for name, limit in self.limits:
            measured = scalar(evaluation, name, self.temperature)
            if measured is not None and not measured[0] <= limit:
                return f"{name} is {measured[0]:.4g}, above the limit of {limit:g}"
        return None
