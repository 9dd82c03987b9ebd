"""The design space of a user's own list of materials."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from agents.contract.protocol import Reading
from agents.spaces.finite import FiniteSpace
from agents.spaces.pool_content import charges_of, content_sha256, left_out
from agents.spaces.pool_files import Bad, cached_pool
from agents.spaces.settings import PoolSpaceSettings
from oracle.materials.material import Material
from oracle.runtime.errors import OracleError


class PoolSpace(FiniteSpace):
    """Materials read from files, in the order of the files.

    Args:
        settings: path of the list, and how unusable records are treated.
        cache: folder for the canonical forms, which take about 20 ms per crystal to compute; None
            keeps nothing.

    Raises:
        OracleError: stage ``read``; a record that cannot be used (unless ``on_error: skip``), two
            records with the same id, or no usable record at all.
    """

    def __init__(self, settings: PoolSpaceSettings, cache: Path | None = None) -> None:
        self.content_sha256 = content_sha256(settings.path)
        """SHA-256 of the list; a campaign cannot be resumed after it has changed."""
        skipped: list[str] = []
        remarks: list[str] = []
        materials: list[Material] = []
        seen: dict[str, str] = {}
        records = cached_pool(
            settings.path,
            self.content_sha256,
            mirror=settings.mirror,
            symmetries=settings.permutations,
            cache=cache,
        )
        for record in records:
            if isinstance(record, Bad):
                if settings.on_error == "stop":
                    raise OracleError(
                        "read", f"{record.place}: {record.reason}; on_error: skip leaves it out"
                    )
                skipped.append(f"{record.place}: {record.reason}")
                continue
            if record.id in seen:
                raise OracleError(
                    "read",
                    f"{record.place}: id {record.id!r} was used before at {seen[record.id]}; "
                    "ids are unique",
                )
            seen[record.id] = record.place
            remarks += [f"{record.place}: {remark}" for remark in record.remarks]
            materials.append(record.material)
        if not materials:
            raise OracleError(
                "read",
                f"{settings.path} holds no usable material ({len(skipped)} skipped"
                f"{', the first: ' + skipped[0] if skipped else ''})",
            )
        kinds = Counter(material.kind for material in materials)
        if len(kinds) > 1:
            held = ", ".join(f"{count} of kind {kind}" for kind, count in kinds.items())
            raise OracleError(
                "read", f"{settings.path} holds materials of several kinds ({held}); expected one"
            )
        super().__init__(materials, list(seen))
        self._reading = Reading(
            skipped=tuple(skipped),
            remarks=tuple(remarks),
            left_out=left_out(settings.path),
            charges=charges_of(settings.path),
            duplicates=self.duplicates,
            ids={name: material.digest for name, material in zip(seen, materials, strict=True)},
        )
        self.ids: Mapping[str, str] = {
            material.digest: str(self.label(material)) for material in self.materials
        }
        """Id of the first record of each material, by digest."""

    @property
    def reading(self) -> Reading:
        """Report on the records, with every id."""
        return self._reading

    def without(self, digests: Collection[str]) -> PoolSpace:
        """The same pool without some of its materials, whose ids its reading tells.

        Args:
            digests: digests of materials that no oracle can answer for.
        """
        kept = [material for material in self.materials if material.digest not in digests]
        rest = copy.copy(self)
        FiniteSpace.__init__(rest, kept, [self.label(material) for material in kept])
        rest.duplicates = self.duplicates
        rest._reading = replace(
            self._reading, unanswered=tuple(i for d, i in self.ids.items() if d in digests)
        )
        return rest
