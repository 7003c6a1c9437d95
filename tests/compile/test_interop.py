"""JAX's functions on our tapes, ours under JAX's transformations, and variables on JAX arrays."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import headgate as hg
from headgate import losses, metrics, nn, optim

jax = pytest.importorskip("jax", reason="jax is not installed")
import jax.numpy as jnp  # noqa: E402

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)


def close(ours, theirs, rtol=1e-6):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=rtol, atol=1e-12)


# -- from_jax --------------------------------------------------------------------------------------


def network(p, x):
    return jnp.sum(jnp.tanh(x @ p["w"] + p["b"]) ** 3, axis=1)


W, B, X = RNG.normal(size=(3, 4)), RNG.normal(size=4), RNG.normal(size=(5, 3))


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("make", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_gradient_is_that_of_jax(make, jit):
    p, x = {"w": hg.Variable(make(W)), "b": hg.Variable(make(B))}, hg.asarray(make(X))
    with hg.GradientTape() as tape:
        tape.watch(x)
        loss = hg.sum(hg.from_jax(network, jit=jit)(p, x))
    ours = tape.gradient(loss, {**p, "x": x})
    theirs = jax.grad(lambda p, x: jnp.sum(network(p, x)), (0, 1))({"w": W, "b": B}, X)
    for name, wanted in {**theirs[0], "x": theirs[1]}.items():
        close(ours[name], wanted)
        assert isinstance(ours[name].value, type(make(W)))
    assert isinstance(loss.value, np.float64 | jax.Array)
    assert isinstance(loss.value, jax.Array) == (make is jnp.asarray)


@pytest.mark.parametrize("jit", [True, False])
def test_second_and_third_order(jit):
    cube = hg.from_jax(lambda x: jnp.sin(x) ** 3, jit=jit)
    plain = lambda x: jnp.sin(x) ** 3
    x = hg.asarray(0.7)
    close(hg.grad(cube)(x), jax.grad(plain)(0.7))
    close(hg.grad(hg.grad(cube))(x), jax.grad(jax.grad(plain))(0.7))
    close(hg.grad(hg.grad(hg.grad(cube)))(x), jax.grad(jax.grad(jax.grad(plain)))(0.7))


def test_hessian_between_ops_of_both():
    f = hg.from_jax(lambda x, w: jnp.tanh(w @ x))
    ours = hg.hessian(lambda x: hg.sum(hg.exp(f(x * 2.0, W.T))))(B[:3])
    theirs = jax.hessian(lambda x: jnp.sum(jnp.exp(jnp.tanh(W.T @ (x * 2.0)))))(B[:3])
    close(ours, theirs)


def test_structure_of_the_result_integers_and_options():
    def f(x, n, *, double, label):
        assert label == "name"
        y = x * 2.0 if double else x
        return {"y": y, "n": n + 1, "none": None, "pair": (jnp.sum(y), 3)}

    x, n = hg.Variable([1.0, 2.0]), hg.asarray([1, 2])
    with hg.GradientTape() as tape:
        out = hg.from_jax(f)(x, n, double=True, label="name")
        loss = hg.sum(out["y"]) + out["pair"][0]
    assert out["none"] is None
    assert out["n"].numpy().tolist() == [2, 3]
    assert int(out["pair"][1]) == 3
    assert tape.gradient(loss, x).numpy().tolist() == [4.0, 4.0]
    plain = hg.from_jax(f)(x, n, double=False, label="name")
    assert plain["y"].numpy().tolist() == [1.0, 2.0]


def test_only_an_integer_comes_out():
    x = hg.Variable([1.0, 5.0, 2.0])
    with hg.GradientTape() as tape:
        k = hg.from_jax(jnp.argmax)(x)
    assert int(k) == 1
    assert tape.gradient(k, x) is None


def test_part_of_the_outputs_is_used():
    x = hg.Variable(2.0)
    with hg.GradientTape() as tape:
        y, _ = hg.from_jax(lambda x: (x**2, x**3))(x)
    close(tape.gradient(y, x), 4.0)


def test_a_key_of_jax_goes_in_and_out():
    def noisy(key, x):
        key, used = jax.random.split(key)
        return key, x * jax.random.normal(used, x.shape)

    x = hg.Variable([1.0, 2.0])
    key = jax.random.key(0)
    with hg.GradientTape() as tape:
        later, y = hg.from_jax(noisy)(key, x)
    close(tape.gradient(y, x), noisy(key, np.ones(2))[1])
    assert later == noisy(key, np.ones(2))[0]


def test_complex_gradient_has_our_convention():
    z = np.array([1.0 + 2.0j, -0.5j])
    ours = hg.Variable(z)
    with hg.GradientTape(persistent=True) as tape:
        native = hg.sum(hg.real(ours**3 * hg.conj(ours)))
        foreign = hg.from_jax(lambda z: jnp.sum(jnp.real(z**3 * jnp.conj(z))))(ours)
        mapped = hg.sum(hg.real(hg.from_jax(lambda z: z**2 * 1j)(ours)))
        same = hg.sum(hg.real(ours**2 * 1j))
    close(tape.gradient(foreign, ours), tape.gradient(native, ours))
    close(tape.gradient(mapped, ours), tape.gradient(same, ours))


def test_number_stays_weakly_typed_and_dtype_is_kept():
    x = hg.Variable(np.float32([1.0, 2.0]))
    with hg.GradientTape() as tape:
        y = hg.from_jax(lambda x, a, b: x * a / b)(x, 3.0, np.float64(2.0))
    assert y.dtype == np.float32
    assert tape.gradient(y, x).dtype == np.float32


def test_why_goes_through_and_names_the_function():
    w, v = hg.Variable([1.0], name="w"), hg.Variable([[1.0]], name="v")
    with hg.GradientTape(persistent=True) as tape:
        y = hg.sum(hg.from_jax(network)({"w": hg.stop_gradient(v), "b": w}, np.ones((2, 1))))
    assert str(tape.why(y, w)) == "w: connected"
    assert tape.why(y, v).kind == "stop_gradient"
    assert "network" in str(tape.why(y, w, magnitudes=True))


def test_only_stopped_inputs_still_say_so():
    v = hg.Variable([1.0, 2.0], name="v")
    with hg.GradientTape() as tape:
        y = hg.from_jax(jnp.sum)(hg.stop_gradient(v))
    assert tape.why(y, v).kind == "stop_gradient"


def test_inside_a_compiled_function():
    w = hg.Variable(W)
    f = hg.from_jax(network)

    @hg.function
    def step(x):
        with hg.GradientTape() as tape:
            loss = hg.sum(f({"w": w, "b": B}, x))
        return loss, tape.gradient(loss, w)

    loss, gradient = step(X)
    close(loss, jnp.sum(network({"w": W, "b": B}, X)))
    close(gradient, jax.grad(lambda w: jnp.sum(network({"w": w, "b": B}, X)))(W))
    assert isinstance(loss.value, np.float64)


def test_a_compiled_function_around_it_is_differentiated():
    f = hg.from_jax(lambda x: jnp.sin(x))
    g = hg.function(lambda x: f(x) * x)
    close(hg.grad(hg.grad(g))(hg.asarray(0.3)), 2 * np.cos(0.3) - 0.3 * np.sin(0.3))


def test_inside_jit_of_the_user():
    @jax.jit
    def gradient(x):
        x = hg.asarray(x)
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = hg.sum(hg.from_jax(network)({"w": W, "b": B}, x))
        return tape.gradient(y, x).value

    close(gradient(X), jax.grad(lambda x: jnp.sum(network({"w": W, "b": B}, x)))(X))


def test_it_is_compiled_once_for_a_form():
    runs = []

    def f(x):
        runs.append(1)
        return x * 2.0

    g = hg.from_jax(f)
    for _ in range(3):
        g(np.ones(3))
    assert len(runs) == 1
    for _ in range(3):
        hg.grad(lambda x: hg.sum(g(x)))(np.ones(3))
    assert len(runs) == 2


# -- to_jax ----------------------------------------------------------------------------------------

SPIKE = np.array([0.3, -1.2, 2.0])


@hg.custom_gradient
def doubled(x):
    return x * x, lambda g: g * 4.0 * x


GATES = {
    "stop": (lambda x: hg.sum(x * hg.stop_gradient(x)), lambda x: x),
    "scale": (lambda x: hg.sum(hg.scale_gradient(x, 0.5) ** 2), lambda x: x),
    "reverse": (lambda x: hg.sum(hg.reverse_gradient(x) ** 2), lambda x: -2 * x),
    "clip": (
        lambda x: hg.sum(hg.clip_gradient(x, -1.0, 1.0) ** 2),
        lambda x: np.clip(2 * x, -1, 1),
    ),
    "straight": (
        lambda x: hg.sum(hg.straight_through(hg.round(x), x) * x),
        lambda x: np.round(x) + x,
    ),
    "route": (lambda x: hg.sum(hg.route(x, [1.0, 0.0, 2.0]) ** 2), lambda x: 2 * x * [1, 0, 2]),
    "custom": (lambda x: hg.sum(doubled(x)), lambda x: 4 * x),
}


@pytest.mark.parametrize("gate", GATES)
def test_gates_count_under_jax(gate):
    f, wanted = GATES[gate]
    g = hg.to_jax(f)
    close(g(SPIKE), f(SPIKE))
    close(jax.grad(g)(jnp.asarray(SPIKE)), wanted(SPIKE))
    close(jax.jit(jax.grad(g))(SPIKE), wanted(SPIKE))
    close(jax.vmap(jax.grad(g))(np.stack([SPIKE, -SPIKE])), [wanted(SPIKE), wanted(-SPIKE)])


def by_headgate(f):
    return lambda x: hg.vjp(f, x)[1](1.0)[0]  # zeros where f does not depend on x


@pytest.mark.parametrize("gate", GATES)
def test_gates_count_at_second_and_third_order(gate):
    f, _ = GATES[gate]
    ours, theirs = by_headgate(f), jax.grad(hg.to_jax(f))
    mixed = hg.to_jax(ours)
    for _ in range(2):
        ours = by_headgate(lambda x, g=ours: hg.sum(g(x) ** 2))
        theirs, mixed = (jax.grad(lambda x, g=g: jnp.sum(g(x) ** 2)) for g in (theirs, mixed))
        wanted = ours(hg.asarray(SPIKE))
        close(jax.jit(theirs)(SPIKE), wanted)
        close(jax.jit(mixed)(SPIKE), wanted)


def test_structures_and_static_arguments():
    def f(batch, power, flag, *, scale):
        y = hg.sum(batch["x"] ** power) * scale
        return {"y": y if flag else -y, "count": batch["n"] + 1, "none": None}

    g = hg.to_jax(f)
    batch = {"x": jnp.array([1.0, 2.0]), "n": jnp.array(3)}
    out = g(batch, 2, True, scale=0.5)
    assert isinstance(out["y"], jax.Array)
    assert float(out["y"]) == 2.5
    assert int(out["count"]) == 4
    assert out["none"] is None
    of = lambda x, flag: g({**batch, "x": x}, 2, flag, scale=2.0)["y"]
    close(jax.jit(jax.grad(of), static_argnums=1)(batch["x"], False), [-4.0, -8.0])


def test_complex_gradient_has_their_convention():
    z = jnp.array([1.0 + 2.0j, -0.5j])
    ours = hg.to_jax(lambda z: hg.sum(hg.real(z**3 * hg.conj(z))))
    close(jax.grad(ours)(z), jax.grad(lambda z: jnp.sum(jnp.real(z**3 * jnp.conj(z))))(z))
    mapped = hg.to_jax(lambda z: z**2 * 1j)
    _, pull = jax.vjp(mapped, z)
    _, theirs = jax.vjp(lambda z: z**2 * 1j, z)
    close(pull(z + 1)[0], theirs(z + 1)[0])


def test_there_and_back():
    f = hg.from_jax(hg.to_jax(lambda x: hg.sum(hg.scale_gradient(x, 0.5) ** 2)))
    close(hg.grad(f)(SPIKE), SPIKE)


def test_jacrev_works_and_forward_mode_is_refused_by_jax():
    f = hg.to_jax(lambda x: x**2)
    close(jax.jacrev(f)(SPIKE), np.diag(2 * SPIKE))
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(f, (SPIKE,), (SPIKE,))


def test_tapes_outside_do_not_see_what_jax_traces():
    w = hg.Variable(2.0)
    f = hg.to_jax(lambda x: x * w)
    with hg.GradientTape() as tape:
        y = f(jnp.asarray(3.0))
    assert tape.watched_variables() == ()
    assert float(y) == 6.0


def test_a_tensor_is_refused():
    with pytest.raises(TypeError, match="got a Tensor"):
        hg.to_jax(lambda x: x * 2.0)(hg.asarray(1.0))


def test_a_write_to_a_variable_that_is_not_listed_is_refused():
    count = hg.Variable(0.0, name="count")

    def f(x):
        count.assign_add(1.0)
        return x

    with pytest.raises(ValueError, match=r"'count' is written.*variables="):
        jax.jit(hg.to_jax(f))(1.0)
    assert float(count) == 0.0


def small_model():
    hg.random.set_seed(0)
    model = nn.Sequential([nn.Dense(8, activation="tanh"), nn.BatchNormalization(), nn.Dense(1)])
    model.build((None, 3))
    return model


DATA = RNG.normal(size=(16, 3)).astype("f")
TARGETS = RNG.normal(size=(16, 1)).astype("f")


def test_a_model_becomes_a_pure_function():
    model = small_model()
    parts = {"params": model.trainable_variables, "state": model.non_trainable_variables}
    before = [v.numpy() for v in model.variables]

    def loss_of(x, y):
        return hg.mean((model(x, training=True) - y) ** 2)

    pure = hg.to_jax(loss_of, parts)
    values = pure.values()

    @jax.jit
    def gradient(params, state, x, y):
        def f(params):
            loss, new = pure({"params": params, "state": state}, x, y)
            return loss, new["state"]

        return jax.value_and_grad(f, has_aux=True)(params)

    (loss, state), gradients = gradient(values["params"], values["state"], DATA, TARGETS)
    for cell, value in zip(model.variables, before):
        np.testing.assert_array_equal(cell.numpy(), value)
    with hg.GradientTape() as tape:
        wanted = loss_of(DATA, TARGETS)
    close(loss, wanted, 1e-5)
    for ours, theirs in zip(gradients, tape.gradient(wanted, model.trainable_variables)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    for ours, cell in zip(state, model.non_trainable_variables):
        close(ours, cell, 1e-5)
    assert not np.array_equal(state[0], before[-4])


def test_values_of_a_model_are_a_list_and_go_back():
    model = small_model()
    pure = hg.to_jax(lambda x: model(x), [model])
    (values,) = pure.values()
    assert [v.shape for v in values] == [v.shape for v in model.variables]
    pure.assign([[v + 1 for v in values]])
    close(model.variables[0].numpy(), values[0] + 1)
    assert isinstance(model.variables[0].read_value().value, np.ndarray)
    with pytest.raises(ValueError, match=r"values of 8 variables.*was given 7"):
        pure([values[:-1]], DATA)


def test_gates_count_for_variables_and_second_order_by_them():
    w = hg.Variable([1.0, 2.0])
    pure = hg.to_jax(lambda x: hg.sum(hg.clip_gradient(w, -3.0, 3.0) ** 3 * x), w)
    ones = np.ones(2)
    first = jax.grad(lambda w: pure(w, ones)[0])
    close(first(w.numpy()), [3.0, 3.0])
    close(jax.grad(lambda w: jnp.sum(first(w)))(np.array([0.5, 2.0])), [3.0, 0.0])
    close(jax.grad(lambda x: jnp.sum(first_by(w, x, pure)))(ones), [3.0, 0.0])


def first_by(w, x, pure):
    return jax.grad(lambda w: pure(w, x)[0])(w.numpy())


def test_vmap_over_values():
    w = hg.Variable([1.0, 2.0])
    pure = hg.to_jax(lambda x: hg.sum(w * x), w)
    many = np.arange(6.0).reshape(3, 2)
    close(jax.vmap(pure, (0, None))(many, np.ones(2))[0], many.sum(1))


def test_a_tape_and_an_optimizer_inside():
    model, batch = nn.Sequential([nn.Dense(1)]), (DATA, TARGETS)
    model.build((None, 3))
    optimizer = optim.Adam(0.1)
    optimizer.build(model.trainable_variables)

    def step(x, y):
        with hg.GradientTape() as tape:
            loss = hg.mean((model(x) - y) ** 2)
        optimizer.apply_gradients(zip(tape.gradient(loss, model.variables), model.variables))
        return loss

    pure = jax.jit(hg.to_jax(step, [model, optimizer]))
    values = hg.to_jax(step, [model, optimizer]).values()
    found = []
    for _ in range(3):
        loss, values = pure(values, *batch)
        found.append(float(loss))
    close(found, [float(step(*batch)) for _ in range(3)], 1e-5)


def test_with_optax():
    optax = pytest.importorskip("optax", reason="optax is not installed")
    model = nn.Sequential([nn.Dense(1)])
    model.build((None, 3))
    pure = hg.to_jax(lambda x, y: hg.mean((model(x) - y) ** 2), model)
    rule = optax.adam(0.1)
    values = pure.values()
    state = rule.init(values)

    @jax.jit
    def step(values, state):
        loss, gradients = jax.value_and_grad(lambda v: pure(v, DATA, TARGETS)[0])(values)
        updates, state = rule.update(gradients, state)
        return loss, optax.apply_updates(values, updates), state

    found = []
    for _ in range(3):
        loss, values, state = step(values, state)
        found.append(float(loss))
    optimizer = optim.Adam(0.1, epsilon=1e-8)
    for wanted in found:
        with hg.GradientTape() as tape:
            loss = hg.mean((model(DATA) - TARGETS) ** 2)
        close(loss, wanted, 1e-5)
        optimizer.apply_gradients(zip(tape.gradient(loss, model.variables), model.variables))


def test_what_has_no_variables_is_refused():
    with pytest.raises(ValueError, match="build the model"):
        hg.to_jax(lambda x: x, nn.Dense(3))
    with pytest.raises(TypeError, match="is none"):
        hg.to_jax(lambda x: x, [1.0])


# -- to_backend ------------------------------------------------------------------------------------


def training(model, optimizer):
    mse = losses.MeanSquaredError()

    def step(x, y):
        with hg.GradientTape() as tape:
            loss = mse(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    return step


def test_training_is_the_same_everywhere():
    found = {}
    for where in ("numpy", "jax", "compiled"):
        model, optimizer = small_model(), optim.Adam(0.05)
        step = training(model, optimizer)
        step = hg.function(step) if where == "compiled" else step
        optimizer.build(model.trainable_variables)
        if where != "numpy":
            moved = hg.to_backend([model, optimizer], "jax")
            assert moved == [model, optimizer]
        results = [step(DATA, TARGETS) for _ in range(5)]
        assert {isinstance(r.value, jax.Array) for r in results} == {where != "numpy"}
        cells = [*model.variables, *optimizer.variables]
        assert {isinstance(v.read_value().value, jax.Array) for v in cells} == {where != "numpy"}
        hg.to_backend([model, optimizer], "numpy")
        assert not any(isinstance(v.read_value().value, jax.Array) for v in cells)
        results.append(step(DATA, TARGETS))
        assert not isinstance(results[-1].value, jax.Array)
        found[where] = [float(loss) for loss in results]
    np.testing.assert_allclose(found["jax"], found["numpy"], rtol=1e-5)
    np.testing.assert_allclose(found["compiled"], found["numpy"], rtol=1e-5)
    assert found["numpy"][-1] < found["numpy"][0]


def test_arrays_are_copied_and_gradient_flows_through_the_copy():
    x, plain = hg.Variable([1.0, 2.0]), np.arange(3)
    with hg.GradientTape() as tape:
        there = hg.to_backend({"y": x * 2.0, "n": plain, "text": "a"}, "jax")
        loss = hg.sum(there["y"] ** 2)
    assert isinstance(loss.value, jax.Array)
    assert there["text"] == "a"
    plain[0] = 9
    assert there["n"].tolist() == [0, 1, 2]
    close(tape.gradient(loss, x), [8.0, 16.0])


def test_a_device_and_what_is_none():
    w = hg.Variable(1.0)
    hg.to_backend(w, jax.devices()[0])
    assert w.device == jax.devices()[0]
    with pytest.raises(ValueError, match="no backend 'torch'"):
        hg.to_backend(w, "torch")
    with pytest.raises(hg.TracingError, match="before the function"):
        hg.function(lambda: hg.to_backend(w, "numpy"))()


def test_a_metric_and_a_variable_that_a_compiled_function_left():
    mean = metrics.Mean()
    w = hg.Variable([1.0, 2.0])
    hg.function(lambda: w.assign(w * 2.0, read_value=False))()
    hg.to_backend([mean, w], "jax")
    mean.update_state(w)
    assert float(mean.result()) == 3.0
    hg.to_backend(w, "numpy")
    assert w.read_value().value.tolist() == [2.0, 4.0]


# -- in other processes ----------------------------------------------------------------------------


def run(program, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:headgate", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


NARROW = """
import warnings
warnings.simplefilter("error")
import jax, jax.numpy as jnp, numpy as np, headgate as hg
from headgate import nn, optim

