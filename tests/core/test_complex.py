"""Programs of complex numbers: a conjugate too few, or one too many, changes their gradients.

The op table tests rows one by one. Here is what rows do together, and what lies on the border
between the walk and the user: cotangents, custom rules, gates, compiled functions, branches, loops,
and JAX. Users see gradients that point uphill, the conjugates of `jax.grad`'s.
"""

import numpy as np
import pytest

import headgate as hg
from headgate.core.namespace import NUMPY, TENSORS
from headgate.testing import check_gradient

Z = np.array([0.5 + 0.3j, -0.4 + 0.8j, 0.9 - 0.6j])
W = np.array([0.2 - 0.7j, 1.1 + 0.4j, -0.3 + 0.5j])
X = np.array([0.7, -1.2, 0.4])
C = np.array([1.0 + 2.0j, -0.5 - 1.0j, 0.3 + 0.1j])
D = np.array([0.4 - 1.5j, 2.0 + 0.6j, -0.7 + 0.9j])


def close(found, expected):
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)


def pulled(f, *points, seed=C):
    """Return the gradients of f for a cotangent, of a tape that nobody looks on."""
    tensors = list(map(hg.asarray, points))
    with hg.GradientTape() as tape:
        tape.watch(tensors)
        y = f(*tensors)
    return tape.gradient(y, tensors, output_gradients=seed)


def pulled_twice(f, z):
    """Return the gradient of f at z for C, and that gradient's for D by z and by C."""
    z, c = hg.asarray(z), hg.asarray(C)
    with hg.GradientTape() as outer:
        outer.watch([z, c])
        with hg.GradientTape() as tape:
            tape.watch(z)
            y = f(z)
        first = tape.gradient(y, z, output_gradients=c)
    return [first, *outer.gradient(first, [z, c], D, unconnected_gradients="zero")]


def mixed(z, w, x):
    """Return something that is neither holomorphic nor real."""
    product = hg.exp(z * x) * hg.conj(w) + hg.abs(z) * w
    return product / (2.0 + hg.imag(w) * x) + hg.sign(z) * hg.real(w * z)


# -- the convention --------------------------------------------------------------------------------

# Functions with their first and second derivatives.
HOLOMORPHIC = {
    "sin": (hg.sin, np.cos, lambda z: -np.sin(z)),
    "cube": (lambda z: z * z * z, lambda z: 3 * z**2, lambda z: 6 * z),
    "exp of a square": (
        lambda z: hg.exp(z * z),
        lambda z: 2 * z * np.exp(z * z),
        lambda z: (2 + 4 * z * z) * np.exp(z * z),
    ),
    "log": (hg.log, lambda z: 1 / z, lambda z: -1 / z**2),
    "quotient": (lambda z: 1j / z, lambda z: -1j / z**2, lambda z: 2j / z**3),
}


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_gradient_of_a_holomorphic_function_has_the_conjugate_of_its_derivative(name):
    f, slope, bend = HOLOMORPHIC[name]
    first, by_z, by_c = pulled_twice(f, Z)
    close(first, C * np.conj(slope(Z)))
    close(by_z, np.conj(D) * C * np.conj(bend(Z)))
    close(by_c, D * slope(Z))
    close(pulled(f, Z)[0], C * np.conj(slope(Z)))


def test_gradient_of_a_real_loss_points_uphill():
    close(hg.grad(lambda z: hg.sum(hg.real(z * hg.conj(z))))(Z), 2 * Z)
    close(hg.grad(lambda z: hg.sum(hg.abs(z - W) ** 2))(Z), 2 * (Z - W))
    close(hg.grad(lambda z: hg.sum(hg.imag(z) * X))(Z), 1j * X)
    close(hg.grad(lambda z: hg.real(hg.sum(W * z)))(Z), np.conj(W))


def test_hessian_of_a_squared_size_is_twice_the_identity():
    hessian = hg.hessian(lambda z: hg.sum(hg.real(z * hg.conj(z))))
    close(hessian(Z), 2 * np.eye(3))
    product = hg.hvp(lambda z: hg.sum(hg.abs(z) ** 2), (hg.asarray(Z),), (hg.asarray(D),))
    close(product[0], 2 * D)


def test_real_argument_of_a_complex_function_gets_the_real_part():
    (found,) = pulled(lambda x: (2 - 3j) * x * x, X)
    assert found.dtype == np.float64
    close(found, (C * np.conj(2 * (2 - 3j) * X)).real)
    by_x, by_z = pulled(lambda x, z: x * z, X, Z)
    close(by_x, (C * np.conj(Z)).real)
    close(by_z, C * X)


def test_forward_mode_gives_the_derivative_itself():
    y, tangent = hg.jvp(lambda z: hg.sin(z) * hg.conj(z), (Z,), (D,))
    close(tangent, np.cos(Z) * D * np.conj(Z) + np.sin(Z) * np.conj(D))
    z = hg.asarray(Z)
    with hg.ForwardAccumulator(z, hg.asarray(D)) as accumulator:
        y = z * z * z
    close(accumulator.jvp(y), 3 * Z**2 * D)


