"""The best of a campaign against full finite differences with the same potential.

    python benchmarks/confirm.py [HOME [NAME [K]]]

Without a home the quickstart is run first, in a temporary one. Every candidate is evaluated with
the full set of displacements, no cutoff, on the supercells and mesh of the evaluation it is listed
with, so that what is compared is the force constants alone.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from oracle.contract.evaluation import scalar
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.ranking import ranking
from orchestrator.store.store import Store

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "quickstart.yaml"


def compare(home: Path, name: str, k: int) -> None:
    """Print one line per candidate: the campaign's value, the full answer, the deviation."""
    store = Store(home)
    campaign = Campaign(store, name)
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}\n")
    print("| formula | label | confirmed | kappa (W/m/K) | ± | full | deviation | force calls |")
    print("|---|---|---|---|---|---|---|---|")
    for row in ranking(campaign.state, campaign.objective)[:k]:
        evaluation = row.label.evaluation
        settings = PhononSettings.model_validate(evaluation.provenance["settings"])
        full = PhononBTE(settings.model_copy(update={"force_constants": "finite-difference"}))
        context = Context(workdir=home / "artefacts", threads=os.cpu_count() or 1)
        again = full.evaluate(evaluation.material, context=context)
        result = scalar(again, "kappa", campaign.objective.temperature)
        calls = [scalar(e, "force_calls") for e in (evaluation, again)]
        numbers = " / ".join("?" if c is None else f"{c[0]:.0f}" for c in calls)
        answer = again.status if result is None else f"{result[0]:.4g}"
        deviation = "" if result is None else f"{100 * (row.value / result[0] - 1):+.1f} %"
        prototype = campaign.state.trials[row.label.trial].plan.label
        print(
            f"| {evaluation.material.formula} | {prototype} "
            f"| {row.label.confirmed} | {row.value:.4g} | {row.std or 0:.2g} | {answer} "
            f"| {deviation} | {numbers} |",
            flush=True,
        )


def main(arguments: list[str]) -> None:
    """Compare in a given home, or run the quickstart first."""
    if arguments:
        name = arguments[1] if len(arguments) > 1 else "quickstart"
        compare(Path(arguments[0]), name, int(arguments[2]) if len(arguments) > 2 else 5)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "orchestrator.app.cli", "launch", str(CONFIG)]
        subprocess.run([*command, "--home", folder], check=True, stdout=subprocess.DEVNULL)
        compare(Path(folder), "quickstart", 5)


if __name__ == "__main__":
    main(sys.argv[1:])
