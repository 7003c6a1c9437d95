"""The traps that a tape can fall into, each with the test that keeps ours out of it."""

import copy
import gc
import pickle
import tracemalloc
import weakref
from operator import methodcaller

import numpy as np
import pytest

import headgate as hg
from core.support import kinds_and_lines, line_of, without_collector
from headgate.record.cuts import BACK, MAYBE_BACK
from headgate.record.graph import state


def nested(inner_persistent=False):
    return hg.GradientTape(), hg.GradientTape(persistent=inner_persistent)


# 1. A gradient must not free nodes that another tape still needs.


def inner_gradient_inside(x):
    with hg.GradientTape() as outer:
        with hg.GradientTape() as inner:
            y = x**3
        dx = inner.gradient(y, x)
        z = dx * y
    return outer.gradient(z, x)


def inner_gradient_after_both(x):
    with hg.GradientTape() as outer, hg.GradientTape() as inner:
        y = x**3
    first = inner.gradient(y, x)
    return first * outer.gradient(y, x) + 5 * 0 * first


def inner_gradient_while_the_outer_is_stopped(x):
    with hg.GradientTape() as outer:
        with hg.GradientTape() as inner:
            y = x**3
        with outer.stop_recording():
            dx = inner.gradient(y, x)
        z = dx * y
    return outer.gradient(z, x)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (inner_gradient_inside, 240.0),  # d/dx (3x² x³) = 15 x⁴
        (inner_gradient_after_both, 144.0),  # (3x²)²
        (inner_gradient_while_the_outer_is_stopped, 144.0),  # 12 d/dx x³
    ],
)
def test_trap_1_a_gradient_leaves_what_another_tape_needs(program, expected):
    assert program(hg.Variable(2.0)).numpy() == expected


def test_trap_1_a_reset_leaves_what_another_tape_needs():
    x = hg.Variable(2.0)
    with hg.GradientTape() as outer:
        with hg.GradientTape() as inner:
            y = x**3
            inner.reset()
        del inner
        z = y * y
    assert outer.gradient(z, x).numpy() == 6 * 2.0**5


# 2. and 3. What a node keeps: raw values and live parents, never a tensor.

x_matrix = np.array([[2.0, 0.5], [0.5, 3.0]])


@pytest.mark.parametrize(
    "apply",
    [
        hg.exp,
        hg.tanh,
        hg.softmax,
        lambda x: hg.stop_gradient(x * 1.0),
        hg.linalg.eigh,
        lambda x: hg.top_k(x, 1),
        hg.custom_gradient(lambda x: (hg.exp(x), lambda g: g)),
        hg.recompute_grad(hg.exp),
    ],
    ids=["exp", "tanh", "softmax", "stop", "eigh", "top_k", "custom", "recompute"],
)
def test_trap_2_a_result_is_not_kept_by_its_own_node(apply):
    w = hg.Variable(x_matrix)
    with without_collector():
        with hg.GradientTape():
            result = apply(w)
            outputs = result if isinstance(result, tuple) else (result,)
            alive = [weakref.ref(output) for output in outputs]
            alive += [weakref.ref(output.value) for output in outputs]
            del result, outputs
        assert not any(ref() is not None for ref in alive)


@pytest.mark.parametrize(
    ("op", "keeps_array"), [(hg.sum, False), (hg.exp, False), (hg.square, True)]
)
def test_trap_3_an_argument_is_kept_raw_and_only_if_the_rule_asks(op, keeps_array):
    w = hg.Variable(np.arange(3.0))
    with without_collector(), hg.GradientTape() as tape:
        argument = w + 1.0
        result = op(argument)
        tensor, array = weakref.ref(argument), weakref.ref(argument.value)
        del argument
        assert tensor() is None
        assert (array() is not None) == keeps_array
    assert tape.gradient(result, w).shape == (3,)


def second_order(v, ask_outer=True):
    with hg.GradientTape() as outer:
        with hg.GradientTape() as inner:
            y = hg.sum(hg.tanh(v) * hg.exp(v) + hg.stop_gradient(v) * v)
        g = inner.gradient(y, v)
    return outer.gradient(hg.sum(g * g), v) if ask_outer else None


