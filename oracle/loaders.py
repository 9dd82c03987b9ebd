"""How the weights of each library become an ASE calculator; imported only when asked for.

Functions take a file of weights (for `matgl` a folder), or the name under which the library ships
them, and raise what the library raises.
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from ase.calculators.calculator import Calculator

from oracle.errors import OracleError


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

    before = os.environ.get("NPROC")
    os.environ["NPROC"] = "1"
    try:
        jax.devices()
    finally:
        if before is None:
            del os.environ["NPROC"]
        else:
            os.environ["NPROC"] = before


def mace(path: Path) -> Calculator:
    """MACE in double precision: force constants are small differences of forces."""
    from mace.calculators import MACECalculator

    return MACECalculator(model_paths=str(path), device=device(), default_dtype="float64")


def mattersim(path: Path) -> Calculator:
    """MatterSim."""
    from mattersim.forcefield import MatterSimCalculator, Potential

    model = Potential.from_checkpoint(str(path), device=device(), load_training_state=False)
    return MatterSimCalculator(potential=model, device=device())


def orb(path: Path) -> Calculator:
    """ORB, whose architecture the file's name must tell.

    Raises:
        OracleError: stage ``read``; the name begins with no known architecture.
    """
    from orb_models.forcefield.calculator import ORBCalculator
    from orb_models.forcefield.pretrained import ORB_PRETRAINED_MODELS

    # A checkpoint does not say which architecture it is of; the published names begin with it.
    fitting = [name for name in ORB_PRETRAINED_MODELS if path.name.startswith(name)]
    if not fitting:
        known = ", ".join(sorted(ORB_PRETRAINED_MODELS))
        raise OracleError(
            "read",
            f"orb weights {path.name!r}: their name says the architecture; expected one that "
            f"begins with one of {known}: rename the file",
        )
    load = ORB_PRETRAINED_MODELS[max(fitting, key=len)]
    # Its double precision would be torch's default for everything else in the process as well.
    precision = "float32-highest"
    model = load(weights_path=str(path), device=device(), precision=precision, compile=False)
    return ORBCalculator(model, device=device())


def matgl(path: Path) -> Calculator:
    """MatGL, from a folder."""
    import matgl
    from matgl.ext.ase import PESCalculator

    # Its default unit of stress is GPa; ASE and the relaxation here have eV/Å³.
    return PESCalculator(matgl.load_model(str(path)), stress_unit="eV/A3", use_voigt=True)


def device() -> str:
    """Where torch computes: ``cuda`` where there is a GPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
