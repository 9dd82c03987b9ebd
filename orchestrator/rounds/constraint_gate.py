"""Checks constraints before the oracle is asked; workers compute the energies they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agents.contract.constraints import before, computed, needs_energies
from agents.contract.protocol import Space, candidate_id
from agents.contract.settings import ConstraintSettings
from agents.selection.batch import Selected, Selection
from agents.spaces.competing_phases import competing_phases
from agents.spaces.finite import FiniteSpace
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.phonons.settings import PhononSettings
from orchestrator.calls.oracle_calls import EnergyAnswer, EnergyRequest, energies
from orchestrator.config.config import CampaignConfig
from orchestrator.executors.protocol import Executor


def constraints_of(config: CampaignConfig) -> tuple[ConstraintSettings, ...]:
    """The constraints in force; a config without any has had the default ones written in."""
    return config.constraints or ()


class ConstraintGate:
    """Rejects candidates that violate a constraint, before the oracle is asked about them.

    Args:
        config: settings in force.
        space: of the campaign.
        executor: computes the energies that constraints need.
        cache: folder where energies are stored.
    """

    def __init__(
        self, config: CampaignConfig, space: Space, executor: Executor, cache: Path
    ) -> None:
        self._constraints = constraints_of(config)
        self._hull = any(c.name == "energy_above_hull" for c in self._constraints)
        self._relaxed: set[str] = set()
        self._space = space
        self._executor = executor
        self._cache = cache
        settings = config.oracle
        potential = settings.calculator if isinstance(settings, PhononSettings) else None
        self._potential = potential if isinstance(potential, str) else None
        self.reserves: Sequence[Selected] = ()
        """Candidates that the last selection ranked after its batch, best first."""
        self.computed: dict[str, dict[str, float]] = {}
        """Energies (eV/atom) computed for the last selection, by candidate id."""
        self.rejected: list[Selected] = []
        """Candidates of the last selection that were rejected."""

    def reset(self) -> None:
        """Forget the last selection; called for a round that has none."""
        self.computed, self.reserves, self.rejected = {}, (), []

    @property
    def computes(self) -> bool:
        """Whether a constraint needs energies that are computed with the potential."""
        return self._potential is not None and needs_energies(self._constraints)

    def admits(self, material: Material, rejected: Mapping[str, str]) -> bool:
        """Whether a material satisfies the constraints that can be checked without a calculation.

        Args:
            material: any.
            rejected: reasons by candidate id, for candidates that were rejected before.
        """
        if candidate_id(material) in rejected:
            return False
        return before(self._constraints, material) is None

    def admitting(self, *rejected: Mapping[str, str]) -> Callable[[Material], bool]:
        """`admits` with what was rejected before."""
        return lambda material: all(self.admits(material, reasons) for reasons in rejected)

    def admissible(self, space: Space) -> Space:
        """The part of a listed space that satisfies the constraints known without a calculation."""
        if not isinstance(space, FiniteSpace):
            return space
        materials = [m for m in space.materials if before(self._constraints, m) is None]
        if len(materials) == space.size:
            return space
        return FiniteSpace(materials, [space.label(m) for m in materials])

    def first_allowed(
        self,
        selection: Selection,
        count: int,
        known: Sequence[Material] = (),
        *,
        again: bool = False,
    ) -> tuple[list[Selected], dict[str, str]]:
        """The first `count` candidates that satisfy the constraints, and why others were rejected.

        Candidates are checked in groups as large as the number still needed, so that the result
        does not depend on how many energies are computed at the same time.

        Args:
            selection: candidates, best first.
            count: how many are wanted.
            known: evaluated materials, which compete with candidates of the same elements.
            again: whether the last selection belongs to the same round.
        """
        if not again:
            self.reset()
        self.reserves = selection.ranked[count:]
        if not self.computes:
            return list(selection.ranked[:count]), {}
        chosen: list[Selected] = []
        reasons: dict[str, str] = {}
        queue = list(selection.ranked)
        while queue and len(chosen) < count:
            group, queue = queue[: count - len(chosen)], queue[count - len(chosen) :]
            for selected, answer in zip(group, self._energies(group, known), strict=True):
                name = selected.candidate.id
                self.computed[name] = dict(answer.energies)
                reason = answer.error or computed(self._constraints, self.computed[name])
                if reason is None:
                    chosen.append(selected)
                else:
                    reasons[name] = reason
                    self.rejected.append(selected)
        return chosen, reasons

    def _energies(self, group: Sequence[Selected], known: Sequence[Material]) -> list[EnergyAnswer]:
        assert self._potential is not None  # called only where `computes` is true
        found = self._phases(group, known) if self._hull else {}
        requests = []
        for selected in group:
            material = selected.candidate.material
            assert isinstance(material, Crystal)  # only crystals have energy constraints
            polymorphs = self._space.competitors(material)
            phases = found[selected.candidate.id] if self._hull else None
            requests.append(
                EnergyRequest(material, dict(polymorphs), self._potential, self._cache, phases)
            )
        return list(self._executor.map(energies, requests))

    def _phases(
        self, group: Sequence[Selected], known: Sequence[Material]
    ) -> dict[str, dict[str, Crystal]]:
        """Phases that compete with each candidate, by its id, relaxed once for all of them.

        Workers that need one phase at the same time would each relax it.
        """
        assert self._potential is not None  # called only where `computes` is true
        found: dict[str, dict[str, Crystal]] = {}
        new: dict[str, Crystal] = {}
        for selected in group:
            material = selected.candidate.material
            assert isinstance(material, Crystal)  # only crystals have energy constraints
            phases = competing_phases(material, known)
            found[selected.candidate.id] = phases
            new |= {p.digest: p for p in phases.values() if p.digest not in self._relaxed}
        requests = [EnergyRequest(p, {}, self._potential, self._cache) for p in new.values()]
        for _ in self._executor.map(energies, requests):
            pass  # they are stored
        self._relaxed |= new.keys()
        return found
