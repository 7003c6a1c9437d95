"""One set of tests, two implementations: `headgate.tf` and TensorFlow itself.

Every test takes the fixture `tf`, a module. Headgate is always tested; where TensorFlow is
installed the same tests run against it too, marked `tensorflow`, so that what we call its
semantics is proven and not remembered. `HEADGATE_TF=tensorflow` (or `headgate`) runs only one of
the two.

Where Headgate differs on purpose, a test asks `deviation(tensorflow=..., headgate=...)` for what
to expect and its docstring says why; docs/tf_deviations.md lists them all. Exceptions whose
*type* differs, and nothing else, are in the table ERRORS.
"""

import importlib
import importlib.util
import os
import threading

import numpy as np
import pytest

MODULES = {"headgate": "headgate.tf", "tensorflow": "tensorflow"}

# What is wrong: TensorFlow's exception (a name in tf.errors when it is not a builtin), Headgate's
# exception.
ERRORS = {
    "watch before entering": (AttributeError, RuntimeError),
    "not differentiable object": (AttributeError, TypeError),
    "list as jacobian target": (AttributeError, TypeError),
    "incompatible shapes": ("InvalidArgumentError", ValueError),
    "incompatible dtypes": ("InvalidArgumentError", ValueError),
    "ragged list": ("InvalidArgumentError", ValueError),
    "index out of range": ("InvalidArgumentError", IndexError),
    "whole numbers divided by zero": ("InvalidArgumentError", ZeroDivisionError),
}


def implementations():
    chosen = os.environ.get("HEADGATE_TF")
    found = [name for name in MODULES if name == "headgate" or importlib.util.find_spec(name)]
    marks = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]
    return [
        pytest.param(name, id=name, marks=marks if name == "tensorflow" else [])
        for name in ([chosen] if chosen else found)
    ]


@pytest.fixture(scope="session", params=implementations())
def implementation(request):
    return request.param


@pytest.fixture(scope="session")
def tf(implementation):
    return importlib.import_module(MODULES[implementation])


@pytest.fixture(scope="session")
def deviation(implementation):
    """Return what to expect of this implementation; the test's docstring gives the reason."""
    return lambda *, tensorflow, headgate: {"tensorflow": tensorflow, "headgate": headgate}[
        implementation
    ]


@pytest.fixture(scope="session")
def error(tf, implementation):
    """Look up the exception type of the implementation under test."""

    def look_up(name):
        theirs, ours = ERRORS[name]
        if implementation == "headgate":
            return ours
        return getattr(tf.errors, theirs) if isinstance(theirs, str) else theirs

    return look_up


@pytest.fixture(scope="session")
def near():
    """Compare a tensor with the numbers it should hold: shape exactly, values to six digits."""

    def compare(actual, expected, rtol=1e-5, atol=1e-6):
        assert actual is not None, f"no gradient, expected {expected}"
        actual, expected = actual.numpy(), np.asarray(expected)
        assert np.shape(actual) == expected.shape
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)

    return compare


@pytest.fixture(scope="session")
def in_thread():
    """Run a function in another thread and return its result."""

    def run(function):
        results = []
        thread = threading.Thread(target=lambda: results.append(function()))
        thread.start()
        thread.join()
        assert results, "the thread raised"
        return results[0]

    return run
