"""Gates: what they do to the value (nothing) and to the gradient, on NumPy and on JAX."""

from collections import namedtuple

import numpy as np
import pytest

import headgate as hg

X = np.array([0.5, -1.0, 2.0])
MASK = np.array([1.0, 0.0, 0.25])
Pair = namedtuple("Pair", "first second")

# name: the gate and what it makes of the cotangent.
GATES = {
    "stop": (hg.stop_gradient, None),
    "scale": (lambda x: hg.scale_gradient(x, 0.3), lambda g: 0.3 * g),
    "scale by 0": (lambda x: hg.scale_gradient(x, scale=0.0), lambda g: 0.0 * g),
    "reverse": (hg.reverse_gradient, lambda g: -g),
    "reverse, scaled": (lambda x: hg.reverse_gradient(x, scale=2.0), lambda g: -2.0 * g),
    "clip": (lambda x: hg.clip_gradient(x, -1.0, 2.0), lambda g: np.clip(g, -1.0, 2.0)),
    "clip below": (lambda x: hg.clip_gradient(x, minimum=1.0), lambda g: np.maximum(g, 1.0)),
    "clip above": (lambda x: hg.clip_gradient(x, maximum=1.0), lambda g: np.minimum(g, 1.0)),
    "norm": (lambda x: hg.clip_gradient(x, norm=1.0), lambda g: g / max(1.0, np.linalg.norm(g))),
    "norm not reached": (lambda x: hg.clip_gradient(x, norm=1e9), lambda g: g),
    "norm without limit": (lambda x: hg.clip_gradient(x, norm=float("inf")), lambda g: g),
    "route": (lambda x: hg.route(x, MASK), lambda g: g * MASK),
    "route by booleans": (lambda x: hg.route(x, MASK > 0), lambda g: g * (MASK > 0)),
    "straight through": (lambda x: hg.straight_through(X, x), lambda g: g),
    "pass through": (hg.grad_pass_through(lambda x: x * 1.0), lambda g: g),
}
LIVE = {name: gate for name, gate in GATES.items() if name != "stop"}


def cubes(gate):
    return lambda x: hg.sum(gate(x) ** 3)


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_value_and_gradient(name, dtype):
    gate, policy = GATES[name]
    x = hg.Variable(X.astype(dtype))
    with hg.GradientTape() as tape:
        passed = gate(x)
        y = hg.sum(passed**3)
    assert type(passed) is hg.Tensor
    np.testing.assert_array_equal(passed.numpy(), X)
    gradient = tape.gradient(y, x)
    if policy is None:
        assert gradient is None
    else:
        assert gradient.dtype == x.dtype
        np.testing.assert_allclose(gradient.numpy(), policy(3 * X**2), rtol=1e-6)


@pytest.mark.parametrize("name", LIVE)
def test_second_order(name):
    """The first gradient is policy(3 p²) with p = gate(x): x is reached through the gate again."""
    gate, policy = LIVE[name]
    v, step = np.array([0.3, -0.2, 0.5]), 1e-6
    through = (policy(3 * X**2 + step * v) - policy(3 * X**2 - step * v)) / (2 * step)
    _, pull = hg.vjp(hg.grad(cubes(gate)), X)
    np.testing.assert_allclose(pull(v)[0].numpy(), policy(6 * X * through), rtol=1e-6)


@pytest.mark.parametrize("name", [n for n in LIVE if not n.startswith(("clip", "norm"))])
def test_forward_mode_of_linear_gates(name):
    gate, policy = LIVE[name]
    _, tangent = hg.jvp(gate, (X,), (np.ones(3),))
    np.testing.assert_allclose(tangent.numpy(), policy(np.ones(3)))


@pytest.mark.parametrize(
    "gate", [lambda x: hg.clip_gradient(x, -1.0, 1.0), lambda x: hg.clip_gradient(x, norm=1.0)]
)
def test_forward_mode_of_clips_is_that_of_small_gradients(gate):
    """Forward mode asks for the derivative at the cotangent zero, where nothing is clipped."""
    _, tangent = hg.jvp(gate, (X,), (np.full(3, 5.0),))
    np.testing.assert_allclose(tangent.numpy(), np.full(3, 5.0))


