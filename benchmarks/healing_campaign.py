"""A whole campaign that begins with a bad potential and heals it: Nequix labels in DFT's place.

    python benchmarks/healing_campaign.py HOME TEACHER

Looks for the highest conductivity among half-Heuslers with 7net-0, which has a hole there. Every
round ends with a hunt, labels by TEACHER (the weights of Nequix OAM-1-PFT; without them the script
says so and stops), fine-tuning and a verdict; accepted weights evaluate the best candidates again.
Printed are the verdicts, and for every candidate kappa by each generation of the weights and by the
teacher, with the settings of the campaign. The campaign is launched by ``phonoscout launch`` and
goes on where it was when the script is run again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.stats import spearmanr

from oracle.contract.evaluation import Measured, scalar
from oracle.phonon_bte.oracle import PhononBTE
from oracle.runtime.context import Context
from orchestrator.campaign.campaign import Campaign
from orchestrator.store.store import Store

NAME = "half-heuslers"
METALS = ("Ti", "Zr", "Hf", "V", "Nb", "Ta", "Fe", "Co", "Ni")


def config(teacher: Path) -> dict[str, Any]:
    """The config of the campaign."""
    return {
        "name": NAME,
        "seed": 5,
        "space": {
            "kind": "prototypes",
            "prototypes": ["half-heusler"],
            "elements": [
                "Ti",
                "Zr",
                "Hf",
                "V",
                "Nb",
                "Ta",
                "Fe",
                "Co",
                "Ni",
                "Ge",
                "Sn",
                "Sb",
                "Bi",
            ],
        },
        "objective": {"property": "kappa", "temperature": 300, "goal": "maximize"},
        "constraints": ["dynamically_stable"],
        "agents": [{"kind": "bayesian"}, {"kind": "random"}],
        "oracle": {
            "kind": "phonon-bte",
            "calculator": "7net-0",
            "temperatures": [300],
            "tolerance": 0.05,
            "pairs_start": 6,
            "pairs_max": 20,
            "fc3_supercell": [[-1, 1, 1], [1, -1, 1], [1, 1, -1]],
            "fc3_cutoff": 4.6,
            "mesh": [13, 13, 13],
            "bands": False,
        },
        "dft": {
            "engine": f"nequix:{teacher.absolute()}",
            "max_labels": 40,
            "per_round": 20,
            "materials": 8,
            "copies": 2,
            "most_atoms": 24,
            "epochs": 15,
        },
        "confirmation": {"leaders": 0},
        "budget": {"batch": 4, "rounds": 4, "oracle_calls": 22},
        "executor": {"kind": "serial"},
    }


def launched(home: Path, teacher: Path) -> Campaign:
    """The finished campaign."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "healing.yaml"
    path.write_text(yaml.safe_dump(config(teacher), sort_keys=False))
    exists = any(row.name == NAME for row in Store(home).campaigns())
    arguments = ["resume", NAME] if exists else ["launch", str(path)]
    command = [sys.executable, "-m", "orchestrator.app.cli", *arguments, "--home", str(home)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    campaign = Campaign(Store(home), NAME)
    campaign.refresh()
    return campaign


def verdicts(campaign: Campaign) -> None:
    """Print what was labelled and decided between rounds."""
    state = campaign.state
    for hunt in state.hunts:
        holes = [plan for plan in hunt.labels if plan.purpose == "hole"]
        print(
            f"after round {hunt.round}: {hunt.pool} supercells, expected error {hunt.expected:.3f} "
            f"eV/Å, {len(holes)} holes and {len(hunt.labels) - len(holes)} audits, "
            f"{hunt.cost_s:.0f} s"
        )
    spent = sum(one.cost_s for one in state.force_labels.values())
    print(f"{len(state.force_labels)} labels in {spent:.0f} s")
    for healing in state.healings:
        print(
            f"after round {healing.round}: {'accepted' if healing.accepted else 'refused'}, "
            f"{healing.labels} labels, {healing.reason}, weights {str(healing.digest)[:12]}, "
            f"{healing.cost_s:.0f} s"
        )


def kappas(campaign: Campaign, home: Path, teacher: Path) -> None:
    """Kappa of each candidate by generation, and by the teacher."""
    state = campaign.state
    result: dict[str, dict[int, float | None]] = {}
    for trial in state.trials.values():
        if trial.outcome is not None:
            value = scalar(trial.outcome, "kappa", 300.0)
            by = result.setdefault(trial.plan.candidate, {})
            by[trial.plan.generation] = None if value is None else value[0]
    settings = campaign.config.oracle.model_copy(
        update={"calculator": f"nequix:{teacher.absolute()}"}
    )
    judge = PhononBTE(settings)  # type: ignore[arg-type]
    formulas: Mapping[str, str] = campaign.store.formulas(list(result))
    generations = sorted({g for by in result.values() for g in by})
    heads = ["7net-0" if g == 0 else f"healed, {g}" for g in generations]
    print(f"| candidate | teacher | {' | '.join(heads)} |\n|{'---|' * (2 + len(heads))}")
    truth: dict[str, float] = {}
    for name, by in result.items():
        material = campaign.store.candidate(name).material
        judged = judge.evaluate(material, context=Context(home / "teacher"))
        value = scalar(judged, "kappa", 300.0)
        if isinstance(judged, Measured) and value is not None:
            truth[name] = value[0]
        cells = [_cell(by.get(g, float("nan"))) for g in generations]
        teacher_cell = _cell(truth.get(name)) if judged.status != "failed" else "failed"
        print(f"| {formulas[name]} | {teacher_cell} | {' | '.join(cells)} |", flush=True)
    for g in generations:
        both = [(v, truth[n]) for n, by in result.items() if n in truth and (v := by.get(g))]
        if len(both) > 2:
            logs = np.log10(np.array(both))
            off = np.abs(logs[:, 0] - logs[:, 1]).mean()
            rank = spearmanr(logs[:, 0], logs[:, 1]).statistic
            print(f"generation {g}: {len(both)}, error of log10 {off:.3f}, Spearman {rank:.2f}")


def _cell(value: float | None) -> str:
    if value is None:
        return "unstable"
    return f"{value:.2f}" if np.isfinite(value) else ""


def main() -> None:
    """Run, then print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("teacher", type=Path)
    arguments = parser.parse_args()
    if not arguments.teacher.is_file():
        print(f"skipped: no weights of Nequix OAM-1-PFT at {arguments.teacher}")
        return
    warnings.filterwarnings("ignore")
    campaign = launched(arguments.home, arguments.teacher)
    verdicts(campaign)
    kappas(campaign, arguments.home, arguments.teacher)


if __name__ == "__main__":
    main()
