"""Cases of the special functions in `headgate.ops.special`; what is right says SciPy."""

import numpy as np
from scipy import special

from headgate.testing import OpCase, integers, positive, real, unit


def right(name):
    """Return SciPy's function of a name, with results in the dtype of its arguments."""

    def compute(*arrays):
        dtype = np.result_type(*arrays, np.float32)
        return np.asarray(getattr(special, name)(*arrays)).astype(dtype)

    return compute


def of_one(name, maker, letters="fF", named=None):
    return OpCase(name, [maker], reference=right(named or name), dtypes=letters)


def xdivy(x, y):
    return x / y


FRACTION = real(5, low=0.1, high=0.9)

CASES = [
    of_one("gamma_function", real(5, low=-0.9, high=-0.1), named="gamma"),
    of_one("gamma_function", real(4, low=0.5, high=4.0), "f", named="gamma"),
    of_one("gammaln", real(2, 3, low=0.3, high=9.0)),
    of_one("gammaln", real(3, low=-1.8, high=-1.2), "f"),
    of_one("digamma", real(5, low=0.3, high=9.0)),
    OpCase("polygamma", [1, positive(4)], reference=right("polygamma"), dtypes="fF"),
    OpCase("polygamma", [integers(3, 1, high=4), positive(4)], reference=right("polygamma")),
    OpCase("zeta", [3.0, positive(4)], reference=right("zeta"), dtypes="fF"),
    OpCase("zeta", [real(3, 1, low=1.5, high=3.0), positive(4)], reference=right("zeta"), wrt=[1]),
    OpCase("betaln", [positive(3, 1), positive(4)], reference=right("betaln"), dtypes="fF"),
    OpCase("gammainc", [positive(3, 1), positive(4)], {}, right("gammainc"), "fF", wrt=[1]),
    OpCase("gammaincc", [2, positive(4)], {}, right("gammaincc"), "fF"),
    OpCase("betainc", [positive(3, 1), positive(5), FRACTION], {}, right("betainc"), "fF", wrt=[2]),
    of_one("erfc", real(3, 5, low=-3.0, high=6.0)),
    of_one("erfcx", real(5, low=-2.0, high=9.0)),
    of_one("erfinv", unit(5)),
    of_one("erfcinv", FRACTION),
    of_one("ndtr", real(5, low=-6.0, high=3.0)),
    of_one("ndtri", FRACTION),
    of_one("log_ndtr", real(9, low=-40.0, high=4.0)),
    *(of_one(name, real(6, low=-9.0, high=9.0)) for name in ("i0", "i0e", "i1", "i1e")),
    of_one("expi", positive(4)),
    of_one("exp1", positive(4)),
    OpCase("xlogy", [real(3, 1), positive(4)], reference=right("xlogy"), dtypes="fFc"),
    OpCase("xlog1py", [real(3, 1), unit(4)], reference=right("xlog1py"), dtypes="fFc"),
    OpCase("xdivy", [real(3, 1), positive(4)], reference=xdivy, dtypes="fFc"),
    of_one("entr", positive(4)),
    OpCase(
        "logit", [FRACTION], reference=lambda x: np.log(x / (1 - x)).astype(x.dtype), dtypes="fFc"
    ),
    OpCase("sinc", [real(6)], dtypes="fFc"),
    OpCase("sinc", [np.asarray([0.0, 1e-9, 1e-3, -9.9e-3, -1.01e-2, 1.0])]),
]
