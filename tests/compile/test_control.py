"""Control flow: eager it is Python's own, compiled it is the same to all digits but the last."""

import linecache
import sys

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf

CLOSE = {"rtol": 1e-11, "atol": 1e-12}

peers = pytest.mark.peers


def numbers(*shape, seed=0):
    """Return an array of numbers of both signs, none of them close to 0."""
    drawn = np.random.default_rng([seed, *shape]).uniform(0.2, 1.0, shape)
    return drawn * np.where(np.arange(drawn.size) % 3 == 1, -1.0, 1.0).reshape(shape)


class World:
    """What the programs use from outside: tensors, and variables made anew for each run."""

    def __init__(self):
        self.x = hg.asarray(numbers(4, 3))
        self.v = hg.Variable(numbers(3), name="v")
        self.w = hg.Variable(numbers(3, 3), name="w")
        self.state = hg.Variable(numbers(3, seed=1), name="state", trainable=False)
        self.count = hg.Variable(0, name="count", trainable=False)
        self.sources = [self.v, self.w]


# -- programs: from a world and an array of shape (4, 3) to a number -------------------------------


def branch(taken):
    """Return a program that takes one of two branches."""

    def program(world, x):
        hidden = hg.tanh(x @ world.w)
        pred = hg.sum(x) > (-100.0 if taken else 100.0)
        return hg.cond(
            pred,
            lambda: hg.sum(hidden * world.v) ** 2,
            lambda: hg.mean(hg.exp(x * 0.3)) * hg.sum(world.v) + hg.sum(hidden**3),
        )

    return program


def operands(world, x):
    result = hg.cond(
        x[0, 0] < 0.0,
        lambda a, b: {"a": a["k"] * b, "b": (b, 2, None)},
        lambda a, b: {"a": a["k"] - b, "b": (b * b * 3.0, 3, None)},
        {"k": x},
        world.v,
    )
    assert result["b"][2] is None
    return hg.sum(result["a"] * x) + hg.sum(result["b"][0]) * result["b"][1]


def gates(world, x):
    @hg.custom_gradient
    def twice(y):
        return y * 2.0, lambda g: g * 7.0 * y

    def soft():
        y = hg.scale_gradient(x, 0.3) * hg.reverse_gradient(world.v, 2.0)
        return hg.sum(twice(y) ** 2 + hg.stop_gradient(y) * y)

    return hg.cond(hg.sum(x) < 100.0, soft, lambda: hg.sum(x))


def again(world, x):
    """A body that is computed again for its gradient."""
    body = hg.recompute_grad(lambda c, row: hg.sin(c * row + world.v))
    last, _ = hg.scan(lambda c, row: (body(c, row), None), world.v * 1.0, x)
    return hg.sum(last**2)


def assigned_in_branch(world, x):
    def write():
        world.state.assign_add(hg.sum(x, axis=0))
        world.count.assign_add(1)
        return hg.sum(world.state * world.v)

    y = hg.cond(hg.sum(x) < 100.0, write, lambda: hg.sum(x))
    z = hg.cond(hg.sum(x) > 100.0, write, lambda: hg.sum(x * world.state))
    return y * z + hg.sum(world.state * x)


def dense(world, x):
    """Products of several sorts with the same weights, over a batch."""

    def step(carry, row):
        h = hg.tanh(row[None, :] @ world.w + carry @ hg.matrix_transpose(world.w) + world.v)
        return h * 0.5 + carry @ (world.w * world.w), hg.sum(h, axis=0)

    last, ys = hg.scan(step, hg.ones((2, 3)), x)
    return hg.sum(last**2) + hg.sum(ys * x)


def stacked(world, x):
    """Products of stacks of matrices, and of vectors."""

    def step(carry, row):
        h = hg.sin(carry @ world.w)
        return h, (h[0, 0] @ world.w) * row + world.w @ row

    last, ys = hg.scan(step, hg.ones((2, 2, 3)), x)
    return hg.sum(last**2) + hg.sum(ys**2)


