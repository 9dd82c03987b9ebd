"""What can be measured: crystals, layer sequences and interfaces, each in one canonical form.

Equal materials must meet by themselves, whatever cell, origin, atom order or orientation they
were written in, because an evaluation is looked up by the digest of its material.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainValidator, SerializeAsAny

from oracle.materials.crystal import BaseMaterial, Crystal
from oracle.materials.interface import Interface
from oracle.materials.superlattice import Superlattice

MATERIALS: dict[str, type[BaseMaterial]] = {
    "crystal": Crystal,
    "superlattice": Superlattice,
    "interface": Interface,
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
    """The crystals that a material consists of as such: one, both of an interface, or none."""
    return material.constituents()
