"""Deviations of each potential's kappa from DFT at 300 K, measured by this project.

Generated; never edit it by hand. To regenerate it, measure each potential with
`python benchmarks/phonondb.py DATA --calculator NAME --against dft --all --default --rows ROWS`,
then run `python benchmarks/accuracy_table.py ROWS ...`.

Reference: PhononDB-PBE (A. Togo), without the non-analytic term, on the mesh of its table.
Settings: defaults.
Measured 2026-11-30 with version 11/12 of the oracle and ase 3.29.0, chgnet 0.4.2, deepmd-kit 3.2.0,
matscipy 1.3.1, phono3py 4.10.0, phonopy 4.10.0, sevenn 0.13.0, spglib 2.8.0, symfc 1.8.0, torch
2.13.0+cpu.
Coverage of 90 % intervals (numerics and potential) on formulas that were left out, of all compounds
and by quartile of the stated width, the narrowest first:
- dpa4-neo-0704: 91 % (79, 86, 100, 100), half width 2.08 times the stated error
"""

from __future__ import annotations

from oracle.potentials.calibration import Coverage, Deviations, MeasuredTable

MEASURED: dict[str, MeasuredTable] = {
    "dpa4-neo-0704": MeasuredTable(
        overall=Deviations(
            compounds=55,
            refused=1,
            bias=0.9695,
            spread=0.1944,
            factor=1.138,
            factor_90=1.338,
            numerics=0.07874,
        ),
        families={
            "rocksalt": Deviations(
                compounds=17,
                refused=1,
                bias=0.9575,
                spread=0.1568,
                factor=1.136,
                factor_90=1.538,
                numerics=0.06862,
            ),
            "zincblende": Deviations(
                compounds=19,
                refused=0,
                bias=0.9709,
                spread=0.2594,
                factor=1.163,
                factor_90=1.434,
                numerics=0.07751,
            ),
            "wurtzite": Deviations(
                compounds=19,
                refused=0,
                bias=0.9787,
                spread=0.1417,
                factor=1.115,
                factor_90=1.295,
                numerics=0.0879,
            ),
        },
        multiplier_90=2.076,
        coverage=Coverage(
            share=0.9091,
            quartiles=(0.7857, 0.8571, 1, 1),
        ),
        settings="defaults",
    ),
}
