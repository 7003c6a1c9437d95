"""Headgate agrees with JAX on whole programs: values, gradients, products with the Hessian.

`JAX` below is a namespace like `headgate`, made of JAX's own functions; the programs in
`programs.py` take either. Nothing of Headgate is in it, so that each number here is computed twice,
independently.

Each program runs in Headgate in three ways: on variables over NumPy arrays, on JAX arrays under
`jax.jit` with the tape inside, and by `headgate.hvp`; JAX's product with the Hessian is a forward
derivative of a reverse one, Headgate's is twice reverse. One test does all three, so that JAX need
compute its side only once: it takes longest. A gradient of a real number for a complex array is
the conjugate of what JAX gives, as it is in TensorFlow.
"""

import functools
import math
from types import SimpleNamespace

import numpy as np
import pytest

import headgate as hg
import light
from peers.programs import ACTIVATIONS, PROGRAMS

jax = pytest.importorskip("jax", reason="jax is not installed")
import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

pytestmark = pytest.mark.peers

CLOSE = 1e-6  # relative to the largest element of an array, in float64
NOTHING = 1e-10  # what counts as zero, if all elements are

# -- JAX's functions, by the names and with the arguments that Headgate has -----------------------


def _plain(padding):
    return padding if isinstance(padding, str) else [tuple(pair) for pair in padding]


def _layout(x, layout):
    """Return the numbers of dimensions as lax names them, and where space begins."""
    letters = "DHW"[-(x.ndim - 2) :]
    layout = layout or f"N{letters}C"
    return (layout, f"{letters}IO", layout), layout.index(letters[0])


def _per_axis(value, count):
    return (value,) * count if isinstance(value, int) else tuple(value)


def _conv(x, w, *, stride=1, padding="VALID", dilation=1, groups=1, layout=None):
    numbers, _ = _layout(x, layout)
    return lax.conv_general_dilated(
        x,
        w,
        _per_axis(stride, x.ndim - 2),
        _plain(padding),
        rhs_dilation=_per_axis(dilation, x.ndim - 2),
        dimension_numbers=numbers,
        feature_group_count=groups,
    )


def _conv_transpose(x, w, *, stride=1, padding="VALID"):
    numbers, _ = _layout(x, None)
    strides = _per_axis(stride, x.ndim - 2)
    return lax.conv_transpose(
        x, w, strides, padding, dimension_numbers=numbers, transpose_kernel=True
    )


def _windows(x, size, layout):
    _, start = _layout(x, layout)
    window = [1] * x.ndim
    window[start : start + x.ndim - 2] = _per_axis(size, x.ndim - 2)
    return tuple(window)


def _max_pool(x, size, *, layout=None):
    window = _windows(x, size, layout)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def _avg_pool(x, size, *, layout=None):
    window = _windows(x, size, layout)
    return lax.reduce_window(x, 0.0, lax.add, window, window, "VALID") / math.prod(window)


def _sparse_softmax_cross_entropy(logits, labels):
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_probs, labels[..., None], axis=-1)[..., 0]


def _sigmoid_cross_entropy(logits, labels):
    log_yes, log_no = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    return -labels * log_yes - (1 - labels) * log_no


def _l2_normalize(x, axis=None):
    return x / jnp.sqrt(jnp.sum(x**2, axis=axis, keepdims=True))


def _hvp(f, primals, tangents):
    gradient = jax.grad(f, tuple(range(len(primals))))
    return jax.jvp(gradient, tuple(primals), tuple(tangents))[1]


def _scaled(x, scale):
    """Return x with its gradient scaled."""
    return scale * x + lax.stop_gradient((1 - scale) * x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _clip_gradient(x, minimum, maximum):
    return x


_clip_gradient.defvjp(
    lambda x, minimum, maximum: (x, None),
    lambda minimum, maximum, saved, g: (jnp.clip(g, minimum, maximum),),
)

_OWN = {
    "asarray": jnp.asarray,
    "avg_pool": _avg_pool,
    "clip_gradient": _clip_gradient,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "custom_gradient": jax.custom_gradient,
    "embedding": lambda table, ids: table[ids],
    "erf": jax.scipy.special.erf,
    "gather": lambda x, indices: x[indices],
    "gelu": lambda x, approximate=False: jax.nn.gelu(x, approximate=approximate),
    "grad": jax.grad,
    "hard_tanh": jax.nn.hard_tanh,
    "hessian": jax.hessian,
    "hvp": _hvp,
    "jacobian": jax.jacobian,
    "jvp": jax.jvp,
    "l2_normalize": _l2_normalize,
    "leaky_relu": lambda x, alpha=0.2: jax.nn.leaky_relu(x, alpha),
    "logsumexp": jax.scipy.special.logsumexp,
    "max_pool": _max_pool,
    "norm": jnp.linalg.norm,
    "pad": lambda x, widths, mode="constant": jnp.pad(x, widths, mode),
    "recompute_grad": jax.checkpoint,
    "reverse_gradient": lambda x, scale=1.0: _scaled(x, -scale),
    "rsqrt": lax.rsqrt,
    "scale_gradient": _scaled,
    "scatter_add": lambda x, updates, key: x.at[jnp.asarray(key)].add(updates),
    "scatter_update": lambda x, updates, key: x.at[jnp.asarray(key)].set(updates),
    "sigmoid_cross_entropy": _sigmoid_cross_entropy,
    "softmax_cross_entropy": lambda logits, labels: (
        -jnp.sum(labels * jax.nn.log_softmax(logits), axis=-1)
    ),
    "softsign": jax.nn.soft_sign,
    "sparse_softmax_cross_entropy": _sparse_softmax_cross_entropy,
    "split": lambda x, sizes, axis=0: jnp.split(
        x, sizes if isinstance(sizes, int) else np.cumsum(sizes)[:-1], axis=axis
    ),
    "squared_difference": lambda x, y: (x - y) ** 2,
    "stop_gradient": lax.stop_gradient,
    "straight_through": lambda hard, soft: soft + lax.stop_gradient(hard - soft),
    "top_k": lax.top_k,
    "vjp": jax.vjp,
}


class Jax:
    """A namespace of JAX's functions: the first of these modules that has a name."""

    def __init__(self, *modules):
        self.modules = modules

    def __getattr__(self, name):
        for module in self.modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"the programs call xp.{name}, for which JAX has another name")