def test_cotangents_come_back_from_the_target_itself():
    z = hg.asarray(Z)
    with hg.GradientTape(persistent=True) as tape:
        tape.watch(z)
        y = hg.sin(z)
    close(tape.gradient(z, z, output_gradients=C), C)
    close(tape.gradient(y, y, output_gradients=C), C)


def test_jacobians_and_vjp():
    close(hg.jacobian(lambda z: z * z)(Z), np.diag(np.conj(2 * Z)))
    z = hg.asarray(np.stack([Z, W]))
    with hg.GradientTape(persistent=True) as tape:
        tape.watch(z)
        y = hg.exp(z)
    rows = np.stack([np.diag(np.conj(np.exp(row))) for row in (Z, W)])
    close(tape.batch_jacobian(y, z), rows)
    close(hg.vjp(lambda z: z * z, Z)[1](C)[0], C * np.conj(2 * Z))


def test_compositions_agree_with_finite_differences():
    check_gradient(mixed, Z, W, X)
    check_gradient(lambda z, w: hg.vecdot(z, w * w) * z, Z, W)
    check_gradient(lambda m: hg.linalg.norm(m) * hg.linalg.det(m @ m), np.outer(Z, W) + np.eye(3))
    check_gradient(lambda m: hg.linalg.svd(m).S, np.outer(Z, W) + np.diag(C))
    check_gradient(hg.recompute_grad(mixed), Z, W, X)