x = hg.Variable([1.0, 2.0])
with hg.GradientTape() as tape:
    y = hg.from_jax(lambda x: jnp.sin(x))(x)
assert y.dtype == np.float32, y.dtype
assert tape.gradient(y, x).dtype == np.float64
assert hg.grad(hg.grad(hg.from_jax(jnp.sin)))(hg.asarray(1.0)).dtype == np.float64
assert hg.function(hg.from_jax(jnp.sin))(x).dtype == np.float64

f = hg.to_jax(lambda x: hg.sum(hg.scale_gradient(x, 0.5) ** 2))
g = jax.jit(jax.grad(f))(np.arange(3.0))
assert g.dtype == np.float32 and g.tolist() == [0.0, 1.0, 2.0]

model, optimizer = nn.Sequential([nn.Dense(1)]), optim.Adam()
model.build((None, 3))
optimizer.build(model.trainable_variables)

def step(x):
    with hg.GradientTape() as tape:
        loss = hg.mean(model(x, training=True) ** 2)
    variables = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    return loss

data = np.ones((4, 3), "f")
pure = hg.to_jax(step, [model, optimizer])
loss, values = jax.jit(pure)(pure.values(), data)
pure.assign(values)
assert int(optimizer.iterations) == 1 and optimizer.iterations.dtype == np.int64

