"""Evaluations until the best crystals of tables with known answers are found, policy by policy.

    PYTHONPATH=. python benchmarks/after_the_fact.py DATA FOLDER [--tables NAME ...]
        [--policies NAME ...] [--goals GOAL ...] [--seeds 10] [--first 0] [--out FILE.jsonl]

DATA is the folder of the reference data. Tables are the half of PhononDB-PBE, published
half-Heuslers at 300 K (geometric means of all papers; the arrangement of lowest energy), the
project's own table of crystals evaluated with SevenNet-0, and compositions without a structure: the
half-Heuslers once more, and electronic transport of 300 compounds (Ricci et al., Sci. Data 4,
170085 (2017), as packaged in matminer), each sought for the lowest and for the highest value.
Every policy is a campaign on ``pool`` and ``replay``, run by the code that runs all
campaigns; rivals have other surrogates and agents, or are other packages
(`benchmarks/rivals.py`). FOLDER keeps pools and features. A search takes five to sixty seconds on
one core.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import lzma
import math
import tarfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.io import read
from numpy.typing import NDArray
from pymatgen.core.structure import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from agents.spaces.finite import FiniteSpace
from benchmarks.half_heuslers import most_stable
from benchmarks.rivals import RIVALS, Rival
from benchmarks.two_fidelities import labelled
from oracle.materials.composition import Composition
from oracle.materials.crystal import Crystal
from orchestrator.assembly.build import build_space
from orchestrator.config.config import CampaignConfig
from orchestrator.config.loading import validate
from surrogate.features.composition import composition_inputs
from surrogate.features.feature_store import FeatureStore

Array = NDArray[np.float64]
HERE = Path(__file__).resolve().parent
_BAYESIAN = [{"kind": "bayesian"}]
_FOUR = [{"kind": kind} for kind in ("substitution", "evolution", "bayesian", "random")]


def _policy(
    agents: list[dict[str, Any]], holes: float, audits: float, first: str, **other: Any
) -> dict[str, Any]:
    selection = {"hole_share": holes, "audit_share": audits, "first_round": first}
    return {"agents": agents, "selection": selection, **other}


POLICIES: dict[str, dict[str, Any]] = {
    "default": {},
    "pure": _policy(_BAYESIAN, 0.0, 0.0, "prior"),
    "pure-random": _policy(_BAYESIAN, 0.0, 0.0, "random"),
    "audited": _policy(_BAYESIAN, 0.0, 0.1, "prior"),
    "four": _policy(_FOUR, 0.0, 0.05, "prior"),
    "before": _policy(_FOUR, 0.25, 0.1, "random"),
    "random": _policy([{"kind": "random"}], 0.0, 0.0, "random"),
    "forest-ei": _policy(_BAYESIAN, 0.0, 0.0, "random", surrogate={"kind": "random-forest"}),
    "forest-greedy": _policy(
        [{"kind": "bayesian", "acquisition": "ucb", "beta": 0.0}],
        0.0,
        0.0,
        "random",
        surrogate={"kind": "random-forest"},
    ),
    "process-ei": _policy(_BAYESIAN, 0.0, 0.0, "random", surrogate={"kind": "gaussian-process"}),
    "funnel": {},
    "process-prior": _policy(_BAYESIAN, 0.0, 0.0, "prior", surrogate={"kind": "gaussian-process"}),
}
"""What each policy changes in the config. The funnel is the default where only a quarter of the
table can have features of the potential at a time."""
_TOP = 0.05  # share of a table that is to be found
_BEST = 0.01  # share that is reported as well
_SEMICONDUCTOR = 200.0  # µV/K
_COMPOUNDS = 300
_DESCRIBING = "7net-0"  # potential whose energy-volume curves are among the descriptors of rivals


def _write(folder: Path, rows: Iterable[tuple[str, Structure | Composition, float]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pool, table = [], []
    for name, one, value in rows:
        if isinstance(one, Composition):
            record: dict[str, Any] = {"id": name, "composition": dict(one.amounts)}
        else:
            record = {"id": name, "structure": one.as_dict()}
        pool.append(json.dumps(record, default=lambda value: value.tolist()))
        table.append(json.dumps({"id": name, "value": value}))
    (folder / "pool.jsonl").write_text("\n".join(pool) + "\n")
    (folder / "table.jsonl").write_text("\n".join(table) + "\n")


def _phonondb(data: Path) -> Iterable[tuple[str, Structure, float]]:
    with (data / "phonondb_pbe_part.csv").open() as file:
        rows = {row["mp_id"]: row for row in csv.DictReader(file)}
    for atoms in read(data / "phonondb_pbe_part.extxyz", ":"):
        key = atoms.info["mp_id"]
        structure = AseAtomsAdaptor.get_structure(atoms)
        yield key, structure, float(rows[key]["kappa300_PBE_noNAC_W_mK"])


def _half_heuslers(data: Path, cache: Path) -> Iterable[tuple[str, Structure, float]]:
    found: dict[str, list[float]] = {}
    with (data / "halfheusler" / "published_bte.csv").open() as file:
        for row in csv.DictReader(file):
            if float(row["T_K"]) == 300.0:
                found.setdefault(row["compound"], []).append(float(row["kappa_W_mK"]))
    for formula, values in sorted(found.items()):
        try:
            crystal = most_stable(formula, "dpa4-neo-0704", cache)
        except Exception as error:  # an element that the potential does not know
            print(f"{formula} is left out: {error}", flush=True)
            continue
        yield formula, crystal.structure(), math.exp(np.mean(np.log(values)))


def _formulas(folder: Path) -> Iterable[tuple[str, Composition, float]]:
    """A table of structures as one of compositions."""
    pool = map(json.loads, (folder / "pool.jsonl").read_text().splitlines())
    table = map(json.loads, (folder / "table.jsonl").read_text().splitlines())
    for record, row in zip(pool, table, strict=True):
        structure = Structure.from_dict(record["structure"])
        yield record["id"], Composition.of(structure.composition.reduced_formula), row["value"]


def _transport(column: str) -> Iterable[tuple[str, Composition, float]]:
    """300 binary and ternary semiconductors, the first row of each composition."""
    import matminer.utils

    folder = Path(matminer.utils.__file__).parent / "data_files" / "mp_transport"
    with tarfile.open(folder / "transport_database.tar.xz") as archive:
        content = archive.extractfile("transport_database.csv")
        assert content is not None
        rows = list(csv.DictReader(io.TextIOWrapper(content)))
    found: dict[str, tuple[Composition, float]] = {}
    for row in rows:
        # Metals have Seebeck coefficients of some microvolts per kelvin.
        if not row.get(column) or float(row["S_p"]) < _SEMICONDUCTOR or float(row[column]) <= 0:
            continue
        one = Composition.of(row["pretty_formula"])
        if len(one.amounts) in (2, 3):
            found.setdefault(one.digest, (one, float(row[column])))
    chosen = np.random.default_rng(0).permutation(len(found))[:_COMPOUNDS]
    members = list(found.values())
    return [(members[k][0].formula, *members[k]) for k in chosen]


def _own(column: str) -> Iterable[tuple[str, Structure, float]]:
    with lzma.open(HERE / "data" / "crystals_7net0.jsonl.xz", "rt") as file:
        for row in map(json.loads, file):
            if row["status"] == "measured" and row.get(column):
                yield row["id"], Structure.from_dict(row["structure"]), row[column]


TABLES = (
    "phonondb",
    "half-heuslers",
    "own-kappa",
    "own-bulk",
    "own-inverse",
    "half-heusler-formulas",
    "power-factor",
    "seebeck",
    "effective-mass",
)
"""``own-inverse`` is a trap: the reciprocal of kappa under its name, so that the prior misleads."""
_SOUGHT = {
    "own-bulk": "bulk_modulus",
    "power-factor": "power_factor",
    "seebeck": "seebeck_coefficient",
    "effective-mass": "effective_mass",
}
"""The property of each table; kappa of all others."""


def made(name: str, data: Path, folder: Path) -> Path:
    """The folder of a table, which is written if it is not there."""
    home = folder / name
    if not (home / "table.jsonl").is_file():
        makers: dict[str, Callable[[], Iterable[tuple[str, Structure | Composition, float]]]] = {
            "phonondb": lambda: _phonondb(data),
            "half-heuslers": lambda: _half_heuslers(data, folder / "energies"),
            "own-kappa": lambda: _own("kappa_300K"),
            "own-bulk": lambda: _own("bulk_modulus"),
            "half-heusler-formulas": lambda: _formulas(made("half-heuslers", data, folder)),
            "power-factor": lambda: _transport("PF_p"),
            "seebeck": lambda: _transport("S_p"),
            "effective-mass": lambda: _transport("m_p"),
            "own-inverse": lambda: ((n, x, 100.0 / value) for n, x, value in _own("kappa_300K")),
        }
        _write(home, makers[name]())
    return home


def config_of(home: Path, policy: str, goal: str, seed: int, size: int) -> CampaignConfig:
    """A campaign that may label the whole table."""
    batch = 2 if size < 80 else 4
    objective: dict[str, Any] = {"property": "kappa", "temperature": 300, "goal": goal}
    if home.name in _SOUGHT:
        objective = {"property": _SOUGHT[home.name], "goal": goal, "log": True}
    changes = POLICIES[policy]
    if policy == "funnel":
        changes = {"selection": {"exact_limit": size // 4}}
    return validate(
        {
            "name": f"{policy}-{goal}-{seed}",
            "seed": seed,
            "space": {"kind": "pool", "path": str(home / "pool.jsonl")},
            "objective": objective,
            "oracle": {
                "kind": "replay",
                "table": str(home / "table.jsonl"),
                "fidelities": {"bte": {"column": "value", "cost_s": 60}},
            },
            "confirmation": {"leaders": 0},
            "budget": {"batch": batch, "oracle_calls": size},
            "executor": {"kind": "serial"},
            "tracking": {"enabled": False},
            **changes,
        },
        "after_the_fact",
    )


def search(config: CampaignConfig, sought: Sequence[str], cache: Path) -> list[int]:
    """At which evaluation each of the sought was found."""
    space = build_space(config.space)
    assert isinstance(space, FiniteSpace)
    state = labelled(config, space, set(sought), cache)
    order = [trial.plan.label for trial in state.objective_trials()]
    return [order.index(name) + 1 for name in sought]


def rival_search(
    rival: Rival, home: Path, goal: str, seed: int, sought: Sequence[str], cache: Path
) -> list[int]:
    """At which evaluation another package's policy finds each of the sought.

    It sees the descriptors of the project's own surrogates, of crystals the 14 global ones, and the
    logarithms of values.
    """
    space = build_space(config_of(home, "default", goal, seed, 100).space)
    assert isinstance(space, FiniteSpace)
    names = [str(space.label(one)) for one in space.materials]
    crystals = [one for one in space.materials if isinstance(one, Crystal)]
    compositions = [one for one in space.materials if isinstance(one, Composition)]
    features = (
        np.hstack(composition_inputs(compositions).blocks)
        if compositions
        else np.array([f.globals for f in FeatureStore(_DESCRIBING, cache).get(crystals)])
    )
    rows = map(json.loads, (home / "table.jsonl").read_text().splitlines())
    table = {row["id"]: math.log10(row["value"]) for row in rows}
    values = np.array([table[name] for name in names]) * (-1 if goal == "minimize" else 1)
    batch = 2 if len(names) < 80 else 4
    wanted = {names.index(name) for name in sought}
    order = rival(features, values, batch, np.random.default_rng(seed), wanted)
    return [order.index(names.index(name)) + 1 for name in sought]


def ordered(home: Path, goal: str) -> list[str]:
    """Names of a table, best first."""
    rows = [json.loads(line) for line in (home / "table.jsonl").read_text().splitlines()]
    sign = 1 if goal == "minimize" else -1
    return [row["id"] for row in sorted(rows, key=lambda row: sign * row["value"])]


def top_of(size: int, share: float) -> int:
    """How many rows are a share of a table; at least one."""
    return max(1, round(share * size))


def geometric(values: Sequence[float]) -> float:
    """Geometric mean."""
    return math.exp(float(np.mean(np.log(values))))


def report(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of a Markdown table, and the ratios of policies over all tables.

    Evaluations to the top 5 %, in brackets to the top 1 %, in square brackets the number of seeds.
    """
    tasks = list(dict.fromkeys((row["table"], row["goal"]) for row in rows))
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    lines = [f"| task | {' | '.join(policies)} |", "|---" * (len(policies) + 1) + "|"]
    means: dict[str, dict[tuple[str, str], float]] = {policy: {} for policy in policies}
    tops: dict[str, dict[tuple[str, str], float]] = {policy: {} for policy in policies}
    for task in tasks:
        cells = []
        for policy in policies:
            own = [r for r in rows if (r["table"], r["goal"]) == task and r["policy"] == policy]
            if not own:
                cells.append("")
                continue
            means[policy][task] = geometric([max(r["found"]) for r in own])
            few = geometric([max(r["found"][: top_of(r["size"], _BEST)]) for r in own])
            tops[policy][task] = few
            cells.append(f"{means[policy][task]:.1f} ({few:.1f}) [{len(own)}]")
        lines.append(f"| {' '.join(task)} | {' | '.join(cells)} |")
    first = policies[0]
    for policy in policies[1:]:
        common = means[first].keys() & means[policy].keys()
        if common:
            ratios = [
                geometric([of[first][task] / of[policy][task] for task in common])
                for of in (means, tops)
            ]
            lines.append(
                f"{first} to {policy}: {ratios[0]:.2f} of the evaluations to the top "
                f"{100 * _TOP:g} %, {ratios[1]:.2f} to the top {100 * _BEST:g} %, "
                f"{len(common)} tasks"
            )
    return lines


