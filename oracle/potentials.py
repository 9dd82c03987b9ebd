"""One table of universal machine-learning potentials, and the digest of their weights.

SevenNet and CHGNet ship their weights inside their wheels, so nothing is fetched at run time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase.calculators.calculator import Calculator

from oracle.errors import OracleError


@dataclass(frozen=True)
class PotentialSpec:
    """How one potential is found and loaded.

    Args:
        package: what must be importable.
        weights: path of the weights relative to the package, or None where it has none.
        build: makes an ASE calculator.
        install: what a user who lacks it types.
    """

    package: str
    weights: str | None
    build: Callable[[], Calculator]
    install: str


def _sevennet(name: str, modal: str | None = None) -> Calculator:
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(name, device=_device(), modal=modal)


def _chgnet(name: str) -> Calculator:
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    # It prints two lines, but stdout is for documents.
    with contextlib.redirect_stdout(io.StringIO()):
        model = CHGNet.load(model_name=name, use_device=_device(), verbose=False)
        return CHGNetCalculator(model, use_device=_device())


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


_SEVENN = "pip install 'phonoscout[sevenn]'"
_CHGNET = "pip install 'phonoscout[chgnet]'"
_PRE = "pretrained_potentials"
POTENTIALS: dict[str, PotentialSpec] = {
    "7net-0": PotentialSpec(
        "sevenn",
        f"{_PRE}/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
        lambda: _sevennet("7net-0"),
        _SEVENN,
    ),
    "7net-l3i5": PotentialSpec(
        "sevenn",
        f"{_PRE}/SevenNet_l3i5/checkpoint_l3i5.pth",
        lambda: _sevennet("7net-l3i5"),
        _SEVENN,
    ),
    "7net-mf-0": PotentialSpec(
        "sevenn",
        f"{_PRE}/SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
        lambda: _sevennet("7net-mf-0", modal="PBE"),
        _SEVENN,
    ),
    "chgnet": PotentialSpec(
        "chgnet",
        "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
        lambda: _chgnet("0.3.0"),
        _CHGNET,
    ),
    "chgnet-r2scan": PotentialSpec(
        "chgnet",
        "pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
        lambda: _chgnet("r2scan"),
        _CHGNET,
    ),
}
"""Names a config may use for `calculator`; an import path ``package.module:factory`` also works."""


@functools.lru_cache(maxsize=4)
def calculator(name: str) -> Calculator:
    """The ASE calculator of a potential, loaded once per process.

    Args:
        name: a key of `POTENTIALS`, or ``package.module:factory`` where calling the factory
            without arguments returns an ASE calculator.

    Raises:
        OracleError: stage ``read``; unknown name, or its package is not installed.
    """
    if ":" in name:
        return _imported(name)
    spec = _spec(name)
    if importlib.util.find_spec(spec.package) is None:
        raise OracleError("read", f"calculator {name!r} needs {spec.package}; {spec.install}")
    return spec.build()


@functools.lru_cache(maxsize=16)
def weights_digest(name: str) -> str:
    """SHA-256 of the potential's weights file, or of the import path where there is no file.

    Raises:
        OracleError: stage ``read``; unknown name, package or weights missing.
    """
    if ":" in name:
        return hashlib.sha256(name.encode()).hexdigest()
    spec = _spec(name)
    found = importlib.util.find_spec(spec.package)
    if found is None or not found.submodule_search_locations:
        raise OracleError("read", f"calculator {name!r} needs {spec.package}; {spec.install}")
    if spec.weights is None:
        return hashlib.sha256(name.encode()).hexdigest()
    path = Path(found.submodule_search_locations[0]) / spec.weights
    if not path.is_file():
        raise OracleError("read", f"calculator {name!r}: no weights at {path}; {spec.install}")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _spec(name: str) -> PotentialSpec:
    if name not in POTENTIALS:
        known = ", ".join(sorted(POTENTIALS))
        raise OracleError(
            "read", f"unknown calculator {name!r}; known: {known}, or package.module:factory"
        )
    return POTENTIALS[name]


def _imported(path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise OracleError("read", f"calculator {path!r} cannot be imported: {error}") from error
    return factory()