def assigned_in_scan(world, x):
    def step(carry, row):
        world.state.assign(0.9 * world.state + 0.1 * hg.stop_gradient(row * carry))
        world.count.assign_add(2)
        return hg.tanh(carry + world.v * world.state), world.state

    last, ys = hg.scan(step, x[0], x)
    return hg.sum(last * world.state) + hg.sum(ys * x) + hg.astype(world.count, "float64")


def structures(world, x):
    """Numbers, whole numbers and unused results in a carry; arrays in a dictionary."""

    def step(carry, rows):
        total, number, (unused, zero) = carry
        y = rows["x"] * total + rows["v"][0]
        carry = total + hg.sum(y) * 0.1, number + 1, (unused * 2.0, zero)
        return carry, [y, hg.sum(y), None, number]

    xs = {"x": x, "v": hg.stack([world.v] * 4)}
    (total, number, _), (rows, _, _, numbers) = hg.scan(step, (1.0, 0, (world.v * 1.0, 0)), xs)
    return total * hg.sum(rows) + hg.astype(number, "float64") + hg.sum(numbers * x[:, 0])


def reverse(world, x):
    last, ys = hg.scan(lambda c, row: (c * row, c + row), world.v * 1.0, x, reverse=True)
    return hg.sum(last * ys[0]) + hg.sum(ys * ys[::-1])


def without_arrays(world, x):
    last, ys = hg.scan(lambda c, _: (hg.sin(c @ world.w), hg.sum(c)), x, length=5)
    return hg.sum(last**2) + hg.sum(ys[1:3])


def no_steps(world, x):
    last, ys = hg.scan(lambda c, row: (c * row, c * row * 2.0), world.v * 1.0, x[:0])
    assert ys.shape == (0, 3)
    return hg.sum(last**2) + hg.sum(x) + hg.sum(ys)


def nested(world, x):
    """A scan in a branch in a scan, with a variable that the innermost one writes."""

    def inner(c, weight):
        world.state.assign(world.state * 0.5 + 0.1)
        return hg.tanh(c * weight + world.state), hg.sum(c * world.v)

    def outer(c, row):
        def deep():
            last, ys = hg.scan(inner, c + row, world.w)
            return last, hg.sum(ys)

        return hg.cond(hg.sum(row) > 0.9, deep, lambda: (c * row, hg.sum(hg.stop_gradient(c))))

    last, ys = hg.scan(outer, hg.ones(3), x)
    return hg.sum(last**2) + hg.sum(ys * x[:, 1])


def stopped_carry(world, x):
    """One part of the carry reaches the result only through a stop."""

    def step(carry, row):
        a, b = carry
        return (hg.sin(a * row), hg.stop_gradient(a) * world.v + b), None

    (_, b), _ = hg.scan(step, (world.v * 1.0, hg.zeros(3)), x)
    return hg.sum(b**2)


def crosswise(world, x):
    """Gradient reaches a part of the carry only after several steps."""

    def step(carry, row):
        a, b, c = carry
        return (a * 0.5 + row, a * 2.0, b * c + 1.0), None

    (_, _, c), _ = hg.scan(step, (world.v * 1.0, hg.zeros(3), hg.ones(3)), x)
    return hg.sum(c**2)


def training(world, x):
    """Steps of gradient descent inside of a scan, differentiated as a whole."""

    def step(weights, row):
        with hg.GradientTape() as tape:
            tape.watch(weights)
            loss = hg.sum((hg.tanh(weights * world.v) - row) ** 2)
        return weights - 0.1 * tape.gradient(loss, weights), loss

    last, losses = hg.scan(step, world.v * 0.5, x)
    return hg.sum(last**2) + hg.sum(losses)


def loop(world, x):
    def body(carry):
        y, number = carry
        return hg.sin(y @ world.w) + world.v * y, number + 1

    y, number = hg.while_loop(lambda carry: carry[1] < 5, body, (x, 0))
    return hg.sum(y**2) * number


def loop_by_value(world, x):
    y = hg.while_loop(lambda y: hg.sum(y) < 50.0, lambda y: y * 1.3 + world.v**2, hg.exp(x[0]))
    return hg.sum(y)


