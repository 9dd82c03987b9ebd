"""One GPAW calculation: reads ``request.json``, writes ``result.json``; may run under MPI.

A script that `oracle.potentials.dft_engines` starts in a process of its own. It imports nothing
from the oracle. Known errors are written as ``{"error": kind, "message": text}``.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

_RESULT = Path("result.json")
_GRACE = 3.0  # s


def main() -> None:
    """Answer the request in the current folder."""
    from gpaw import KohnShamConvergenceError
    from gpaw.mpi import world

    request = json.loads(Path("request.json").read_text(encoding="utf-8"))
    try:
        result = _compute(request)
    except KohnShamConvergenceError:
        result = {"error": "scf", "message": ""}
    except FileNotFoundError as error:
        if "Could not find required" not in str(error):
            raise
        result = {"error": "setup", "message": str(error).splitlines()[0]}
    except MemoryError:
        result = {"error": "memory", "message": ""}
    except (ValueError, RuntimeError, NotImplementedError, ArithmeticError) as error:
        text = " ".join(str(error).split())[:200]
        result = {"error": "failed", "message": f"{type(error).__name__}: {text}"}
    # An error that occurs in only one process would leave the others waiting for ever.
    aborts = world.size > 1 and result.get("error") in ("failed", "memory")
    if aborts and world.rank > 0:
        time.sleep(_GRACE)  # the first process may be about to report the same error
    if world.rank == 0 or (aborts and not _RESULT.exists()):
        scratch = _RESULT.with_suffix(".part")
        scratch.write_text(json.dumps(result), encoding="utf-8")
        os.replace(scratch, _RESULT)  # noqa: PTH105
    if aborts:
        world.abort(1)


def _compute(request: dict[str, Any]) -> dict[str, Any]:
    """Energy (eV), forces (n, 3) in eV/Å and, if requested, stress (6,) in eV/Å³."""
    from ase import Atoms
    from gpaw import GPAW, PW

    atoms = Atoms(
        numbers=request["numbers"],
        positions=request["positions"],
        cell=request["cell"],
        pbc=True,
    )
    if request["moments"] is not None:
        atoms.set_initial_magnetic_moments(request["moments"])
    settings = request["settings"]
    atoms.calc = GPAW(
        mode=PW(settings["cutoff_ev"]),
        xc=settings["xc"],
        kpts={"size": request["mesh"], "gamma": True},
        occupations={"name": "fermi-dirac", "width": settings["smearing_ev"]},
        convergence={
            "energy": settings["energy_tolerance"],
            "density": settings["density_tolerance"],
            "eigenstates": settings["eigenstates_tolerance"],
            "forces": settings["force_tolerance"],
        },
        maxiter=settings["scf_steps"],
        setups={element: f":{shell[-1]},{u}" for element, (shell, u) in request["shells"].items()},
        txt="gpaw.txt",
    )
    # Forces are derivatives of the free energy; at this width the entropy is negligible anyway.
    result = {
        "energy": float(atoms.get_potential_energy(force_consistent=True)),
        "forces": atoms.get_forces().tolist(),
    }
    if request["stress"]:
        result["stress"] = atoms.get_stress().tolist()
    return result


if __name__ == "__main__":
    main()
