"""What a JSON value holds, by its keys: a structure, a document with one, or an ASE database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oracle.runtime.errors import OracleError
from oracle.runtime.plain_json import parse_json
from oracle.runtime.text_files import decoded, read_bytes


def documents(value: Any) -> list[dict[str, Any]]:
    """The structures in a value: one, the ``structure`` of a document, or a list of either.

    Returns:
        Dictionaries for `oracle.structure_files.structure_documents.structure_of`; empty if the
        value holds something else.
    """
    if isinstance(value, list):
        nested = [documents(part) for part in value]
        return [document for part in nested for document in part] if all(nested) else []
    if not isinstance(value, dict):
        return []
    if "lattice" in value and "sites" in value:
        return [value]
    inner = value.get("structure")
    return documents(inner) if isinstance(inner, dict) else []


def is_structure_document(path: Path) -> bool:
    """Whether a JSON file holds structures of pymatgen or ASE; nothing heavy is imported."""
    try:
        value = parse_json(decoded(read_bytes(path), str(path)))
    except (OracleError, ValueError, RecursionError):
        return False
    return bool(documents(value)) or _is_database(value)


def _is_database(value: Any) -> bool:
    """Whether a value is an ASE database or ASE atoms."""
    return isinstance(value, dict) and ("ids" in value or {"numbers", "positions"} <= value.keys())