def test_a_clip_by_norm_of_a_zero_gradient_is_smooth():
    hessian = hg.hessian(lambda x: hg.sum(hg.clip_gradient(x, norm=9.0) ** 2))(hg.zeros(2))
    np.testing.assert_array_equal(hessian.numpy(), 2 * np.eye(2))


def test_complex_gradients_are_clipped_by_their_absolute_norm():
    z = hg.Variable([3.0 + 4.0j])
    with hg.GradientTape() as tape:
        y = hg.real(hg.sum(hg.clip_gradient(z, norm=1.0) * (3.0 - 4.0j)))
    np.testing.assert_allclose(tape.gradient(y, z).numpy(), [0.6 + 0.8j])


def test_gates_compose_from_the_result_back():
    def both(x):
        return hg.clip_gradient(hg.scale_gradient(x, 0.5), -4.0, 4.0)

    np.testing.assert_array_equal(hg.grad(cubes(both))(X).numpy(), [0.375, 1.5, 2.0])


def test_a_mask_broadcasts_to_the_value():
    x = hg.Variable(np.ones((2, 3)))
    with hg.GradientTape() as tape:
        y = hg.sum(hg.route(x, MASK) * 2.0)
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), 2.0 * np.stack([MASK, MASK]))


@pytest.mark.parametrize("mask", [np.ones(4), np.ones((2, 3))], ids=["other size", "more axes"])
def test_a_mask_that_does_not_fit_is_refused_at_the_call(mask):
    with pytest.raises(ValueError, match="route"):
        hg.route(hg.Variable(X), mask)


@pytest.mark.parametrize("hard", [np.ones(4), np.ones((2, 3)), 1.0])
def test_hard_and_soft_of_different_shapes_are_refused_at_the_call(hard):
    with pytest.raises(ValueError, match="straight_through"):
        hg.straight_through(hard, hg.Variable(X))


def test_straight_through_and_route_with_both_sides_watched():
    x, soft = hg.Variable(X), hg.Variable(MASK)
    with hg.GradientTape(persistent=True) as tape:
        through = hg.sum(hg.straight_through(x * 2.0, soft * 3.0))
        routed = hg.sum(hg.route(x, soft))
    assert through.numpy() == 2 * X.sum()
    assert tape.gradient(through, x) is None
    np.testing.assert_array_equal(tape.gradient(through, soft).numpy(), [3.0] * 3)
    np.testing.assert_array_equal(tape.gradient(routed, x).numpy(), MASK)
    assert tape.gradient(routed, soft) is None


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "one of them"),
        ({"minimum": 0.0, "norm": 1.0}, "one of them"),
        ({"minimum": 2.0, "maximum": 1.0}, "above maximum"),
        ({"norm": 0.0}, "positive"),
        ({"norm": float("nan")}, "positive"),
    ],
)
def test_bad_clips(arguments, match):
    with pytest.raises(ValueError, match=match):
        hg.clip_gradient(hg.Variable(X), **arguments)


# stop_gradient on structures.


@pytest.mark.parametrize(
    "make",
    [
        lambda x: [x, x],
        lambda x: (x, [x]),
        lambda x: {"b": x, "a": (x, {"c": x})},
        lambda x: Pair(x, [x]),
        lambda x: {"x": None, "y": x},
        lambda x: [],
    ],
    ids=["list", "tuple", "dict", "named tuple", "with None", "empty"],
)
def test_a_stop_keeps_the_structure(make):
    x = hg.Variable(3.0)
    with hg.GradientTape() as tape:
        stopped = hg.stop_gradient(make(x), label="whole")
        leaves = []

        def visit(part):
            if isinstance(part, dict):
                part = [part[key] for key in sorted(part)]
            if isinstance(part, list | tuple):
                [visit(item) for item in part]
            elif part is not None:
                leaves.append(part)

        visit(stopped)
        y = x * 1.0 + sum(leaf * x for leaf in leaves)
    assert type(stopped) is type(make(x))
    assert _plain(stopped) == make(3.0)
    assert all(type(leaf) is hg.Tensor for leaf in leaves)
    places = tape.why(y, x).cuts
    assert {(place.kind, place.label) for place in places} == (
        {("stop_gradient", "whole")} if leaves else set()
    )
    assert tape.gradient(y, x).numpy() == 1.0 + 3.0 * len(leaves)


