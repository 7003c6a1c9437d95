"""Cases of the Fourier transforms in `headgate.ops.fft`."""

import numpy as np

from headgate.testing import OpCase, complexes, real

EMPTY = ([real(0)], {}, ValueError, "at least one point")
NORM = ([real(3)], {"norm": "none"}, ValueError, "norm must be 'backward'")


def by_numpy(name):
    def transform(x, s=None, axes=None, norm="backward"):
        if s is not None and axes is None:
            axes = tuple(range(-len(s), 0))
        return getattr(np.fft, name)(x, s, axes, norm)

    return transform


CASES = [
    *(
        OpCase(name, [real(3, 4)], statics, by_numpy(name), letters, bad=bad)
        for name in ("fftn", "ifftn")
        for statics, letters, bad in (
            ({}, "fFc", [EMPTY, NORM]),
            ({"s": (5,), "axes": (0,), "norm": "ortho"}, "fc", ()),
            ({"s": (3,), "norm": "forward"}, "c", ()),
        )
    ),
    OpCase("rfftn", [real(3, 4)], {}, by_numpy("rfftn"), "fF", bad=[EMPTY]),
    OpCase("rfftn", [real(3, 5)], {"s": (2, 7), "norm": "ortho"}, by_numpy("rfftn")),
    OpCase("rfftn", [real(4, 3)], {"s": (3,), "axes": [0], "norm": "forward"}, by_numpy("rfftn")),
    OpCase(
        "irfftn",
        [complexes(3, 3)],
        {},
        by_numpy("irfftn"),
        "fF",
        bad=[([real(2, 1)], {}, ValueError, "at least one point")],
    ),
    OpCase("irfftn", [real(4)], {"s": (5,)}, by_numpy("irfftn"), "c"),
    OpCase("irfftn", [complexes(3, 4)], {"s": (4, 2), "axes": (1, 0)}, by_numpy("irfftn")),
]
