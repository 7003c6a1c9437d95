"""The watcher of JAX programs: what it sees, what it says, and that the program does not notice."""

import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import headgate
from headgate.flow.watch.jax.watch import Watch
from headgate.testing import assert_flow, assert_no_flow, flow_matrix
from headgate.testing.flow import FlowError

X = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(4, 3)


@pytest.fixture
def program(tmp_path):
    """Runs a program of its own file under a watch; returns the watch, and what it had in the
    end."""
    count = 0

    def run(text):
        nonlocal count
        count += 1
        file = tmp_path / f"program_{count}.py"
        file.write_text(textwrap.dedent(text))
        space = {"__name__": "__main__", "x": X}
        header = "import jax, jax.numpy as jnp, optax"
        exec(header, space)
        with Watch() as watch:
            exec(compile(file.read_text(), str(file), "exec"), space)
        return watch, space

    return run


def said(watch):
    return [(f.parameter, f.kind, f.text) for f in watch.findings()]


PARAMS = """
params = {"a": jnp.array([0.5, -0.3, 0.2]), "b": jnp.array(0.7)}
"""

CUTS = {
    "stop_gradient": ("h = jax.lax.stop_gradient(x @ p['a'])", "stop_gradient"),
    "cast": ("h = (x @ p['a']).astype(int)", "integer_cast"),
    "threshold": ("h = (x @ p['a'] > 0) * 1.0", "nondiff_op"),
    "round": ("h = jnp.round(x @ p['a'])", "nondiff_op"),
    "floor": ("h = jnp.floor(3.0 * (x @ p['a']))", "nondiff_op"),
    "sign": ("h = jnp.sign(x @ p['a'])", "nondiff_op"),
    "argsort": ("h = jnp.argsort(x @ p['a'])", "nondiff_op"),
    "one_hot": ("h = jax.nn.one_hot(jnp.argmax(x * p['a'], axis=1), 3)[:, 0]", "nondiff_op"),
    "clip": ("h = jnp.clip(10.0 + x @ p['a'], -1.0, 1.0)", "zero_derivative"),
    "relu": ("h = jax.nn.relu(-9.0 + x @ p['a'])", "zero_derivative"),
    "where": ("h = jnp.where(jnp.arange(4) > 9, x @ p['a'], 0.0)", "mask"),
    "factor": ("h = (1 // 3) * (x @ p['a'])", "zero_derivative"),
    "captured": ("h = x @ params['a']", "variable_replaced"),
    "unused": ("h = x[:, 0] * p['b']", "unused_parameter"),
    "nan": ("h = jnp.log(-2.0 + 0.0 * (x @ p['a']))", "nonfinite_value"),
    "slope": ("h = jnp.sqrt(0.0 * (x @ p['a']))", "nonfinite_slope"),
}


UNDER_JIT = ("stop_gradient", "where", "captured", "unused", "slope")
"""Of the rest it is enough that they are seen in a plain call."""


def cut_by(program, name, how):
    line, kind = CUTS[name]
    watch, _ = program(
        f"""{PARAMS}
def loss(p):
    {line}
    return jnp.mean((h + p['b'] - 1.0) ** 2)

{how}
"""
    )
    found = [each for each in said(watch) if each[0] == "params['a']"]
    where = PARAMS.strip() if kind == "unused_parameter" else line  # where it was made
    assert found == [("params['a']", kind, where)]


@pytest.mark.parametrize("name", CUTS)
def test_what_cuts_a_gradient(program, name):
    cut_by(program, name, "jax.grad(loss)(params)")


@pytest.mark.parametrize("name", UNDER_JIT)
def test_what_cuts_a_gradient_under_jit(program, name):
    cut_by(program, name, "jax.jit(jax.grad(loss))(params)")


def test_correct_programs_are_left_alone(program):
    watch, _ = program(
        PARAMS
        + """
def straight_through(p):
    q = x @ p["a"]
    return jnp.mean((q + jax.lax.stop_gradient(jnp.round(q) - q) + p["b"]) ** 2)

def scanned(p):
    def step(h, row):
        h = jnp.tanh(row @ p["a"] + h)
        return h, h
    return jnp.sum(jax.lax.scan(step, p["b"], x)[1])

@jax.checkpoint
def part(p, h):
    return jnp.sin(h * p["a"])

def branches(p):
    h = jax.lax.cond(p["b"] > 0, lambda: part(p, x), lambda: x * p["a"])
    return jax.nn.logsumexp(jax.nn.softmax(h * p["b"]) @ p["a"])

for loss in (straight_through, scanned, branches):
    jax.grad(loss)(params)
    jax.jit(jax.value_and_grad(loss))(params)
jax.vmap(jax.grad(lambda p, row: jnp.tanh(row @ p["a"] + p["b"])), (None, 0))(params, x)
"""
    )
    assert said(watch) == []
    assert watch.remarks() == []
    assert watch.coverage() == (10, 10)  # each of the four rows is a pass


