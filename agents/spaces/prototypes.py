"""The design space of prototypes decorated with elements."""

from __future__ import annotations

from collections.abc import Iterator

from agents.chemistry.chemistry import closed_shell_triples, default_elements, neutral_decorations
from agents.spaces.finite import FiniteSpace
from agents.spaces.prototype_table import Prototype, competitors, prototype
from agents.spaces.settings import PrototypeSpaceSettings
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material


class PrototypeSpace(FiniteSpace):
    """Every charge-neutral decoration of the prototypes, in the order of the config.

    Args:
        settings: prototypes, elements, filters.

    Raises:
        ValueError: an unknown AFLOW label, or no possible decoration.
    """

    def __init__(self, settings: PrototypeSpaceSettings) -> None:
        crystals: list[Material] = []
        labels: list[str | None] = []
        for name in dict.fromkeys(settings.prototypes):
            for crystal in _decorations(prototype(name), settings):
                crystals.append(crystal)
                labels.append(name)
        if not crystals:
            raise ValueError(
                f"prototypes {', '.join(settings.prototypes)} have no neutral decoration with "
                f"these elements in at most {settings.max_atoms} atoms; allow more elements"
            )
        super().__init__(crystals, labels)
        self._prototypes = settings.prototypes

    def competitors(self, crystal: Crystal) -> dict[str, Crystal]:
        """The same composition in every other prototype, by name; see `competitors`."""
        return competitors(crystal, self._prototypes)


def _decorations(base: Prototype, settings: PrototypeSpaceSettings) -> Iterator[Crystal]:
    """The decorations of one prototype; equal crystals may occur twice."""
    if base.atoms > settings.max_atoms:
        return
    allowed = settings.elements or default_elements(lanthanides=settings.lanthanides)
    elements = [s for s in dict.fromkeys(allowed) if s not in settings.exclude_elements]
    if base.closed_shell:
        for triple in closed_shell_triples(elements):
            yield base.decorate(triple)
        return
    decorations = neutral_decorations(
        base.stoichiometry, elements, base.roles, settings.oxidation_states
    )
    for symbols, charges in decorations:
        yield base.decorate(symbols, charges)
