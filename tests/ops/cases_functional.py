"""Cases of `headgate.ops.functional`: softmax and its relatives, cross entropies, normalization."""

import numpy as np

from headgate.testing import OpCase, integers, positive, real


def logsumexp(x, axis=None, keepdims=False):
    axis = tuple(axis) if isinstance(axis, list) else axis
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def softmax(x, axis=-1):
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


def log_softmax(x, axis=-1):
    return np.log(softmax(x, axis))


def cross_entropy(logits, labels, axis=-1):
    return -np.sum(labels * log_softmax(logits, axis), axis=axis).astype(logits.dtype)


def sparse_cross_entropy(logits, labels):
    return -np.take_along_axis(log_softmax(logits), labels[..., None], axis=-1)[..., 0]


def l2_normalize(x, axis=None, epsilon=1e-12):
    return x / np.sqrt(np.maximum(np.sum(np.abs(x) ** 2, axis=axis, keepdims=True), epsilon))


def standardize(x, axis=-1, epsilon=0.0):
    mean, variance = (f(x, axis=axis, keepdims=True) for f in (np.mean, np.var))
    return (x - mean) / np.sqrt(variance + x.dtype.type(epsilon)), mean, variance


def lstm_gates(x):
    sigmoid = 1 / (1 + np.exp(-x))
    third = np.arange(x.shape[-1]) // (x.shape[-1] // 4) == 2
    return np.where(third, np.tanh(x), sigmoid)


def lstm_state(gates, memory):
    write, keep, candidate, read = np.split(gates, 4, axis=-1)
    memory = keep * memory + write * candidate
    return read * np.tanh(memory), memory


CASES = [
    OpCase(
        "logsumexp",
        [real(2, 3, 4)],
        reference=logsumexp,
        dtypes="fF",
        bad=[([real(2, 3)], {"axis": 2}, IndexError, "axis 2 is out of bounds")],
    ),
    OpCase("logsumexp", [real(2, 3, 4)], {"axis": 1}, logsumexp, "fF"),
    OpCase("logsumexp", [real(2, 3, 4)], {"axis": (0, -1), "keepdims": True}, logsumexp),
    OpCase("logsumexp", [real(2, 3, 4)], {"axis": [0, 1]}, logsumexp),
    OpCase("logsumexp", [real()], reference=logsumexp),
    OpCase("logsumexp", [real(0, 3)], {"axis": 1}, logsumexp),
    *(
        OpCase(name, [real(2, 3, 4)], {"axis": axis}, reference, "fF")
        for name, reference in (("softmax", softmax), ("log_softmax", log_softmax))
        for axis in (-1, 0, (1, 2))
    ),
    OpCase(
        "softmax",
        [real(0, 3)],
        reference=softmax,
        bad=[([real(2, 3)], {"axis": 2}, IndexError, "axis 2 is out of bounds")],
    ),
    OpCase("log_softmax", [real(0, 3)], reference=log_softmax),
    OpCase(
        "softmax_cross_entropy",
        [real(5, 3), positive(5, 3)],
        reference=cross_entropy,
        dtypes="fF",
        bad=[
            (
                [real(5, 3), integers(5)],
                {},
                ValueError,
                "use headgate.sparse_softmax_cross_entropy",
            ),
        ],
    ),
    OpCase("softmax_cross_entropy", [real(5, 3, 2), positive(5, 3, 2)], {"axis": 1}, cross_entropy),
    OpCase("softmax_cross_entropy", [real(5, 3), integers(5, 3, high=2)], {}, cross_entropy, "fF"),
    OpCase("softmax_cross_entropy", [real(0, 3), positive(0, 3)], reference=cross_entropy),
    OpCase("cross_entropy_of_logits", [real(3, 3), np.eye(3, dtype=int)], {}, cross_entropy, "fF"),
    OpCase(
        "sparse_softmax_cross_entropy",
        [real(5, 3), integers(5, high=3)],
        reference=sparse_cross_entropy,
        dtypes="fF",
        bad=[
            ([real(2, 3), np.array([0, 3])], {}, ValueError, "must be from 0 to 2.* from 0 to 3"),
            ([real(2, 3), np.array([0, -1])], {}, ValueError, "must be from 0 to 2.* from -1 to 0"),
            ([real(2, 3), np.array([0, 1, 1])], {}, ValueError, r"must have the shape .* \(2,\)"),
            ([real(2, 3), real(2)], {}, TypeError, "integer dtype.*use headgate.softmax_cross"),
        ],
    ),
    OpCase(
        "sparse_softmax_cross_entropy",
        [real(2, 4, 3), integers(2, 4, high=3)],
        reference=sparse_cross_entropy,
    ),
    OpCase("sparse_softmax_cross_entropy", [real(3), np.array(2)], reference=sparse_cross_entropy),
    OpCase(
        "sparse_softmax_cross_entropy",
        [real(0, 3), integers(0, high=3)],
        reference=sparse_cross_entropy,
    ),
    OpCase("l2_normalize", [real(3, 4)], reference=l2_normalize, dtypes="fFc"),
    OpCase("l2_normalize", [real(3, 4)], {"axis": -1}, l2_normalize, "fFc"),
    OpCase("l2_normalize", [real(3, 4)], {"axis": (0, 1), "epsilon": 1e3}, l2_normalize),
    OpCase(
        "standardize",
        [real(5, 3)],
        reference=standardize,
        dtypes="fF",
        bad=[([real(2, 3)], {"axis": 2}, ValueError, "axis 2 is out of bounds")],
    ),
    *(
        OpCase("standardize", [real(4, 3, 5)], {"axis": axis, "epsilon": 1e-3}, standardize, "fF")
        for axis in (0, (0, 1), (0, 2), (1, -1), (0, 1, 2))
    ),
    OpCase(
        "lstm_gates",
        [real(5, 12)],
        reference=lstm_gates,
        dtypes="fF",
        bad=[([real(5, 6)], {}, ValueError, "6 cannot be divided by four")],
    ),
    OpCase("lstm_gates", [real(0, 4)], reference=lstm_gates),
    OpCase(
        "lstm_state",
        [real(5, 12), real(5, 3)],
        reference=lstm_state,
        dtypes="fF",
        bad=[([real(5, 12), real(5, 4)], {}, ValueError, "four times as many")],
    ),
]
