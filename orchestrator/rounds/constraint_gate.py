"""Constraints that are checked before the oracle is asked, in parallel where that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agents.contract.constraints import before, computed, needs_energies
from agents.contract.protocol import Space, candidate_id
from agents.contract.settings import DEFAULT_CONSTRAINTS, ConstraintSettings
from agents.selection.batch import Selected, Selection
from agents.spaces.finite import FiniteSpace
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.phonons.settings import PhononSettings
from orchestrator.calls.oracle_calls import EnergyAnswer, EnergyRequest, energies
from orchestrator.config.config import CampaignConfig
from orchestrator.executors.protocol import Executor


def constraints_of(config: CampaignConfig) -> tuple[ConstraintSettings, ...]:
    """The constraints in force; for real potentials on prototypes, phantoms are kept out."""
    if config.constraints is not None:
        return config.constraints
    if config.space.kind == "prototypes":
        return DEFAULT_CONSTRAINTS
    return (ConstraintSettings(name="dynamically_stable"),)


class Screener:
    """Lets the first candidates through that violate no constraint.

    Args:
        config: settings in force.
        space: of the campaign.
        executor: runs energy calculations side by side.
        cache: folder where energies are kept.
    """

    def __init__(
        self, config: CampaignConfig, space: Space, executor: Executor, cache: Path
    ) -> None:
        self._constraints = constraints_of(config)
        self._space = space
        self._executor = executor
        self._cache = cache
        settings = config.oracle
        potential = settings.calculator if isinstance(settings, PhononSettings) else None
        self._potential = potential if isinstance(potential, str) else None
        self.reserves: Sequence[Selected] = ()
        """Candidates of the last plan that were not chosen, best first."""
        self.computed: dict[str, dict[str, float]] = {}
        """Energies (eV/atom) of the candidates screened in the last plan, by id."""
        self.refused: list[Selected] = []
        """Candidates that the last plan rejected."""

    def forget(self) -> None:
        """A round without labels screens nobody."""
        self.computed, self.reserves, self.refused = {}, (), []

    @property
    def computes(self) -> bool:
        """Whether some constraint needs a calculation."""
        return self._potential is not None and needs_energies(self._constraints)

    def admits(self, material: Material, rejected: Mapping[str, str]) -> bool:
        """Whether a material may be considered at all, by what costs nothing to know."""
        if candidate_id(material) in rejected:
            return False
        return before(self._constraints, material) is None

    def admissible(self, space: Space) -> Space:
        """The part of a listed space that may be considered, by what costs nothing to know."""
        if not isinstance(space, FiniteSpace):
            return space
        kept = [m for m in space.materials if before(self._constraints, m) is None]
        if len(kept) == space.size:
            return space
        return FiniteSpace(kept, [space.label(m) for m in kept])

    def first_allowed(self, plan: Selection, count: int) -> tuple[list[Selected], dict[str, str]]:
        """The first `count` candidates within the constraints, and why others were refused.

        Candidates are screened in groups of the size of what is still wanted, so that the
        outcome does not depend on how many are computed at once.
        """
        self.computed, self.reserves, self.refused = {}, plan.ranked[count:], []
        if not self.computes:
            return list(plan.ranked[:count]), {}
        chosen: list[Selected] = []
        rejected: dict[str, str] = {}
        queue = list(plan.ranked)
        while queue and len(chosen) < count:
            group, queue = queue[: count - len(chosen)], queue[count - len(chosen) :]
            for selected, answer in zip(group, self._energies(group), strict=True):
                name, known = selected.candidate.id, dict(answer.energies)
                self.computed[name] = known
                reason = answer.error or computed(self._constraints, known)
                if reason is None:
                    chosen.append(selected)
                else:
                    rejected[name] = reason
                    self.refused.append(selected)
        return chosen, rejected

    def _energies(self, group: Sequence[Selected]) -> list[EnergyAnswer]:
        assert self._potential is not None  # asked only where it computes
        requests = []
        for selected in group:
            material = selected.candidate.material
            assert isinstance(material, Crystal)  # sequences have no energies to be constrained
            rivals = self._space.competitors(material)
            requests.append(EnergyRequest(material, dict(rivals), self._potential, self._cache))
        return list(self._executor.map(energies, requests))