@hg.custom_gradient
def custom_exp(x):
    result = hg.exp(x)
    return result, lambda g: g * result


def second_order_custom(v, ask_outer=True):
    with hg.GradientTape() as outer:
        with hg.GradientTape() as inner:
            y = custom_exp(v)
            total = hg.sum(y * y)
        g = inner.gradient(total, v)
    return outer.gradient(g, v) if ask_outer else None


def persistent_with_why(v):
    with hg.GradientTape(persistent=True) as tape:
        y = hg.sum(v * hg.stop_gradient(v))
        float(y)
    return str(tape.why(y, v)), tape.gradient(y, v), tape.jacobian(v * v, v)


def several_outputs(v):
    with hg.GradientTape() as outer, hg.GradientTape() as inner:
        values, vectors = hg.linalg.eigh(hg.outer(v, v) + hg.eye(2))
        y = hg.sum(values**2) + hg.sum(vectors**4)
    return inner.gradient(y, v), outer


@pytest.mark.parametrize(
    "step",
    [
        second_order,
        second_order_custom,
        lambda v: second_order(v, ask_outer=False),
        lambda v: second_order_custom(v, ask_outer=False),
        persistent_with_why,
        several_outputs,
        lambda v: hg.hessian(lambda x: hg.sum(x**3))(v.numpy()),
        lambda v: hg.jvp(hg.sin, (v.numpy(),), (v.numpy(),)),
        lambda v: hg.grad(hg.recompute_grad(lambda x: hg.sum(hg.exp(x) * x)))(v.numpy()),
    ],
    ids=[
        "second order",
        "custom",
        "outer not asked",
        "custom, outer not asked",
        "persistent",
        "several outputs",
        "hessian",
        "jvp",
        "recompute",
    ],
)
def test_steps_leave_no_reference_cycles(step):
    v = hg.Variable([0.5, 2.0])
    step(v)  # what is made once and kept (namespaces, lifters) is not at stake
    with without_collector():
        for _ in range(50):
            step(v)
        assert gc.collect() == 0


# 4. and 5. Watching.


def test_trap_4_a_stopped_value_can_be_watched_and_remembers_its_cut():
    w = hg.Variable(3.0, name="w")
    with hg.GradientTape(persistent=True) as tape:
        s = hg.stop_gradient(w * w)  # cut
        tape.watch(s)
        y = s * s
    assert tape.gradient(y, [w, s])[0] is None
    assert tape.gradient(y, s).numpy() == 18.0
    assert kinds_and_lines(tape.why(y, w)) == [("stop_gradient", line_of("cut"))]
    assert tape.why(y, s).connected


def test_trap_5_a_source_that_only_the_outer_tape_watches():
    x = hg.asarray(3.0)
    with hg.GradientTape() as outer:
        outer.watch(x)
        with hg.GradientTape(persistent=True) as inner:
            y = x * x
        assert inner.gradient(y, x) is None
        assert inner.why(y, x).verdict == "not watched"
    assert outer.gradient(y, x).numpy() == 6.0


# 6. Escapes.


def formatted(x):
    return float(f"{x:.17g}")


def pickled(x):
    return pickle.loads(pickle.dumps(x))


@pytest.mark.parametrize(
    "escape",
    [float, int, bool, complex, np.asarray, np.array, formatted, pickled]
    + [methodcaller(name) for name in ("numpy", "item", "tolist")],
    ids=lambda escape: getattr(escape, "__name__", str(escape)),
)
def test_trap_6_a_value_that_leaves_for_the_host_is_noted(escape):
    w = hg.Variable(3.0, name="w")
    with hg.GradientTape() as tape:
        host = escape(w * w)  # leaves
        y = hg.asarray(host) * 2.0  # comes back
    verdict = tape.why(y, w)
    assert tape.gradient(y, w) is None
    assert (verdict.verdict, verdict.kind) == ("cut", "host_round_trip")
    place, back = verdict.cuts
    assert back.kind == "host_round_trip"
    assert back.line == line_of("comes back") or escape is pickled
    assert back.label in (BACK, MAYBE_BACK)
    inside = escape.__code__.co_firstlineno + 1 if hasattr(escape, "__code__") else None
    assert place.file == __file__
    assert place.line == (inside or line_of("leaves"))


