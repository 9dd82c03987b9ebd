"""Evaluations: the recorded answers of oracles, which are measured, unstable or failed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from oracle.contract.directions import along
from oracle.contract.property_spec import Direction
from oracle.contract.property_table import names_of, spec_of
from oracle.materials.material import Material

_FROZEN = ConfigDict(frozen=True, ser_json_inf_nan="constants")


TensorKind = Literal["cartesian-2", "voigt-4"]
"""(..., 3, 3) in Cartesian coordinates, or (..., 6, 6) of fourth rank in Voigt notation, ordered
xx, yy, zz, yz, xz, xy, without factors of two (as for stiffnesses, not for compliances)."""


class Quantity(BaseModel):
    """A number or array with its unit and error.

    The first dimension of an array is temperature if `per_temperature` is set. Tensors are in the
    frame of the crystal's conventional cell.
    """

    model_config = _FROZEN

    value: Any
    """A float or nested lists of floats."""
    unit: str
    std: Any = None
    """Estimated standard error in the same unit, of the scalar that `scalar` gives: a float, or one
    float per temperature; None when unknown."""
    per_temperature: bool = False
    tensor: TensorKind | None = None
    """How components rotate with the crystal; None in earlier records, see `tensor_kind`."""

    @field_validator("value", "std", mode="before")
    @classmethod
    def _plain(cls, given: Any) -> Any:
        """Numbers and arrays of numpy as plain numbers and lists, which can be recorded."""
        return given.tolist() if isinstance(given, np.ndarray | np.generic) else given

    @property
    def tensor_kind(self) -> TensorKind | None:
        """The kind of tensor; in records that do not state it, it follows from the shape."""
        if self.tensor is not None or not isinstance(self.value, (list, tuple)):
            return self.tensor
        shape = np.asarray(self.value, dtype=float).shape[-2:]
        by_shape: dict[tuple[int, ...], TensorKind] = {(3, 3): "cartesian-2", (6, 6): "voigt-4"}
        return by_shape.get(shape)


class _Record(BaseModel):
    """The fields that all evaluations share."""

    model_config = _FROZEN

    material: Material
    fidelity: str
    """``harmonic``, ``bte``, ``dft``, or a name given to a column of a replay table."""
    method: str
    """The `method_digest` of the oracle: all that changes the numbers."""
    cost_s: float
    """Seconds that the evaluation took when it was first made."""
    stage: str
    """The last stage reached."""
    provenance: dict[str, Any] = Field(default_factory=dict)
    """Readable settings and stage timings, as JSON."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Versions of the libraries used."""
    artefacts: dict[str, str] = Field(default_factory=dict)
    """Name of an artefact to its path relative to the context's work directory."""

    @property
    def key(self) -> tuple[str, str]:
        """(material digest, method digest): what identifies an evaluation."""
        return self.material.digest, self.method


class Measured(_Record):
    """The material is dynamically stable, and its properties were computed."""

    status: Literal["measured"] = "measured"
    temperature: tuple[float, ...] = ()
    """K; the first dimension of every quantity with `per_temperature`."""
    properties: dict[str, Quantity]
    low_confidence: str | None = None
    """The caution: why the numbers should not be trusted, at which temperature most; or None."""
    cautions: tuple[str | None, ...] = ()
    """The caution at each of several temperatures; empty where there is one, or nothing differs."""


class Unstable(_Record):
    """The material has imaginary phonon modes, or left its prototype; it has no conductivity."""

    status: Literal["unstable"] = "unstable"
    min_frequency: float | None = None
    """Lowest frequency, THz; imaginary ones are negative. None where a table does not state it."""
    q_point: tuple[float, float, float] | None = None
    """Wave vector of the lowest frequency, in reduced coordinates of the primitive cell."""
    reason: str = "imaginary phonon modes"
    properties: dict[str, Quantity] = Field(default_factory=dict)


class Failed(_Record):
    """There is no result; the failure is `permanent` for this material and method, or may pass."""

    status: Literal["failed"] = "failed"
    message: str
    permanent: bool
    unexpected: bool = False
    """Whether a library raised an unknown error, which a second attempt makes permanent."""
    properties: dict[str, Quantity] = Field(default_factory=dict)


Outcome = Measured | Unstable | Failed
"""All that an evaluation can end as."""
Evaluation = Annotated[Outcome, Field(discriminator="status")]
EVALUATION: TypeAdapter[Outcome] = TypeAdapter(Evaluation)
"""Reads and writes evaluations as JSON."""


