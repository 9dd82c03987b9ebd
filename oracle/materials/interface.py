"""A pair of crystals that touch."""

from __future__ import annotations

import functools
from typing import Literal

from pydantic import field_validator

from oracle.materials.crystal import BaseMaterial, Crystal
from oracle.runtime.digests import digest_of


class Interface(BaseMaterial):
    """Two crystals that touch, of which only what they are in bulk is known.

    Which of them is on which side makes no difference: what the models of
    `oracle.interface.mismatch` let through is the same both ways.
    """

    kind: Literal["interface"] = "interface"
    crystals: tuple[Crystal, Crystal]
    """Sorted by digest, in whatever order they are given."""

    @field_validator("crystals")
    @classmethod
    def _sorted(cls, given: tuple[Crystal, Crystal]) -> tuple[Crystal, Crystal]:
        first, second = given
        return given if first.digest <= second.digest else (second, first)

    def constituents(self) -> tuple[Crystal, ...]:
        """Both crystals."""
        return self.crystals

    @property
    def formula(self) -> str:
        """Both formulas, in alphabetical order, for instance ``MgO | NaCl``."""
        return " | ".join(sorted(crystal.formula for crystal in self.crystals))

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the digests of both crystals."""
        return digest_of({"kind": self.kind, "crystals": [c.digest for c in self.crystals]})
