"""The error budget of conductivities in evaluations, computed when they are shown.

Nothing of it is stored, so that it follows from what is known today also for evaluations of earlier
versions.
"""

from __future__ import annotations

import math
from typing import Any

from agents.spaces.settings import PROTOTYPE_NAMES
from oracle.contract.evaluation import Failed, Measured, Unstable, scalar
from oracle.materials.crystal import Crystal
from oracle.potentials.accuracy import has_families
from oracle.potentials.error_budget import ErrorBudget, error_budget

_FIDELITIES = ("bte", "dft")


def budgets_of(evaluation: Measured | Unstable | Failed) -> list[dict[str, Any]] | None:
    """The budget of a third of the trace of kappa at each temperature, as JSON.

    None where there is no conductivity from the Boltzmann equation of a crystal's phonons: only of
    these is it known how far they are from DFT.
    """
    if not isinstance(evaluation, Measured):
        return None
    numbers = [scalar(evaluation, "kappa", kelvin) for kelvin in evaluation.temperature]
    budgets = [budget_of(evaluation, *each) for each in numbers if each is not None]
    known = [budget.as_json() for budget in budgets if budget is not None]
    return known if known and len(known) == len(evaluation.temperature) else None


def budget_of(
    evaluation: Measured | Unstable | Failed,
    kappa: float,
    std: float | None,
    label: str | None = None,
) -> ErrorBudget | None:
    """The budget of a conductivity at one temperature, of the trace or along a direction.

    Args:
        evaluation: it is from.
        kappa: W/m/K.
        std: its numerical standard error, W/m/K.
        label: source name of the crystal in its space. The name of a prototype is its family;
            otherwise the family is found from the symmetry, which takes longer.
    """
    settings = evaluation.provenance.get("settings") or {}
    calculator, material = settings.get("calculator"), evaluation.material
    if evaluation.fidelity not in _FIDELITIES or not isinstance(material, Crystal):
        return None
    if settings.get("kind", "phonon-bte") != "phonon-bte" or calculator is None:
        return None
    if not (math.isfinite(kappa) and kappa > 0):
        return None
    if std is not None and not (math.isfinite(std) and std >= 0):
        std = None
    family = label if label in PROTOTYPE_NAMES else None
    if family is None and isinstance(calculator, str) and has_families(calculator):
        # Imported here since it needs pymatgen, which most queries do without.
        from agents.spaces.families import family_of

        family = family_of(material)
    return error_budget(kappa, std, calculator, family, corrected=bool(settings.get("dispersion")))