JAX = Jax(SimpleNamespace(**_OWN, linalg=Jax(jnp.linalg, jnp)), jnp, jax.nn)

# -- the same numbers, from JAX and in three ways from Headgate -----------------------------------


def compiled(function):
    return jax.jit(function, compiler_options=light.options())


def by_jax(run, points, directions, order):
    """Return the value, the gradients and, if asked for, the products with the Hessian."""
    with_gradient = jax.value_and_grad(run, tuple(range(len(points))))
    if order == 1:
        value, gradients = compiled(with_gradient)(*points)
        return value, [jnp.conj(gradient) for gradient in gradients], None
    derivative = compiled(lambda points, directions: jax.jvp(with_gradient, points, directions))
    (value, gradients), (_, products) = derivative(tuple(points), tuple(directions))
    return value, gradients, products


def by_tape(program, arrays, where):
    """Differentiate by variables over NumPy arrays."""
    given = [hg.Variable(array) if k in where else array for k, array in enumerate(arrays)]
    with hg.GradientTape() as tape:
        loss = program.function(hg, *given)
    return loss.numpy(), tape.gradient(loss, [given[k] for k in where])


def by_tape_inside_jit(program, arrays, where):
    """Differentiate by tensors over the tracers of `jax.jit`."""

    @compiled
    def step(arrays):
        tensors = [hg.asarray(array) for array in arrays]
        sources = [tensors[k] for k in where]
        with hg.GradientTape() as tape:
            tape.watch(sources)
            loss = program.function(hg, *tensors)
        gradients = tape.gradient(loss, sources)
        return loss.value, [None if g is None else g.value for g in gradients]

    return step([jnp.asarray(array) for array in arrays])


def agree(found, expected, what):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    assert np.all(np.isfinite(expected)), f"{what}: JAX has {expected}"
    allowed = CLOSE * np.max(np.abs(expected), initial=0.0) + NOTHING
    np.testing.assert_allclose(found, expected, rtol=0, atol=allowed, err_msg=what)


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    program = PROGRAMS[name]
    arrays = program.arrays()
    where = [k for k, array in enumerate(arrays) if array.dtype.kind in "fc"]
    points = [arrays[k] for k in where]
    rng = np.random.default_rng(3)
    directions = [rng.standard_normal(point.shape) for point in points]

    def of(xp):
        def run(*chosen):
            given = list(arrays)
            for k, value in zip(where, chosen):
                given[k] = value
            return program.function(xp, *given)

        return run

    value, gradients, products = by_jax(of(JAX), points, directions, program.order)
    for way in (by_tape, by_tape_inside_jit):
        own_value, own_gradients = way(program, arrays, where)
        agree(own_value, value, f"{way.__name__}: value")
        without = [k for k, g in zip(where, own_gradients) if g is None]
        assert without == list(program.stopped), f"{way.__name__}: arguments without a gradient"
        for k, found, expected in zip(where, own_gradients, gradients):
            found = np.zeros_like(expected) if found is None else found
            agree(found, expected, f"{way.__name__}: gradient of argument {k}")
    if products is not None:
        own_products = hg.hvp(of(hg), points, directions)
        for k, found, expected in zip(where, own_products, products):
            agree(found, expected, f"hvp: argument {k}")


SMOOTH = [name for name, each in PROGRAMS.items() if each.order == 2 and not each.stopped]


@pytest.mark.parametrize("name", SMOOTH[::6])
def test_nested_at_the_variables_of_an_outer_derivative(name):
    program = PROGRAMS[name]
    arrays = program.arrays()
    where = [k for k, array in enumerate(arrays) if array.dtype.kind in "fc"]
    points = [arrays[k] for k in where]
    numbers = tuple(range(len(points)))
    rng = np.random.default_rng(4)
    directions = [rng.standard_normal(point.shape) for point in points]

    def of(xp):
        def outer(*chosen):
            def inner(*again):
                given = list(arrays)
                for k, value in zip(where, again):
                    given[k] = value
                both = zip(again, chosen, directions)
                return program.function(xp, *given) + sum(xp.sum(a * b * d) for a, b, d in both)

            gradients = xp.grad(inner, argnums=numbers)(*chosen)
            return sum(xp.sum(g * d) for g, d in zip(gradients, directions))

        return outer

    value, gradients = compiled(jax.value_and_grad(of(JAX), argnums=numbers))(*points)
    own_value, own_gradients = hg.value_and_grad(of(hg), argnums=numbers)(*map(hg.Variable, points))
    agree(own_value, value, "value")
    for k, found, expected in zip(where, own_gradients, gradients):
        agree(found, expected, f"gradient of argument {k}")


def test_there_are_enough_programs():
    assert len(PROGRAMS) - len(ACTIVATIONS) >= 40
    assert sum(bool(program.stopped) for program in PROGRAMS.values()) >= 8
    assert sum(program.order == 2 for program in PROGRAMS.values()) >= 40
