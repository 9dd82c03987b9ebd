"""Estimates the cost of one call of each kind, in core seconds, from a few timed candidates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms

from agents.contract.constraints import needs_energies
from agents.contract.protocol import Space
from oracle.contract.own_oracle import OwnOracleSettings
from oracle.energetics.speed import seconds_of_forces, slowness
from oracle.green.effort import green_effort
from oracle.green.settings import GreenSettings
from oracle.interface.settings import InterfaceSettings
from oracle.materials.crystal import Crystal
from oracle.materials.material import crystals_of
from oracle.materials.superlattice import Superlattice
from oracle.phonons.effort import Effort, as_given, harmonic_effort, phonon_effort, slower
from oracle.phonons.settings import PhononSettings
from oracle.potentials.dft_settings import Potential
from oracle.potentials.table import calculator
from oracle.replay.settings import ReplaySettings
from oracle.runtime.threads import one_thread
from orchestrator.assembly.prepared import Prepared
from orchestrator.config.config import CampaignConfig
from orchestrator.healing.trusted import trusted_crystals
from orchestrator.rounds.constraint_gate import constraints_of

_EXAMINED = 120
_KINDS = 4  # kinds of crystals that are timed
_LONG = 5.0  # s; forces expected to take longer are not timed but scaled from a smaller cell
_SMALL = 4  # atoms below which forces take a time of their own, which does not grow with atoms
_LARGE = 50  # atoms from which on forces take as long per atom, however many there are
_STABLE = 0.7  # share of candidates for which third-order force constants are computed
_EOS = 13  # calculations of energy and stress for an energy-volume curve
_RELAXED = 12  # the same for a relaxation to 0.04 eV/Å
_POLYMORPHS = 8  # competing prototypes of a candidate
_PHASES = 6  # other compounds of its elements that are relaxed for its hull, most of them once
_ELEMENTS = 6.0  # cost of new elements, whose cells are often larger, in units of one candidate
_NODES = 0.05  # s, for descriptors and latent features of a crystal
_DOUBLED = 6  # force calls for the phonons of a doubled cell
_SPECTRA = 2.0  # s, for both meshes of a crystal of an interface
_PAIR = 1.0  # s, for a pair whose crystals have been computed
_BACKWARD = 4.0  # time of a step of fine-tuning over that of the forces
_ALL_EPOCHS = 0.7  # share of `dft.epochs` that is used
_DFT_LABEL = 1800.0  # s, for a supercell of 30 atoms with a DFT program


@dataclass(frozen=True)
class CallPrices:
    """Costs of calls in core seconds.

    Args:
        call_s: mean cost of an evaluation at the objective's fidelity.
        once_s: cost of what all evaluations share and is computed before the first.
        confirmation_s: mean cost of a confirmation.
        confirmation_once_s: cost of what all confirmations share.
        opinion_s: mean cost of an evaluation with a second potential, 0 where there is none.
        query_s: cost of an evaluation at the low fidelity, 0 where there is none.
        constraint_s: cost of the energies of a candidate, 0 where no constraint needs them.
        feature_s: cost of the features of a crystal.
        healing: costs of hole hunts, force labels and fine-tuning in the whole campaign, by name.
        recorded_s: cost that a replay charges for a call.
        memory_gib: memory of a worker, GiB.
        slowness: time of linear algebra on this machine over that on the reference machine.
        each_worker: whether every worker computes for itself what evaluations share.
        timed: the potential whose forces were timed, or None.
        assumptions: what the numbers are based on, one line each.
    """

    call_s: float
    once_s: float = 0.0
    confirmation_s: float = 0.0
    confirmation_once_s: float = 0.0
    opinion_s: float = 0.0
    query_s: float = 0.0
    constraint_s: float = 0.0
    feature_s: float = 0.0
    healing: dict[str, float] = field(default_factory=dict)
    recorded_s: float = 0.0
    memory_gib: float = 0.5
    slowness: float = 1.0
    each_worker: bool = False
    timed: Potential | None = None
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """Crystals of similar cost.

    Args:
        example: one of them.
        share: their share of all crystals that were examined.
    """

    example: Crystal
    share: float


def prices_of(config: CampaignConfig, prepared: Prepared) -> CallPrices:
    """Prices of a campaign's calls; forces are timed in this process."""
    return _PRICES.get(config.oracle.kind, _unknown)(config.oracle, config, prepared.space)


def kinds_of(space: Space) -> list[Kind]:
    """The most frequent kinds of crystals of a space, by space group and size."""
    sample = space.sample(_EXAMINED, np.random.default_rng(0))
    crystals = [crystal for material in sample for crystal in crystals_of(material)]
    counts: Counter[tuple[int, int]] = Counter()
    examples: dict[tuple[int, int], Crystal] = {}
    for crystal in crystals:
        key = crystal.spacegroup[1], len(crystal.species)
        counts[key] += 1
        examples.setdefault(key, crystal)
    common = counts.most_common(_KINDS)
    total = sum(count for _, count in common)
    return [Kind(examples[key], count / total) for key, count in common]


