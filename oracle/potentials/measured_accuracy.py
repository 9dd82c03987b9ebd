"""Deviations of each potential's kappa from DFT at 300 K, measured by this project.

Generated; never edit it by hand. To regenerate it, measure each potential with
`python benchmarks/phonondb.py DATA --calculator NAME --against dft --all --default --rows ROWS`,
then run `python benchmarks/accuracy_table.py ROWS ...`.

Reference: PhononDB-PBE (A. Togo), with the non-analytic term, on the mesh of its table.
Settings: defaults.
Measured 2026-11-30 with version 15/16 of the oracle and ase 3.29.0, chgnet 0.4.2, deepmd-kit 3.2.0,
matscipy 1.3.1, phono3py 4.10.0, phonopy 4.10.0, sevenn 0.13.0, spglib 2.8.0, symfc 1.8.0, torch
2.13.0+cpu.
Coverage of 90 % intervals (numerics and potential) on formulas that were left out, of all compounds
and by quartile of the stated width, the narrowest first:
- dpa4-neo-0704: 89 % (71, 93, 92, 100), half width 1.84 times the stated error
"""

from __future__ import annotations

from oracle.potentials.calibration import Coverage, Deviations, MeasuredTable

MEASURED: dict[str, MeasuredTable] = {
    "dpa4-neo-0704": MeasuredTable(
        overall=Deviations(
            compounds=55,
            refused=1,
            bias=0.9664,
            spread=0.1975,
            factor=1.151,
            factor_90=1.35,
            numerics=0.07331,
        ),
        families={
            "rocksalt": Deviations(
                compounds=17,
                refused=1,
                bias=0.9592,
                spread=0.1761,
                factor=1.155,
                factor_90=1.582,
                numerics=0.05943,
            ),
            "wurtzite": Deviations(
                compounds=19,
                refused=0,
                bias=0.9732,
                spread=0.164,
                factor=1.135,
                factor_90=1.344,
                numerics=0.08592,
            ),
            "zincblende": Deviations(
                compounds=19,
                refused=0,
                bias=0.9659,
                spread=0.2414,
                factor=1.163,
                factor_90=1.514,
                numerics=0.07083,
            ),
        },
        multiplier_90=1.843,
        coverage=Coverage(
            share=0.8909,
            quartiles=(0.7143, 0.9286, 0.9231, 1),
        ),
        settings="defaults",
    ),
}
