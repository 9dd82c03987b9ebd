"""The files that a candidate can be written to, by the kind of its material."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KindFiles:
    """The files that materials of one kind can be written to.

    Args:
        plural: name of the materials, in the plural, for messages.
        cif: whether a material is a single structure, so that one CIF describes it completely.
        inputs_of_programs: whether its evaluations leave files for phonopy and phono3py.
    """

    plural: str
    cif: bool = False
    inputs_of_programs: bool = False


KIND_FILES: dict[str, KindFiles] = {
    "crystal": KindFiles("crystals", cif=True, inputs_of_programs=True),
    "superlattice": KindFiles("layer sequences"),
    "interface": KindFiles("interfaces"),
    "composition": KindFiles("compositions"),
}
"""Files by kind of material; materials of other kinds are written as JSON only."""


def files_of(kind: str) -> KindFiles:
    """The files of materials of a kind."""
    return KIND_FILES.get(kind, KindFiles(f"materials of kind {kind}"))
