"""Jacobians: compiled, forward and reverse, and which of them is chosen."""

import numpy as np
import optree
import pytest

import headgate as hg

pytestmark = [pytest.mark.peers, pytest.mark.light]


def agree(one, other, **close):
    for mine, theirs in zip(
        optree.tree_leaves(one, none_is_leaf=True),
        optree.tree_leaves(other, none_is_leaf=True),
        strict=True,
    ):
        if mine is None or theirs is None:
            assert mine is theirs
        else:
            assert mine.shape == theirs.shape
            assert mine.dtype == theirs.dtype
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9, **close)


def loop(x):
    start = (hg.asarray(0), x)
    return hg.while_loop(lambda at: at[0] < 3, lambda at: (at[0] + 1, hg.sin(at[1]) * x), start)[1]


def steps(x):
    def step(carry, a):
        return carry * hg.sin(x) + a, carry[:2] * a

    return hg.scan(step, x, hg.asarray(np.ones(4)))


@hg.custom_gradient
def doubled(x):
    return hg.sin(x), lambda g: g * hg.cos(x) * 2.0


X = np.random.default_rng(0).normal(size=10)
JACOBIANS = {
    "elementwise": (hg.jacobian(lambda x: hg.tanh(x) * hg.sum(x)), X),
    "scan": (hg.jacobian(steps), X[:3]),
    "while_loop": (hg.jacobian(loop), X[:3]),
    "cond": (
        hg.jacobian(lambda x: hg.cond(x[0] > 0.0, lambda: x * x, lambda: hg.sin(x))),
        X[:3],
    ),
    "custom_gradient": (hg.jacobian(lambda x: doubled(x) * x), X[:3]),
    "recompute_grad": (hg.jacobian(hg.recompute_grad(lambda x: hg.sin(x) * hg.sum(x))), X[:3]),
    "clip_gradient": (hg.jacobian(lambda x: hg.clip_gradient(x * x * 3.0, norm=0.5)), X[:3]),
    "complex": (hg.jacobian(lambda z: hg.exp(z) * hg.conj(z)), X[:3] + 1j * X[3:6]),
    "to real": (hg.jacobian(lambda z: hg.abs(z) ** 2), X[:3] + 1j * X[3:6]),
    "nothing": (hg.jacobian(lambda x: x[:0]), X),
    "itself": (hg.jacobian(lambda x: x), X),
    "hessian": (hg.hessian(lambda x: hg.sum(hg.tanh(x) * hg.sum(x))), X),
    "hessian of a scan": (hg.hessian(lambda x: hg.sum(steps(x)[0] ** 2)), X[:3]),
    "hessian of a loop": (hg.hessian(lambda x: hg.sum(loop(x) ** 2)), X[:3]),
    "of a jacobian": (hg.jacobian(hg.jacobian(lambda x: hg.tanh(x) * hg.sum(x * x))), X[:4]),
    "of a larger one": (hg.jacobian(hg.jacobian(lambda x: hg.tanh(x) * hg.sum(x * x))), X),
    "forward": (hg.jacfwd(lambda x: hg.concat([hg.sin(x), x * hg.sum(x)])), X[:4]),
    "forward through a scan": (hg.jacfwd(steps), X[:3]),
    "chosen": (hg.jacobian(lambda x: hg.stack([x, x * x, x**3])), X[0]),
}


def test_compiled_jacobians_are_eager_ones():
    """One program for all of them: what is compared is computed by one walk in each."""
    given = {name: x for name, (_, x) in JACOBIANS.items()}

    def all_of_them(given):
        return {name: f(given[name]) for name, (f, _) in JACOBIANS.items()}

    ours, theirs = hg.function(all_of_them)(given), all_of_them(given)
    for name in JACOBIANS:
        agree(ours[name], theirs[name], err_msg=name)


def test_two_arguments_and_a_structure_of_results():
    def f(a, b):
        return a * hg.sum(b), {"part": b[:3]}

    found = hg.jacobian(f, argnums=(0, 1))
    agree(hg.function(found)(X[:4], X[:5]), found(X[:4], X[:5]))


def test_a_penalty_on_a_jacobian_is_differentiated():
    w = hg.Variable(np.random.default_rng(1).normal(size=(3, 12)), name="w")

    def penalty(x):
        with hg.GradientTape() as outer:
            with hg.GradientTape() as tape:
                tape.watch(x)
                y = hg.tanh(x @ w)
            value = hg.sum(tape.jacobian(y, x) ** 2)
        return value, outer.gradient(value, w)

    x = hg.asarray(X[:3])
    agree(hg.function(penalty)(x), penalty(x))


def test_batch_jacobian_compiled():
    def f(x):
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = hg.reshape(hg.tanh(x) * hg.sum(x, axis=1, keepdims=True), (2, 5, 1))
        return tape.batch_jacobian(y, x)

    x = hg.asarray(X.reshape(2, 5))
    found = hg.function(f)(x)
    assert found.shape == (2, 5, 1, 5)
    agree(found, f(x))


