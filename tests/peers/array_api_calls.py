"""Functions that others wrote for the Array API standard, called with tensors in a process apart.

SciPy looks at `SCIPY_ARRAY_API` when it is imported, so `test_array_api.py` runs this file. It
prints, for each call, how far value and gradient are from NumPy's value and finite differences.
"""

import importlib.util
import json

import numpy as np
from scipy import constants, fft, integrate, optimize, signal, special, stats
from scipy.spatial.transform import Rotation

import headgate as hg

X = np.random.default_rng(0).uniform(0.5, 2.0, (3, 7))

CALLS = {
    "scipy.special.softmax": lambda x: special.softmax(x, axis=1),
    "scipy.special.gammaln": special.gammaln,
    "scipy.special.rel_entr": lambda x: special.rel_entr(x, x + 1),
    "scipy.stats.skew": lambda x: stats.skew(x, axis=1),
    "scipy.stats.kurtosis": lambda x: stats.kurtosis(x, axis=1),
    "scipy.stats.gmean": lambda x: stats.gmean(x, axis=1),
    "scipy.stats.entropy": lambda x: stats.entropy(x, axis=1),
    "scipy.stats.circmean": lambda x: stats.circmean(x, axis=1),
    "scipy.stats.describe": lambda x: stats.describe(x, axis=1).variance,
    "scipy.stats.ttest_1samp": lambda x: stats.ttest_1samp(x, 0.0, axis=1).statistic,
    "scipy.stats.directional_stats": lambda x: stats.directional_stats(x).mean_direction,
    "scipy.integrate.trapezoid": lambda x: integrate.trapezoid(x, axis=1),
    "scipy.integrate.cumulative_trapezoid": lambda x: integrate.cumulative_trapezoid(x, axis=1),
    "scipy.fft.fft": lambda x: fft.fft(x, axis=1),
    "scipy.fft.rfft": lambda x: fft.rfft(x, axis=1),
    "scipy.signal.fftconvolve": lambda x: signal.fftconvolve(x, x),
    "scipy.optimize.rosen": lambda x: optimize.rosen(x[0, :]),
    "scipy.constants.convert_temperature": lambda x: constants.convert_temperature(x, "C", "F"),
    "scipy.spatial Rotation": lambda x: Rotation.from_quat(x[:, :4]).apply(x[:, 4:]),
}

if importlib.util.find_spec("sklearn") is not None:
    from sklearn import config_context, metrics
    from sklearn.metrics import pairwise

    def dispatched(function):
        def call(x):
            with config_context(array_api_dispatch=True):
                return function(x)

        return call

    CALLS["sklearn euclidean_distances"] = dispatched(
        lambda x: pairwise.euclidean_distances(x, x**2 + 1)
    )
    CALLS["sklearn polynomial_kernel"] = dispatched(pairwise.polynomial_kernel)
    CALLS["sklearn linear_kernel"] = dispatched(pairwise.linear_kernel)
    CALLS["sklearn mean_squared_error"] = dispatched(
        lambda x: metrics.mean_squared_error(x, x**2, multioutput="raw_values")
    )

if importlib.util.find_spec("einops") is not None:
    from einops import array_api as einops

    CALLS["einops.rearrange"] = lambda x: einops.rearrange(x, "a (b c) -> c (a b)", c=7)
    CALLS["einops.reduce"] = lambda x: einops.reduce(x, "a b -> a", "mean")
    CALLS["einops.repeat"] = lambda x: einops.repeat(x, "a b -> (a n) b", n=2)


def weighed(y):
    """Return a fixed weighting of a result, in its own library."""
    weights = np.cos(np.arange(y.size)).reshape(y.shape)
    home = hg if isinstance(y, hg.Tensor) else np
    return home.sum(home.real(y * weights))


def differences(call):
    """Return how far value and gradient are from NumPy's."""
    x = hg.asarray(X)
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
        loss = weighed(y)
    expected = np.asarray(call(X))
    value = np.max(np.abs(np.asarray(y) - expected) / (1 + np.abs(expected)))
    along, step = np.sin(1 + np.arange(X.size)).reshape(X.shape), 1e-6
    right = (weighed(call(X + step * along)) - weighed(call(X - step * along))) / (2 * step)
    found = np.sum(tape.gradient(loss, x).numpy() * along)
    return float(value), float(abs(found - right) / (1 + abs(right)))


if __name__ == "__main__":
    for name, call in CALLS.items():
        try:
            print(json.dumps([name, *differences(call)]))
        except Exception as error:
            print(json.dumps([name, f"{type(error).__name__}: {error}"]))
