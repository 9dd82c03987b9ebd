"""Cautions: why results should not be trusted, at each of their temperatures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.phonons.settings import PhononSettings

Array = NDArray[np.float64]
NOTICEABLE = 0.08
"""Relative change of volume or of a lattice parameter that is worth a caution. Volumes by PBE are
mostly within 5 % of measured ones."""
_PUSHED = 0.02  # eV/Å; a displacement of 0.03 Å changes forces by a tenth of an eV/Å and more
_SAME = 0.05  # of the logarithm of temperature; effective force constants change little within
SEPARATOR = "; "
"""Between the cautions of one text; none of them contains it."""
_ANHARMONIC = (
    "strong anharmonicity: {share:.0%} of the force at {temperature:g} K is beyond third order, "
    "four-phonon scattering is missing"
)


@dataclass(frozen=True)
class Doubt:
    """One reason for a caution.

    Args:
        holds: (n_temperatures,), whether it holds at each.
        worst: index of the temperature at which it matters most.
        text: gives the caution for the temperature with an index; the second argument tells whether
            it must name the temperature.
        varies: whether it depends on temperature.
    """

    holds: NDArray[np.bool_]
    worst: int
    text: Callable[[int, bool], str]
    varies: bool = True


def cautions(
    settings: PhononSettings,
    always: list[str],
    *,
    anharmonicity: Array,
    softest: float,
    error: Array,
    parts: Mapping[str, Array] | None = None,
    more: Sequence[Doubt] = (),
) -> dict[str, Any]:
    """The fields ``low_confidence`` and ``cautions`` of `oracle.contract.evaluation.Measured`.

    Args:
        settings: gives temperatures and limits.
        always: cautions that hold at every temperature.
        anharmonicity: (n_temperatures,), fraction of the forces beyond third order.
        softest: lowest frequency but for acoustic modes near the zone centre, THz.
        error: (n_temperatures,), relative standard errors of kappa.
        parts: what these errors consist of, see `uncertain`.
        more: other doubts.
    """
    temperatures = settings.temperatures
    doubts = [everywhere(text, temperatures) for text in always]
    doubts.append(_anharmonic(settings, anharmonicity))
    if softest < settings.soft_mode_thz:
        doubts.append(everywhere(f"barely stable: a mode lies at {softest:.2f} THz", temperatures))
    doubts.append(uncertain(temperatures, error, settings.std_limit, parts))
    if settings.finite_temperature is not None:
        doubts.append(elsewhere(temperatures, settings.finite_temperature))
    return together([*doubts, *more], temperatures)


def everywhere(text: str, temperatures: Sequence[float]) -> Doubt:
    """A doubt that holds at all temperatures."""
    return Doubt(np.ones(len(temperatures), dtype=bool), 0, lambda _, __: text, varies=False)


def scaling(before: float, after: float) -> str | None:
    """The caution that relaxation has changed a given volume noticeably, or None.

    Args:
        before: volume of the given structure, in any unit.
        after: of the relaxed one, in the same unit.
    """
    change = after / before - 1.0
    if abs(change) <= NOTICEABLE:
        return None
    return f"relaxation scaled the structure: volume by {100 * change:+.0f} %"


def broken_symmetry(rest_force: float) -> list[str]:
    """The caution that the potential pushes atoms at rest where the crystal's symmetry forbids it.

    Args:
        rest_force: largest force on an atom of the relaxed crystal, eV/Å.
    """
    if rest_force <= _PUSHED:
        return []
    return [
        f"the potential breaks the crystal's symmetry: atoms at rest feel up to {rest_force:.2g} "
        "eV/Å, which is left out of the force constants"
    ]


def of_one(caution: str, formula: str) -> str:
    """A caution about one crystal of several, whose formula is named before the figures."""
    head, colon, figures = caution.partition(": ")
    return caution if formula in head.split() else f"{head} of {formula}{colon}{figures}"


def elsewhere(temperatures: Sequence[float], effective: float) -> Doubt:
    """A doubt that holds at temperatures other than that of effective force constants, in K."""
    ratios = np.log(np.array(temperatures) / effective)

    def text(i: int, _: bool) -> str:
        return (
            f"force constants of another temperature: they are those at {effective:g} K, this is "
            f"{temperatures[i]:g} K, set finite_temperature to it"
        )

    return Doubt(np.abs(ratios) > _SAME, int(np.argmax(np.abs(ratios))), text)


def uncertain(
    temperatures: Sequence[float],
    errors: Array,
    limit: float,
    parts: Mapping[str, Array] | None = None,
) -> Doubt:
    """A doubt that holds where relative errors are above a limit.

    Args:
        temperatures: K.
        errors: (n_temperatures,), relative standard errors.
        limit: relative.
        parts: what the errors consist of, by name (n_temperatures,); the largest is named.
    """

    def text(i: int, named: bool) -> str:
        where = f" at {temperatures[i]:g} K" if named else ""
        largest = max(parts, key=lambda name: float(parts[name][i])) if parts else ""
        return f"numerical error of {errors[i]:.0%}{where}" + (
            f": mostly due to {largest}" if largest else ""
        )

    return Doubt(errors > limit, int(np.argmax(errors)), text)


def together(doubts: Sequence[Doubt], temperatures: Sequence[float]) -> dict[str, Any]:
    """The fields ``low_confidence`` and ``cautions`` for several doubts."""
    n = len(temperatures)
    overall = _joined(_overall(doubt, temperatures) for doubt in doubts if doubt.holds.any())
    each = [_joined(d.text(i, False) for d in doubts if d.holds[i]) or None for i in range(n)]
    return {"low_confidence": overall or None, "cautions": tuple(each) if n > 1 else ()}


def _joined(texts: Iterable[str]) -> str:
    """Cautions in one text, in which only those end at a semicolon: some contain users' words."""
    return SEPARATOR.join(text.replace(SEPARATOR, ", ") for text in texts)


def _anharmonic(settings: PhononSettings, shares: Array) -> Doubt:
    def text(i: int, _: bool) -> str:
        return _ANHARMONIC.format(share=shares[i], temperature=settings.temperatures[i])

    return Doubt(shares > settings.anharmonicity_limit, int(np.argmax(shares)), text)


def _overall(doubt: Doubt, temperatures: Sequence[float]) -> str:
    """The doubt at its worst temperature, and the other temperatures at which it holds."""
    text = doubt.text(doubt.worst, len(temperatures) > 1)
    others = [
        f"{t:g}"
        for i, (t, holds) in enumerate(zip(temperatures, doubt.holds, strict=True))
        if holds and i != doubt.worst and doubt.varies
    ]
    return f"{text} (also at {', '.join(others)} K)" if others else text