hg.to_backend([model, optimizer], "jax")
assert isinstance(step(data).value, jax.Array)
assert isinstance(model.variables[0].read_value().value, jax.Array)
hg.to_backend([model, optimizer], "numpy")

try:
    hg.to_backend(hg.Variable(1.0, name="wide"), "jax")
except UserWarning as warning:
    assert "['wide']" in str(warning) and "jax_enable_x64" in str(warning)
else:
    raise AssertionError("no warning")
"""


def test_with_the_wide_types_of_jax_switched_off():
    run(NARROW, JAX_ENABLE_X64="0")


DEVICES = """
import jax, numpy as np, headgate as hg
second = jax.devices()[1]
w = hg.Variable(np.float32([1.0, 2.0]))
hg.to_backend(w, second)
assert w.device == second

@hg.function
def step():
    with hg.GradientTape() as tape:
        loss = hg.sum(w * w)
    w.assign_sub(0.1 * tape.gradient(loss, w))
    return loss

assert step().value.device == second
assert w.device == second
"""


def test_a_second_device():
    run(DEVICES, XLA_FLAGS="--xla_force_host_platform_device_count=2")


KERAS = """
import jax, keras, numpy as np, headgate as hg
assert keras.backend.backend() == "jax"
model = keras.Sequential([keras.layers.Dense(4, "tanh"), keras.layers.BatchNormalization(),
                          keras.layers.Dense(1)])
model.build((None, 3))
x = np.random.default_rng(0).normal(size=(5, 3)).astype("f")
tv = [v.value for v in model.trainable_variables]
ntv = [v.value for v in model.non_trainable_variables]

def loss_of(tv, ntv, x):
    y, new = model.stateless_call(tv, ntv, x, training=True)
    return (y ** 2).mean(), new

weights = [hg.Variable(v) for v in tv]
with hg.GradientTape() as tape:
    loss, new = hg.from_jax(loss_of)(weights, ntv, x)
ours = tape.gradient(loss, weights)
theirs, new_theirs = jax.jit(jax.grad(loss_of, has_aux=True))(tv, ntv, x)
for a, b in zip([*ours, *new], [*theirs, *new_theirs], strict=True):
    np.testing.assert_allclose(a.numpy(), b, rtol=1e-4, atol=1e-6)
assert abs(ours[0].numpy()).sum() > 0
"""


def test_keras_on_jax():
    pytest.importorskip("keras", reason="keras is not installed")
    run(KERAS, KERAS_BACKEND="jax")
