"""Runs small inputs that once went wrong through the command line, and prints a table.

    python benchmarks/cases.py CASES [NUMBER ...]

CASES is the folder with the inputs and the README that numbers them. Each case copies what it
needs, runs `phonoscout` in a process of its own, and judges what a person would have seen: exit
code, what stands on stderr, numbers, and what the home holds afterwards. Without a number all are
run, which takes about fifteen minutes with SevenNet and CHGNet; exits with 1 where one is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_LIMIT_S = 600.0
_CHGNET = ("calculator=chgnet", "fidelities=[harmonic]")
_SEVENNET = ("calculator=7net-0", "fidelities=[harmonic]")
_TERSOFF = ("calculator=tersoff", "bands=false")


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def document(self) -> Any:
        """Its JSON."""
        return json.loads(self.out)

    @property
    def last(self) -> str:
        """The last line on stderr."""
        return (self.err.strip().splitlines() or [""])[-1]

    @property
    def refused(self) -> bool:
        """Whether it ended as wrong input does: exit code 2, without a traceback."""
        return self.code == 2 and "Traceback" not in self.err


@dataclass(frozen=True)
class Verdict:
    """Whether the outcome of a case is right, and what was printed."""

    right: bool
    seen: str


@dataclass(frozen=True)
class Bench:
    """A writable copy of the inputs, with an empty home beside it.

    Args:
        folder: the copy.
        home: the home, not made yet.
        programs: holds the command `phonoscout`.
    """

    folder: Path
    home: Path
    programs: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user's shell."""
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RAY_ADDRESS")}
        return kept | {"PATH": f"{self.programs}:{os.environ['PATH']}", "COLUMNS": "150"}

    def run(
        self, *words: str, limit: float = _LIMIT_S, more: Mapping[str, str] | None = None
    ) -> Ran:
        """Run `phonoscout` with the bench's home."""
        return self.shell("phonoscout", *words, "--home", str(self.home), limit=limit, more=more)

    def shell(
        self,
        *words: str,
        limit: float = _LIMIT_S,
        cwd: Path | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run any command in the copy of the inputs, or below it, with `more` environment."""
        began = time.monotonic()
        process = subprocess.Popen(
            words,
            cwd=cwd or self.folder,
            env=self.environment | dict(more or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            err += f"\nstill running after {limit:.0f} s"
        return Ran(process.returncode, out, err, time.monotonic() - began)

    def evaluate(self, name: str, *changes: str) -> Ran:
        """``phonoscout evaluate NAME --json`` with these settings."""
        words = [word for change in changes for word in ("--set", change)]
        return self.run("evaluate", name, *words, "--json")

    def launch(self, name: str, *words: str) -> Ran:
        """``phonoscout launch NAME``."""
        return self.run("launch", name, *words)

    def status(self, name: str) -> Any:
        """``phonoscout status NAME --json``."""
        return self.run("status", name, "--json").document


def _says(ran: Ran, *words: str) -> bool:
    text = (ran.err + ran.out).lower()
    return all(re.search(word.lower(), text) for word in words)


def _refuses(ran: Ran, *words: str) -> Verdict:
    """Right if the input was refused in a line that contains these words."""
    return Verdict(ran.refused and _says(ran, *words), f"exit {ran.code}: {ran.last}")


def disk_full(bench: Bench) -> Verdict:
    """A full disk, then the same campaign with room."""
    folder = bench.folder / "emt_campaign"
    ran = bench.shell("bash", "../run_disk_full.sh", str(bench.home), cwd=folder)
    failures = re.search(r'"failures": (\d+)', ran.out)
    return Verdict(
        failures is not None and failures[1] == "0" and "Traceback" not in ran.err,
        f"failures of the second campaign: {failures[1] if failures else ran.last}",
    )


def no_module(bench: Bench) -> Verdict:
    """A module that cannot be imported, then one that can."""
    folder = bench.folder / "emt_campaign"
    ran = bench.shell("bash", "../run_no_module.sh", str(bench.home), cwd=folder)
    second = bench.status("emt2")
    return Verdict(
        second["failures"] == 0 and second["best"] is not None and "mycalc" in ran.err,
        f"failures of the second campaign: {second['failures']}",
    )


def stale(bench: Bench) -> Verdict:
    """An edited calculator."""
    ran = bench.shell("bash", "../run_stale.sh", cwd=bench.folder / "stale_calc")
    values = [float(line) for line in ran.out.split()]
    right = len(values) == 3 and values[1] == values[2] != values[0]
    return Verdict(right, ", ".join(f"{value:.3f}" for value in values))


def isotopes(name: str) -> Callable[[Bench], Verdict]:
    """Hydrogen that is deuterium or tritium."""

    def case(bench: Bench) -> Verdict:
        bench.evaluate("lih.cif", *_SEVENNET)
        ran = bench.evaluate(name, *_SEVENNET)
        if ran.refused:
            return Verdict(_says(ran, "isotope|mass"), ran.last)
        highest = ran.document["max_frequency_thz"]
        return Verdict(name.startswith("lid") and abs(highest - 24.8) < 0.5, f"{highest:.2f} THz")

    return case


def pooled_isotopes(bench: Bench) -> Verdict:
    """LiH and LiD in one pool."""
    ran = bench.launch("cfg_pool_isotopes.jsonl.yaml")
    left_out = _says(ran, "isotope|mass", "left out|skipped")
    return Verdict(ran.code in (0, 2) and left_out and "Traceback" not in ran.err, ran.err[:300])


def wrong_formula(name: str) -> Callable[[Bench], Verdict]:
    """A file whose atoms are not those of its own formula."""
    return lambda bench: _refuses(bench.evaluate(name, *_CHGNET), "H2", "MgO2|Mg O2")


def polymorphs(bench: Bench) -> Verdict:
    """Two structures of one formula in a file."""
    return _refuses(bench.evaluate("two_polymorphs.cif", *_CHGNET), "2 (different )?structures")


def vacuum(bench: Bench) -> Verdict:
    """One monolayer in two boxes."""
    sizes = ("fc2_supercell=[4,4,1]", "fc3_supercell=[3,3,1]", "mesh=[9,9,1]")
    seen = []
    for height in (15, 30):
        ran = bench.evaluate(f"graphene_c{height}.vasp", *_TERSOFF, *sizes)
        caution = str(ran.document.get("low_confidence")) if ran.code == 0 else ran.last
        seen.append(caution)
    return Verdict(all("slab" in text.lower() for text in seen), " | ".join(seen)[:200])


def periodic_flags(bench: Bench) -> Verdict:
    """A slab that says it is not periodic, in three formats."""
    answers = [bench.evaluate(f"slab_pbc_false.{kind}", *_CHGNET) for kind in ("json", "xyz")]
    pool = bench.launch("cfg_pool_slab_pbc.jsonl.yaml")
    alike = all(ran.refused and _says(ran, "periodic") for ran in answers)
    return Verdict(alike and _says(pool, "periodic"), " | ".join(r.last for r in answers)[:250])


def labels(name: str, *words: str, codes: tuple[int, ...] = (0, 2)) -> Callable[[Bench], Verdict]:
    """Numbers in a replay table that no logarithm takes, or that are none."""

    def case(bench: Bench) -> Verdict:
        ran = bench.launch(f"cfg_e_{name}.yaml")
        named = _says(ran, *words)
        return Verdict(
            "Traceback" not in ran.err and ran.code in codes and named,
            f"exit {ran.code}: {ran.last[:160]}",
        )

    return case


def pool_beside(bench: Bench) -> Verdict:
    """A pool in the folder where everything else lies as well."""
    folder = bench.folder / "pool_dot"
    home = ("--home", "./phonoscout-home")
    first = bench.shell("phonoscout", "launch", "config.yaml", *home, cwd=folder)
    (folder / "README").write_text("notes\n")
    (folder / ".DS_Store").write_bytes(b"\0")
    change = ("--set", "budget.oracle_calls=4")
    again = bench.shell("phonoscout", "resume", "dot", *change, *home, cwd=folder)
    return Verdict(first.code == again.code == 0, f"exit {first.code}, then {again.code}")


def moved(bench: Bench) -> Verdict:
    """A pool that moved, and a home that moved."""
    ran = bench.shell("bash", "run_moved.sh")
    text = ran.out + ran.err
    left_behind = [
        line for line in ran.out.splitlines() if re.search(r"/h1/", line) and line.startswith("/")
    ]
    is_reported = "missing" in text.lower() or "no longer" in text.lower()
    return Verdict(
        is_reported and not left_behind and "Traceback" not in text and "content of" not in text,
        f"{ran.last[:150]}; files at the old place: {len(left_behind)}",
    )


def bad_record(name: str) -> Callable[[Bench], Verdict]:
    """One bad record with ``on_error: skip``."""

    def case(bench: Bench) -> Verdict:
        ran = bench.launch(f"cfg_{name}.yaml")
        nothing_left = ran.code == 2 and _says(ran, "no usable material")
        skipped = (ran.code == 0 or nothing_left) and _says(ran, "left out|skipped", "line|row")
        return Verdict(skipped, f"exit {ran.code}: {ran.last[:160]}")

    return case


def truncated(bench: Bench) -> Verdict:
    """A stage's file that was cut."""
    folder = bench.folder / "emt_campaign"
    ran = bench.shell("bash", "../run_truncated.sh", str(bench.home), cwd=folder)
    words = ("--set", "calculator=mycalc:factory", "--set", "bands=false", "--set", "mesh=[9,9,9]")
    sizes = ("--set", "fc2_supercell=[2,2,2]", "--set", "fc3_supercell=[2,2,2]")
    again = bench.shell(
        "phonoscout", "evaluate", "pool/Ag.vasp", "--home", str(bench.home), *words, *sizes,
        "--json", cwd=folder, more={"PYTHONPATH": str(folder)},
    )  # fmt: skip
    fine = again.code == 0 and again.document["status"] == "measured"
    return Verdict(fine and "zip" not in ran.out, f"exit {again.code}; {ran.out.strip()[:120]}")


def _make_sequences(bench: Bench, **changes: Any) -> None:
    """A replay of layer sequences in the folder ``s``."""
    code = f"from mkseq import make; make('s', **{changes!r})"
    bench.shell(sys.executable, "-c", code)


def dead_ray(by_environment: bool) -> Callable[[Bench], Verdict]:
    """A Ray address where nothing listens."""

    def case(bench: Bench) -> Verdict:
        _make_sequences(bench, executor={"kind": "ray", "workers": 1})
        address = "127.0.0.1:6399"
        if by_environment:
            ran = bench.run("launch", "s/config.yaml", limit=90, more={"RAY_ADDRESS": address})
        else:
            change = f"executor.address={address}"
            ran = bench.run("launch", "s/config.yaml", "--set", change, limit=90)
        right = ran.refused and ran.seconds < 30 and "6399" in ran.err
        return Verdict(right, f"exit {ran.code} after {ran.seconds:.0f} s: {ran.last[:140]}")

    return case


def borrowed_charges(bench: Bench) -> Verdict:
    """One crystal's BORN beside another's structure."""
    folder = bench.folder / "born"
    words = [w for change in _CHGNET for w in ("--set", change)]
    home = ("--home", str(bench.home))
    ran = bench.shell("phonoscout", "evaluate", "MgO.cif", *home, *words, "--json", cwd=folder)
    if ran.code == 0:
        highest = ran.document["max_frequency_thz"]
        right = abs(highest - 16.40) < 0.05 and _says(ran, "BORN")
        first = Verdict(right, f"{highest:.2f} THz: {ran.err.strip()[:120]}")
    else:
        first = _refuses(ran, "BORN")
    campaign = bench.shell("phonoscout", "launch", "c.yaml", *home, cwd=folder)
    noted = campaign.code == 0 and _says(campaign, "BORN")
    return Verdict(first.right and noted, f"{first.seen}; campaign notes it: {noted}")


@contextmanager
def _server(bench: Bench, cwd: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["phonoscout", "serve", "--port", str(port), "--home", str(bench.home)]
    environment = bench.environment | {"PHONOSCOUT_TOKEN": "secret"}
    process = subprocess.Popen(
        words, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/campaigns", timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def _post(address: str, document: Any) -> tuple[int, str]:
    request = urllib.request.Request(
        address,
        data=json.dumps(document).encode(),
        headers={"Authorization": "Bearer secret", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def over_http(bench: Bench) -> Verdict:
    """A refused change, and a working folder with an `agents.py`, over HTTP."""
    _make_sequences(bench)
    bench.run("launch", "s/config.yaml")
    config = yaml.safe_load((bench.folder / "s" / "config.yaml").read_text())
    config |= {"name": "second"}
    for section, key in (("space", "path"), ("oracle", "table")):
        config[section][key] = str(bench.folder / "s" / config[section][key])
    with _server(bench, bench.folder / "serve_shadow") as address:
        refused = _post(f"{address}/campaigns/layers/resume", {"set": ["space.path=/x"]})
        launched = _post(f"{address}/campaigns", {"config": config})
        if launched[0] == 422:
            launched = _post(f"{address}/campaigns", config)
        state = ""
        for _ in range(60):
            with urllib.request.urlopen(f"{address}/campaigns/second", timeout=30) as answer:
                state = json.loads(answer.read())["state"]
            if state == "finished":
                break
            time.sleep(1)
    right = refused[0] == 422 and "space.path" in refused[1] and state == "finished"
    return Verdict(right, f"{refused[0]}; launched {launched[0]}, then {state}")


def closed_homes(bench: Bench) -> Verdict:
    """A home below a file, and one that cannot be written to."""
    _make_sequences(bench)
    (bench.folder / "file").write_text("")
    below = bench.shell("phonoscout", "launch", "s/config.yaml", "--home", "file/home")
    bench.run("launch", "s/config.yaml")
    if os.geteuid() != 0:
        return Verdict(False, "must be run as root, which mounts a home read-only")
    mounted = ["mount", "--bind", str(bench.home), str(bench.home)]
    subprocess.run(mounted, check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(bench.home)], check=True)
        readers = [bench.run("best", "layers"), bench.run("status", "layers")]
        writer = bench.run("resume", "layers", "--set", "budget.oracle_calls=20")
    finally:
        subprocess.run(["umount", str(bench.home)], check=True)
    right = below.refused and writer.refused and all(ran.code == 0 for ran in readers)
    codes = [below.code, *(ran.code for ran in readers), writer.code]
    return Verdict(right, f"exit {codes}: {below.last[:80]}; {writer.last[:80]}")


def unknown_elements(name: str, element: str, potential: str) -> Callable[[Bench], Verdict]:
    """Elements that a potential was not made for."""

    def case(bench: Bench) -> Verdict:
        ran = bench.evaluate(name, f"calculator={potential}", "fidelities=[harmonic]")
        text = ran.err if not ran.out else ran.err + str(ran.document.get("message"))
        right = bool(re.search(rf"\b{element}\b", text)) and "mat1" not in text
        if ran.code == 0:  # the potential knows it, and so do we
            return Verdict(True, f"{ran.document['status']}")
        return Verdict(right and "undefined" not in text, text.strip()[:200])

    return case


def marked(bench: Bench) -> Verdict:
    """Byte-order marks, and settings in other encodings."""
    structure = bench.evaluate("bom.cif", *_CHGNET)
    pool = bench.launch("cfg_pool_bom.jsonl.yaml")
    space = bench.status("c-pool-bom-jsonl")["notes"][0] if pool.code == 0 else pool.last
    others = [
        bench.run("evaluate", "std.vasp", "--oracle", f"oracle_{name}.yaml", "--json")
        for name in ("latin1", "utf16")
    ]
    right = structure.code == 0 and "2 candidates" in space
    right = right and all("Traceback" not in ran.err and ran.code in (0, 2) for ran in others)
    return Verdict(right, f"{structure.code}; {space}; {[ran.code for ran in others]}")


def molecule(bench: Bench) -> Verdict:
    """Two nitrogen atoms in a box."""
    ran = bench.evaluate("n2_box.xyz", "calculator=7net-0", "mesh=[3,3,3]")
    text = ran.last if not ran.out else str(ran.document.get("message"))
    return Verdict(ran.code != 0 and "molecule" in text and "mesh" not in text, text[:200])


def rounded(bench: Bench) -> Verdict:
    """Thirds that were written with two to four digits."""
    seen = []
    for digits in ("33", "333", "3333"):
        ran = bench.evaluate(f"wz_{digits}.cif", *_CHGNET)
        formula = str(ran.document["formula"]) if ran.out else ran.last
        is_reported = digits == "3333" or _says(ran, "rounded")
        seen.append(formula if is_reported else f"{formula}, not reported")
    return Verdict(seen == ["ZnO"] * 3, ", ".join(seen)[:200])


def mixed_folder(bench: Bench) -> Verdict:
    """A folder of structure files of all kinds."""
    table = [
        {"id": path.name, "kappa": 7.0}  # all hold one crystal
        for path in sorted((bench.folder / "poolmix").iterdir())
    ]
    lines = "".join(json.dumps(row) + "\n" for row in table)
    (bench.folder / "mixed.jsonl").write_text(lines)
    config = yaml.safe_load((bench.folder / "cfg_pool_ok.jsonl.yaml").read_text())
    config |= {"name": "mixed", "space": {"kind": "pool", "path": "poolmix", "on_error": "skip"}}
    config["oracle"]["table"] = "mixed.jsonl"
    (bench.folder / "mixed.yaml").write_text(yaml.safe_dump(config))
    ran = bench.launch("mixed.yaml")
    if ran.code != 0:
        return Verdict(_says(ran, "mp_doc|nacl2|x.mcif"), ran.last[:200])
    notes = " ".join(bench.status("mixed")["notes"])
    read = "4 records equal an earlier one" in notes  # all five hold the same crystal
    return Verdict(read or "left out" in notes, notes[:200])


CASES: tuple[tuple[str, str, Callable[[Bench], Verdict]], ...] = (
    ("1", "full disk", disk_full),
    ("1", "module that is missing", no_module),
    ("2", "edited calculator", stale),
    ("3", "lid.cif", isotopes("lid.cif")),
    ("3", "lit.cif", isotopes("lit.cif")),
    ("3", "lid_masses.xyz", isotopes("lid_masses.xyz")),
    ("3", "LiH and LiD in a pool", pooled_isotopes),
    ("4", "brucite_no_h.cif", wrong_formula("brucite_no_h.cif")),
    ("4", "brucite_attached_h.cif", wrong_formula("brucite_attached_h.cif")),
    ("5", "two_polymorphs.cif", polymorphs),
    ("9", "one sheet, two vacua", vacuum),
    ("9", "periodic flags", periodic_flags),
    ("10", "kappa of zero and below", labels("neg", "NaCl|KBr")),
    ("10", "kappa that is not a number", labels("nan", "NaCl|KBr|fail", codes=(1, 2))),
    ("10", "infinite kappa", labels("inf", "NaCl|KBr|fail", codes=(1, 2))),
    ("10", "kappa as text", labels("str", "NaCl")),
    ("10", "a table of one row", labels("one")),
    ("11", "pool among other files", pool_beside),
    ("12", "moved pool, moved home", moved),
    ("13", "pool_latin1", bad_record("pool_latin1.jsonl")),
    ("13", "pool_nan", bad_record("pool_nan.jsonl")),
    ("13", "pool_nolattice", bad_record("pool_nolattice.db")),
    ("13", "pool_vacancy", bad_record("pool_vacancy.jsonl")),
    ("14", "truncated stage", truncated),
    ("15", "dead address in the config", dead_ray(by_environment=False)),
    ("15", "dead address in RAY_ADDRESS", dead_ray(by_environment=True)),
    ("16", "BORN of another crystal", borrowed_charges),
    ("17", "changes and modules over HTTP", over_http),
    ("18", "homes that cannot be written", closed_homes),
    ("19", "puc.cif with 7net-0", unknown_elements("puc.cif", "Pu", "7net-0")),
    ("19", "znpo.cif with chgnet", unknown_elements("znpo.cif", "Po", "chgnet")),
    ("20", "byte-order marks and encodings", marked),
    ("21", "molecule in a box", molecule),
    ("22", "thirds with few digits", rounded),
    ("24", "folder of mixed files", mixed_folder),
)
"""Number in the README of the inputs, what is tried, and how it is judged."""


@contextmanager
def bench_of(cases: Path) -> Iterator[Bench]:
    """A fresh copy of the inputs, an empty home, and `phonoscout` on the path."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "cases"
        shutil.copytree(cases, folder)
        for path in (folder, *folder.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)
        programs = Path(root) / "bin"
        programs.mkdir()
        here = Path(__file__).resolve().parent.parent
        program = programs / "phonoscout"
        # Behind what the user's own PYTHONPATH holds, as an installed package would be.
        program.write_text(
            f'#!/bin/sh\nPYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}{here}" '
            f'exec {sys.executable} -P -m orchestrator.app.cli "$@"\n'
        )
        program.chmod(0o755)
        python = programs / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        yield Bench(folder, Path(root) / "home", programs)


def main() -> int:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("numbers", nargs="*")
    arguments = parser.parse_args()
    wrong = 0
    print("| case | what is tried | right | seen |\n|---|---|---|---|", flush=True)
    for number, name, case in CASES:
        if arguments.numbers and number not in arguments.numbers:
            continue
        with bench_of(arguments.cases) as bench:
            try:
                verdict = case(bench)
            except Exception as error:  # a case that cannot be judged is a wrong one
                verdict = Verdict(False, f"{type(error).__name__}: {error}")
        wrong += not verdict.right
        seen = " ".join(verdict.seen.split()).replace(str(arguments.cases), "").replace("|", "/")
        print(f"| {number} | {name} | {'yes' if verdict.right else 'NO'} | {seen} |", flush=True)
    print(f"\n{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