class Timed:
    """Seconds of a potential's forces, measured on small structures and scaled to large ones.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
    """

    def __init__(self, potential: Potential) -> None:
        self._potential = potential
        self._measured: dict[tuple[int, str], float] = {}
        """By number of atoms and formula."""

    def __call__(self, atoms: Atoms) -> float:
        """Seconds of one thread for the forces of a structure."""
        n, formula = len(atoms), atoms.symbols.formula.reduce()[0].format("hill")
        known = {k: s / k for (k, f), s in self._measured.items() if f == formula}
        largest = max(known, default=0)
        key = n, formula
        if key not in self._measured:
            if n >= _LARGE and largest >= _LARGE:
                return known[largest] * n
            if largest >= _SMALL and known[largest] * n > _LONG:
                return known[largest] * n
            self._measured[key] = seconds_of_forces(self._potential, atoms, 2)
        return self._measured[key]


def _unknown(settings: OwnOracleSettings, config: CampaignConfig, space: Space) -> CallPrices:
    """Calls of a user's own oracle, whose cost is not known."""
    text = f"{settings.kind}: the cost of a call is not known, and is taken as zero here"
    return CallPrices(0.0, assumptions=(text,))


def _replayed(settings: ReplaySettings, config: CampaignConfig, space: Space) -> CallPrices:
    columns = settings.fidelities or {}
    last = list(columns.values())[-1] if columns else None
    recorded = 0.0 if last is None else last.cost_s
    text = "replay: answers are looked up"
    if recorded:
        text += f"; each is charged with its recorded {recorded:g} s (recorded_hours)"
    return CallPrices(0.0, recorded_s=recorded, assumptions=(text,))


def _conducting(settings: PhononSettings, config: CampaignConfig, space: Space) -> CallPrices:
    """Calls of the oracle `phonon-bte`."""
    kinds, timed, slow = kinds_of(space), Timed(settings.calculator), slowness()
    in_full = config.confirmation.transport == "lbte"
    efforts = [(k.share, phonon_effort(k.example, settings, timed, in_full=in_full)) for k in kinds]
    harmonic = _mean([(share, e.harmonic) for share, e in efforts], slow)
    conductive = _mean([(share, e.conductive) for share, e in efforts], slow)
    confirming = _mean([(share, e.confirming) for share, e in efforts], slow)
    ends_early = settings.fidelities[-1] == "harmonic"
    opinion_s = 0.0
    second = config.confirmation.second_opinion
    if second is not None:
        others = [(k.share, phonon_effort(k.example, settings, Timed(second))) for k in kinds]
        opinion_s = _total(_mean([(share, e.harmonic) for share, e in others], slow))
        if not ends_early:
            opinion_s += _total(_mean([(share, e.conductive) for share, e in others], slow))
    cell = _mean_over(kinds, lambda crystal: _cell_s(settings.calculator, crystal))
    query = 0.0 if len(settings.fidelities) < 2 else _total(harmonic)
    parts = (
        f"force calls of an evaluation: {harmonic.force_calls:.0f}, and "
        f"{conductive.force_calls:.0f} more for the {_STABLE:.0%} that are stable"
    )
    return CallPrices(
        call_s=_total(harmonic) + (0.0 if ends_early else _STABLE * _total(conductive)),
        confirmation_s=0.3 * _total(harmonic) if ends_early else _total(confirming),
        opinion_s=opinion_s,
        query_s=query,
        constraint_s=_constraints(config, cell),
        feature_s=_features(config, cell),
        healing=_healing(config, cell, kinds, timed),
        memory_gib=max(harmonic.memory_gib, conductive.memory_gib, confirming.memory_gib),
        slowness=slow,
        timed=settings.calculator,
        assumptions=(parts,) if not ends_early else (),
    )


def _constraints(config: CampaignConfig, cell_s: float) -> float:
    """Core seconds for the energies of a candidate, of its polymorphs and of its elements."""
    if not needs_energies(constraints_of(config)):
        return 0.0
    phases = any(c.name == "energy_above_hull" for c in constraints_of(config)) * _PHASES
    return (1 + _POLYMORPHS / 2 + _ELEMENTS + phases) * (_EOS + _RELAXED) * cell_s


def _features(config: CampaignConfig, cell_s: float) -> float:
    phonons = config.surrogate is not None and config.surrogate.phonons
    return (_EOS + (2 * _DOUBLED if phonons else 0)) * cell_s + _NODES


