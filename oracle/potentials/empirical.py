"""Empirical potentials for carbon, silicon and germanium, as implemented in matscipy.

Parameters of Tersoff's potential: J. Tersoff, Phys. Rev. B 39, 5566 (1989), tables I and II, with
the erratum Phys. Rev. B 41, 3248 (1990). Those of Stillinger and Weber, Phys. Rev. B 31, 5262
(1985), come with matscipy.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from math import sqrt
from typing import Any

from ase.calculators.calculator import Calculator, all_changes

_ELEMENTS = ("C", "Si", "Ge")
_PURE: dict[str, tuple[float, float, float]] = {
    "A": (1393.6, 1830.8, 1769.0),  # eV
    "B": (346.74, 471.18, 419.23),  # eV
    "lambda": (3.4879, 2.4799, 2.4451),  # 1/Å
    "mu": (2.2119, 1.7322, 1.7047),  # 1/Å
    "r1": (1.80, 2.70, 2.80),  # Å, where the cutoff begins
    "r2": (2.10, 3.00, 3.10),  # Å, where it ends
}
_GEOMETRIC = ("A", "B", "r1", "r2")
_CHI = {("C", "Si"): 0.9776, ("Si", "Ge"): 1.00061, ("C", "Ge"): 1.0}
"""Strength of mixed bonds; the paper has no fit for C-Ge."""


def tersoff() -> Calculator:
    """Tersoff's potential of 1989 for C, Si and Ge."""
    from matscipy.calculators.manybody.explicit_forms.tersoff_brenner import TersoffBrenner

    pairs = [(i, j) for i in range(3) for j in range(i, 3)]

    def mixed(name: str) -> list[float]:
        pure = _PURE[name]
        mean = (lambda a, b: sqrt(a * b)) if name in _GEOMETRIC else (lambda a, b: (a + b) / 2)
        return [mean(pure[i], pure[j]) for i, j in pairs]

    chi = [1.0 if i == j else _CHI[_ELEMENTS[i], _ELEMENTS[j]] for i, j in pairs]
    form = TersoffBrenner(
        {
            "style": "Tersoff",
            "el": list(_ELEMENTS),
            **{name: mixed(name) for name in _PURE},
            "chi": chi,
            "lambda3": [0.0] * len(pairs),
            "beta": [1.5724e-7, 1.1e-6, 9.0166e-7],
            "n": [0.72751, 0.78734, 0.75627],
            "c": [3.8049e4, 1.0039e5, 1.0643e5],
            "d": [4.3484, 16.217, 15.652],
            "h": [-0.57058, -0.59825, -0.43884],
        }
    )
    return _manybody(form, _ELEMENTS)


def stillinger_weber() -> Calculator:
    """Stillinger and Weber's potential for silicon."""
    from matscipy.calculators.manybody.explicit_forms import stillinger_weber as source

    return _manybody(source.StillingerWeber(source.Stillinger_Weber_PRB_31_5262_Si), ("Si",))


def _manybody(form: dict[str, Callable[..., Any]], elements: tuple[str, ...]) -> Calculator:
    """Matscipy's calculator, made to name the elements that it does not know."""
    from matscipy.calculators.manybody import Manybody

    class Checked(Manybody):  # type: ignore[misc]
        def calculate(
            self, atoms: Any, properties: Any = ("energy",), system_changes: Any = all_changes
        ) -> None:
            unknown = sorted(set(atoms.get_chemical_symbols()) - set(elements))
            if unknown:
                raise ValueError(
                    f"it does not know {', '.join(unknown)}; its elements are {', '.join(elements)}"
                )
            with warnings.catch_warnings():
                # numpy warns that `where` leaves values undefined; these are never read.
                warnings.filterwarnings("ignore", message="'where' used without 'out'")
                super().calculate(atoms, properties, system_changes)

    return Checked(**form)
