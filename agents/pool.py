"""The design space that is a user's own list of materials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agents.finite import FiniteSpace
from agents.pool_files import Bad, content_sha256, read_pool
from agents.settings import PoolSpaceSettings
from oracle.errors import OracleError
from oracle.material import Crystal, Superlattice


class PoolSpace(FiniteSpace):
    """Materials read from files, in the order of the files.

    Args:
        settings: where the list is, and what a bad record does.

    Raises:
        OracleError: stage ``read``; a record that cannot be used (unless ``on_error: skip``), two
            records with one id, no usable record at all.
    """

    def __init__(self, settings: PoolSpaceSettings) -> None:
        self.content_sha256 = content_sha256(settings.path)
        """SHA-256 of what was read: a campaign is refused when it changes."""
        mirror = "mirror" in settings.symmetries
        skipped: list[str] = []
        materials: list[Crystal | Superlattice] = []
        names: list[str | None] = []
        seen: dict[str, str] = {}
        for record in self._checked(settings, mirror=mirror, skipped=skipped):
            place, name, material = record
            if name in seen:
                raise OracleError(
                    "read", f"{place}: id {name!r} was used before at {seen[name]}; ids are unique"
                )
            seen[name] = place
            materials.append(material)
            names.append(name)
        if not materials:
            raise OracleError(
                "read", f"{settings.path} holds no usable material ({len(skipped)} skipped)"
            )
        super().__init__(materials, names)
        self.skipped = tuple(skipped)
        """One line for each record that was left out."""
        self.ids: Mapping[str, str] = {
            material.digest: str(self.label(material)) for material in self.materials
        }
        """Digest to the id of the first record that has it."""
        self.all_ids: Mapping[str, str] = {
            str(name): material.digest for name, material in zip(names, materials, strict=True)
        }
        """Every id, also of equal materials, to its digest."""

    @staticmethod
    def _checked(
        settings: PoolSpaceSettings, *, mirror: bool, skipped: list[str]
    ) -> Iterator[tuple[str, str, Crystal | Superlattice]]:
        """The good records; bad ones stop the reading or are noted."""
        for record in read_pool(settings.path, mirror=mirror):
            if not isinstance(record, Bad):
                yield record
            elif settings.on_error == "stop":
                raise OracleError(
                    "read", f"{record.place}: {record.reason}; on_error: skip leaves it out"
                )
            else:
                skipped.append(f"{record.place}: {record.reason}")
