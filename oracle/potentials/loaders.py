"""How the weights of each library become an ASE calculator; imported only when asked for.

Functions take a file of weights (for `matgl` a folder), or the name under which the library ships
them, and raise what the library raises.
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
    """SevenNet by name or path; `modal` names the functional where it learned several."""
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(name, device=device(), modal=modal)


def chgnet(name: str) -> Calculator:
    """CHGNet by the name of a version that its wheel holds."""
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    # It prints two lines, but stdout is for documents.
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
    # The kernels are for GPUs and need packages that are built by hand.
    return NequixCalculator(model_path=str(path), backend="jax", use_kernel=False)


def _start_jax() -> None:
    """Start JAX with one thread, because the sums of a potential depend on how they are shared out.

    Forces of Nequix move by 2e-7 eV/Å with the number of cores. JAX has no setting for it but the
    environment, which it reads when its device is first asked for.
    """
    import jax

    with _environment("NPROC", "1"):
        jax.devices()


def mace(path: Path) -> Calculator:
    """MACE in double precision: force constants are small differences of forces."""
    # On import it tells that it has no GPU kernels, and lets torch load any pickle ever after, in
    # workers too. It needs that for its files, which are pickles, and for its release of e3nn.
    with _quiet(), _environment("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1"):
        from mace.calculators import MACECalculator

        name = glob.escape(str(path))  # it takes a path for a pattern
        return MACECalculator(model_paths=name, device=device(), default_dtype="float64")


def mattersim(path: Path) -> Calculator:
    """MatterSim."""
    from mattersim.forcefield import MatterSimCalculator, Potential
    from mattersim.utils.logger_utils import get_logger

    # Its log goes to stdout, from a thread of its own that no redirection reaches.
    get_logger().disable("mattersim")
    model = Potential.from_checkpoint(str(path), device=device(), load_training_state=False)
    return MatterSimCalculator(potential=model, device=device())


def orb(path: Path) -> Calculator:
    """ORB, whose architecture the file's name must tell.

    Raises:
        SetupError: the name begins with no known architecture.
    """
    from orb_models.forcefield.calculator import ORBCalculator
    from orb_models.forcefield.pretrained import ORB_PRETRAINED_MODELS

    # A checkpoint does not say which architecture it is of; the published names begin with it.
    fitting = [name for name in ORB_PRETRAINED_MODELS if path.name.startswith(name)]
    if not fitting:
        known = ", ".join(sorted(ORB_PRETRAINED_MODELS))
        raise SetupError(
            f"orb weights {path.name!r}: their name says the architecture; expected one that "
            f"begins with one of {known}: rename the file",
        )
    load = ORB_PRETRAINED_MODELS[max(fitting, key=len)]
    # Its double precision would be torch's default for everything else in the process as well.
    precision = "float32-highest"
    with _quiet():  # it warns of that default, and of the precision
        model = load(weights_path=str(path), device=device(), precision=precision, compile=False)
    return ORBCalculator(model, device=device())


def matgl(path: Path) -> Calculator:
    """MatGL, from a folder.

    Raises:
        SetupError: it is no folder of a saved model.
    """
    import matgl
    from matgl.ext.ase import PESCalculator

    # Elsewhere MatGL looks for a model of that name on the network.
    missing = [name for name in _MATGL_FILES if not (path / name).is_file()]
    if missing:
        raise SetupError(
            f"matgl weights {path}: no {', '.join(missing)} there; expected the folder of a "
            f"saved model, with {', '.join(_MATGL_FILES)}",
        )
    # It comes ready for training, where forces of a model with dropout are random, and on the CPU
    # even where its files were read onto a GPU.
    model = matgl.load_model(str(path)).eval().to(device())
    # Its default unit of stress is GPa; ASE and the relaxation here have eV/Å³.
    return PESCalculator(model, stress_unit="eV/A3", use_voigt=True)


def device() -> str:
    """Where torch computes: ``cuda`` where there is a GPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what a library prints and warns of while it is loaded: stdout is for documents."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable of the environment, set for the time being."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