def test_training_under_jit_is_the_same_and_is_judged(program):
    text = (
        PARAMS
        + """
tx = optax.adam(0.1)
traces = 0

def loss(p):
    return jnp.mean((x @ p["a"] + p["b"] - 1.0) ** 2)

@jax.jit
def step(params, state):
    global traces
    traces += 1
    value, grads = jax.value_and_grad(loss)(params)
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state, value

state = tx.init(params)
for _ in range(6):
    RESULT = step(params, state)
"""
    )
    watch, space = program(text.replace("RESULT", "params, state, value"))
    assert said(watch) == []
    plain = {"x": X, "jax": jax, "jnp": jnp, "optax": optax}
    exec(text.replace("RESULT", "params, state, value"), plain)
    assert plain["traces"] == space["traces"]
    same = jax.tree.map(lambda a, b: bool((a == b).all()), plain["params"], space["params"])
    assert all(jax.tree.leaves(same))
    watch, _ = program(text.replace("RESULT", "new, state, value"))
    assert {(f[0], f[1]) for f in said(watch)} == {
        ("params['a']", "not_applied"),
        ("params['b']", "not_applied"),
    }


def test_a_rule_that_gives_zeros_is_told_at_the_rule_and_at_its_call(program):
    watch, _ = program(
        PARAMS
        + """
@jax.custom_vjp
def scaled(h, s):
    return h * s

def forward(h, s):
    return h * s, (h, s)

def backward(kept, g):
    return jnp.zeros_like(kept[0]), jnp.sum(g * kept[0])

scaled.defvjp(forward, backward)

def loss(p):
    return jnp.sum(scaled(x @ p["a"], p["b"]) ** 2)

jax.grad(loss)(params)
"""
    )
    (finding,) = watch.findings()
    assert (finding.parameter, finding.kind) == ("params['a']", "custom_gradient")
    assert finding.text == "return jnp.zeros_like(kept[0]), jnp.sum(g * kept[0])"
    assert finding.called_from[0].text == 'return jnp.sum(scaled(x @ p["a"], p["b"]) ** 2)'


def test_what_a_program_counts_prints_and_draws_is_as_without_a_watch(program, capsys):
    text = (
        PARAMS
        + """
import numpy as np
rng, calls = np.random.default_rng(0), []

def loss(p):
    print("called")
    calls.append(1)
    return jnp.mean((x @ p["a"] * rng.normal() + p["b"]) ** 2)

values = [float(jax.value_and_grad(loss)(params)[0]) for _ in range(4)]
"""
    )
    _, space = program(text)
    printed = capsys.readouterr().out
    plain = {"x": X, "jax": jax, "jnp": jnp}
    exec(text, plain)
    assert space["values"] == plain["values"]
    assert space["calls"] == plain["calls"]
    assert printed == capsys.readouterr().out


def test_afterwards_jax_is_as_it_was(program):
    before = jax.grad, jax.jit, jax.vmap, jax.lax.scan, jax.custom_vjp.defvjp, optax.apply_updates
    program("jax.grad(jnp.sin)(1.0)")
    after = jax.grad, jax.jit, jax.vmap, jax.lax.scan, jax.custom_vjp.defvjp, optax.apply_updates
    assert before == after


def test_a_value_that_leaves_for_python_is_told(program):
    watch, _ = program(
        PARAMS
        + """
def loss(p):
    s = p["a"].sum().item()
    return (s * p["b"]) ** 2

jax.grad(loss)(params)
"""
    )
    assert said(watch) == [("params['a']", "host_round_trip", 's = p["a"].sum().item()')]


def loss(p, x):
    return jnp.mean((jax.lax.stop_gradient(x @ p["a"]) * p["b"]) ** 2)


def test_questions_and_assertions():
    params = {"a": jnp.ones(3), "b": jnp.ones(())}
    answer = headgate.why.jax(loss, params, X)
    assert [f.kind for f in answer.findings()] == ["stop_gradient"]
    assert str(answer).startswith("Gradient of loss reaches 1 of 2 arrays.\n1. No gradient reaches")
    assert_flow(answer, params["b"])
    assert_no_flow(answer, params["a"])
    with pytest.raises(FlowError, match="stop_gradient at"):
        assert_flow(answer, params)
    with pytest.raises(FlowError, match="gradient reaches 1 of 1"):
        assert_no_flow(answer, "b")
    matrix = flow_matrix({"loss": answer}, {"A": params["a"], "B": ["b"]})
    assert matrix.norm("loss", "B") == pytest.approx(
        float(jax.grad(loss)(params, X)["b"]), rel=1e-4
    )
    with pytest.raises(ValueError, match="name its argument in argnums"):
        assert_flow(answer, jnp.ones(3))
    with pytest.raises(TypeError, match="the first argument is the function"):
        headgate.why.jax(params, X)
    with pytest.raises(ValueError, match="no arrays of floating point"):
        headgate.why.jax(loss, {"a": jnp.arange(3)}, X)
    with pytest.raises(ValueError, match="given 2 arguments"):
        headgate.why.jax(loss, params, X, argnums=2)
