"""Cases of the rows in `headgate.ops.numeric`."""

import numpy as np

from headgate.testing import OpCase, complexes, real

CASES = [
    OpCase(
        "convolve_whole",
        [real(4), real(3)],
        reference=np.convolve,
        dtypes="fFc",
        bad=[([real(2, 2), real(2)], {}, ValueError, "arrays of one axis")],
    ),
    OpCase("convolve_whole", [real(2), complexes(5)], reference=np.convolve),
]
