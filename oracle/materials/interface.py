"""A pair of crystals that touch."""

from __future__ import annotations

import functools
from typing import Literal

from pydantic import field_validator

from oracle.materials.crystal import BaseMaterial, Crystal
from oracle.runtime.digests import digest_of


class Interface(BaseMaterial):
    """Two crystals that touch, of which only the bulk properties are known.

    Their order makes no difference: in the models of `oracle.interface.mismatch`, the conductance
    is the same in both directions.
    """

    kind: Literal["interface"] = "interface"
    crystals: tuple[Crystal, Crystal]
    """Sorted by digest, whatever the order in which they are given."""

    @field_validator("crystals")
    @classmethod
    def _sorted(cls, pair: tuple[Crystal, Crystal]) -> tuple[Crystal, Crystal]:
        first, second = pair
        return pair if first.digest <= second.digest else (second, first)

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
