"""What a JSON value is, by its keys: a structure, a document with one, or a database of ASE's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oracle.runtime.errors import OracleError
from oracle.runtime.plain_json import parse_json
from oracle.runtime.text_files import decoded, read_bytes


def documents(value: Any) -> list[dict[str, Any]]:
    """The structures in a value: one, the ``structure`` of a document, or a list of either.

    Returns:
        Dictionaries for `oracle.structure_files.structure_documents.structure_of`; none where the
        value is something else.
    """
    if isinstance(value, list):
        found = [documents(part) for part in value]
        return [part for parts in found for part in parts] if all(found) else []
    if not isinstance(value, dict):
        return []
    if "lattice" in value and "sites" in value:
        return [value]
    inner = value.get("structure")
    return documents(inner) if isinstance(inner, dict) else []


def is_structure_document(path: Path) -> bool:
    """Whether a JSON file holds structures of pymatgen's or ASE's; nothing heavy is imported."""
    try:
        value = parse_json(decoded(read_bytes(path), str(path)))
    except (OracleError, ValueError, RecursionError):
        return False
    return bool(documents(value)) or _is_database(value)


def _is_database(value: Any) -> bool:
    """Whether it is a database of ASE's or ASE's atoms."""
    return isinstance(value, dict) and ("ids" in value or {"numbers", "positions"} <= value.keys())
