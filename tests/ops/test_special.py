"""Special functions and Fourier transforms beside JAX's, and where a formula ends."""

import sys

import numpy as np
import pytest

import headgate as hg

Y = np.random.default_rng(0).uniform(0.2, 0.9, 7)
ONE = (
    *("gammaln", "digamma", "erfc", "erfcx", "erfinv", "ndtr", "ndtri", "log_ndtr", "i0", "i0e"),
    *("i1", "i1e", "expi", "exp1", "entr", "logit", "gamma", "expit"),
)
TWO = ("xlogy", "xlog1py", "betaln", "rel_entr", "kl_div")
TRANSFORMS = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")


@pytest.mark.peers
@pytest.mark.light
def test_gradients_are_those_of_jax():
    import jax
    from jax.scipy import special

    def theirs(x, y):
        first = [jax.grad(lambda x, n=n: getattr(special, n)(x).sum())(x) for n in ONE]
        return first + [
            slope
            for n in TWO
            for slope in jax.grad(lambda x, y, n=n: getattr(special, n)(x, y).sum(), (0, 1))(x, y)
        ]

    other = Y[::-1] + 0.1
    right = jax.jit(theirs)(Y, other)
    found = [hg.grad(lambda x, n=n: hg.sum(getattr(hg.special, n)(x)))(Y) for n in ONE]
    for name in TWO:
        f = getattr(hg.special, name)
        found += hg.grad(lambda x, y, f=f: hg.sum(f(x, y)), argnums=(0, 1))(Y, other)
    for name, mine, true in zip([*ONE, *(n for n in TWO for _ in range(2))], found, right):
        np.testing.assert_allclose(mine.numpy(), true, rtol=1e-9, err_msg=name)


@pytest.mark.peers
@pytest.mark.light
def test_gradients_of_transforms_are_the_conjugates_of_jaxs():
    """A gradient is the direction of ascent, JAX's its conjugate."""
    import jax
    import jax.numpy as jnp

    def size(home, name, module):
        def loss(x):
            y = getattr(module, name)(x)
            return home.sum(abs(y) ** 2 * np.cos(np.arange(y.shape[0])))

        return loss

    for name in TRANSFORMS:
        x = Y if name in ("rfft", "ihfft") else Y + 1j * Y[::-1]
        right = jax.jit(jax.grad(size(jnp, name, jnp.fft)))(x)
        found = hg.grad(size(hg, name, hg.fft))(x)
        np.testing.assert_allclose(found.numpy(), np.conj(right), rtol=1e-9, atol=1e-12)


def derivative(f, order):
    for _ in range(order):
        f = hg.grad(f)
    return f


@pytest.mark.parametrize(
    ("function", "order", "right"),
    [
        (hg.special.i1, 1, 0.5),
        (hg.special.i1, 2, 0.0),
        (hg.special.i1, 3, 3 / 8),
        (hg.special.sinc, 1, 0.0),
        (hg.special.sinc, 2, -(np.pi**2) / 3),
        (hg.special.sinc, 4, np.pi**4 / 5),
    ],
)
def test_derivatives_at_zero_where_the_formula_is_0_by_0(function, order, right):
    assert derivative(function, order)(0.0).numpy() == pytest.approx(right, rel=1e-6, abs=1e-9)


def test_far_tails():
    x = np.asarray([-1e3, -1e8, -40.0, 40.0])
    slope = hg.grad(lambda x: hg.sum(hg.special.log_ndtr(x)))(x).numpy()
    np.testing.assert_allclose(slope, [1000.001, 1e8, 40.024969, 0.0], rtol=1e-6)
    assert hg.grad(hg.special.erfinv)(1.0).numpy() == np.inf


def test_nothing_times_the_logarithm_of_nothing():
    x, y = hg.asarray([0.0, 0.0, 2.0]), hg.asarray([0.0, 3.0, 0.0])
    with hg.GradientTape(persistent=True) as tape:
        tape.watch([x, y])
        with np.errstate(divide="ignore"):
            z = hg.special.xlogy(x, y)
            quotient = hg.special.xdivy(x[:2], y[:2])
    assert z.tolist() == [0.0, 0.0, -np.inf]
    by_x, by_y = tape.gradient(z, [x, y])
    np.testing.assert_allclose(by_x.numpy(), [0.0, np.log(3.0), -np.inf])
    assert by_y.tolist() == [0.0, 0.0, np.inf]
    assert tape.gradient(quotient, y).tolist() == [0.0, 0.0, 0.0]


def test_no_gradient_by_the_shape_of_a_gamma_function_is_a_cut_that_is_named():
    a, x = hg.asarray(2.0), hg.asarray(1.0)
    with hg.GradientTape(persistent=True) as tape:
        tape.watch([a, x])
        y = hg.special.gammainc(a, x)
    assert tape.gradient(y, a) is None
    assert "gammainc" in str(tape.why(y, a))
    assert tape.gradient(y, x).numpy() == pytest.approx(np.exp(-1.0))


def test_without_scipy_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(ImportError, match=r"gammaln come from SciPy.*pip install scipy"):
        hg.special.gammaln(2.0)
    assert hg.special.xlogy(2.0, 1.0).numpy() == 0.0


def test_transforms_of_nothing_and_of_no_axes():
    assert hg.fft.fft(hg.zeros((0, 3))).shape == (0, 3)
    assert hg.fft.fftn(hg.asarray(2.0)).numpy() == 2.0
    assert hg.fft.fft(hg.ones(3, hg.float16)).dtype == hg.complex64
    with pytest.raises(ValueError, match="at least one point"):
        hg.fft.fft(hg.zeros(0))
    with pytest.raises(TypeError, match=r"rfftn.*complex128"):
        hg.fft.rfft([1j])
