from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from agents.spaces.finite import FiniteSpace
from agents.spaces.interface_space import InterfaceSpace
from agents.spaces.pool import PoolSpace
from agents.spaces.prototypes import PrototypeSpace
from agents.spaces.settings import PoolSpaceSettings, PrototypeSpaceSettings
from oracle.contract.evaluation import Failed, Measured, Quantity, Unstable
from oracle.materials.material import Material
from surrogate.contract.protocol import Calibration, Output, Posterior

ELEMENTS = ("Li", "Na", "K", "Mg", "Ca", "Sr", "Zn", "O", "S", "Se", "F", "Cl", "Br", "Ga", "As")


class FakeSurrogate:
    """A fast Gaussian process on a hidden coordinate of the material."""

    def __init__(self) -> None:
        self._x = np.zeros(0)
        self._y = np.zeros(0)
        self.calls = 0

    @staticmethod
    def coordinate(material: Material) -> float:
        return int(material.digest[:8], 16) / 16**8

    @classmethod
    def truth(cls, material: Material) -> float:
        """log10 of the value."""
        return float(np.sin(6.0 * cls.coordinate(material)))

    def fit(
        self,
        evaluations: Sequence[Measured | Unstable | Failed],
        *,
        calibration: Calibration = Calibration(),  # noqa: B008
    ) -> None:
        labelled = [e for e in evaluations if isinstance(e, Measured)]
        self._x = np.array([self.coordinate(e.material) for e in labelled])
        self._y = np.array([self.truth(e.material) for e in labelled])

    def posterior(
        self, materials: Sequence[Material], *, outputs: Sequence[Output], fidelity: str
    ) -> Posterior:
        self.calls += 1
        x = np.array([self.coordinate(m) for m in materials])
        kernel = self._kernel(x, self._x)
        gram = self._kernel(self._x, self._x) + 1e-4 * np.eye(len(self._x))
        basis = np.linspace(0.0, 1.0, 24)  # inducing points give a root of finite rank
        prior = (
            self._kernel(x, basis)
            @ np.linalg.inv(np.linalg.cholesky(self._kernel(basis, basis) + 1e-6 * np.eye(24))).T
        )
        mean = np.zeros(len(x)) if not len(self._x) else kernel @ np.linalg.solve(gram, self._y)
        for value in self._x:  # exact conditioning of the root on every label
            row = prior[int(np.argmin(np.abs(x - value)))]
            length = float(row @ row)
            if length > 1e-9:
                factor = (1 - np.sqrt(1e-4 / (1e-4 + length))) / length
                prior = prior - factor * np.outer(prior @ row, row)
        return Posterior(
            mean[:, None],
            prior[None],
            np.full((len(x), 1), 0.02),
            np.clip(0.2 + x, 0.0, 1.0),
        )

    @staticmethod
    def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-0.5 * ((a[:, None] - b[None, :]) / 0.08) ** 2))


def _measured(material: Material, value: float | None = None) -> Measured:
    kappa = 10.0 ** FakeSurrogate.truth(material) if value is None else value
    return Measured(
        material=material,
        fidelity="bte",
        method="m",
        cost_s=1.0,
        stage="bte",
        properties={"kappa": Quantity(value=kappa, unit="W/m/K")},
    )


@pytest.fixture(scope="session")
def measured() -> Callable[..., Measured]:
    return _measured


@pytest.fixture
def surrogate() -> FakeSurrogate:
    return FakeSurrogate()


@pytest.fixture(scope="session")
def crystals() -> PrototypeSpace:
    return PrototypeSpace(
        PrototypeSpaceSettings(prototypes=("rocksalt", "zincblende"), elements=ELEMENTS)
    )


@pytest.fixture(scope="session")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> PoolSpace:
    path = tmp_path_factory.mktemp("pool") / "sequences.jsonl"
    lines = [
        json.dumps({"id": f"s{i}", "sequence": f"{i:07b}"})
        for i in range(128)
        if f"{i:07b}" <= f"{i:07b}"[::-1]
    ]
    path.write_text("\n".join(lines) + "\n")
    return PoolSpace(PoolSpaceSettings(path=path, symmetries=("mirror",)))


@pytest.fixture(scope="session")
def interfaces(crystals: PrototypeSpace) -> InterfaceSpace:
    """66 pairs of 12 crystals."""
    chosen = crystals.materials[:: crystals.size // 12][:12]
    return InterfaceSpace(FiniteSpace(chosen, [f"n{i}" for i in range(12)]))


@pytest.fixture(params=["crystals", "sequences", "interfaces"])
def space(request: pytest.FixtureRequest) -> FiniteSpace:
    space: FiniteSpace = request.getfixturevalue(request.param)
    return space


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[[Sequence[object]], Path]:
    def write(records: Sequence[object]) -> Path:
        path = tmp_path / "pool.jsonl"
        texts = [r if isinstance(r, str) else json.dumps(r) for r in records]
        path.write_text("\n".join(texts) + "\n")
        return path

    return write
