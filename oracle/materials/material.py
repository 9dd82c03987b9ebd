"""What can be evaluated: crystals, superlattices, interfaces and mere compositions, canonically.

An evaluation is looked up by the digest of its material. Equal materials must therefore have equal
digests, whatever cell, origin, order of atoms or orientation they were described in.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainValidator, SerializeAsAny

from oracle.materials.composition import Composition
from oracle.materials.crystal import BaseMaterial, Crystal
from oracle.materials.interface import Interface
from oracle.materials.superlattice import Superlattice

MATERIALS: dict[str, type[BaseMaterial]] = {
    "crystal": Crystal,
    "superlattice": Superlattice,
    "interface": Interface,
    "composition": Composition,
}
"""The class of each kind."""


def _read(given: Any) -> BaseMaterial:
    """A material, or what JSON says of one.

    Raises:
        ValueError: no such kind.
    """
    if isinstance(given, BaseMaterial):
        return given
    kind = given.get("kind") if isinstance(given, dict) else None
    if kind not in MATERIALS:
        raise ValueError(f"a material of kind {kind!r}; expected one of {', '.join(MATERIALS)}")
    return MATERIALS[kind].model_validate(given)


Material = Annotated[SerializeAsAny[BaseMaterial], PlainValidator(_read)]
"""A material of any kind, told apart by `kind` where it is read."""


def crystals_of(material: Material) -> tuple[Crystal, ...]:
    """The bulk crystals that a material is made of: one, both of an interface, or none."""
    return material.constituents()
