"""What can be measured: crystals, layer sequences and interfaces, each in one canonical form.

Equal materials must meet by themselves, whatever cell, origin, atom order or orientation they
were written in, because an evaluation is looked up by the digest of its material.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    pass

from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from oracle.materials.superlattice import Superlattice

Material = Annotated[Crystal | Superlattice | Interface, Field(discriminator="kind")]


def crystals_of(material: Material) -> tuple[Crystal, ...]:
    """The crystals that a material consists of as such: one, both of an interface, or none."""
    if isinstance(material, Interface):
        return material.crystals
    return (material,) if isinstance(material, Crystal) else ()