def loop_with_maximum(world, x):
    y = hg.while_loop(lambda y: True, lambda y: hg.tanh(y * world.v + x), x, maximum_iterations=3)
    return hg.sum(y**2)


def loop_not_run(world, x):
    y = hg.while_loop(lambda y: hg.sum(y) > 100.0, lambda y: y * world.v, x * 2.0)
    return hg.sum(y**2) + hg.sum(world.v**2)


def loop_that_writes(world, x):
    def body(carry):
        world.state.assign(hg.cos(world.state))
        world.count.assign_add(1)
        return carry * world.state + world.v

    y = hg.while_loop(lambda carry: world.count < 4, body, x[1])
    return hg.sum(y**2) + hg.sum(world.state * x)


PROGRAMS = {
    "branch true": branch(True),
    "branch false": branch(False),
    **{
        program.__name__: program
        for program in (
            operands,
            gates,
            again,
            assigned_in_branch,
            dense,
            stacked,
            assigned_in_scan,
            structures,
            reverse,
            without_arrays,
            no_steps,
            nested,
            stopped_carry,
            crosswise,
            training,
            loop,
            loop_by_value,
            loop_with_maximum,
            loop_not_run,
            loop_that_writes,
        )
    },
}


TWICE = (
    "branch true",
    "operands",
    "gates",
    "dense",
    "structures",
    "assigned_in_scan",
    "nested",
    "training",
    "loop",
    "loop_that_writes",
)
"""Those that are differentiated twice when compiled: compiling takes longest here."""


@pytest.fixture
def jax():
    return pytest.importorskip("jax")


def once(program, world):
    """Return a function from x to a program's value and its gradients."""

    def run(x):
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = program(world, x)
        return [y, *tape.gradient(y, [x, *world.sources])]

    return run


def twice(program, world):
    """Return a function from x to a program's value, its gradients, and gradients of these."""

    def run(x):
        sources = [x, *world.sources]
        with hg.GradientTape() as outer:
            outer.watch(x)
            with hg.GradientTape() as inner:
                inner.watch(x)
                y = program(world, x)
            first = inner.gradient(y, sources)
            total = hg.asarray(0.0)
            for k, gradient in enumerate(first):
                if gradient is not None:
                    total = total + hg.sum(hg.sin(gradient * (k + 1.0)))
        return [y, *first, *outer.gradient(total, sources)]

    return run


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert (one is None) is (other is None)
        if one is not None:
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one.numpy(), other.numpy(), **CLOSE)


@peers
@pytest.mark.light
@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_is_eager(name, jax):
    here, there = World(), World()
    results = twice if name in TWICE else once
    eager = results(PROGRAMS[name], here)(here.x)
    compiled = hg.function(results(PROGRAMS[name], there))(there.x)
    assert_same(compiled, eager)
    assert_same([there.state, there.count], [here.state, here.count])


@peers
@pytest.mark.parametrize("name", ["branch false", "dense", "loop"])
def test_a_compiled_function_is_differentiated_from_outside(name, jax):
    here, there = World(), World()
    compiled = hg.function(lambda x: PROGRAMS[name](there, x))
    eager = once(PROGRAMS[name], here)(here.x)
    assert_same(once(lambda world, x: compiled(x), there)(there.x), eager)


@peers
@pytest.mark.parametrize("steps", [0, 1, 128, 300])
def test_a_loop_is_computed_again_from_checkpoints(steps, jax):
    v = hg.Variable(0.01)

    def run(x, steps):
        with hg.GradientTape() as tape:
            tape.watch(x)
            y, _ = hg.while_loop(
                lambda c: c[1] < steps, lambda c: (hg.sin(c[0]) + v * c[0], c[1] + 1), (x, 0)
            )
        return tape.gradient(y * x * v, [x, v])

    x = hg.asarray(0.7)
    assert_same(hg.function(run)(x, steps), run(x, steps))


# -- against JAX's own constructs ------------------------------------------------------------------


