"""The error because second-order force constants end at their supercell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from oracle.phonon_bte import convergence
from oracle.phonon_bte.convergence import ALIKE, LEAST_OF_CELL, OF_THE_CELL, cell_error
from oracle.phonons.settings import PhononSettings

TWO = PhononSettings(temperatures=(50.0, 300.0))
POLAR = {"born": "of the crystal"}


def _phonons(third: int, second: int | None = None) -> Any:
    """What is asked of phono3py; cells are lists as long as they have atoms."""
    return SimpleNamespace(
        supercell=[0] * third, phonon_supercell=[0] * (second or third), nac_params=None
    )


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    """Conductivities by number of atoms in second order, and what was judged."""
    found: dict[int, Any] = {}

    class Judge:
        def __init__(self, *_: Any) -> None:
            pass

        def __call__(self, phonons: Any) -> Any:
            assert phonons.nac_params is POLAR
            return np.array(found[len(phonons.phonon_supercell)])

    monkeypatch.setattr(convergence, "Judge", Judge)
    return found


def _error(third: int, second: int, settings: PhononSettings = TWO) -> Any:
    constants: Any = SimpleNamespace(fc2=np.zeros(1), scattering=np.zeros((1, 1, 1, 3, 3, 3)))
    large = _phonons(third, second)
    large.nac_params = POLAR
    return cell_error(_phonons(third), large, constants, settings, (4, 4, 4))


@pytest.mark.parametrize(("third", "second"), [(50, 400), (400, 50)])
def test_it_is_a_share_of_the_change(judged: dict[int, Any], third: int, second: int) -> None:
    judged |= {50: [2.0, 1.1], 400: [1.0, 1.0]}
    np.testing.assert_allclose(
        _error(third, second),
        np.maximum(OF_THE_CELL / 8 * np.log([2.0, 1.1]), LEAST_OF_CELL),
        rtol=1e-12,
    )


@pytest.mark.parametrize("small", [[0.0, 1.1], [1.0, 1.0]])
def test_it_is_never_less_than_what_shapes_of_cells_change(
    judged: dict[int, Any], small: list[float]
) -> None:
    judged |= {50: small, 400: [1.0, np.inf if small[0] == 0 else 1.0]}
    assert _error(50, 400).tolist() == [LEAST_OF_CELL, LEAST_OF_CELL]


def test_cells_alike_in_size_do_not_make_it_small() -> None:
    assert _error(64, 64).tolist() == [ALIKE, ALIKE]
    warm = TWO.model_copy(
        update={"finite_temperature": 300.0, "force_constants": "finite-difference"}
    )
    assert _error(50, 400, warm).tolist() == [ALIKE, ALIKE]
