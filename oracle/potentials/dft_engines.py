"""ASE calculators for DFT programs, which run in scratch folders and processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.units import Ry
from numpy.typing import NDArray

from oracle.materials.reciprocal import mesh_of
from oracle.potentials.dft_magnetism import check_magnetism, hubbard_shells, initial_moments
from oracle.potentials.dft_settings import DftSettings, EspressoSettings, GpawSettings, science
from oracle.runtime.errors import OracleError, SetupError
from oracle.runtime.threads import thread_variables

Array = NDArray[np.float64]
_HERE = Path(__file__).resolve().parent
_KILLED = (137, 139)  # exit codes after SIGKILL, mostly for lack of memory, and SIGSEGV
_RESPONSE = """
&inputph
    prefix = 'pwscf', outdir = 'out', epsil = .true., zeu = .true., trans = .false.
    tr2_ph = 1e-14
/
0 0 0
"""
_ROOT = "attempt to run as root"  # part of a long message of OpenMPI


class _Engine(Calculator):  # type: ignore[misc]
    """What the calculators of both programs share.

    Args:
        settings: of the program.
    """

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(self, settings: Any) -> None:
        super().__init__()
        self.settings = settings
        self._stressed: bytes = b""

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        """Run the program for the given atoms.

        Raises:
            OracleError: stage ``dft``; the SCF does not converge, the program fails, or elements
                need spin or a Hubbard U that the settings lack. Stage ``read``; an element without
                pseudopotential.
        """
        super().calculate(atoms, properties, system_changes)
        check_magnetism(self.settings, self.atoms.get_chemical_symbols())
        # ASE asks for forces and stress one after the other. A relaxation that has asked for stress
        # will do so again, and stress together with forces is far cheaper than a second SCF.
        kind = self.atoms.numbers.tobytes()
        if "stress" in properties:
            self._stressed = kind
        prefix = f"phonoscout-{self.settings.engine}-"
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
            output = self.run(self.atoms, Path(folder), stress=kind == self._stressed)
        results: dict[str, Any] = {name: np.asarray(value) for name, value in output.items()}
        results["energy"] = results["free_energy"] = float(output["energy"])
        self.results = results

    @abstractmethod
    def run(self, atoms: Atoms, folder: Path, *, stress: bool) -> dict[str, Any]:
        """Energy (eV), forces (n, 3) in eV/Å and, if requested, stress (6,) in eV/Å³ (Voigt)."""


class Gpaw(_Engine):
    """GPAW in processes of its own."""

    settings: GpawSettings

    def run(self, atoms: Atoms, folder: Path, *, stress: bool) -> dict[str, Any]:
        """As in `_Engine.run`."""
        request = {
            "numbers": atoms.numbers.tolist(),
            "positions": atoms.positions.tolist(),
            "cell": atoms.cell.array.tolist(),
            "mesh": mesh_of(atoms.cell.array, self.settings.k_spacing),
            "stress": stress,
            "moments": initial_moments(self.settings, atoms.get_chemical_symbols()),
            "shells": hubbard_shells(self.settings, atoms.get_chemical_symbols()),
            "settings": science(self.settings),
        }
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        parallel = {"GPAW_MPI_BACKEND": "cgpaw"} if self.settings.cores > 1 else {}
        # With -P, modules in this folder cannot hide others of the same name.
        script = str(_HERE / "gpaw_worker.py")
        command = [*self.settings.launcher(), sys.executable, "-P", script]
        code = _tethered(command, folder, parallel)
        result = folder / "result.json"
        if not result.is_file():
            raise _ended_without_result(self.settings, atoms, folder, code)
        output: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        if "error" in output:
            raise self._failure(output["error"], output["message"], atoms)
        return output

    def _failure(self, kind: str, message: str, atoms: Atoms) -> OracleError:
        name = atoms.get_chemical_formula("metal")
        if kind == "scf":
            return _not_converged(self.settings, name)
        if kind == "setup":
            return SetupError(
                f"{self.settings}: {message.rstrip('.')}; pip install gpaw-data, set "
                "GPAW_SETUP_PATH, or leave the element out"
            )
        if kind == "memory":
            return _no_memory(self.settings, name)
        return OracleError("dft", f"{self.settings} failed on {name}: {message}")


class Espresso(_Engine):
    """Quantum ESPRESSO's pw.x; ASE writes its input and reads its output."""

    settings: EspressoSettings

    def run(self, atoms: Atoms, folder: Path, *, stress: bool) -> dict[str, Any]:
        """As in `_Engine.run`."""
        from ase.io import read

        self._pw(atoms, folder, self._input(stress))
        results = read(folder / "stdout", format="espresso-out").calc.results
        needed = ("energy", "forces", *(("stress",) if stress else ()))
        missing = [key for key in needed if key not in results]
        if missing:
            name = atoms.get_chemical_formula("metal")
            raise OracleError("dft", f"{self.settings}: pw.x printed no {missing[0]} of {name}")
        return {key: np.asarray(results[key]).tolist() for key in needed}

    def response(self, atoms: Atoms) -> tuple[Array, Array]:
        """Electronic dielectric tensor (3, 3) and Born effective charges (n, 3, 3), in e.

        They are computed by density-functional perturbation theory in ph.x (Baroni, de Gironcoli,
        Dal Corso and Giannozzi, Rev. Mod. Phys. 73, 515 (2001)), which requires fixed occupations.
        Rows of a charge belong to the field, columns to the displacement.

        Raises:
            OracleError: stage ``dft``; a metal, or as in `calculate`.
        """
        from ase.io.espresso import read_espresso_ph

        inputs = self._input(stress=False)
        inputs["control"] |= {"disk_io": "low", "tprnfor": False}
        inputs["system"]["occupations"] = "fixed"
        for key in ("smearing", "degauss"):
            del inputs["system"][key]
        name = atoms.get_chemical_formula("metal")
        with tempfile.TemporaryDirectory(
            prefix="phonoscout-espresso-", ignore_cleanup_errors=True
        ) as scratch:
            folder = Path(scratch)
            self._pw(atoms, folder, inputs)
            (folder / "ph.in").write_text(_RESPONSE, encoding="utf-8")
            command = [word.replace("pw.x", "ph.x") for word in self.settings.launcher()]
            code = _tethered([*command, "-in", "ph.in"], folder, {})
            text = (folder / "stdout").read_text(encoding="utf-8", errors="replace")
            if "JOB DONE" not in text:
                raise self._failed(atoms, text, folder, code)
            with (folder / "stdout").open(encoding="utf-8") as file:
                output: dict[str, Any] = next(iter(read_espresso_ph(file).values()), {})
        if "dieltensor" not in output or len(output.get("borneffcharge", ())) != len(atoms):
            raise OracleError(
                "dft",
                f"{self.settings}: ph.x printed no response of {name} to an electric field; only "
                "insulators have one that is finite",
            )
        return np.asarray(output["dieltensor"]), np.asarray(output["borneffcharge"])

    def _pw(self, atoms: Atoms, folder: Path, inputs: dict[str, dict[str, Any]]) -> None:
        """Run pw.x, which leaves its output in ``stdout``."""
        from ase.io.espresso import write_espresso_in

        settings = self.settings
        for symbol in sorted(set(atoms.get_chemical_symbols())):
            if symbol not in settings.pseudopotentials:
                raise SetupError(
                    f"{settings}: no pseudopotential of {symbol}; add it to pseudopotentials"
                )
        shells = hubbard_shells(settings, atoms.get_chemical_symbols())
        card = [f"U {element}-{shell} {u}" for element, (shell, u) in shells.items()]
        with (folder / "pw.in").open("w", encoding="utf-8") as file:
            write_espresso_in(
                file,
                self._polarised(atoms),
                input_data=inputs,
                pseudopotentials=settings.pseudopotentials,
                kpts=mesh_of(atoms.cell.array, settings.k_spacing),
                additional_cards=["HUBBARD (ortho-atomic)", *card] if card else None,
            )
        code = _tethered([*settings.launcher(), "-in", "pw.in"], folder, {})
        text = (folder / "stdout").read_text(encoding="utf-8", errors="replace")
        if "convergence NOT achieved" in text:
            raise _not_converged(settings, atoms.get_chemical_formula("metal"))
        if "JOB DONE" not in text:
            raise self._failed(atoms, text, folder, code)

    def _polarised(self, atoms: Atoms) -> Atoms:
        """The atoms with initial moments, where there are any, as fractions of valence electrons.

        Raises:
            SetupError: a pseudopotential does not state its number of valence electrons.
        """
        symbols = atoms.get_chemical_symbols()
        moments = initial_moments(self.settings, symbols)
        if moments is None:
            return atoms
        valence = {symbol: self._valence(symbol) for symbol in set(symbols)}
        polarised = atoms.copy()
        polarised.set_initial_magnetic_moments(
            [
                float(np.clip(moment / valence[symbol], -1, 1))
                for moment, symbol in zip(moments, symbols, strict=True)
            ]
        )
        return polarised

    def _valence(self, symbol: str) -> float:
        path = self.settings.pseudo_dir / self.settings.pseudopotentials[symbol]
        text = path.read_text(encoding="utf-8", errors="replace")
        found = re.search(r'z_valence\s*=\s*"\s*([^"]+)"|([\d.]+)\s+Z valence', text)
        if found is None:
            raise SetupError(
                f"{self.settings}: {path.name} does not state its number of valence electrons "
                "(z_valence), of which magnetic_moments are a fraction; use a file in UPF format"
            )
        return float(found[1] or found[2])

    def _input(self, stress: bool) -> dict[str, dict[str, Any]]:
        """Input of pw.x, by namelist."""
        settings = self.settings
        system: dict[str, Any] = {
            "ecutwfc": settings.cutoff_ry,
            "occupations": "smearing",
            "smearing": "fermi-dirac",
            "degauss": settings.smearing_ev / Ry,
        }
        if settings.density_cutoff_ry is not None:
            system["ecutrho"] = settings.density_cutoff_ry
        return {
            "control": {
                "calculation": "scf",
                "pseudo_dir": str(settings.pseudo_dir),
                "outdir": "out",
                "tprnfor": True,
                "tstress": stress,
                "disk_io": "none",
            },
            "system": system,
            "electrons": {
                "conv_thr": settings.scf_tolerance_ry,
                "electron_maxstep": settings.scf_steps,
            },
        }

    def _failed(self, atoms: Atoms, text: str, folder: Path, code: int) -> OracleError:
        """The error that pw.x printed between lines of ``%``."""
        framed = re.search(r"%{20,}\s*\n(.*?)\n\s*%{20,}", text, re.DOTALL)
        if framed is None:
            return _ended_without_result(self.settings, atoms, folder, code)
        cause = " ".join(framed[1].split())[:200]
        name = atoms.get_chemical_formula("metal")
        return OracleError("dft", f"{self.settings} failed on {name}: {cause}")


