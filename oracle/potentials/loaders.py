"""Functions that make an ASE calculator of the weights of each library, imported when called.

They take a file of weights (a folder for `matgl`), or the name under which the library ships them,
and raise what the library raises.
"""

from __future__ import annotations

import contextlib
import glob
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from ase.calculators.calculator import Calculator

from oracle.runtime.errors import SetupError

_MATGL_FILES = ("model.json", "model.pt", "state.pt")


def sevennet(name: str, modal: str | None = None) -> Calculator:
    """SevenNet by name or path; `modal` names the functional if it was trained on several."""
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(name, device=device(), modal=modal)


def chgnet(name: str) -> Calculator:
    """CHGNet by the name of a version that comes with the package."""
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    # CHGNet prints two lines, but stdout is reserved for output such as JSON.
    with contextlib.redirect_stdout(io.StringIO()):
        model = CHGNet.load(model_name=name, use_device=device(), verbose=False)
        return CHGNetCalculator(model, use_device=device())


def chgnet_file(path: Path) -> Calculator:
    """CHGNet from a file of weights."""
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    with contextlib.redirect_stdout(io.StringIO()):
        return CHGNetCalculator(CHGNet.from_file(str(path)), use_device=device())


def nequix(path: Path) -> Calculator:
    """Nequix on JAX."""
    from nequix.calculator import NequixCalculator

    _start_jax()
    # The kernels are for GPUs and need packages that must be built by hand.
    return NequixCalculator(model_path=str(path), backend="jax", use_kernel=False)


def _start_jax() -> None:
    """Start JAX with one thread, because the rounding of sums depends on the number of threads.

    Forces of Nequix change by 2e-7 eV/Å with the number of cores. JAX takes this setting only from
    the environment, which it reads when its devices are first requested.
    """
    import jax

    with _environment("NPROC", "1"):
        jax.devices()


def mace(path: Path) -> Calculator:
    """MACE in double precision: force constants are small differences of forces."""
    # On import, MACE reports that it has no GPU kernels, and lets torch load any pickle from then
    # on, even in child processes. It needs this for its files, which are pickles, and for e3nn.
    with _quiet(), _environment("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1"):
        from mace.calculators import MACECalculator

        name = glob.escape(str(path))  # MACE treats paths as patterns
        return MACECalculator(model_paths=name, device=device(), default_dtype="float64")


def mattersim(path: Path) -> Calculator:
    """MatterSim."""
    from mattersim.forcefield import MatterSimCalculator, Potential
    from mattersim.utils.logger_utils import get_logger

    # Its log goes to stdout, from a separate thread that redirection does not reach.
    get_logger().disable("mattersim")
    model = Potential.from_checkpoint(str(path), device=device(), load_training_state=False)
    return MatterSimCalculator(potential=model, device=device())


def orb(path: Path) -> Calculator:
    """ORB; the file's name must begin with the name of the architecture.

    Raises:
        SetupError: it does not.
    """
    from orb_models.forcefield.calculator import ORBCalculator
    from orb_models.forcefield.pretrained import ORB_PRETRAINED_MODELS

    # A checkpoint does not state its architecture; the names of published files begin with it.
    fitting = [name for name in ORB_PRETRAINED_MODELS if path.name.startswith(name)]
    if not fitting:
        known = ", ".join(sorted(ORB_PRETRAINED_MODELS))
        raise SetupError(
            f"orb weights {path.name!r}: the name does not state the architecture; expected one "
            f"that begins with one of {known}: rename the file",
        )
    load = ORB_PRETRAINED_MODELS[max(fitting, key=len)]
    # ORB's double precision would become torch's default in the whole process.
    precision = "float32-highest"
    with _quiet():  # it warns about the precision
        model = load(weights_path=str(path), device=device(), precision=precision, compile=False)
    return ORBCalculator(model, device=device())


def matgl(path: Path) -> Calculator:
    """MatGL from a folder.

    Raises:
        SetupError: the folder does not hold a saved model.
    """
    import matgl
    from matgl.ext.ase import PESCalculator

    # For any other path MatGL would look for a model of that name on the network.
    missing = [name for name in _MATGL_FILES if not (path / name).is_file()]
    if missing:
        raise SetupError(
            f"matgl weights {path}: no {', '.join(missing)} there; expected the folder of a "
            f"saved model, with {', '.join(_MATGL_FILES)}",
        )
    # MatGL returns the model in training mode, in which dropout makes forces random, and on the CPU
    # even if its files were read onto a GPU.
    model = matgl.load_model(str(path)).eval().to(device())
    # Its default unit of stress is GPa, that of ASE is eV/Å³.
    return PESCalculator(model, stress_unit="eV/A3", use_voigt=True)


def device() -> str:
    """The device of torch: ``cuda`` if there is a GPU, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress what a library prints on stdout, and its warnings, while it is loaded."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable temporarily."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
