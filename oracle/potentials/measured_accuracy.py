"""Deviations of each potential's kappa from DFT at 300 K, measured by this project.

Generated; never edit it by hand. To regenerate it, measure each potential with
`python benchmarks/phonondb.py DATA --calculator NAME --against dft --all --default --rows ROWS`,
then run `python benchmarks/accuracy_table.py ROWS ...`.

Reference: PhononDB-PBE (A. Togo), without the non-analytic term, on the mesh of its table.
Settings: defaults.
Measured 2026-11-29 with version 7/9 of the oracle and ase 3.29.0, chgnet 0.4.2, deepmd-kit 3.2.0,
matscipy 1.3.1, phono3py 4.10.0, phonopy 4.10.0, sevenn 0.13.0, spglib 2.8.0, symfc 1.8.0, torch
2.13.0+cpu.
Coverage of 90 % intervals (numerics and potential) on formulas that were left out, of all compounds
and by quartile of the stated width, the narrowest first:
- dpa4-neo-0704: 91 % (79, 86, 100, 100), half width 1.88 times the stated error
"""

from __future__ import annotations

from oracle.potentials.calibration import Coverage, Deviations, MeasuredTable

MEASURED: dict[str, MeasuredTable] = {
    "dpa4-neo-0704": MeasuredTable(
        overall=Deviations(
            compounds=55,
            refused=1,
            bias=0.9719,
            spread=0.1835,
            factor=1.138,
            factor_90=1.293,
            numerics=0.0646,
        ),
        families={
            "rocksalt": Deviations(
                compounds=17,
                refused=1,
                bias=0.9618,
                spread=0.1767,
                factor=1.151,
                factor_90=1.593,
                numerics=0.05766,
            ),
            "zincblende": Deviations(
                compounds=19,
                refused=0,
                bias=0.9896,
                spread=0.2299,
                factor=1.157,
                factor_90=1.422,
                numerics=0.05997,
            ),
            "wurtzite": Deviations(
                compounds=19,
                refused=0,
                bias=0.9636,
                spread=0.1292,
                factor=1.109,
                factor_90=1.26,
                numerics=0.07422,
            ),
        },
        multiplier_90=1.885,
        coverage=Coverage(
            share=0.9091,
            quartiles=(0.7857, 0.8571, 1, 1),
        ),
        settings="defaults",
    ),
}