def _healing(
    config: CampaignConfig, cell_s: float, kinds: list[Kind], timed: Timed
) -> dict[str, float]:
    """Core seconds of hole hunts, force labels and fine-tuning in a whole campaign."""
    settings = config.dft
    if not settings.heals:
        return {}
    atoms = _mean_over(kinds, lambda c: float(min(settings.most_atoms, 8 * len(c.species))))
    cells = _mean_over(kinds, lambda c: float(len(c.species)))
    forces_s = cell_s * atoms / cells
    hunts = -(-settings.max_labels // settings.per_round)
    label_s = forces_s * 2 if isinstance(settings.engine, str) else _DFT_LABEL
    relaxed = settings.materials + len(trusted_crystals())
    force_calls = settings.materials * settings.copies * (1 + len(settings.committee))
    labels = [min(settings.max_labels, settings.per_round * k) for k in range(1, hunts + 1)]
    steps = sum(settings.epochs * _ALL_EPOCHS * (n + settings.replay) for n in labels)
    return {
        "hole_hunts": hunts * (force_calls * forces_s + relaxed * _RELAXED * cell_s),
        "labels": settings.max_labels * label_s,
        "fine_tuning": steps * _BACKWARD * forces_s,
    }


def _paired(settings: InterfaceSettings, config: CampaignConfig, space: Space) -> CallPrices:
    """Calls of the oracle `interface`, which computes each crystal of all pairs once."""
    kinds, timed = kinds_of(space), Timed(settings.potential)
    plain, slow = settings.harmonic(), slowness()
    each = _mean(
        [(k.share, harmonic_effort(as_given(k.example), plain, timed)) for k in kinds], slow
    )
    finer = (settings.overlap_spacing / settings.mesh_spacing) ** 3 / 8
    spectra = _SPECTRA * max(finer, 0.1) * slow
    pairs = min(config.budget.oracle_calls, space.size or config.budget.oracle_calls)
    crystals = min(space.reading.crystals or 2 * pairs, 2 * pairs)
    return CallPrices(
        call_s=_PAIR,
        once_s=crystals * (_total(each) + spectra),
        confirmation_s=_PAIR + spectra * 2.4,
        query_s=_PAIR if len(settings.fidelities) > 1 else 0.0,
        feature_s=_features(config, _mean_over(kinds, lambda c: _cell_s(plain.calculator, c))),
        memory_gib=each.memory_gib,
        slowness=slow,
        timed=settings.potential,
        assumptions=(f"{crystals} crystals are computed once: {_total(each):.3g} s each",),
    )


def _layered(settings: GreenSettings, config: CampaignConfig, space: Space) -> CallPrices:
    """Calls of the oracle `green`, for superlattices."""
    first = next(iter(space))
    assert isinstance(first, Superlattice)
    assert first.stack is not None  # `green` cannot evaluate others
    slow = slowness()
    normal = green_effort(first, settings, Timed(settings.potential))
    tight = green_effort(first, settings.tightened(), Timed(settings.potential))
    return CallPrices(
        call_s=normal.design_s * slow,
        once_s=normal.forces_s + normal.leads_s * slow,
        confirmation_s=tight.design_s * slow,
        confirmation_once_s=tight.leads_s * slow,
        memory_gib=normal.memory_gib,
        slowness=slow,
        each_worker=True,
        timed=settings.potential,
        assumptions=(
            f"once for all sequences: {normal.force_calls:.0f} force calls, and both leads",
        ),
    )


_PRICES: Mapping[str, Callable[[Any, CampaignConfig, Space], CallPrices]] = {
    "phonon-bte": _conducting,
    "green": _layered,
    "interface": _paired,
    "replay": _replayed,
}
"""By kind of oracle; the first argument of each function is the oracle's settings."""


def _cell_s(potential: Potential, crystal: Crystal) -> float:
    """Seconds for the forces of the primitive cell, on one thread."""
    atoms = Atoms(
        crystal.species, cell=crystal.lattice, scaled_positions=crystal.positions, pbc=True
    )
    calculator(potential)
    with one_thread():
        return seconds_of_forces(potential, atoms, 2)


def _mean(efforts: list[tuple[float, Effort]], slow: float) -> Effort:
    """Mean effort over all kinds, weighted by their shares, with the largest memory of any."""
    shares = np.array([share for share, _ in efforts])
    scaled = [slower(effort, slow) for _, effort in efforts]

    def mean(values: list[float]) -> float:
        return float(np.dot(shares, values))

    return Effort(
        mean([e.force_calls for e in scaled]),
        mean([e.forces_s for e in scaled]),
        mean([e.other_s for e in scaled]),
        max(e.memory_gib for e in scaled),
    )


def _mean_over(kinds: list[Kind], value: Callable[[Crystal], float]) -> float:
    return sum(kind.share * value(kind.example) for kind in kinds)


def _total(effort: Effort) -> float:
    return effort.forces_s + effort.other_s
