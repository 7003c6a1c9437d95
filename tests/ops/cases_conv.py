"""Cases of `headgate.ops.conv`: convolutions and pooling, against loops over the windows."""

import itertools
from functools import partial

import numpy as np

from headgate.ops.windows import Plan, Window
from headgate.testing import OpCase, distinct, integers, real


def per_axis(value, axes):
    return (value,) * axes if isinstance(value, int) else tuple(value)


def pads(padding, lengths, spans, strides):
    """Return the padding of each axis as TensorFlow defines it."""
    if padding in ("VALID", "valid"):
        return [(0, 0)] * len(lengths)
    if padding not in ("SAME", "same"):
        return list(padding)
    totals = [
        max((int(np.ceil(length / stride)) - 1) * stride + span - length, 0)
        for length, span, stride in zip(lengths, spans, strides)
    ]
    return [(total // 2, total - total // 2) for total in totals]


def channels_last(function):
    """Let a function of channels-last arrays take and give the layout that it is called with."""

    def call(x, *arrays, layout=None, **options):
        if layout is None or layout.endswith("C"):
            return function(x, *arrays, **options)
        return np.moveaxis(function(np.moveaxis(x, 1, -1), *arrays, **options), -1, 1)

    return call


def windows(shape, size, stride, padding, dilation):
    """Yield each window's position and its slices of the padded space; first of all, the pads."""
    axes = len(shape)
    strides, steps = per_axis(stride, axes), per_axis(dilation, axes)
    spans = [(n - 1) * step + 1 for n, step in zip(size, steps)]
    edges = pads(padding, shape, spans, strides)
    counts = [
        (length + sum(edge) - span) // stride + 1
        for length, edge, span, stride in zip(shape, edges, spans, strides)
    ]
    slices = [
        (
            position,
            tuple(
                slice(p * stride, p * stride + span, step)
                for p, stride, span, step in zip(position, strides, spans, steps)
            ),
        )
        for position in itertools.product(*map(range, counts))
    ]
    return edges, counts, slices


@channels_last
def convolved(x, w, stride=1, padding="VALID", dilation=1, groups=1):
    axes, depth, filters = x.ndim - 2, w.shape[-2], w.shape[-1] // groups
    edges, counts, slices = windows(x.shape[1:-1], w.shape[:-2], stride, padding, dilation)
    padded = np.pad(x, [(0, 0), *edges, (0, 0)])
    y = np.zeros((len(x), *counts, w.shape[-1]), np.result_type(x, w))
    for position, window in slices:
        for group in range(groups):
            seen = padded[(slice(None), *window, slice(group * depth, (group + 1) * depth))]
            chosen = slice(group * filters, (group + 1) * filters)
            y[(slice(None), *position, chosen)] = np.tensordot(seen, w[..., chosen], axes + 1)
    return y


def transposed(space):
    """Return a function that convolves the other way, to a result with this space."""

    @channels_last
    def call(y, w, stride=1, padding="VALID", dilation=1, groups=1, **_):
        depth, filters = w.shape[-2], w.shape[-1] // groups
        edges, counts, slices = windows(space, w.shape[:-2], stride, padding, dilation)
        assert y.shape[1:-1] == tuple(counts)
        lengths = [low + length + high for (low, high), length in zip(edges, space)]
        x = np.zeros((len(y), *lengths, depth * groups), np.result_type(y, w))
        for position, window in slices:
            for group in range(groups):
                chosen = slice(group * filters, (group + 1) * filters)
                sent = np.tensordot(
                    y[(slice(None), *position, chosen)], w[..., chosen], ([1], [-1])
                )
                x[(slice(None), *window, slice(group * depth, (group + 1) * depth))] += sent
        inner = [slice(low, low + length) for (low, _), length in zip(edges, space)]
        return x[(slice(None), *inner)]

    return call


def pooled(summary):
    """Return a function that summarises each window, padding left out."""

    @channels_last
    def call(x, size, stride=None, padding="VALID"):
        axes = x.ndim - 2
        sizes = per_axis(size, axes)
        stride = sizes if stride is None else stride
        edges, counts, slices = windows(x.shape[1:-1], sizes, stride, padding, 1)
        padded = np.pad(x, [(0, 0), *edges, (0, 0)])
        real = np.pad(np.ones(x.shape[1:-1], bool), edges)
        y = np.zeros((len(x), *counts, x.shape[-1]), x.dtype)
        for position, window in slices:
            y[(slice(None), *position)] = summary(
                padded[(slice(None), *window)][:, real[window]], 1
            )
        return y

    return call


def conv(x, w, dtypes="f", bad=(), **options):
    return OpCase("conv", [real(*x), real(*w)], options, convolved, dtypes, bad=bad)


def conv_transpose(x, w, space, dtypes="f", bad=(), **options):
    arrays = [real(*x), real(*w)]
    return OpCase("conv_transpose", arrays, options, transposed(space), dtypes, bad=bad)


def max_pool(x, size, dtypes="f", bad=(), **options):
    options = {"size": size, **options}
    return OpCase("max_pool", [distinct(*x)], options, pooled(np.max), dtypes, bad=bad)


def avg_pool(x, size, dtypes="f", bad=(), **options):
    options = {"size": size, **options}
    return OpCase("avg_pool", [real(*x)], options, pooled(np.mean), dtypes, bad=bad)


def refused(arrays, pattern, **options):
    return [real(*shape) for shape in arrays], options, ValueError, pattern


IMAGES, WEIGHTS = (2, 6, 5, 4), (3, 2, 4, 2)

BAD_CONV = [
    refused([(6, 5), WEIGHTS], r"one to three axes of space.*\(6, 5\).*expand_dims"),
    refused([IMAGES, (3, 4, 2)], r"must have 4 axes.*\(3, 4, 2\)"),
    refused([IMAGES, (3, 2, 3, 2)], r"take 3 channels.*\(2, 6, 5, 4\) has 4.*layout="),
    refused([IMAGES, WEIGHTS], r"'NHWC' or 'NCHW', got 'NWC'", layout="NWC"),
    refused([IMAGES, WEIGHTS], r"take 4 channels.*has 6, on axis 1", layout="NCHW"),
    refused([IMAGES, WEIGHTS], r"groups=3", groups=3),
    refused([IMAGES, WEIGHTS], r"groups=0", groups=0),
    refused([IMAGES, WEIGHTS], r"groups=-1", groups=-1),
    refused([IMAGES, WEIGHTS], r"stride=0", stride=0),
    refused([IMAGES, WEIGHTS], r"stride=-2", stride=-2),
    refused([IMAGES, WEIGHTS], r"stride=\(1, 1, 1\)", stride=(1, 1, 1)),
    refused([IMAGES, WEIGHTS], r"stride=\(2, 1, 1, 2\)", stride=(2, 1, 1, 2)),
    refused([IMAGES, WEIGHTS], r"stride=1\.5", stride=1.5),
    refused([IMAGES, WEIGHTS], r"dilation=0", dilation=0),
    refused([IMAGES, WEIGHTS], r"dilation=\(1, -1\)", dilation=(1, -1)),
    refused([IMAGES, WEIGHTS], r"'SAME', 'VALID'.*padding='FULL'", padding="FULL"),
    refused([IMAGES, WEIGHTS], r"padding=\(\(1, 1\),\)", padding=[(1, 1)]),
    refused([IMAGES, WEIGHTS], r"zero or more.*padding", padding=[(1, 1), (-1, 0)]),
    refused([IMAGES, WEIGHTS], r"padding=1", padding=1),
    refused([IMAGES, (7, 2, 4, 2)], r"size 7.*larger than axis 1.*\(2, 6, 5, 4\).*'SAME'"),
    refused([IMAGES, WEIGHTS], r"dilation 5 is larger than axis 2", dilation=(1, 5)),
    refused([IMAGES, (0, 2, 4, 2)], r"size must be an integer of at least 1.*size=\(0, 2\)"),
]

BAD_TRANSPOSE = [
    refused([(2, 3, 3, 2), (3, 3, 4, 5)], r"take 5 channels.*\(2, 3, 3, 2\) has 2"),
    refused([(2, 3, 3, 2), WEIGHTS], r"output_shape=\(9, 3\)", output_shape=(9, 3)),
    refused([(2, 3, 3, 2), WEIGHTS], r"output_shape=\(5, 4, 1\)", output_shape=(5, 4, 1)),
    refused([(2, 3, 3, 2), WEIGHTS], r"output_shape", output_shape=(2, 5, 4, 3)),
    refused([(2, 3, 3, 2), WEIGHTS], r"output_padding=\(1, 0\)", output_padding=(1, 0)),
    refused([(2, 3, 3, 2), WEIGHTS], r"output_padding=-1", output_padding=-1),
    refused([(2, 3, 3, 2), WEIGHTS], r"stride=-1", stride=-1),
    refused([(2, 1, 1, 2), WEIGHTS], r"cannot give", padding=[(1, 1), (1, 1)]),
]

BAD_POOL = [
    refused([(2, 3)], r"one to three axes of space", size=2),
    refused([(2, 3, 4)], r"size=0", size=0),
    refused([(2, 3, 4)], r"stride=0", size=2, stride=0),
    refused([(2, 3, 4)], r"size 4.*larger than axis 1", size=4),
    refused([(2, 3, 4)], r"pad by less than the size", size=2, padding=[(2, 0)]),
    refused([(2, 3, 4)], r"'NWC' or 'NCW'", size=2, layout="NHWC"),
]

# The windows of the rows that the functions above come down to, here along an axis of length 7.
WINDOW = Window(length=7, size=3, stride=2, dilation=1, pad=(1, 1), number=4)
PLAN = Plan((WINDOW._replace(dilation=2, pad=(1, 2), number=3),), 2, 2)
GRADIENT = {"stride": 2, "dilation": 2, "padding": [(1, 2)], "groups": 2}
ALONG = {"axis": 1, "window": WINDOW}
X = distinct(2, 7, 3)(np.random.default_rng(0), "f")
TOP = pooled(np.max)(X, 3, 2, [(1, 1)])


def planned(function):
    return lambda *arrays, plan: function(*arrays, **GRADIENT)


def weights_of(x, y, plan):
    """Return what each weight of a convolution is multiplied by in sum(y * convolution)."""
    shape = (3, x.shape[2] // 2, y.shape[2])
    found = np.zeros(shape, np.result_type(x, y))
    for index in np.ndindex(shape):
        w = np.zeros(shape)
        w[index] = 1
        found[index] = np.sum(convolved(x, w, **GRADIENT) * y)
    return found


def along(function):
    return lambda *arrays, axis, window: function(*arrays)


def firsts():
    """Yield each window's position (batch, window, channel) and that of its maximum in X."""
    for batch, position, channel in np.ndindex(TOP.shape):
        places = [p for p in range(2 * position - 1, 2 * position + 2) if 0 <= p < 7]
        best = max(places, key=lambda p: X[batch, p, channel])
        yield (batch, position, channel), (batch, best, channel)


def spread(y, x, top):
    given = np.zeros(x.shape)
    for window, place in firsts():
        given[place] += y[window]
    return given


def picked(y, x, top):
    return np.array([y[place] for _, place in firsts()]).reshape(top.shape)


def shared(y):
    mean = pooled(np.mean)
    units = np.eye(7)[None, :, :, None]
    matrix = np.stack([mean(unit, 3, 2, [(1, 1)])[0, :, 0] for unit in units.transpose(2, 0, 1, 3)])
    return np.einsum("po,noc->npc", matrix, y)


CASES = [
    # one axis of space
    conv((2, 7, 3), (3, 3, 4), "fFc", BAD_CONV),
    conv((2, 7, 3), (3, 3, 4), "fFc", padding="SAME", stride=2),
    conv((2, 8, 3), (4, 3, 2), padding="SAME", dilation=2),
    conv((2, 3, 9), (2, 3, 4), layout="NCW", padding=[(2, 1)], stride=3),
    conv((1, 9, 12), (1, 12, 2)),
    conv((1, 5, 1), (1, 1, 1), stride=3, padding=[(2, 1)]),
    # two
    conv(IMAGES, WEIGHTS, "fFc"),
    conv(IMAGES, WEIGHTS, "fFc", padding="SAME", stride=(2, 3)),
    conv(IMAGES, WEIGHTS, padding="same", layout="NHWC"),
    conv((2, 4, 6, 5), WEIGHTS, "fFc", padding="SAME", layout="NCHW"),
    conv((2, 4, 6, 5), WEIGHTS, layout="NCHW", stride=2, padding=[(1, 0), (2, 3)]),
    conv(IMAGES, WEIGHTS, dilation=(2, 1), padding="SAME"),
    conv(IMAGES, WEIGHTS, dilation=2, stride=2, padding="SAME"),
    conv(IMAGES, (3, 2, 2, 6), "fFc", groups=2),
    conv((2, 4, 6, 5), (2, 2, 2, 6), groups=2, stride=2, padding="SAME", layout="NCHW"),
    conv(IMAGES, (3, 3, 1, 8), groups=4, padding="SAME"),
    conv((2, 9, 8, 12), (2, 3, 12, 3), stride=3, dilation=2),
    conv(IMAGES, (1, 1, 4, 3), stride=2),
    conv((0, 6, 5, 4), WEIGHTS, padding="SAME"),
    # three
    conv((2, 4, 3, 5, 2), (2, 2, 3, 2, 3), stride=(1, 2, 2), padding="SAME"),
    conv((2, 2, 4, 3, 5), (2, 1, 2, 2, 3), layout="NCDHW", dilation=(2, 1, 1)),
    # the transposes
    conv_transpose((2, 4, 3), (3, 2, 3), (6,), "fFc", BAD_TRANSPOSE),
    conv_transpose((2, 4, 3), (3, 2, 3), (8,), "fFc", stride=2, padding="SAME"),
    conv_transpose((2, 3, 4), (2, 2, 3), (12,), stride=3, layout="NCW"),
    conv_transpose((2, 4, 3), (3, 2, 3), (9,), stride=2),
    conv_transpose((2, 4, 3), (3, 2, 3), (10,), stride=2, output_padding=1),
    conv_transpose((2, 4, 3), (3, 2, 3), (7,), stride=2, padding="SAME", output_padding=0),
    conv_transpose((2, 4, 3), (3, 2, 3), (7,), stride=2, padding=[(1, 1)]),
    conv_transpose((2, 4, 3), (3, 2, 3), (8,), stride=2, padding=[(1, 1)], output_shape=(8,)),
    conv_transpose((2, 3, 2, 3), (3, 2, 4, 3), (6, 6), "fFc", stride=(2, 3), padding="SAME"),
    conv_transpose((2, 3, 2, 3), (3, 2, 4, 3), (5, 3), dilation=(1, 1)),
    conv_transpose((2, 3, 2, 3), (3, 2, 4, 3), (7, 4), dilation=2),
    conv_transpose(
        (2, 3, 3, 2),
        (3, 2, 4, 3),
        (5, 4),
        stride=2,
        padding="SAME",
        layout="NCHW",
        output_shape=(2, 4, 5, 4),
    ),
    conv_transpose((2, 3, 2, 4), (2, 3, 3, 4), (4, 4), groups=2, padding=[(0, 0), (0, 0)]),
    conv_transpose((2, 2, 2, 2, 3), (2, 2, 2, 2, 3), (4, 4, 4), stride=2, padding="SAME"),
    # pooling
    max_pool((2, 6, 3), 2, "fF", BAD_POOL),
    max_pool((2, 7, 3), 3, stride=2, padding="SAME"),
    max_pool((2, 3, 7), 2, layout="NCW"),
    max_pool((2, 6, 4, 3), 2, "fF"),
    max_pool((2, 7, 5, 2), 2),
    max_pool((2, 7, 5, 2), (3, 2), stride=(2, 1), padding="SAME"),
    max_pool((2, 2, 7, 5), 3, stride=2, padding=[(1, 1), (0, 2)], layout="NCHW"),
    max_pool((2, 5, 5, 2), 2, stride=3),
    max_pool((2, 4, 4, 4, 1), 2),
    max_pool((0, 4, 4, 2), 2),
    OpCase(
        "max_pool", [integers(2, 5, 3)], {"size": 2, "padding": "SAME"}, pooled(np.max), order=0
    ),
    avg_pool((2, 6, 3), 2, "fFc", BAD_POOL),
    avg_pool((2, 7, 3), 3, "fFc", stride=2, padding="SAME"),
    avg_pool((2, 3, 7), 2, layout="NCW"),
    avg_pool((2, 7, 5, 2), (3, 2), stride=(2, 1), padding="SAME"),
    avg_pool((2, 2, 7, 5), 3, stride=2, padding=[(1, 1), (0, 2)], layout="NCHW"),
    avg_pool((2, 4, 4, 4, 1), (1, 2, 4)),
    # the rows themselves
    OpCase(
        "convolution", [real(2, 7, 4), real(3, 2, 6)], {"plan": PLAN}, planned(convolved), "fFc"
    ),
    OpCase(
        "transposed_convolution",
        [real(2, 3, 6), real(3, 2, 6)],
        {"plan": PLAN},
        planned(transposed((7,))),
        "fFc",
    ),
    OpCase(
        "convolution_weights", [real(2, 7, 4), real(2, 3, 6)], {"plan": PLAN}, weights_of, "fFc"
    ),
    OpCase(
        "window_max",
        [distinct(2, 7, 3)],
        ALONG,
        along(partial(pooled(np.max), size=3, stride=2, padding=[(1, 1)])),
    ),
    OpCase("window_max_spread", [real(2, 4, 3), X, TOP], ALONG, along(spread), wrt=[0]),
    OpCase("window_max_pick", [real(2, 7, 3), X, TOP], ALONG, along(picked), wrt=[0]),
    OpCase(
        "window_mean",
        [real(2, 7, 3)],
        ALONG,
        along(partial(pooled(np.mean), size=3, stride=2, padding=[(1, 1)])),
    ),
    OpCase("window_mean_spread", [real(2, 4, 3)], ALONG, along(shared)),
]