def test_unconnected_sources_compiled():
    def f(x, z):
        with hg.GradientTape(persistent=True) as tape:
            tape.watch([x, z])
            y = x * x
        return tape.jacobian(y, [x, z]), tape.jacobian(y, z, unconnected_gradients="zero")

    with pytest.warns(hg.MissingGradientWarning, match="Jacobian is None for 1 of 2"):
        (own, other), zeros = hg.function(f)(X[:2], X[:3])
    np.testing.assert_allclose(own, np.diag(2 * X[:2]))
    assert other is None
    np.testing.assert_array_equal(zeros, np.zeros((2, 3)))


def lines(f, size):
    return len(hg.function(f).lower_text(hg.asarray(np.ones(size))).splitlines())


@pytest.mark.parametrize(
    "f",
    [
        hg.jacobian(lambda x: hg.tanh(x) * hg.sum(x)),
        hg.hessian(lambda x: hg.sum(hg.tanh(x) * hg.sum(x))),
        hg.jacfwd(lambda x: hg.tanh(x) * hg.sum(x)),
        hg.jacobian(hg.jacobian(lambda x: hg.tanh(x) * hg.sum(x))),
    ],
)
def test_programs_do_not_grow_with_the_number_of_elements(f):
    assert lines(f, 40) <= lines(f, 20) + 40  # constants are written out, and no walk


# -- forward and reverse ---------------------------------------------------------------------------


def tall(x):
    return hg.concat([hg.sin(x * k) * hg.sum(x) for k in range(10)])


def test_modes_agree():
    for f in (tall, lambda x: hg.sum(tall(x)), steps):
        forward, reverse = hg.jacfwd(f)(X[:3]), hg.jacrev(f)(X[:3])
        agree(forward, reverse)
        agree(hg.jacobian(f, mode="forward")(X[:3]), forward)
        agree(hg.jacobian(f)(X[:3]), forward)


def walks(f, *arguments):
    """Return how many walks `jacobian` takes, by counting the gradients that a rule is asked."""
    count = 0
    real = hg.GradientTape._differentiate

    def counted(*args, **kwargs):
        nonlocal count
        count += 1
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hg.GradientTape, "_differentiate", counted)
        found = hg.jacobian(f)(*arguments)
    return count, found


def test_the_shapes_choose_the_mode():
    assert walks(tall, X[:2])[0] == 1 + 2  # the walk that is recorded, and one for each argument
    assert walks(lambda x: tall(x)[:3], X[:2])[0] == 3
    assert walks(lambda x: hg.sum(x), X)[0] == 1


@pytest.mark.parametrize(
    "f",
    [
        lambda x: tall(doubled(x)),
        lambda x: tall(hg.clip_gradient(x, norm=0.1)),
        lambda x: tall(hg.clip_gradient(x, minimum=-0.1, maximum=0.1)),
        lambda x: tall(x + 0.5j),
        lambda x: tall(hg.function(hg.sin)(x)),
    ],
)
def test_forward_is_not_chosen_where_it_might_differ(f):
    count, found = walks(f, X[:2])
    assert count >= 20
    agree(found, hg.jacrev(f)(X[:2]))


def test_forward_refuses_complex_numbers():
    with pytest.raises(TypeError, match=r'real numbers.*use mode="reverse"'):
        hg.jacfwd(lambda z: z * z)(1 + 2j)
    with pytest.raises(ValueError, match=r'"forward" or "reverse"'):
        hg.jacobian(lambda x: x, mode="fwd")


@pytest.mark.parametrize("transform", [hg.jacfwd, hg.jacrev, hg.jacobian])
def test_zeros_with_a_warning_in_every_mode(transform):
    with pytest.warns(hg.MissingGradientWarning, match="stop_gradient"):
        found = transform(lambda x: hg.stop_gradient(tall(x)))(X[:2])
    np.testing.assert_array_equal(found, np.zeros((20, 2)))


# -- nested ----------------------------------------------------------------------------------------


def test_three_of_more_than_a_few_elements_are_jaxs():
    """Each is a scan over its elements, and the gradient of a scan is no more than two scans."""
    jax = pytest.importorskip("jax")
    x = X[:9] * 0.5

    def f(xp):
        return lambda x: xp.tanh(x) * xp.sum(x * x) + x[::-1]

    ours = hg.jacobian(hg.jacobian(hg.jacobian(f(hg))))
    theirs = jax.jacfwd(jax.jacfwd(jax.jacfwd(f(jax.numpy))))
    with jax.enable_x64(True):
        expected = jax.jit(theirs)(x)
    np.testing.assert_allclose(hg.function(ours)(x), expected, rtol=1e-9, atol=1e-12)


def test_programs_of_three_do_not_grow_with_the_number_of_elements():
    f = hg.jacobian(hg.jacobian(hg.jacobian(lambda x: hg.tanh(x) * hg.sum(x))))
    assert lines(f, 12) <= lines(f, 9) + 40
