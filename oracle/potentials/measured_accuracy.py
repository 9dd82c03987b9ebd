"""Deviations of each potential's kappa from DFT at 300 K, measured by this project.

Generated; never edit it by hand. To regenerate it, measure each potential with
`python benchmarks/phonondb.py DATA --calculator NAME --against dft --all --default --rows ROWS`,
then run `python benchmarks/accuracy_table.py ROWS ...`.

Reference: PhononDB-PBE (A. Togo), without the non-analytic term, on the mesh of its table.
Settings: defaults; version 7 of the oracle; 2026-11-29.
Libraries: phono3py 4.10.0, phonopy 4.10.0, symfc 1.8.0, torch 2.13.0+cpu, sevenn 0.13.0.
Coverage of 90 % intervals (numerics and potential) on formulas that were left out, of all compounds
and by quartile of the stated width, the narrowest first:
- dpa4-neo-0704: too few compounds
"""

from __future__ import annotations

from oracle.potentials.calibration import Deviations, MeasuredTable

MEASURED: dict[str, MeasuredTable] = {
    "dpa4-neo-0704": MeasuredTable(
        overall=Deviations(
            compounds=14,
            refused=0,
            bias=0.9657,
            spread=0.222,
            factor=1.195,
            factor_90=1.495,
            numerics=0.08594,
        ),
        families={
            "rocksalt": Deviations(
                compounds=4,
                refused=0,
                bias=1.066,
                spread=0.206,
                factor=1.147,
                factor_90=1.495,
                numerics=0.09448,
            ),
            "wurtzite": Deviations(
                compounds=6,
                refused=0,
                bias=1.029,
                spread=0.1864,
                factor=1.168,
                factor_90=1.329,
                numerics=0.07281,
            ),
            "zincblende": Deviations(
                compounds=4,
                refused=0,
                bias=0.7949,
                spread=0.2791,
                factor=1.286,
                factor_90=1.395,
                numerics=0.09472,
            ),
        },
        multiplier_90=1.645,
        coverage=None,
        settings="defaults",
    ),
}