def test_trap_6_a_deep_copy_is_noted():
    w = hg.Variable(3.0)
    with hg.GradientTape() as tape:
        y = copy.deepcopy(w * w) * 2.0
    assert tape.why(y, w).kind == "host_round_trip"


def test_trap_6_a_constant_leaves_no_note():
    with hg.GradientTape() as tape:
        w = hg.Variable(1.0)
        float(hg.asarray(2.0))
        y = hg.asarray(1.0)
    assert tape.why(y, w).kind == "unused_parameter"


# 7. NumPy's own functions.


@pytest.mark.parametrize(
    ("combine", "gradient"),
    [
        (lambda x: np.ones(2) * x, [1.0, 1.0]),
        (lambda x: np.float64(2.0) * x, [2.0, 2.0]),
        (lambda x: np.array([2.0, 3.0]) - x, [-1.0, -1.0]),
        (lambda x: np.array([[2.0, 3.0]]) @ x, [2.0, 3.0]),
        (np.square, [2.0, 4.0]),
        (lambda x: np.maximum(0.0, x), [1.0, 1.0]),
        (lambda x: np.power(x, 2), [2.0, 4.0]),
    ],
)
@pytest.mark.parametrize("make", [hg.Variable, hg.asarray])
def test_trap_7_numpys_ufuncs_are_recorded(combine, gradient, make):
    x = make(np.array([1.0, 2.0]))
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = combine(x)
    assert type(y) is hg.Tensor
    assert y.dtype == np.float64
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), gradient)


# 8. JAX's transformations around ours.


@pytest.mark.peers
@pytest.mark.parametrize(
    "wrap", [lambda jax, f: f, lambda jax, f: jax.jit(f)], ids=["eager", "jit"]
)
def test_trap_8_an_outer_jax_grad_sees_our_stop(wrap):
    jax = pytest.importorskip("jax")

    def f(x):
        t = hg.asarray(x)
        return (t * hg.stop_gradient(t * t)).value

    assert wrap(jax, jax.grad(f))(3.0) == 9.0


# 9. and 10. Used tapes and exceptions.


def test_trap_9_a_used_tape_says_so():
    x = hg.Variable(3.0)
    with hg.GradientTape() as tape:
        y = x * x
    tape.gradient(y, x)
    for again in (tape.gradient, tape.jacobian, tape.batch_jacobian):
        with pytest.raises(RuntimeError, match="persistent=True"):
            again(y, x)


def test_trap_9_the_graph_of_a_used_tape_is_gone_for_the_next_one():
    x = hg.Variable(3.0)
    with hg.GradientTape() as tape:
        y = x * x
    tape.gradient(y, x)
    with tape:
        z = y * x
    assert tape.gradient(z, x).numpy() == 9.0


def raise_in_a_block(x):
    with hg.GradientTape():
        raise KeyError("mine")


def raise_in_nested_blocks(x):
    with hg.GradientTape(), hg.GradientTape(), hg.ForwardAccumulator(x, hg.asarray(1.0)):
        raise KeyError("mine")


def raise_while_stopped(x):
    with hg.GradientTape() as tape, tape.stop_recording():
        raise KeyError("mine")


def raise_in_a_function(x):
    def f(x):
        raise KeyError("mine")

    hg.grad(f)(x)


def raise_in_a_rule(x):
    def rule(g):
        raise KeyError("mine")

    with hg.GradientTape() as tape:
        y = hg.custom_gradient(lambda x: (x * 2.0, rule))(x) * 3.0
        tape.gradient(y, x)


def raise_in_a_recomputation(x):
    calls = []

    def f(x):
        calls.append(x)
        if len(calls) > 1:
            raise KeyError("mine")
        return x * 2.0

    with hg.GradientTape() as tape:
        tape.gradient(hg.recompute_grad(f)(x), x)