@peers
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_jax_scan(reverse, jax):
    jnp = jax.numpy
    xs, w, first = numbers(5, 2, 3), numbers(3, 3), numbers(2, 3)

    def step(xp, w):
        def body(carry, x):
            h = xp.tanh(carry @ w + x)
            return h + carry * 0.1, xp.sum(h * x, axis=-1)

        return body

    def theirs(xs, w, first):
        last, ys = jax.lax.scan(step(jnp, w), first, xs, reverse=reverse)
        return jnp.sum(last**2) + jnp.sum(jnp.cumsum(ys, axis=0) ** 2)

    def ours(xs, w, first):
        last, ys = hg.scan(step(hg, w), first, xs, reverse=reverse)
        return hg.sum(last**2) + hg.sum(hg.cumulative_sum(ys, axis=0) ** 2)

    with jax.enable_x64(True):
        expected = jax.jit(jax.value_and_grad(theirs, (0, 1, 2)))(xs, w, first)
    value, gradients = hg.function(hg.value_and_grad(ours, (0, 1, 2)))(xs, w, first)
    np.testing.assert_allclose(value.numpy(), expected[0], **CLOSE)
    for found, other in zip(gradients, expected[1], strict=True):
        np.testing.assert_allclose(found.numpy(), other, **CLOSE)


def chosen_then_scanned(x):
    x = hg.asarray(x)
    y = hg.cond(hg.sum(x) > 0.0, lambda: x * 2.0, lambda: hg.sin(x))
    last, ys = hg.scan(lambda c, row: (c * row, c + row), 1.0, y)
    return hg.sum(ys) + last * last


def eager_gradient(f, x):
    x = hg.asarray(x)
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x)


@peers
def test_plain_jax_differentiates_and_maps(jax):
    """Under jax.jit, jax.grad and jax.vmap, the constructs are JAX's own."""
    points = np.stack([numbers(4), -numbers(4), numbers(4, seed=2)])
    with jax.enable_x64(True):
        of_all = jax.jit(jax.vmap(jax.grad(lambda x: chosen_then_scanned(x).value)))(points)
    expected = [eager_gradient(chosen_then_scanned, x).numpy() for x in points]
    np.testing.assert_allclose(of_all, expected, **CLOSE)


@peers
@pytest.mark.parametrize("program", [chosen_then_scanned, lambda x: loop(World(), x)])
def test_our_tape_inside_plain_jax(program, jax):
    x = numbers(4, 3)[:, 0] if program is chosen_then_scanned else numbers(4, 3)
    with jax.enable_x64(True):
        compiled = jax.jit(lambda x: eager_gradient(program, x).value)(x)
    np.testing.assert_allclose(compiled, eager_gradient(program, x).numpy(), **CLOSE)


@peers
def test_a_condition_that_only_captures_traced_values(jax):
    compiled = jax.jit(lambda n: hg.while_loop(lambda c: c < n, lambda c: c + 2, 0).value)
    assert compiled(5) == 6


# -- what is written, drawn, known -----------------------------------------------------------------


@peers
def test_draws_in_a_compiled_body(jax):
    """Each step and each call draws anew; the gradient belongs to the numbers that were drawn."""

    def program():
        generator = hg.random.Generator(7)
        v = hg.Variable([1.0, 2.0])

        def run(flag):
            with hg.GradientTape() as tape:
                _, rows = hg.scan(lambda c, _: (c, generator.normal((2,)) * v), 0, length=3)
                y = hg.cond(flag, lambda: hg.sum(generator.normal((2,)) * v), lambda: 0.0)
                total = hg.sum(rows) + y
            return total, rows, tape.gradient(total, v)

        return hg.function(run), v

    one, v = program()
    other, _ = program()
    calls = [one(True), one(True), one(False)]
    drawn = [rows.numpy().ravel() for _, rows, _ in calls]
    assert np.unique(drawn).size == 18
    for total, _, gradient in calls:
        np.testing.assert_allclose(np.sum(gradient.numpy() * v.numpy()), total.numpy(), **CLOSE)
    assert_same(other(True), calls[0])


