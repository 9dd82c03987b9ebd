"""Why a conductivity should not be trusted, at each of its temperatures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.settings import PhononSettings

Array = NDArray[np.float64]
_ANHARMONIC = (
    "strong anharmonicity: {share:.0%} of the force at {temperature:g} K is beyond third order, "
    "four-phonon scattering is missing"
)


@dataclass(frozen=True)
class _Doubt:
    """One reason.

    Args:
        holds: (n_temperatures,), where it does.
        worst: index of the temperature at which it weighs most.
        text: what to say of the temperature with an index; the second argument tells whether the
            temperature itself must be named.
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
) -> dict[str, Any]:
    """The fields ``low_confidence`` and ``cautions`` of `oracle.evaluation.Measured`.

    Args:
        settings: with temperatures and limits.
        always: reasons at every temperature.
        anharmonicity: (n_temperatures,), share of the force beyond third order.
        softest: lowest frequency that should not be near zero, THz.
        error: (n_temperatures,), relative standard errors of kappa.
    """
    n = len(settings.temperatures)
    found = [_everywhere(text, n) for text in always]
    found.append(_anharmonic(settings, anharmonicity))
    if softest < settings.soft_mode_thz:
        found.append(_everywhere(f"barely stable: a mode lies at {softest:.2f} THz", n))
    found.append(_uncertain(settings, error))
    whole = "; ".join(_whole(doubt, settings) for doubt in found if doubt.holds.any()) or None
    each = ["; ".join(d.text(i, False) for d in found if d.holds[i]) or None for i in range(n)]
    return {"low_confidence": whole, "cautions": tuple(each) if n > 1 else ()}


def _everywhere(text: str, count: int) -> _Doubt:
    return _Doubt(np.ones(count, dtype=bool), 0, lambda _, __: text, varies=False)


def _anharmonic(settings: PhononSettings, shares: Array) -> _Doubt:
    def text(i: int, _: bool) -> str:
        return _ANHARMONIC.format(share=shares[i], temperature=settings.temperatures[i])

    return _Doubt(shares > settings.anharmonicity_limit, int(np.argmax(shares)), text)


def _uncertain(settings: PhononSettings, errors: Array) -> _Doubt:
    def text(i: int, named: bool) -> str:
        where = f" at {settings.temperatures[i]:g} K" if named else ""
        return f"numerical error of {errors[i]:.0%}{where}"

    return _Doubt(errors > settings.std_limit, int(np.argmax(errors)), text)


def _whole(doubt: _Doubt, settings: PhononSettings) -> str:
    """The doubt where it weighs most, and the other temperatures at which it holds."""
    several = len(settings.temperatures) > 1
    text = doubt.text(doubt.worst, several)
    others = [
        f"{t:g}"
        for i, (t, holds) in enumerate(zip(settings.temperatures, doubt.holds, strict=True))
        if holds and i != doubt.worst and doubt.varies
    ]
    return f"{text} (also at {', '.join(others)} K)" if others else text