@pytest.mark.parametrize(
    "program",
    [
        raise_in_a_block,
        raise_in_nested_blocks,
        raise_while_stopped,
        raise_in_a_function,
        raise_in_a_rule,
        raise_in_a_recomputation,
    ],
)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "inside a tape"])
def test_trap_10_an_exception_leaves_the_thread_as_it_was(program, inside):
    x = hg.Variable(3.0)
    before = state.recording
    if not inside:
        with pytest.raises(KeyError, match="mine"):
            program(x)
    with hg.GradientTape(persistent=True) as tape:
        if inside:
            with pytest.raises(KeyError, match="mine"):
                program(x)
        recording = state.recording
        assert [each() for each in recording.tapes] == [tape]
        assert not recording.suspended
        assert not recording.walking
        y = x * hg.stop_gradient(x)
    assert state.recording is before
    assert tape.gradient(y, x).numpy() == 3.0
    assert tape.why(y, x).connected
    assert len(tape.why(y, x).cuts) == 1


# Length and memory.


def test_a_chain_of_200_000_ops():
    x = hg.Variable(1.0)
    with hg.GradientTape() as tape:
        y = x
        for _ in range(200_000):
            y = y + 1.0
    assert tape.gradient(y, x).numpy() == 1.0
    del y  # a chain that is still there is freed without recursion


def test_a_chain_of_200_000_ops_is_dropped_without_a_gradient():
    x = hg.Variable(1.0)
    with hg.GradientTape():
        y = x
        for _ in range(200_000):
            y = y + 1.0
    alive = weakref.ref(y)
    del y
    assert alive() is None


SIZE = 20_000  # numbers in an array
ARRAY = SIZE * 8  # bytes


@pytest.mark.parametrize("persistent", [False, True])
def test_behind_a_stop_at_most_three_arrays_are_alive(persistent):
    w = hg.Variable(np.full(SIZE, 0.5))
    with without_collector(), hg.GradientTape(persistent=persistent) as tape:
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        h = hg.stop_gradient(w)
        for _ in range(20):
            h = hg.tanh(h) * 1.5
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        y = hg.sum(h * w)
    assert peak - before < 3.5 * ARRAY
    np.testing.assert_array_equal(tape.gradient(y, w).numpy(), h.numpy())


def test_a_stop_frees_the_branch_before_it_at_once():
    w = hg.Variable(np.full(SIZE, 0.5))
    with without_collector(), hg.GradientTape():
        branch = []
        h = w
        for _ in range(20):
            h = hg.tanh(h)
            branch.append(weakref.ref(h.value))
        assert all(ref() is not None for ref in branch)
        h = hg.stop_gradient(h)
        assert [ref() is not None for ref in branch] == [False] * 19 + [True]


def test_a_list_of_losses_keeps_no_graph():
    w = hg.Variable(np.full(100, 0.5))
    losses, arrays = [], []
    with without_collector():
        for _ in range(100):
            with hg.GradientTape() as tape:
                hidden = hg.tanh(w) * 2.0
                loss = hg.sum(hidden * hidden)
            arrays.append(weakref.ref(hidden.value))
            w.assign_sub(0.01 * tape.gradient(loss, w))
            losses.append(loss)
            del hidden, tape
        assert not any(ref() is not None for ref in arrays)
    assert len(losses) == 100


def test_a_state_that_is_carried_from_step_to_step_drags_no_graph_along():
    w = hg.Variable(np.full(100, 0.5), name="w")
    carried, total, arrays = hg.zeros(100), hg.asarray(0.0), []
    with without_collector():
        for _ in range(200):
            with hg.GradientTape() as tape:
                hidden = hg.tanh(w * 0.5)
                carried = hg.tanh(carried + hidden)
                loss = hg.sum(carried)
                total = total + loss
            arrays.append(weakref.ref(hidden.value))
            gradient = tape.gradient(loss, w)
            del hidden
        assert not any(ref() is not None for ref in arrays)
    assert gradient.shape == (100,)
    recording = total.node.recording
    assert len(recording.cuts) < 20
    assert len(recording.sources) < 20


def test_steps_leave_the_record_outside_of_all_tapes_bounded():
    for _ in range(3000):
        v = hg.Variable(1.0)
        float(v * v)
    assert len(state.outside.sources) <= 10_001
    before = len(state.outside.cuts)
    for _ in range(3000):
        float(v * v)
    assert len(state.outside.cuts) <= before + 2