def _plain(part):
    """Return a structure with numbers for tensors."""
    if isinstance(part, dict):
        return {key: _plain(item) for key, item in part.items()}
    if isinstance(part, Pair):
        return Pair(*map(_plain, part))
    if isinstance(part, list | tuple):
        return type(part)(map(_plain, part))
    return part if part is None else float(part)


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (2.0, "float64"),
        (2, "int64"),
        (True, "bool"),
        (np.float32(2.0), "float32"),
        (2j, "complex128"),
    ],
)
def test_a_stop_of_numbers_gives_constants(given, dtype):
    stopped = hg.stop_gradient(given)
    assert type(stopped) is hg.Tensor
    assert stopped.dtype == dtype
    assert stopped.node is None


def test_a_stop_does_not_copy_and_does_not_watch():
    v = hg.Variable(X)
    with hg.GradientTape() as tape:
        h = v * 2.0
        assert hg.stop_gradient(h).value is h.value
    assert len(tape.watched_variables()) == 1
    with hg.GradientTape() as tape:
        hg.stop_gradient([v])
    assert tape.watched_variables() == ()


def test_a_stop_is_a_snapshot_of_a_variable():
    v = hg.Variable(X)
    stopped = hg.stop_gradient(v)
    v.assign_add(np.ones(3))
    np.testing.assert_array_equal(stopped.numpy(), X)


# On JAX's values the same program runs, and JAX sees what ours does.


@pytest.mark.peers
@pytest.mark.parametrize("name", GATES)
def test_a_whole_tape_program_traces_under_jit(name):
    jax = pytest.importorskip("jax")
    gate, _ = GATES[name]
    if name in ("route", "route by booleans"):
        mask = jax.numpy.asarray(MASK if name == "route" else MASK > 0)
        gate = lambda x: hg.route(x, mask)

    def program(xp_value):
        x = hg.Variable(xp_value)
        with hg.GradientTape() as outer:
            with hg.GradientTape() as inner:
                y = hg.sum(gate(x) ** 3 + x**2)
            first = inner.gradient(y, x)
        second = outer.gradient(first, x)
        return y.value, first.value, second.value

    compiled = jax.jit(program)(jax.numpy.asarray(X))
    for theirs, ours in zip(compiled, program(X)):
        assert isinstance(theirs, jax.Array)
        np.testing.assert_allclose(theirs, ours, rtol=1e-12)


@pytest.mark.peers
@pytest.mark.parametrize("stops", [0, 1, 2])
def test_an_outer_jax_grad_agrees_with_our_stops(stops):
    jax = pytest.importorskip("jax")

    def f(x):
        t = hg.asarray(x)
        factors = [t * 1.0, t + 0.0]
        for k in range(stops):
            factors[k] = hg.stop_gradient({"factor": factors[k]})["factor"]
        return hg.sum(factors[0] * factors[1])

    x = jax.numpy.asarray(X)
    theirs = jax.grad(lambda x: f(x).value)(x)
    tensor = hg.asarray(x)
    with hg.GradientTape() as tape:
        tape.watch(tensor)
        y = f(tensor)
    ours = tape.gradient(y, tensor, unconnected_gradients="zero")
    np.testing.assert_array_equal(theirs, (2 - stops) * X)
    np.testing.assert_array_equal(ours.numpy(), theirs)


@pytest.mark.peers
def test_a_variable_may_hold_a_jax_array():
    jnp = pytest.importorskip("jax").numpy
    v = hg.Variable(jnp.asarray(X))
    with hg.GradientTape() as tape:
        y = hg.sum(v * np.array([1.0, 2.0, 3.0]))
    gradient = tape.gradient(y, v)
    assert isinstance(gradient.value, type(jnp.zeros(3)))
    v.assign_sub(gradient)
    np.testing.assert_array_equal(v.numpy(), X - [1.0, 2.0, 3.0])