def _tethered(command: list[str], folder: Path, extra: dict[str, str]) -> int:
    """Run a command in a folder, writing its output to ``stdout`` and ``stderr`` there.

    The command is stopped when this process ends in any way, see `oracle/potentials/tether.py`. It
    has one thread per process, since `cores` counts processes.

    Returns:
        Its exit code.
    """
    environment = {**os.environ, **thread_variables(1), **extra}
    tether = [sys.executable, "-I", str(_HERE / "tether.py"), str(folder)]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            [*tether, *command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            env=environment,
            start_new_session=True,
        )
        try:
            return process.wait()
        finally:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()


def _not_converged(settings: DftSettings, name: str) -> OracleError:
    return OracleError(
        "dft",
        f"{settings}: the SCF of {name} has not converged in {settings.scf_steps} steps; raise "
        "scf_steps or smearing_ev, or loosen the tolerances",
    )


def _no_memory(settings: DftSettings, name: str) -> OracleError:
    return OracleError(
        "dft",
        f"{settings}: out of memory for {name}; give smaller supercells, a lower cutoff or more "
        "memory",
        transient=True,
    )


def _ended_without_result(
    settings: DftSettings, atoms: Atoms, folder: Path, code: int
) -> OracleError:
    """The error of a program that ended without a result; transient, as the machine may be why."""
    lines = (folder / "stderr").read_text(encoding="utf-8", errors="replace").splitlines()
    words = [line.strip() for line in lines if re.search(r"[A-Za-z]{3}", line)]
    last = words[-1][:160] if words else "it printed no error"
    name = atoms.get_chemical_formula("metal")
    if any(_ROOT in line for line in lines):
        last = "mpiexec refuses to run as root; add its --allow-run-as-root, or set cores to 1"
    if code in _KILLED:
        last = "it was killed, mostly for lack of memory; give smaller supercells or more memory"
    return OracleError(
        "dft",
        f"{settings} ended without a result for {name} (exit code {code}): {last}",
        transient=True,
    )
