"""What a worker needs to scan a part of a pool."""

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
    """All that a fitted surrogate follows from.

    Args:
        surrogate: its settings.
        output: what it predicts.
        fidelity: at which.
        seed: of its randomness.
        evaluations: labels, of all fidelities, oldest first.
        calibration: of its spreads.
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
        """The surrogate of a campaign in a state, without what is no label for the objective."""
        found = [*state.evaluations(), *state.cheap_evaluations()]
        labels = [e for e in found if not isinstance(e, Measured) or objective.problem(e) is None]
        fidelity = state.objective_fidelity
        return cls(settings, objective.output, fidelity, seed, labels, calibration)

    def written(self, folder: Path) -> Path:
        """The path of this recipe as JSON, named by its content."""
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
