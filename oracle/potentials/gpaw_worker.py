"""One GPAW calculation: reads ``request.json``, writes ``result.json``; may run under MPI.

A script of its own process, started by `oracle.potentials.dft_engines`. It imports nothing of the
oracle. What goes wrong in a way that is known is written as ``{"error": kind, "message": text}``.
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
    """Compute what the request in the current folder asks for."""
    from gpaw import KohnShamConvergenceError
    from gpaw.mpi import world

    request = json.loads(Path("request.json").read_text(encoding="utf-8"))
    try:
        found = _compute(request)
    except KohnShamConvergenceError:
        found = {"error": "scf", "message": ""}
    except FileNotFoundError as error:
        if "Could not find required" not in str(error):
            raise
        found = {"error": "setup", "message": str(error).splitlines()[0]}
    except MemoryError:
        found = {"error": "memory", "message": ""}
    except (ValueError, RuntimeError, NotImplementedError, ArithmeticError) as error:
        text = " ".join(str(error).split())[:200]
        found = {"error": "failed", "message": f"{type(error).__name__}: {text}"}
    # An error that only one process meets leaves the others waiting for it without end.
    alone = world.size > 1 and found.get("error") in ("failed", "memory")
    if alone and world.rank > 0:
        time.sleep(_GRACE)  # the first process may be about to tell the same
    if world.rank == 0 or (alone and not _RESULT.exists()):
        scratch = _RESULT.with_suffix(".part")
        scratch.write_text(json.dumps(found), encoding="utf-8")
        os.replace(scratch, _RESULT)  # noqa: PTH105
    if alone:
        world.abort(1)


def _compute(request: dict[str, Any]) -> dict[str, Any]:
    """Energy (eV), forces (n, 3) in eV/Å and, where asked for, stress (6,) in eV/Å³."""
    from ase import Atoms
    from gpaw import GPAW, PW

    atoms = Atoms(
        numbers=request["numbers"],
        positions=request["positions"],
        cell=request["cell"],
        pbc=True,
    )
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
        txt="gpaw.txt",
    )
    # At this width the entropy is negligible, and the forces belong to the free energy anyway.
    found = {
        "energy": float(atoms.get_potential_energy(force_consistent=True)),
        "forces": atoms.get_forces().tolist(),
    }
    if request["stress"]:
        found["stress"] = atoms.get_stress().tolist()
    return found


if __name__ == "__main__":
    main()
