"""Notes on a campaign's space and on the accuracy of its potential, shown to the user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agents.contract.protocol import Space
from agents.spaces.families import family_of
from oracle.materials.crystal import Crystal
from oracle.phonons.settings import PhononSettings
from oracle.potentials.accuracy import AccuracyStatement, known_accuracy
from oracle.potentials.kinship import likeness
from orchestrator.config.config import CampaignConfig

_SHOWN = 5  # names in a note
_COUNTED = 9999  # largest space whose parts are given as numbers, not in percent
_NAME_LENGTH = 30  # characters shown of a potential's name, which may be a path


def campaign_notes(config: CampaignConfig, space: Space) -> tuple[str, ...]:
    """Notes shown at launch and in `status`: size of the space, accuracy by structural family."""
    size = "unbounded" if space.size is None else f"{space.size} candidates"
    notes = [f"space: {config.space.kind}, {size}"]
    notes += _notes_on_reading(config, space)
    duplicates, crystals = space.reading.duplicates, space.reading.crystals
    if crystals:
        notes.append(f"space: all pairs of {crystals} crystals, each computed once")
    if duplicates and config.space.kind in ("pool", "interface"):
        notes.append(f"space: {duplicates} records equal an earlier one and count once")
    if isinstance(config.oracle, PhononSettings):
        notes += accuracy_notes(str(config.oracle.calculator), families_of(config, space))
        notes += _notes_on_second_opinion(config.oracle, config.confirmation.second_opinion)
    return (*notes, *_size_notes(config), *_direction_notes(config))


def _notes_on_second_opinion(oracle: PhononSettings, second: str | None) -> list[str]:
    """Why a second potential says little, if it does."""
    alike = None if second is None else likeness(str(oracle.calculator), second)
    if alike is None:
        return []
    return [
        f"second opinion: caution: {alike}, so that agreement says little",
        "  take a potential of another architecture and other training data",
    ]


def _direction_notes(config: CampaignConfig) -> list[str]:
    """The frame of a direction, if the user's structures may be in other frames."""
    direction = config.objective.direction
    if direction is None or isinstance(direction, str) or config.space.kind != "pool":
        return []
    return [
        "objective: direction: in the Cartesian frame of each crystal's standard conventional cell,"
        " which may be another than that of its file"
    ]


def _size_notes(config: CampaignConfig) -> list[str]:
    """The axes of supercells and meshes set by hand, if the user's structures may have others."""
    names = ("fc2_supercell", "fc3_supercell", "mesh")
    sizes = [n for n in names if getattr(config.oracle, n, None) is not None]
    if not sizes or config.space.kind != "pool":
        return []
    return [
        f"oracle: {', '.join(sizes)}: along the axes of each crystal's standard conventional cell,"
        " which may be others than those of its file"
    ]


def _notes_on_reading(config: CampaignConfig, space: Space) -> list[str]:
    """What happened to the user's files: records and files left out, remarks, unused charges."""
    reading = space.reading
    skipped, remarks, left_out = reading.skipped, reading.remarks, reading.left_out
    charges = reading.charges
    notes = []
    if skipped:
        notes.append(f"space: {len(skipped)} records were left out, the first: {skipped[0]}")
    if left_out:
        notes.append(
            f"space: {len(left_out)} files that may be structures were not read: "
            f"{_some(left_out)}; give them as CIF, POSCAR, extended XYZ or JSON"
        )
    if reading.unanswered:
        notes.append(
            f"space: {len(reading.unanswered)} materials of which the table has no value are left "
            f"out: {_some(reading.unanswered)}"
        )
    if remarks:
        notes.append(f"space: {len(remarks)} remarks on reading: {_some(remarks)}")
    if charges and isinstance(config.oracle, PhononSettings) and config.oracle.born is None:
        notes.append(
            f"space: {_some(charges)}: charges of one crystal, which a campaign does not use; "
            "oracle.born: {engine: espresso, ...} computes them for each, and "
            "`phonoscout evaluate` takes such a file"
        )
    return notes


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def accuracy_notes(potential: str, families: Counter[str | None]) -> list[str]:
    """The known accuracy of kappa with a potential, in lines of at most 80 columns.

    Args:
        potential: potential of the oracle.
        families: number of candidates by family; None stands for those of no known family.
    """
    total = families.total()
    statements = known_accuracy(potential, [name for name in families if name is not None])
    known = [s for s in statements if s.known is not None]
    name = potential if len(potential) <= _NAME_LENGTH else f"...{potential[-_NAME_LENGTH:]}"
    if not known:
        return [
            f"accuracy: nothing is known of {name} for",
            f"  {_listed(families)}; check leaders with DFT or a second potential",
        ]
    notes = [f"accuracy: kappa of {name}, compared with that of DFT:"]
    for statement in known:
        share = _share(families[statement.family], total)
        notes.append(f"  {statement.family}{share}: {statement.text}")
        if statement.is_hole:
            notes.append(f"  warning: a hole of {name}: heal it (dft) or take another")
    rest = total - sum(families[s.family] for s in known)
    if rest:
        notes.append(
            f"  the other {rest} of {total}: nothing is known; check with a second potential"
        )
    return notes + [f"  source: {text}" for text in dict.fromkeys(_sources(known))]


def families_of(config: CampaignConfig, space: Space) -> Counter[str | None]:
    """Number of candidates by family, the most frequent first.

    In a space of prototypes the family is the prototype; structures of a pool are recognised by
    their symmetry.
    """
    counts: Counter[str | None] = Counter()
    for material in space.materials or ():
        if config.space.kind == "prototypes":
            family = space.label(material)
        else:
            family = family_of(material) if isinstance(material, Crystal) else None
        counts[family] += 1
    return Counter(dict(counts.most_common()))


def _listed(families: Counter[str | None]) -> str:
    names = [name for name in families if name is not None]
    if not names:
        return "these crystals"
    return ", ".join(names) if len(names) <= 2 else f"{names[0]} and {len(names) - 1} more"


def _share(count: int, total: int) -> str:
    if total > _COUNTED:
        return f" ({count / total:.0%})"
    return "" if count == total else f" ({count} of {total})"


def _sources(known: list[AccuracyStatement]) -> list[str]:
    return [s.known.source for s in known if s.known is not None]
