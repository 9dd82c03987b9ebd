"""A surrogate of the user's own, named in a config by its import path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oracle.contract.evaluation import Outcome
from oracle.materials.material import Material
from oracle.runtime.own_classes import OwnCodeFailed, blamed
from surrogate.contract.protocol import Calibration, Output, Posterior, Saving, Surrogate

_UNCALIBRATED = Calibration()


class OwnSurrogate:
    """Asks a surrogate of the user's own, and keeps it to what is expected of every surrogate.

    Args:
        surrogate: to be asked.
        path: import path of its class, which errors name.
    """

    def __init__(self, surrogate: Surrogate, path: str) -> None:
        self._surrogate = surrogate
        self._path = path

    def fit(
        self, evaluations: Sequence[Outcome], *, calibration: Calibration = _UNCALIBRATED
    ) -> None:
        """Train it on all outcomes.

        Raises:
            OwnCodeFailed: it raised.
        """
        with blamed(self._path, "fit"):
            self._surrogate.fit(evaluations, calibration=calibration)

    def posterior(
        self, materials: Sequence[Material], *, outputs: Sequence[Output], fidelity: str
    ) -> Posterior:
        """Its predictions.

        Raises:
            OwnCodeFailed: it raised, or gave arrays of other shapes, or numbers that are none.
        """
        with blamed(self._path, "posterior"):
            answer: object = self._surrogate.posterior(
                materials, outputs=outputs, fidelity=fidelity
            )
            if not isinstance(answer, Posterior):
                raise OwnCodeFailed(
                    f"{self._path!r}: posterior gave {type(answer).__name__}; "
                    "expected Posterior of surrogate.contract.protocol"
                )
            self._check(answer, len(materials), len(outputs))
        return answer

    def _check(self, answer: Posterior, n: int, m: int) -> None:
        expected: dict[str, tuple[int | None, ...]] = {
            "mean": (n, m),
            "root": (m, n, None),
            "aleatoric": (n, m),
            "p_stable": (n,),
        }
        for name, shape in expected.items():
            array = np.asarray(vars(answer)[name], dtype=float)
            fits = array.ndim == len(shape) and all(
                wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
            )
            if not fits:
                wanted = tuple("any" if length is None else length for length in shape)
                raise OwnCodeFailed(
                    f"{self._path!r}: posterior gave {name} of shape {array.shape}; expected "
                    f"{wanted} for {n} materials and {m} outputs"
                )
            if not np.isfinite(array).all():
                raise OwnCodeFailed(
                    f"{self._path!r}: posterior gave {name} that is not finite; expected numbers"
                )


class SavingOwnSurrogate(OwnSurrogate):
    """One whose fitted weights can be kept as a file."""

    def __init__(self, surrogate: Surrogate, saving: Saving, path: str) -> None:
        super().__init__(surrogate, path)
        self._saving = saving

    def save(self, path: Path) -> None:
        """Write all its weights.

        Raises:
            OwnCodeFailed: it raised.
        """
        with blamed(self._path, "save"):
            self._saving.save(path)


def own_surrogate(surrogate: Surrogate, path: str) -> OwnSurrogate:
    """The wrapped surrogate, which can be saved where it can.

    Args:
        surrogate: of the user's own.
        path: import path of its class.
    """
    if isinstance(surrogate, Saving):
        return SavingOwnSurrogate(surrogate, surrogate, path)
    return OwnSurrogate(surrogate, path)