@peers
def test_plain_jax_cannot_write_variables(jax):
    v = hg.Variable(0.0, name="total")

    def step(carry, x):
        v.assign_add(x)
        return carry, x

    with pytest.raises(hg.TracingError, match=r"scan writes 'total'.*headgate\.function") as error:
        jax.jit(lambda x: hg.scan(step, 0.0, x)[1].value)(numbers(3))
    assert v.numpy() == 0.0
    assert "hg.scan(step" in str(error.value)
    with pytest.raises(hg.TracingError, match="cond writes 'total'"):
        jax.jit(lambda x: hg.cond(x > 0, lambda: v.assign(x), lambda: 0.0).value)(1.0)


@peers
def test_only_the_branch_that_is_known_is_traced(jax):
    def never():
        raise AssertionError("this branch is not taken")

    assert hg.function(lambda x: hg.cond(True, lambda: x, never))(hg.asarray(1.0)).numpy() == 1.0


@peers
def test_what_is_stopped_is_not_differentiated(jax):
    def run(x):
        with hg.GradientTape() as tape:
            tape.watch(x)
            y, _ = hg.scan(lambda c, x: (c * 2.0 + hg.stop_gradient(hg.sin(x)), None), x[0], x)
        return y, tape.gradient(y, x)

    text = hg.function(run).lower_text(hg.asarray(numbers(4)))
    assert text.count("stablehlo.sine") == 1
    assert "stablehlo.cosine" not in text


@peers
def test_numbers_adapt(jax):
    """Python numbers in branches and carries take the dtype of what they meet."""
    x = hg.asarray(np.float32([1.0, 2.0]))

    def run(x):
        a = hg.cond(x[0] > 0.0, lambda: 0.0, lambda: x[1])
        b = hg.cond(x[0] > 0.0, lambda: 1, lambda: 2.5)
        c, _ = hg.scan(lambda c, row: (c + row, None), 0, x)
        d, e = hg.while_loop(lambda c: c[1] < 3, lambda c: (c[0] * x[1], c[1] + 1), (1.0, 0))
        return a, b, c, d, e

    found = hg.function(run)(x)
    assert [float(t) for t in found] == [0.0, 1.0, 3.0, 8.0, 3.0]
    assert [str(t.dtype) for t in found] == ["float32", "float64", "float32", "float32", "int64"]


@peers
def test_numbers_that_are_stacked_are_arrays(jax):
    x = hg.asarray(np.float32([1.0, 2.0]))

    def run(x):
        return hg.scan(lambda c, row: (c, 1.0), 0, x)[1] * x

    assert hg.function(run)(x).dtype == run(x).dtype == "float64"


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=peers)])
def test_in_tensorflows_calling_convention(compiled, request):
    if compiled:
        request.getfixturevalue("jax")
    wrapped = tf.function(jit_compile=True) if compiled else lambda f: f

    @wrapped
    def run(x):
        i, y = tf.while_loop(lambda i, y: i < 10, lambda i, y: [i + 1, y * x], [0, x])
        (z,) = tf.while_loop(lambda z: z < 9.0, lambda z: z + x, (x,), maximum_iterations=2)
        choice = tf.cond(tf.reduce_sum(x) > 0.0, lambda: (x, y), lambda: (y, x))
        return i, y, z, choice

    i, y, z, (a, b) = run(tf.constant(2.0))
    assert [float(t) for t in (i, y, z, a, b)] == [10.0, 2.0**11, 6.0, 2.0, 2.0**11]


# -- explanations ----------------------------------------------------------------------------------


def stop_in_branch(v, x):
    return hg.cond(
        hg.sum(x) > -100.0,
        lambda: hg.sum(hg.stop_gradient(v) * x),  # stopped here
        lambda: hg.sum(x),
    )


def stop_in_scan(v, x):
    def step(carry, row):
        a, b = carry
        return (a * row, b + hg.stop_gradient(a)), None  # stopped here

    return hg.sum(hg.scan(step, (v * 1.0, hg.zeros(3)), x)[0][1])


def stop_in_loop(v, x):
    return hg.while_loop(
        lambda y: hg.sum(y) < 100.0,
        lambda y: hg.exp(hg.stop_gradient(v)) + y + 1.0,  # stopped here
        x,
    )


