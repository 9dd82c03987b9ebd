"""Deviations of each potential's kappa from DFT at 300 K, measured by this project.

Generated; never edit it by hand. To regenerate it, measure each potential with
`python benchmarks/phonondb.py DATA --calculator NAME --against dft --all --default --rows ROWS`,
then run `python benchmarks/accuracy_table.py ROWS ...`.

Reference: PhononDB-PBE (A. Togo), without the non-analytic term, on the mesh of its table.
Settings: defaults.
Measured 2026-11-29 with version 7 of the oracle and ase 3.29.0, chgnet 0.4.2, deepmd-kit 3.2.0,
matscipy 1.3.1, phono3py 4.10.0, phonopy 4.10.0, sevenn 0.13.0, spglib 2.8.0, symfc 1.8.0, torch
2.13.0+cpu.
Coverage of 90 % intervals (numerics and potential) on formulas that were left out, of all compounds
and by quartile of the stated width, the narrowest first:
- dpa4-neo-0704: 93 % (93, 86, 92, 100), half width 1.92 times the stated error
"""

from __future__ import annotations

from oracle.potentials.calibration import Coverage, Deviations, MeasuredTable

MEASURED: dict[str, MeasuredTable] = {
    "dpa4-neo-0704": MeasuredTable(
        overall=Deviations(
            compounds=55,
            refused=1,
            bias=0.9991,
            spread=0.192,
            factor=1.139,
            factor_90=1.398,
            numerics=0.05993,
        ),
        families={
            "rocksalt": Deviations(
                compounds=17,
                refused=1,
                bias=1.076,
                spread=0.17,
                factor=1.132,
                factor_90=1.493,
                numerics=0.04171,
            ),
            "zincblende": Deviations(
                compounds=19,
                refused=0,
                bias=0.9799,
                spread=0.2514,
                factor=1.168,
                factor_90=1.419,
                numerics=0.05695,
            ),
            "wurtzite": Deviations(
                compounds=19,
                refused=0,
                bias=0.9532,
                spread=0.133,
                factor=1.116,
                factor_90=1.26,
                numerics=0.07481,
            ),
        },
        multiplier_90=1.923,
        coverage=Coverage(
            share=0.9273,
            quartiles=(0.9286, 0.8571, 0.9231, 1),
        ),
        settings="defaults",
    ),
}
