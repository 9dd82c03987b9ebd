"""The interface of everything that can evaluate a material."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from oracle.contract.evaluation import Failed, Measured, Unstable
from oracle.materials.material import Material
from oracle.runtime.context import Context


@runtime_checkable
class Oracle(Protocol):
    """Evaluates materials at one fidelity.

    `evaluate` never raises for a reason that lies in the material or the method; it returns
    `Failed` instead. Its random numbers follow from material and method, never from the caller.
    """

    @property
    def fidelity(self) -> str:
        """Name of the fidelity, for instance ``bte``."""
        ...

    @property
    def method_digest(self) -> str:
        """SHA-256 of all that changes the numbers: the potential's weights and settings."""
        ...

    def evaluate(self, material: Material, *, context: Context) -> Measured | Unstable | Failed:
        """The evaluation of one material."""
        ...

    def tightened(self, level: int) -> Oracle | None:
        """The oracle that confirms a leader: the same at tighter settings.

        Args:
            level: 0 for this oracle itself; each further level is tighter than the one before.

        Returns:
            The oracle, or None where there is none of that level.
        """
        ...