def rounded(v, x):
    return hg.scan(lambda c, row: (c, hg.round(v * row)), 0, x)[1]  # stopped here


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=peers)])
@pytest.mark.parametrize("program", [stop_in_branch, stop_in_scan, stop_in_loop, rounded])
def test_why_names_the_line_inside(program, compiled, request):
    if compiled:
        request.getfixturevalue("jax")
    v = hg.Variable(numbers(3), name="v")
    reports = []

    def run(x):
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = program(v, x)
        reports.append(tape.why(y, v))
        return tape.gradient(y, x)

    (hg.function(run) if compiled else run)(hg.asarray(numbers(4, 3)))
    (verdict,) = reports[-1]
    assert verdict.verdict == "cut"
    assert [place.file for place in verdict.cuts] == [__file__]
    assert "stopped here" in linecache.getline(__file__, verdict.cuts[0].line)


@peers
def test_results_know_apart_what_they_depend_on(jax):
    """A gradient is None for a result that has no way to it, although others of the loop have."""
    v, w = hg.Variable(numbers(3)), hg.Variable(numbers(3))

    def run(x):
        with hg.GradientTape(persistent=True) as tape:
            (a, b), ys = hg.scan(lambda c, r: ((c[0] * v, c[1] * w), c[1] * r), (x[0], x[1]), x)
        of_a, of_b, of_ys = (tape.gradient(y, [v, w]) for y in (a, b, ys))
        assert [of_a[1], of_b[0], of_ys[0]] == [None, None, None]
        return of_a[0], of_b[1], of_ys[1]

    x = hg.asarray(numbers(4, 3))
    assert_same(hg.function(run)(x), run(x))


# -- errors ----------------------------------------------------------------------------------------

REFUSED = {
    "structures of branches": (
        lambda x: hg.cond(x[0] > 0.0, lambda: (x, 1.0), lambda: [x, 1.0]),
        ValueError,
        r"cond: .*different structures",
    ),
    "shapes of branches": (
        lambda x: hg.cond(x[0] > 0.0, lambda: {"a": x}, lambda: {"a": x[:2]}),
        ValueError,
        r"at \['a'\]: true_fn float64 \(3,\), false_fn float64 \(2,\)",
    ),
    "dtypes of branches": (
        lambda x: hg.cond(x[0] > 0.0, lambda: x, lambda: hg.astype(x, "float32")),
        ValueError,
        r"true_fn float64 \(3,\), false_fn float32 \(3,\)",
    ),
    "shape of a carry": (
        lambda x: hg.scan(lambda c, row: ((c[0], hg.stack([c[1], row])), None), (1, x[0]), x),
        ValueError,
        r"scan: what is carried .* \[1\] is float64 \(\) before a step and float64 \(2,\) after",
    ),
    "dtype of a carry": (
        lambda x: hg.while_loop(lambda c: hg.sum(c) < 9.0, lambda c: hg.astype(c, "int32"), x),
        ValueError,
        r"while_loop: what is carried .* is float64 \(3,\) before a step and int32 \(3,\) after",
    ),
    "structure of a carry": (
        lambda x: hg.scan(lambda c, row: ([c, c], row), x, x),
        ValueError,
        r"must keep its structure, and is\n  \* before a step and\n  \[\*, \*\] after",
    ),
    "condition": (
        lambda x: hg.while_loop(lambda c: c < 9.0, lambda c: c + 1.0, x),
        ValueError,
        r"while_loop: the .*has the shape \(3,\)",
    ),
    "predicate": (
        lambda x: hg.cond(x > 0.0, lambda: x, lambda: x),
        ValueError,
        r"cond: the predicate has the shape \(3,\).*headgate\.where",
    ),
    "no pair": (
        lambda x: hg.scan(lambda c, row: c + row, 0.0, x),
        TypeError,
        r"the pair \(carry, y\)",
    ),
    "no function": (
        lambda x: hg.cond(x[0] > 0.0, x, x),
        TypeError,
        "cond takes two functions",
    ),
    "lengths": (
        lambda x: hg.scan(lambda c, row: (c, row[0]), 0.0, (x, x[:2])),
        ValueError,
        "array 0 of xs: 3, array 1 of xs: 2",
    ),
    "length": (
        lambda x: hg.scan(lambda c, row: (c, row), 0.0, x, length=7),
        ValueError,
        "length: 7, array 0 of xs: 3",
    ),
    "no length": (
        lambda x: hg.scan(lambda c, row: (c, row), x),
        ValueError,
        r"say the number of steps: length=",
    ),
    "no axis": (
        lambda x: hg.scan(lambda c, row: (c, row), 0.0, x[0]),
        ValueError,
        "array 0 of xs has no axis",
    ),
}
ALSO_EAGER = ("condition", "predicate", "no pair", "no function", "lengths", "length", "no length")


