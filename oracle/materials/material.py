"""What can be evaluated: crystals, superlattices and interfaces, each in its canonical form.

An evaluation is looked up by the digest of its material. Equal materials must therefore have equal
digests, whatever cell, origin, order of atoms or orientation they were described in.
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
    """The bulk crystals that a material is made of: one, both of an interface, or none."""
    if isinstance(material, Interface):
        return material.crystals
    return (material,) if isinstance(material, Crystal) else ()
