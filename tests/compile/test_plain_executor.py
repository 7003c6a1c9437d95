"""What compiles is for any executor: the tests of XLA pass with one in plain NumPy.

Tests of functions, control flow, draws and training steps are run again here, as they are, with
functions that are made for `plain_executor`. `LEFT_OUT` names those that speak of XLA or JAX
itself, and says what of. None of this needs JAX.
"""

import ast
import functools
from pathlib import Path

import numpy as np
import plain_executor
import pytest
import test_compiled_random
import test_control
import test_function

import headgate as hg
from headgate.compile import executor
from headgate.compile.function import Function

_TEXT = "XLA's program as text"
_ARRAYS = "JAX's arrays as arguments or in variables"
_JAX = "JAX's own transformations or functions"
_OTHERS = "a parameter is JAX's arrays; run below without it"

LEFT_OUT = {
    test_function: {
        "test_results_are_jaxs_where_an_argument_or_a_variable_is": _ARRAYS,
        "test_variable_written_by_a_call_with_jaxs_arrays": _ARRAYS,
        "test_text_shows_the_program": _TEXT,
        "test_variables_are_written_over_where_nothing_can_fail": _TEXT,
        "test_stopped_branch_adds_nothing_to_the_backward": _TEXT,
        "test_gradient_that_nobody_asks_for_is_not_computed": _TEXT,
        "test_every_update_is_in_the_program": _TEXT,
        "test_old_values_that_somebody_holds_stay": _OTHERS,
        "test_results_that_are_values_of_jaxs_variables_stay": _ARRAYS,
        "test_argument_given_away": _ARRAYS,
        "test_compiled_function_in_jaxs": _JAX,
        "test_gradient_with_jaxs_arrays": _ARRAYS,
    },
    test_control: {
        "test_scan_is_jax_scan": _JAX,
        "test_plain_jax_differentiates_and_maps": _JAX,
        "test_our_tape_inside_plain_jax": _JAX,
        "test_a_condition_that_only_captures_traced_values": _JAX,
        "test_plain_jax_cannot_write_variables": _JAX,
        "test_what_is_stopped_is_not_differentiated": _TEXT,
        "test_effects_happen_once_a_step": _JAX,
    },
    test_compiled_random: {},
}


def needing_no_peers(test):
    """Return a test without the mark that says that it needs JAX."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        return test(*args, **kwargs)

    run.pytestmark = [mark for mark in getattr(test, "pytestmark", ()) if mark.name != "peers"]
    return run


for _module, _left in LEFT_OUT.items():
    for _name, _test in list(vars(_module).items()):
        if _name.startswith("test_") and _name not in _left:
            globals()[_name] = needing_no_peers(_test)

X = np.array([1.0, 2.0, 3.0])
WING = Path(executor.__file__).parent


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Let functions be made for the plain executor; return what it is asked."""
    monkeypatch.setitem(executor.EXECUTORS, "plain", "plain_executor")
    plain_executor.asked.clear()
    with executor.prefer("plain"):
        for kind in (test_function.Counter, test_function.Doubling):  # compiled methods
            for made in vars(kind).values():
                if isinstance(made, Function):
                    donate, static, jit, _, *others = made._settings
                    settings = donate, static, jit, executor.preferred(), *others
                    monkeypatch.setattr(made, "_settings", settings)
        yield plain_executor.asked


@pytest.fixture
def jax():
    """Stand for what the tests of control flow ask for, to be skipped without."""


@pytest.mark.parametrize("module", LEFT_OUT)
def test_what_is_left_out_is_there(module):
    assert LEFT_OUT[module].keys() <= vars(module).keys()


def test_it_is_asked_what_xla_is_asked(plain):
    v = hg.Variable(X)
    step = hg.function(lambda x: v.assign_add(x) * 2.0, donate=True)
    step(X)
    assert plain == ["trace", "trace", "run", "give away 1"]  # again, once the variable is known
    step(X)
    assert plain[4:] == ["run", "give away 1"]
    np.testing.assert_array_equal(v.numpy(), 3 * X)
    kept = hg.function(lambda x: v.assign_add(x) * 2.0)
    kept(X)
    assert plain[6:] == ["trace", "trace", "run"]
    assert kept.lower_text(X).endswith(" steps")


@pytest.mark.parametrize("donate", [True, False])
def test_old_values_that_somebody_holds_stay(donate):
    test_function.test_old_values_that_somebody_holds_stay(donate, "numpy")


def test_argument_given_away():
    step = hg.function(lambda state, x: {"h": state["h"] + x}, donate=("state",))
    given = plain_executor.native(np.zeros(3))
    state = step({"h": given}, X)
    assert given.is_deleted()
    assert type(state["h"].value) is plain_executor.PlainArray
    for _ in range(3):
        state = step(state, X)
    np.testing.assert_array_equal(state["h"].numpy(), 4 * X)


def test_a_method_and_a_gradient_have_the_executor_of_the_function(plain):
    class Scale:
        factor = 2.0

        @hg.function
        def of(self, x):
            return hg.sum(x * self.factor)

    with executor.prefer("xla"), hg.GradientTape() as tape:
        x = hg.asarray(X)
        tape.watch(x)
        y = Scale().of(x)
    assert tape.gradient(y, x).tolist() == [2.0, 2.0, 2.0]
    assert plain.count("run") == 2


def test_variables_move_to_it_and_back():
    v = hg.Variable(X)
    hg.to_backend(v, "plain")
    step = hg.function(lambda x: v.assign_add(x) * 2.0)
    step(X)
    result = step(X)
    assert type(result.value) is plain_executor.PlainArray
    np.testing.assert_array_equal(result.numpy(), 6 * X)
    hg.to_backend(v, "numpy")
    assert type(v.read_value().value) is np.ndarray


# -- nobody else knows of an executor --------------------------------------------------------------


def imported(path):
    """Yield the names of all modules that a file imports, at any level."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


NEUTRAL = [
    *WING.glob("*.py"),
    *(WING.parent / "ops").glob("*.py"),
    *(WING.parent / "core").glob("*.py"),
    WING.parent / "random.py",
]


@pytest.mark.parametrize("path", NEUTRAL, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_it_imports_no_executor(path):
    for name in imported(path):
        assert not {"jax", "jaxlib", "xla"} & set(name.split(".")), f"{path} imports {name}"
