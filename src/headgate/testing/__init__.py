"""What tests of gradients use.

`check_gradient` (`gradients`) compares a gradient with finite differences; `assert_flow`,
`assert_no_flow` and `flow_matrix` (`flow`) say where gradient must arrive and where not; `OpCase`
(`cases`) and the makers of its arguments describe one call of an op.
"""

from headgate.testing.cases import (
    DTYPES,
    Maker,
    OpCase,
    booleans,
    complexes,
    distinct,
    integers,
    positive,
    real,
    spd,
    unit,
)
from headgate.testing.flow import assert_flow, assert_no_flow, flow_matrix
from headgate.testing.gradients import check_gradient

__all__ = [
    "DTYPES",
    "Maker",
    "OpCase",
    "assert_flow",
    "assert_no_flow",
    "booleans",
    "check_gradient",
    "complexes",
    "distinct",
    "flow_matrix",
    "integers",
    "positive",
    "real",
    "spd",
    "unit",
]
