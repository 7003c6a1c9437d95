"""The tables of ops: one row each, grouped by what they do. Importing this fills the namespaces.

elementwise, reduce, shape, index, creation, functional, linalg and conv; `rules` has what the rules
of several tables share. The tables appear in the order in which they may use one another; a rule
reaches any row through `xp`.
"""

from headgate.ops import (
    conv,
    creation,
    elementwise,
    functional,
    index,
    linalg,
    reduce,
    shape,
)

__all__ = ["conv", "creation", "elementwise", "functional", "index", "linalg", "reduce", "shape"]
