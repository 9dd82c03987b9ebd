"""Which files there are of a candidate, by the kind of its material."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KindFiles:
    """What of a kind of material is written, and how it is called.

    Args:
        plural: of the kind, for messages.
        cif: whether the material is one structure, which a CIF holds whole.
        inputs_of_programs: whether its evaluations leave files for phonopy and phono3py.
    """

    plural: str
    cif: bool = False
    inputs_of_programs: bool = False


KIND_FILES: dict[str, KindFiles] = {
    "crystal": KindFiles("crystals", cif=True, inputs_of_programs=True),
    "superlattice": KindFiles("layer sequences"),
    "interface": KindFiles("interfaces"),
}
"""By the kind of the material; what is not here is written as JSON alone."""


def files_of(kind: str) -> KindFiles:
    """The files of a kind."""
    return KIND_FILES.get(kind, KindFiles(f"materials of kind {kind}"))