@peers
@pytest.mark.parametrize("name", REFUSED)
def test_refused_when_compiled(name, jax):
    program, kind, text = REFUSED[name]
    with pytest.raises(kind, match=text) as error:
        hg.function(program)(hg.asarray(numbers(3)))
    assert "test_control.py" in str(error.value)


@pytest.mark.parametrize("name", [*ALSO_EAGER, "no axis"])
def test_refused_eagerly(name):
    program, kind, text = REFUSED[name]
    with pytest.raises(kind, match=text):
        program(hg.asarray(numbers(3)))


@peers
def test_a_condition_that_writes_is_refused(jax):
    count = hg.Variable(0, name="count")

    def run(x):
        return hg.while_loop(lambda c: count.assign_add(1) < 3, lambda c: c * 2.0, x)

    with pytest.raises(hg.TracingError, match="the condition writes 'count'"):
        hg.function(run)(hg.asarray(1.0))


# -- eager -----------------------------------------------------------------------------------------


def test_eager_needs_no_jax(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    v = hg.Variable(2.0)
    states = []

    def step(carry, row):
        v.assign_add(1.0)
        return hg.scan(lambda c, _: (c * v, c), carry, length=2)

    last, ys = hg.scan(step, 1.0, hg.zeros((2, 1)))
    states.append((last.numpy(), ys.numpy().tolist(), v.numpy()))
    last, ys = hg.scan(step, 1.0, hg.zeros((0, 1)))  # the body runs once, and leaves nothing
    states.append((last.numpy(), ys.shape, v.numpy()))
    assert states == [(144.0, [[1.0, 3.0], [9.0, 36.0]], 4.0), (1.0, (0, 2), 4.0)]


def test_a_variable_in_a_carry_is_what_it_was():
    v = hg.Variable(1.0)

    def step(carry, _):
        v.assign_add(1.0)
        return v, v

    last, ys = hg.scan(step, v, length=3)
    v.assign(0.0)
    assert (last.numpy(), ys.numpy().tolist()) == (4.0, [2.0, 3.0, 4.0])


def test_a_predicate_does_not_leave_for_the_host():
    v, host = hg.Variable(3.0), np.array([1.0, 2.0])

    def why(choose):
        with hg.GradientTape() as tape:
            y = choose(v * 1.0 > 0.0)
        return str(tape.why(y, v))

    assert "host_round_trip" in why(lambda p: hg.asarray(host) if p else v)
    assert "host_round_trip" not in why(lambda p: hg.cond(p, lambda: hg.asarray(host), lambda: v))


@peers
def test_effects_happen_once_a_step(jax, capfd):
    """What a body prints is printed by the loop forward alone."""

    def run(x):
        def step(carry, row):
            jax.debug.print("row {row}", row=row.value)
            return carry * row, None

        with hg.GradientTape() as tape:
            tape.watch(x)
            y, _ = hg.scan(step, x[0], x)
            z = hg.cond(y > 100.0, lambda: y, lambda: (jax.debug.print("small"), y * 2.0)[1])
        return tape.gradient(z, x)

    hg.function(run)(hg.asarray([1.0, 2.0])).numpy()
    jax.effects_barrier()
    assert capfd.readouterr().out.split() == ["row", "1.0", "row", "2.0", "small"]