def test_real_programs_are_never_conjugated(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a real cotangent was conjugated")

    monkeypatch.setattr(TENSORS, "conj", refuse)
    monkeypatch.setitem(NUMPY.__dict__, "conj", refuse)
    cube = hg.custom_gradient(lambda x: (x**3, lambda g: 3.0 * g * x * x))
    gradient = hg.grad(lambda x: hg.sum(hg.abs(cube(hg.scale_gradient(x, 1.0)) * x)))
    close(hg.jvp(gradient, (X,), (X,))[1], 12 * X**3)
    close(pulled(hg.recompute_grad(hg.sin), X, seed=X)[0], X * np.cos(X))


# -- rules and policies of the user's own ----------------------------------------------------------


def test_custom_rule_sees_what_the_user_sees():
    seen = []

    @hg.custom_gradient
    def f(z):
        def rule(g):
            seen.append(g.numpy())
            return g * W

        return hg.sin(z), rule

    (found,) = pulled(f, Z)
    np.testing.assert_array_equal(seen[0], C)
    close(found, C * W)
    (found,) = pulled(lambda z: 2j * f(3j * z), Z)
    np.testing.assert_allclose(seen[1], C * -2j)
    close(found, C * -2j * W * -3j)


def test_custom_rule_that_is_the_true_one_changes_nothing():
    @hg.custom_gradient
    def f(z, x):
        y = hg.exp(z * x)
        return y, lambda g: (g * hg.conj(y * x), hg.real(g * hg.conj(y * z)))

    check_gradient(lambda z, x: f(z * z, x) * hg.conj(z), Z, X)
    for found, true in zip(pulled_twice(lambda z: f(z, X), Z), pulled_twice(_exp_x, Z)):
        close(found, true.numpy())


def _exp_x(z):
    return hg.exp(z * X)


def test_custom_rule_may_give_a_number():
    f = hg.custom_gradient(lambda z: (z * z, lambda g: 1 + 2j))
    (found,) = pulled(f, np.complex64(1 - 1j), seed=np.complex64(1.0))
    assert found.dtype == np.complex64
    close(found, 1 + 2j)


def test_custom_rule_with_variables():
    v = hg.Variable(W)

    @hg.custom_gradient
    def f(z):
        return z * v, lambda g, variables: (g * 1j, [g * (2 + 1j)])

    z = hg.asarray(Z)
    with hg.GradientTape() as tape:
        tape.watch(z)
        y = f(z)
    by_z, by_v = tape.gradient(y, [z, v], output_gradients=C)
    close(by_z, C * 1j)
    close(by_v, C * (2 + 1j))


def by_norm(g):
    return g * min(1.0, 0.5 / np.linalg.norm(g))


GATES = {
    "scale": (lambda z: hg.scale_gradient(z, 0.5 + 2j), lambda g: g * (0.5 + 2j)),
    "reverse": (lambda z: hg.reverse_gradient(z, 1j), lambda g: g * -1j),
    "route": (lambda z: hg.route(z, W), lambda g: g * W),
    "clip by norm": (lambda z: hg.clip_gradient(z, norm=0.5), by_norm),
    "clip by value": (lambda z: hg.clip_gradient(z, -0.5, 0.4), lambda g: np.clip(g, -0.5, 0.4)),
    "straight through": (lambda z: hg.straight_through(hg.conj(z), z), lambda g: g),
    "pass through": (hg.grad_pass_through(lambda z: hg.conj(z)), lambda g: g),
}


@pytest.mark.parametrize("name", GATES)
def test_gates_act_on_what_the_user_sees(name):
    gate, policy = GATES[name]
    close(pulled(gate, Z)[0], policy(C))
    close(pulled(lambda z: 2j * gate(z), Z)[0], policy(C * -2j))


def test_clipped_gradient_at_a_tie_looks_at_its_imaginary_part():
    seed = np.array([1 + 1j, 1 - 1j])  # in NumPy's order, the first is above 1 and the second not
    close(pulled(lambda z: hg.clip_gradient(z, -1.0, 1.0), Z[:2], seed=seed)[0], [1, 1 - 1j])


# -- compiled, and beside JAX ----------------------------------------------------------------------


@pytest.fixture
def wide():
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


def eager_mixed(z):
    return mixed(z, W, X)


def branch(z):
    return hg.cond(hg.real(z[0]) > 0.0, lambda: z * W * hg.abs(z), lambda: hg.sin(z))


def steps(z):
    last, ys = hg.scan(lambda c, x: (c * x + 1j * hg.abs(c), hg.sin(c) * z), z, hg.asarray([W, Z]))
    return last + ys[0] * ys[1]


def until(z):
    return hg.while_loop(
        lambda c: hg.sum(hg.abs(c)) < 20.0, lambda c: c * (1.2 + 0.3j) + 0.1 * hg.conj(c), z
    )


def clipped(z):
    return hg.sin(hg.scale_gradient(hg.clip_gradient(z * z, norm=0.5), 1j))


@pytest.mark.peers
@pytest.mark.parametrize("f", [eager_mixed, branch, steps, until, clipped])
def test_compiled_programs_have_the_gradients_of_eager_ones(f, wide):
    compiled = hg.function(f)
    expected = [g.numpy() for g in pulled_twice(f, Z)]
    outside = pulled_twice(compiled, Z)
    inside = hg.function(lambda z: pulled_twice(f, z))(hg.asarray(Z))
    for found in (outside, inside):
        for g, true in zip(found, expected, strict=True):
            close(g, true)
    close(pulled(compiled, Z)[0], expected[0])
    (true,) = pulled(f, Z, seed=-2j * C)
    close(pulled(lambda z: 2j * compiled(1j * z), -1j * Z)[0], -1j * true.numpy())


@pytest.mark.peers
def test_gradients_are_the_conjugates_of_jaxs(wide):
    jnp = wide.numpy

    def theirs(z, w, x):
        product = jnp.exp(z * x) * jnp.conj(w) + jnp.abs(z) * w
        y = product / (2.0 + jnp.imag(w) * x) + z / jnp.abs(z) * jnp.real(w * z)
        return jnp.sum(jnp.abs(y) ** 2)

    expected = wide.grad(theirs, argnums=(0, 1, 2))(Z, W, X)
    ours = hg.grad(lambda *given: hg.sum(hg.abs(mixed(*given)) ** 2), argnums=(0, 1, 2))
    for found, true in zip(ours(Z, W, X), expected, strict=True):
        close(found, np.conj(true))


@pytest.mark.peers
@pytest.mark.parametrize("jit", [True, False])
def test_jaxs_functions_on_a_tape(jit, wide):
    jnp = wide.numpy
    f = hg.from_jax(lambda z: jnp.exp(z) * jnp.abs(z), jit=jit)
    expected = pulled_twice(lambda z: z * hg.exp(1j * z) * hg.abs(1j * z), Z)
    for g, true in zip(pulled_twice(lambda z: z * f(1j * z), Z), expected, strict=True):
        close(g, true.numpy())


@pytest.mark.peers
def test_tensors_functions_under_jax(wide):
    jnp = wide.numpy
    f = hg.to_jax(lambda z: hg.exp(z) * hg.abs(z))

    def g(z):
        return jnp.exp(z) * jnp.abs(z)

    for seed in (C, 1j * D):
        np.testing.assert_allclose(wide.vjp(f, Z)[1](seed)[0], wide.vjp(g, Z)[1](seed)[0])

    def size(h):
        return lambda z: jnp.sum(jnp.abs(h(1j * z)) ** 2)

    np.testing.assert_allclose(wide.jit(wide.grad(size(f)))(Z), wide.grad(size(g))(Z))

    def bent(h):
        return lambda z: jnp.sum(jnp.abs(wide.grad(size(h))(z)) ** 2)

    np.testing.assert_allclose(wide.grad(bent(f))(Z), wide.grad(bent(g))(Z), rtol=1e-9)


@pytest.mark.peers
def test_policies_under_jax_are_for_the_gradient_that_users_of_tapes_see(wide):
    f = hg.to_jax(lambda z: hg.scale_gradient(z, 1j) * 3.0)
    np.testing.assert_allclose(wide.vjp(f, Z)[1](C)[0], C * -3j)
