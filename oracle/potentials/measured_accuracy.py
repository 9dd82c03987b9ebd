"""Deviations of each potential's kappa from DFT at 300 K, measured by this project.

Generated; never edit it by hand. To regenerate it, measure each potential with
`python benchmarks/phonondb.py DATA --calculator NAME --against dft --all --default --rows ROWS`,
then run `python benchmarks/accuracy_table.py ROWS ...`.

Reference: PhononDB-PBE (A. Togo), without the non-analytic term, on the mesh of its table.
Settings: none.
Nothing has been measured yet.
Coverage of 90 % intervals (numerics and potential) on formulas that were left out, of all compounds
and by quartile of the stated width, the narrowest first:
- nothing was measured
"""

from __future__ import annotations

from oracle.potentials.calibration import MeasuredTable

MEASURED: dict[str, MeasuredTable] = {}
