"""What agents propose for a round, and what is chosen of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from agents.contract.protocol import Candidate, Counting, Looked, Proposer, ProposerFailed
from agents.selection.batch import Selected
from orchestrator.rounds.low_fidelity import CandidateQuery


@dataclass(frozen=True)
class Proposals:
    """Candidates of each agent by its name, and why some agents have none.

    Args:
        candidates: best first.
        notes: one line for each agent that failed.
        looked: how many ideas each agent looked at; agents of the user's own do not count them.
    """

    candidates: Mapping[str, Sequence[Candidate]]
    notes: tuple[str, ...] = ()
    looked: Mapping[str, Looked] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """The ideas of each agent, for the record of the round."""
        return {
            f"{stage}_{name}": float(number)
            for name, looked in self.looked.items()
            for stage, number in asdict(looked).items()
        }


@dataclass(frozen=True)
class Choice:
    """What is chosen for a round.

    Args:
        chosen: candidates to be labelled.
        queries: candidates to be asked about at lower fidelities.
        metrics: of the round.
        rejected: reasons of rejection by candidate id.
        notes: why agents had nothing to propose.
    """

    chosen: tuple[Selected, ...] = ()
    queries: tuple[CandidateQuery, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def proposals(
    proposers: Mapping[str, Proposer], ask: Callable[[int, Proposer], list[Candidate]]
) -> Proposals:
    """Ask all agents; those that fail are left out as long as another has candidates.

    Args:
        proposers: by name, in the order of the config.
        ask: asks one of them, given its number.

    Raises:
        ProposerFailed: some failed, and no other agent has a candidate.
    """
    candidates: dict[str, list[Candidate]] = {}
    notes: list[str] = []
    for number, (name, proposer) in enumerate(proposers.items()):
        try:
            candidates[name] = ask(number, proposer)
        except ProposerFailed as error:
            candidates[name] = []
            notes.append(str(error))
    if notes and not any(candidates.values()):
        raise ProposerFailed("; ".join(notes))
    looked = {
        name: proposer.looked
        for name, proposer in proposers.items()
        if isinstance(proposer, Counting) and isinstance(proposer.looked, Looked)
    }
    return Proposals(candidates, tuple(notes), looked)
