"""What a user should know before believing a campaign: its space, and how good its potential is."""

from __future__ import annotations

from collections.abc import Sequence

from agents.protocol import Space
from oracle.accuracy import known_accuracy
from orchestrator.config import CampaignConfig

_SHOWN = 5  # names in a note


def campaign_notes(config: CampaignConfig, space: Space) -> tuple[str, ...]:
    """Lines shown at launch and in `status`: size of the space, accuracy by family."""
    size = "unbounded" if space.size is None else f"{space.size} candidates"
    notes = [f"space: {config.space.kind}, {size}"]
    notes += _notes_on_reading(config, space)
    duplicates = getattr(space, "duplicates", 0)
    if config.space.kind == "interface":
        crystals = getattr(space, "crystals", ())
        notes.append(f"space: all pairs of {len(crystals)} crystals, each computed once")
    if duplicates and config.space.kind in ("pool", "interface"):
        notes.append(f"space: {duplicates} records equal an earlier one and count once")
    if config.oracle.kind == "phonon-bte":
        notes += [
            s.text for s in known_accuracy(str(config.oracle.calculator), families_of(config))
        ]
    return (*notes, *_size_notes(config))


def _size_notes(config: CampaignConfig) -> list[str]:
    """What supercells and meshes by hand are counted along, where the crystals differ in axes."""
    names = ("fc2_supercell", "fc3_supercell", "mesh")
    given = [name for name in names if getattr(config.oracle, name, None) is not None]
    if not given or config.space.kind != "pool":
        return []
    return [
        f"oracle: {', '.join(given)}: along the axes of each crystal's standard conventional cell,"
        " which may be others than those of its file"
    ]


def _notes_on_reading(config: CampaignConfig, space: Space) -> list[str]:
    """What became of the user's files: records and files left out, decisions, charges."""
    skipped, remarks, left_out, charges = (
        tuple(getattr(space, name, ())) for name in ("skipped", "remarks", "left_out", "charges")
    )
    notes = []
    if skipped:
        notes.append(f"space: {len(skipped)} records were left out, the first: {skipped[0]}")
    if left_out:
        notes.append(
            f"space: {len(left_out)} files that may be structures were not read: "
            f"{_listed(left_out)}; give them as CIF, POSCAR, extended XYZ or JSON"
        )
    if remarks:
        notes.append(f"space: {len(remarks)} remarks on reading: {_listed(remarks)}")
    if charges and config.oracle.kind == "phonon-bte" and config.oracle.born is None:
        notes.append(
            f"space: {_listed(charges)}: charges of one crystal, which a campaign does not use; "
            "oracle.born: {engine: espresso, ...} computes them for each, and "
            "`phonoscout evaluate` takes such a file"
        )
    return notes


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def families_of(config: CampaignConfig) -> tuple[str, ...]:
    """The structure families a campaign searches, as far as its config names them."""
    if config.space.kind == "prototypes":
        return config.space.prototypes
    return ("pool",)
