"""What a worker needs to fit the surrogate with which it screens a part of a space."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.contract.objective import Objective
from oracle.contract.evaluation import Measured, Outcome
from oracle.runtime.files import write_whole
from orchestrator.campaign.state import CampaignState
from surrogate.contract.protocol import Calibration, Output
from surrogate.contract.settings import SurrogateSettings


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a fitted surrogate.

    Args:
        surrogate: its settings.
        output: what it predicts.
        fidelity: at which it predicts.
        seed: of its random numbers.
        evaluations: outcomes to learn from, at all fidelities, in the order of planning.
        calibration: of its standard deviations.
    """

    surrogate: SurrogateSettings
    output: Output
    fidelity: str
    seed: int
    evaluations: Sequence[Outcome]
    calibration: Calibration

    @classmethod
    def of(
        cls,
        state: CampaignState,
        settings: SurrogateSettings,
        objective: Objective,
        seed: int,
        calibration: Calibration,
    ) -> Recipe:
        """The surrogate of a campaign in a state.

        Measured evaluations that give no usable value of an objective are left out.
        """
        outcomes = [*state.evaluations(), *state.low_fidelity_evaluations()]
        labels = [
            outcome
            for outcome in outcomes
            if not isinstance(outcome, Measured)
            or all(one.problem(outcome) is None for one in objective.all)
        ]
        fidelity = state.objective_fidelity
        return cls(settings, objective.output, fidelity, seed, labels, calibration)

    def written(self, folder: Path) -> Path:
        """Write this recipe as JSON, named by the digest of its content; returns the path."""
        document = {
            "surrogate": self.surrogate.model_dump(mode="json"),
            "output": dataclasses.asdict(self.output),
            "fidelity": self.fidelity,
            "seed": self.seed,
            "evaluations": [e.model_dump(mode="json") for e in self.evaluations],
            "calibration": dataclasses.asdict(self.calibration),
        }
        content = json.dumps(document, sort_keys=True).encode()
        path = folder / f"{hashlib.sha256(content).hexdigest()}.json"
        if not path.is_file():
            write_whole(path, content)
        return path
