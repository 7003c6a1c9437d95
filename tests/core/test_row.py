"""The functions that are written for rows: when that happens, and that their text can be read."""

import bdb
import functools
import inspect
import io
import pdb
import subprocess
import sys
import threading
import traceback

import pytest

import headgate as hg
from headgate.core.namespace import TENSORS, implementations
from headgate.core.op import op
from headgate.core.row import names_of


@pytest.fixture
def triple():
    """Make an op that nobody has called yet."""
    made = op(
        "triple(x, *, times=1)",
        "Return x three times as large.",
        lambda g, times: g * (3.0 * times),
        impl=lambda xp, x, *, times: x * (3.0 * times),
    )
    yield made
    del TENSORS.triple, implementations["triple"]


def test_parameters_of_what_wraps_another_function_are_those_of_that_one():
    def rule(g, xp, x, *, axis):
        return g

    @functools.wraps(rule)
    def short(a, b):
        return rule(a, None, b, axis=0)

    @functools.wraps(rule)
    def general(*args, **options):
        return rule(*args, **options)

    for each in (rule, short, general):
        assert names_of(each) == ("g", "xp", "x", "axis")
    assert names_of(functools.partial(rule, axis=1)) == ("g", "xp", "x", "axis")


def test_source_before_and_after_the_first_call(triple):
    before = inspect.getsource(triple)
    assert before.startswith("def triple(x, times=1):\n")
    assert "        ans = implementations[kind](x_value, times=times)\n" in before
    assert triple(2.0).numpy() == 6.0
    assert inspect.getsource(triple) == before
    assert len(before.splitlines()) > 20


def test_the_function_stays_the_same_when_it_is_first_called(triple):
    stub, signature = triple.__code__, inspect.signature(triple)
    assert str(signature) == "(x, times=1)"
    assert triple is TENSORS.triple
    x = hg.Variable(2.0)
    with hg.GradientTape() as tape:
        y = triple(x, 2)
    assert tape.gradient(y, x).numpy() == 6.0
    own = triple.__code__
    assert own is not stub
    assert triple(2.0, times=2).numpy() == 12.0
    assert triple.__code__ is own
    assert inspect.signature(triple) == signature
    assert (triple.__name__, triple.__module__, triple.__doc__) == (
        "triple",
        __name__,
        "Return x three times as large.",
    )
    assert hg.multiply is TENSORS.multiply


def test_threads_that_call_it_first_at_the_same_time(triple):
    start, found = threading.Barrier(8), []

    def call():
        start.wait()
        found.append(float(triple(2.0).numpy()))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [6.0] * 8


@pytest.mark.parametrize("calls", [1, 2])
def test_traceback_shows_the_lines(triple, calls):
    for _ in range(calls):
        with pytest.raises(ValueError, match="tensors hold numbers") as caught:
            triple("no number")
    text = "".join(traceback.format_exception(caught.value))
    assert 'File "<headgate op triple>"' in text
    assert "x_value, x_node = lifters[type(x)](x)\n" in text


def test_traceback_of_a_library_error_shows_the_call():
    with pytest.raises(ValueError, match="matmul") as caught:
        hg.matmul([[1.0, 2.0]], [[1.0, 2.0]])
    text = "".join(traceback.format_exception(caught.value))
    assert 'File "<headgate op matmul>", line' in text
    assert "    ans = implementations[kind](x_value, y_value)\n" in text
    assert "    fail(OP, error, dict(x=(x, x_value), y=(y, y_value)), dict())\n" in text


def test_debugger_shows_the_lines_and_can_stop_there(triple):
    shown = io.StringIO()
    commands = io.StringIO("up\nup\nlonglist\nquit\n")
    debugger = pdb.Pdb(stdin=commands, stdout=shown, nosigint=True, readrc=False)
    debugger.reset()
    with pytest.raises(ValueError, match="matmul") as caught:
        hg.matmul([[1.0, 2.0]], [[1.0, 2.0]])
    try:
        debugger.interaction(None, caught.value.__traceback__)
    except bdb.BdbQuit:
        pass
    assert "def matmul(x, y):" in shown.getvalue()
    assert "->" in shown.getvalue()
    assert debugger.set_break(triple.__code__.co_filename, 2) is None
    debugger.clear_all_breaks()


def test_every_function_compiles():
    functions = [f for f in vars(TENSORS).values() if hasattr(f, "op")]
    assert len(functions) > 150
    for function in functions:
        source = inspect.getsource(function)
        assert source.startswith(f"def {function.__name__}(")
        compile(source, function.__code__.co_filename, "exec")


def test_import_writes_no_function_and_loads_nothing_that_only_reports_need():
    program = (
        "import sys\n"
        "from headgate.core.namespace import TENSORS\n"
        "codes = [f.__code__ for f in vars(TENSORS).values() if hasattr(f, 'op')]\n"
        "print(sorted(c.co_name for c in codes if len({line for *_, line in c.co_lines()}) > 1))\n"
        "print(sorted({'rich', 'typer', 'jax', 'matplotlib', 'IPython'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "[]"]
