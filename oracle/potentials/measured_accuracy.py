"""Deviations of each potential's kappa from DFT at 300 K, measured by this project.

Generated; never edit it by hand. To regenerate it, measure each potential with
`python benchmarks/phonondb.py DATA --calculator NAME --against dft --all --default --rows ROWS`,
then run `python benchmarks/accuracy_table.py ROWS ...`.

Reference: PhononDB-PBE (A. Togo), with the non-analytic term, on the mesh of its table.
Settings: defaults.
Measured 2026-11-30 with version 13 of the oracle and ase 3.29.0, chgnet 0.4.2, deepmd-kit 3.2.0,
matscipy 1.3.1, phono3py 4.10.0, phonopy 4.10.0, sevenn 0.13.0, spglib 2.8.0, symfc 1.8.0, torch
2.13.0+cpu.
Coverage of 90 % intervals (numerics and potential) on formulas that were left out, of all compounds
and by quartile of the stated width, the narrowest first:
- dpa4-neo-0704: 91 % (71, 93, 100, 100), half width 1.67 times the stated error
"""

from __future__ import annotations

from oracle.potentials.calibration import Coverage, Deviations, MeasuredTable

MEASURED: dict[str, MeasuredTable] = {
    "dpa4-neo-0704": MeasuredTable(
        overall=Deviations(
            compounds=55,
            refused=1,
            bias=0.9625,
            spread=0.2036,
            factor=1.149,
            factor_90=1.35,
            numerics=0.07176,
        ),
        families={
            "rocksalt": Deviations(
                compounds=17,
                refused=1,
                bias=0.9502,
                spread=0.1632,
                factor=1.142,
                factor_90=1.556,
                numerics=0.06474,
            ),
            "zincblende": Deviations(
                compounds=19,
                refused=0,
                bias=0.963,
                spread=0.2632,
                factor=1.171,
                factor_90=1.44,
                numerics=0.07047,
            ),
            "wurtzite": Deviations(
                compounds=19,
                refused=0,
                bias=0.9732,
                spread=0.164,
                factor=1.135,
                factor_90=1.344,
                numerics=0.07869,
            ),
        },
        multiplier_90=1.671,
        coverage=Coverage(
            share=0.9091,
            quartiles=(0.7143, 0.9286, 1, 1),
        ),
        settings="defaults",
    ),
}
