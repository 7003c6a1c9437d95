"""Functions of matrices."""

import numpy as np
import pytest

from headgate import linalg
from headgate.testing import check_gradient, spd
from ops.matrices import made


@pytest.mark.parametrize("letter", "fc")
@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 3, 5, 8])
def test_matrix_power(n, letter):
    x = made(spd(2, 3), letter) / 3
    np.testing.assert_allclose(
        linalg.matrix_power(x, n).value, np.linalg.matrix_power(x, n), rtol=1e-10
    )
    if n:
        check_gradient(lambda x: linalg.matrix_power(x, n), x)