def quantity_of(evaluation: Measured | Unstable | Failed, name: str) -> Quantity | None:
    """A property by any of its names (see `names_of`), or None where it was not measured."""
    quantities = (evaluation.properties.get(known) for known in names_of(name))
    return next((quantity for quantity in quantities if quantity is not None), None)


def unit_of(evaluation: Measured | Unstable | Failed, name: str) -> str:
    """Unit of a property, that of the property table where a record does not say."""
    quantity, spec = quantity_of(evaluation, name), spec_of(name)
    stated = "" if quantity is None else quantity.unit
    return stated or ("" if spec.unit_varies else spec.unit)


def make_quantity(
    name: str,
    value: Any,
    *,
    std: Any = None,
    per_temperature: bool | None = None,
    tensor: TensorKind | None = None,
) -> Quantity:
    """A quantity whose unit and shape are those of the property table.

    Args:
        name: of the property.
        value: a float or nested lists of floats, in the table's unit.
        std: see `Quantity.std`.
        per_temperature: where it is not as the table says.
        tensor: where it is none of second rank.
    """
    spec = spec_of(name)
    if spec.shape == "tensor" and np.shape(value)[-2:] == (3, 3):
        tensor = "cartesian-2"
    return Quantity(
        value=value,
        unit=spec.unit,
        std=std,
        per_temperature=spec.per_temperature if per_temperature is None else per_temperature,
        tensor=tensor,
    )


def scalar(
    evaluation: Measured | Unstable | Failed,
    name: str,
    temperature: float | None = None,
    direction: Direction | None = None,
) -> tuple[float, float | None] | None:
    """One number of an evaluation, with its standard error.

    Args:
        evaluation: any outcome.
        name: any name of a property, for instance ``kappa``.
        temperature: K; needed for quantities per temperature unless there is only one.
            Between two temperatures the value is interpolated (log-log for positive numbers).
        direction: of a tensor's number; None for a third of the trace. The error is taken to be
            the same share of the number in every direction.

    Returns:
        (value, std); None where the evaluation has no such property, a direction is asked for and
        the property is no tensor, or the temperature lies outside of what was measured.
    """
    quantity = quantity_of(evaluation, name)
    if quantity is None or quantity.value is None:
        return None
    values = np.asarray(quantity.value, dtype=float)
    std = None if quantity.std is None else np.asarray(quantity.std, dtype=float)
    if quantity.tensor_kind == "cartesian-2":
        mean, values = along(values, None), along(values, direction)
        if std is not None and direction is not None:
            share = np.divide(values, mean, out=np.ones_like(mean), where=mean != 0)
            std = std * np.abs(share)
    elif direction is not None:
        return None
    if quantity.per_temperature:
        temperatures = evaluation.temperature if isinstance(evaluation, Measured) else ()
        grid = np.asarray(temperatures, dtype=float)
        at = _at_temperature(grid, values, temperature)
        if at is None:
            return None
        error = std if std is None or std.ndim == 0 else _at_temperature(grid, std, temperature)
        return at, None if error is None else float(error)
    if values.ndim:
        return None
    return float(values), None if std is None else float(std)


def caution(
    evaluation: Measured | Unstable | Failed, temperature: float | None = None
) -> str | None:
    """Why a number at a temperature should not be trusted, or None.

    Args:
        evaluation: any outcome.
        temperature: K; between two of the evaluation's temperatures, the cautions of both count.
            None asks for the cautions at all of them.
    """
    if not isinstance(evaluation, Measured):
        return None
    each, grid = evaluation.cautions, np.asarray(evaluation.temperature)
    if temperature is None or not each or len(each) != len(grid):
        return evaluation.low_confidence
    near = np.flatnonzero(np.isclose(grid, temperature, atol=1e-6))
    if not len(near):
        above = int(np.clip(np.searchsorted(grid, temperature), 1, len(grid) - 1))
        near = np.array([above - 1, above])
    distinct = dict.fromkeys(text for i in near if (text := each[i]) is not None)
    return "; ".join(distinct) or None


def _at_temperature(
    grid: NDArray[np.float64], values: NDArray[np.float64], temperature: float | None
) -> float | None:
    if temperature is None:
        return float(values[0]) if len(grid) == 1 else None
    match = np.flatnonzero(np.isclose(grid, temperature, atol=1e-6))
    if len(match):
        return float(values[match[0]])
    if not len(grid) or not grid.min() < temperature < grid.max():
        return None
    order = np.argsort(grid)
    if np.all(values > 0):
        return float(
            np.exp(np.interp(np.log(temperature), np.log(grid[order]), np.log(values[order])))
        )
    return float(np.interp(temperature, grid[order], values[order]))