def main() -> None:
    """Print what each policy needs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--policies", nargs="+", choices=[*POLICIES, *RIVALS], default=["default"])
    parser.add_argument("--goals", nargs="+", default=["minimize", "maximize"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows: list[dict[str, Any]] = []
    if options.out and options.out.is_file():
        rows = [json.loads(line) for line in options.out.read_text().splitlines()]
    done = {(r["table"], r["goal"], r["policy"], r["seed"]) for r in rows}
    for table in options.tables:
        home = made(table, options.data, options.folder)
        for seed in range(options.first, options.first + options.seeds):
            for goal in options.goals:
                names = ordered(home, goal)
                sought = names[: top_of(len(names), _TOP)]
                for policy in options.policies:
                    if (table, goal, policy, seed) in done:
                        continue
                    began = time.perf_counter()
                    cache = options.folder / "features"
                    if policy in RIVALS:
                        found = rival_search(RIVALS[policy], home, goal, seed, sought, cache)
                    else:
                        config = config_of(home, policy, goal, seed, len(names))
                        found = search(config, sought, cache)
                    rows.append(
                        {
                            "table": table,
                            "goal": goal,
                            "policy": policy,
                            "seed": seed,
                            "size": len(names),
                            "found": found,
                            "seconds": round(time.perf_counter() - began, 1),
                        }
                    )
                    print(rows[-1], flush=True)
                    if options.out:
                        with options.out.open("a") as file:
                            file.write(json.dumps(rows[-1]) + "\n")
    print("\n" + "\n".join(report(rows)))


if __name__ == "__main__":
    main()
