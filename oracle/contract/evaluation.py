"""What the oracle said of a material. Instability is knowledge; a failure names its stage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from oracle.materials.material import Material

_FROZEN = ConfigDict(frozen=True, ser_json_inf_nan="constants")


TensorKind = Literal["cartesian-2", "voigt-4"]
"""(..., 3, 3) in Cartesian coordinates; (..., 6, 6) of fourth rank in Voigt notation, ordered xx,
yy, zz, yz, xz, xy, without factors of two (as stiffnesses are written, not compliances)."""


class Quantity(BaseModel):
    """A number or array with its unit and error.

    An array's first dimension is temperature when `per_temperature` is set. Tensors are in the
    frame of the crystal's conventional cell.
    """

    model_config = _FROZEN

    value: Any
    """A float or nested lists of floats."""
    unit: str
    std: Any = None
    """Estimated standard error, a float in the same unit (of the scalar that `scalar` gives), or
    one float per temperature; None when unknown."""
    per_temperature: bool = False
    tensor: TensorKind | None = None
    """How its components turn with the crystal; see `tensor_kind` where it is not said."""

    @property
    def tensor_kind(self) -> TensorKind | None:
        """The kind of tensor, by its shape in records that do not say."""
        if self.tensor is not None or not isinstance(self.value, (list, tuple)):
            return self.tensor
        shape = np.asarray(self.value, dtype=float).shape[-2:]
        by_shape: dict[tuple[int, ...], TensorKind] = {(3, 3): "cartesian-2", (6, 6): "voigt-4"}
        return by_shape.get(shape)


class _Record(BaseModel):
    """What every outcome carries."""

    model_config = _FROZEN

    material: Material
    fidelity: str
    """``harmonic``, ``bte``, ``dft``, or a name of the replay table's."""
    method: str
    """The oracle's `method_digest`: all that changes the science."""
    cost_s: float
    """Seconds the outcome cost when it was first obtained."""
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
    """The material is dynamically stable and was measured."""

    status: Literal["measured"] = "measured"
    temperature: tuple[float, ...] = ()
    """K; the first dimension of every quantity `per_temperature`."""
    properties: dict[str, Quantity]
    low_confidence: str | None = None
    """Why the numbers should not be trusted, or None; the worst temperature is named."""
    cautions: tuple[str | None, ...] = ()
    """The same for each of several temperatures; empty where there is one, or nothing differs."""


class Unstable(_Record):
    """The material has imaginary modes (or left its prototype); no conductivity exists for it."""

    status: Literal["unstable"] = "unstable"
    min_frequency: float | None = None
    """Lowest frequency, THz; imaginary modes are negative. None where a table does not say."""
    q_point: tuple[float, float, float] | None = None
    """Where in the zone it lies, in reduced coordinates of the primitive cell."""
    reason: str = "imaginary phonon modes"
    properties: dict[str, Quantity] = Field(default_factory=dict)


class Failed(_Record):
    """No outcome: `permanent` for this material and method, or worth another attempt."""

    status: Literal["failed"] = "failed"
    message: str
    permanent: bool
    unexpected: bool = False
    """Whether a library raised what nobody foresaw: permanent once a fresh attempt repeats it."""
    properties: dict[str, Quantity] = Field(default_factory=dict)


Outcome = Measured | Unstable | Failed
"""All that an evaluation can end as."""
Evaluation = Annotated[Outcome, Field(discriminator="status")]
EVALUATION: TypeAdapter[Outcome] = TypeAdapter(Evaluation)
"""Reads and writes evaluations as JSON."""


def scalar(
    evaluation: Measured | Unstable | Failed, name: str, temperature: float | None = None
) -> tuple[float, float | None] | None:
    """One number of an evaluation, with its standard error.

    Args:
        evaluation: any outcome.
        name: a key of ``properties``, for instance ``kappa``.
        temperature: K; needed for quantities per temperature unless there is only one.
            Between two temperatures the value is interpolated (log-log for positive numbers).

    Returns:
        (value, std), tensors as a third of their trace; None where the evaluation has no
        such property or the temperature lies outside of what was measured.
    """
    quantity = evaluation.properties.get(name)
    if quantity is None or quantity.value is None:
        return None
    values = np.asarray(quantity.value, dtype=float)
    if quantity.tensor_kind == "cartesian-2":
        values = np.trace(values, axis1=-2, axis2=-1) / 3.0
    std = None if quantity.std is None else np.asarray(quantity.std, dtype=float)
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
        temperature: K; between two that were measured, the doubts of both count. None asks for the
            doubts at all of them.
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
    found = dict.fromkeys(text for i in near if (text := each[i]) is not None)
    return "; ".join(found) or None


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
