"""Linear algebra that a table cannot say: bases, degenerate and singular matrices, norms, einsum.

A basis (columns of Q, U, V, eigenvectors) is unique up to signs or phases, and rotations of what
completes it. So these are tested through functions that do not depend on the choice.
"""

import math

import numpy as np
import pytest

import headgate as hg
from headgate.core.namespace import NUMPY
from headgate.ops import linalg
from headgate.testing import OpCase, check_gradient, real, spd
from ops.cases_linalg import lopsided


def made(maker, letter="f"):
    return OpCase("", [maker]).make(letter)[0]


def adjoint(x):
    return hg.conj(x.mT)


def gradient(f, x):
    x = hg.asarray(x)
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x).value


WEIGHTS = np.random.default_rng(5).normal(size=(6, 6))


def weigh(x):
    """Return a matrix with every element weighted differently, so that none goes unchecked."""
    return x * WEIGHTS[: x.shape[-2], : x.shape[-1]]


# -- factorisations, by what does not depend on the basis -----------------------------------------


def spectral(x):
    w, v = linalg.eigh(x)
    return weigh((v * hg.exp(w / 3)[..., None, :]) @ adjoint(v))


def projector(x):
    _, v = linalg.eigh(x)
    return weigh(v[..., :2] @ adjoint(v[..., :2]))


def polar(x):
    u, s, vh = linalg.svd(x, full_matrices=False)
    return weigh(u @ vh), weigh(u[..., :1] @ vh[..., :1, :]), s


def column_spaces(x):
    """Return projectors on the spaces that singular vectors span, those that complete them too."""
    u, s, vh = linalg.svd(x)
    rank = s.shape[-1]
    parts = [u[..., :1], u[..., 1:], u[..., rank:], adjoint(vh)[..., :1], adjoint(vh)[..., rank:]]
    return [weigh(part @ adjoint(part)) for part in parts if part.shape[-1]]


def orthogonal(x):
    q, r = linalg.qr(x)
    return weigh(q[..., :2] @ adjoint(q[..., :2])), weigh(q @ hg.tanh(hg.abs(r))), hg.abs(r)


def complement(x):
    q, r = linalg.qr(x, mode="complete")
    rest = q[..., 2:]
    return weigh(rest @ adjoint(rest)), weigh(q @ r), hg.abs(r)


@pytest.mark.parametrize("letter", "fc")
@pytest.mark.parametrize(
    ("f", "maker"),
    [
        (spectral, lopsided(spd(4))),
        (spectral, real(2, 3, 3)),
        (projector, lopsided(spd(4))),
        (polar, real(3, 3)),
        (polar, real(5, 3)),
        (polar, real(2, 3, 5)),
        (column_spaces, real(3, 3)),
        (column_spaces, real(5, 3)),
        (column_spaces, real(3, 5)),
        (complement, real(5, 2)),
        (complement, real(2, 4, 2)),
        (lambda x: linalg.cholesky(x @ adjoint(x)), real(3, 4)),
        (lambda x: linalg.cholesky(x @ adjoint(x), upper=True), real(2, 3, 4)),
    ],
)
def test_invariant_functions_of_factorisations(f, maker, letter):
    check_gradient(f, made(maker, letter))


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5), (2, 4, 3)])
def test_invariant_functions_of_qr(shape):
    check_gradient(orthogonal, made(real(*shape)))


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5)])
def test_qr_of_complex_matrices(shape):
    """|r| and projectors on the first columns of q do not depend on phases."""

    def invariant(x):
        q, r = linalg.qr(x)
        return weigh(q[..., :2] @ adjoint(q[..., :2])), hg.abs(r), weigh(q @ r)

    check_gradient(invariant, made(real(*shape), "c"))


@pytest.mark.parametrize("name", ["eigh", "svd", "qr", "cholesky"])
@pytest.mark.parametrize("letter", "fc")
def test_factors_give_the_matrix_back(name, letter):
    x = made(spd(2, 3), letter)
    if name == "eigh":
        w, v = linalg.eigh(x)
        product = (v * w[..., None, :]) @ adjoint(v)
    elif name == "svd":
        u, s, vh = linalg.svd(x, full_matrices=False)
        product = (u * s[..., None, :]) @ vh
    elif name == "qr":
        q, r = linalg.qr(x)
        product = q @ r
    else:
        lower = linalg.cholesky(x)
        product = lower @ adjoint(lower)
    np.testing.assert_allclose(product.value, x, atol=1e-12)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: hg.sum(linalg.svdvals(x)), np.eye(3)),
        (lambda x: hg.sum(linalg.svd(x).S), np.eye(3)),
        (lambda x: hg.sum(linalg.eigvalsh(x) ** 2), 2 * np.eye(3)),
        (lambda x: hg.sum(linalg.eigh(x).eigenvalues ** 2), 2 * np.eye(3)),
        (lambda x: linalg.matrix_norm(x, ord="nuc"), np.eye(3)),
    ],
)
def test_equal_values_are_no_obstacle_to_functions_of_the_values(f, expected):
    np.testing.assert_allclose(gradient(f, np.eye(3)), expected, atol=1e-14)


def test_nuclear_norm_of_a_matrix_that_lacks_rank_is_finite():
    assert np.isfinite(gradient(lambda x: linalg.matrix_norm(x, ord="nuc"), np.ones((4, 3)))).all()


def through_eigh(f):
    def function(x):
        w, v = linalg.eigh(x)
        return weigh((v * f(w)[..., None, :]) @ v.mT)

    return function


def through_svd(x):
    u, s, vh = linalg.svd(x, full_matrices=False)
    return weigh((u * s) @ vh)


def split_calls(x):
    """Values and vectors come from two calls, so neither knows of the other."""
    return weigh((linalg.eigh(x).eigenvectors * linalg.eigvalsh(x) ** 2) @ x)


TURNED = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
NEARLY_EQUAL = TURNED @ np.diag([2.0, 2.0, 5.0]) @ TURNED.T
SMOOTH = [
    (through_eigh(hg.exp), np.eye(3)),
    (through_eigh(hg.log), np.eye(3)),
    (through_eigh(hg.exp), np.diag([1.0, 1.0, 3.0])),
    (through_eigh(lambda w: w), np.diag([1.0, 0.0, 0.0])),
    (through_eigh(lambda w: w), np.stack([np.diag([1.0, 2.0, 3.0]), np.eye(3)])),
    (through_eigh(hg.exp), NEARLY_EQUAL),
    (split_calls, np.eye(3)),
    (through_svd, np.eye(3)),
    (through_svd, np.eye(3)[:2]),
    (through_svd, np.zeros((3, 2))),
    (lambda x: gradient_of(lambda x: hg.sum(linalg.eigvalsh(x) ** 2), x), np.eye(3)),
    (lambda x: gradient_of(lambda x: hg.sum(linalg.eigvalsh(x) ** 2), x), np.zeros((2, 2))),
    (lambda x: gradient_of(lambda x: hg.sum(linalg.svdvals(x) ** 3), x), np.eye(2)),
    (lambda x: linalg.slogdet(x).logabsdet, np.ones((2, 2))),
    (lambda x: linalg.qr(x).R, np.zeros((3, 2))),
]


def gradient_of(f, x):
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x)


def test_what_equal_values_leave_open_is_nan_and_says_why():
    """Never a number that lacks some terms: the limit 0/0 takes a derivative more than is known."""
    for f, x in SMOOTH:
        with pytest.warns(hg.UndefinedGradientWarning) as caught:
            found = gradient(f, x)
        assert np.isnan(found[-1] if x.ndim == 3 else found).any()
        assert caught[0].filename == __file__
    with pytest.warns(hg.UndefinedGradientWarning) as caught:
        gradient(through_eigh(hg.exp), np.stack([np.eye(3), 2 * np.eye(3)]))
    said = str(caught[0].message)
    assert "the gradient of eigh is NaN: eigenvalues of matrix (0,) are equal (1, 1, 1)" in said
    assert "add small numbers, all different, to the diagonal" in said


@pytest.mark.peers
def test_what_equal_values_leave_open_is_nan_when_compiled():
    """Compiled programs cannot warn."""

    def all_of(given):
        return [gradient_of(f, x) for (f, _), x in zip(SMOOTH, given, strict=True)]

    given = [hg.asarray(x) for _, x in SMOOTH]
    for found, eager in zip(hg.function(all_of)(given), quietly(all_of, given), strict=True):
        np.testing.assert_allclose(found.numpy(), eager.numpy(), atol=1e-9)
        assert np.isnan(found.numpy()).any()


def quietly(f, *args):
    with pytest.warns(hg.UndefinedGradientWarning):
        return f(*args)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: linalg.eigh(x).eigenvectors[:, 2:], np.diag([1.0, 1.0, 3.0])),
        (lambda x: linalg.svd(x).U[:, :1], np.diag([3.0, 1.0, 1.0])),
        (lambda x: linalg.eigh(x).eigenvectors * 0.0, np.eye(3)),
    ],
)
def test_vectors_of_equal_values_that_nobody_uses_are_no_obstacle(f, x):
    """The vector of a value that is apart has a derivative whatever the others are."""

    def projector(x):
        part = f(x)
        return hg.sum(weigh(part @ part.mT))

    found = gradient(projector, x)
    epsilon = 1e-6 * np.arange(9.0).reshape(3, 3)
    epsilon += epsilon.T
    expected = projector(hg.asarray(x + epsilon)) - projector(hg.asarray(x - epsilon))
    np.testing.assert_allclose(2 * np.sum(found * epsilon), expected.numpy(), atol=1e-12)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: hg.sum(linalg.eigvalsh(x)), np.eye(3)),
        (
            lambda x: hg.max(linalg.eigvalsh(x)),
            np.diag([3.0, 1.0, 1.0]) + np.triu(np.ones((3, 3)), 1),
        ),
        (lambda x: linalg.matrix_norm(x, ord=2), np.diag([3.0, 1.0, 1.0])),
        (lambda x: linalg.matrix_norm(x, ord="nuc"), np.eye(3)),
        (lambda x: linalg.matrix_norm(x, ord="nuc"), np.diag([2.0, 2.0, 1.0])[:2]),
    ],
)
def test_second_derivatives_of_linear_functions_of_equal_values(f, x):
    check_gradient(f, x, order=2)


# -- triangles, dtypes, NaN -----------------------------------------------------------------------


@pytest.mark.parametrize("letter", "fc")
def test_one_triangle_is_read_and_the_gradient_is_that_of_the_function(letter):
    """NumPy's values on matrices that are not Hermitian, and finite differences on these."""
    x = made(spd(3), letter)
    x = x + np.triu(made(real(3, 3), letter), 1)
    for f, name in [
        (linalg.cholesky, "cholesky"),
        (linalg.eigvalsh, "eigvalsh"),
        (lambda x: linalg.eigh(x).eigenvalues, "eigvalsh"),
    ]:
        np.testing.assert_allclose(f(x).value, getattr(np.linalg, name)(x), rtol=1e-12)
        check_gradient(f, x)
    check_gradient(spectral, x)
    y = adjoint(hg.asarray(x)).value
    upper = linalg.cholesky(y, upper=True)
    np.testing.assert_allclose(upper.value, np.linalg.cholesky(y, upper=True), rtol=1e-12)
    check_gradient(lambda y: linalg.cholesky(y, upper=True), y)
    assert not np.triu(gradient(lambda x: hg.abs(linalg.cholesky(x)), x), 1).any()


@pytest.mark.parametrize("letter", "fc")
def test_the_gradient_of_a_hermitian_matrix_is_hermitian(letter):
    """By closed forms, and the second order along a Hermitian direction: that of tr x^3."""
    x, v = made(spd(3), letter), made(spd(3), letter)

    def logarithm(x):
        return 2 * hg.sum(hg.log(hg.real(linalg.diagonal(linalg.cholesky(x)))))

    def cubes(x):
        return hg.sum(linalg.eigvalsh(x) ** 3)

    def together(x):
        return hg.sum(linalg.eigh(x).eigenvalues ** 3)

    np.testing.assert_allclose(gradient(logarithm, x), np.linalg.inv(x), rtol=1e-12)
    for f in (cubes, together):
        np.testing.assert_allclose(gradient(f, x), 3 * x @ x, rtol=1e-12)
        product = hg.hvp(f, hg.asarray(x), hg.asarray(v))
        np.testing.assert_allclose(product.value, 3 * (x @ v + v @ x), rtol=1e-10)
        both = gradient(f, np.stack([x, x + np.triu(v, 1)]))
        np.testing.assert_allclose(both[0], 3 * x @ x, rtol=1e-12)
        assert not np.triu(both[1], 1).any()


FUNCTIONS = [
    "cholesky",
    "det",
    "eigh",
    "eigvalsh",
    "inv",
    "pinv",
    "qr",
    "slogdet",
    "svd",
    "svdvals",
]


@pytest.mark.parametrize("name", [*FUNCTIONS, "matrix_rank"])
def test_what_no_library_computes_is_refused_by_name(name):
    import ml_dtypes

    f = getattr(linalg, name)
    with pytest.raises(ValueError, match=rf"{name}: x must be matrices.*its shape is \(3,\)"):
        f(np.ones(3))
    for dtype in (np.float16, ml_dtypes.bfloat16):
        with pytest.raises(TypeError, match=rf"{name}: there is no linear algebra in (b)?float16"):
            f(np.eye(2).astype(dtype))


@pytest.mark.peers
def test_odd_matrices_are_treated_alike_when_compiled():
    """Whole numbers and booleans count as float64; where there is no number, NaN comes out."""
    odd = {
        "whole": np.array([[2, 1], [1, 3]]),
        "boolean": np.eye(2, dtype=bool),
        "nan": np.array([[np.nan, 1.0], [1.0, 2.0]]),
        "nan below": np.array([[1.0, 0.0], [np.nan, 2.0]]),
        "nan above": np.array([[1.0, np.nan], [0.5, 2.0]]),
        "none": np.zeros((0, 2, 2)),
        "empty": np.zeros((0, 0)),
    }

    def values(odd):
        return {
            (name, kind): as_tuple(getattr(linalg, name)(x))
            for kind, x in odd.items()
            for name in FUNCTIONS
        }

    with np.errstate(invalid="ignore"):
        eager, compiled = values(odd), hg.function(values)(odd)
    for case, parts in eager.items():
        for mine, other in zip(compiled[case], parts, strict=True):
            assert mine.dtype == other.dtype, case
            np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=1e-12, err_msg=str(case))
        if "nan" in case[1]:
            unread = case[1] == "nan above" and case[0] in ("eigh", "eigvalsh", "cholesky")
            assert any(np.isnan(part.value).any() for part in parts) != unread, case
    with pytest.raises(TypeError, match=r"det: there is no linear algebra in float16"):
        hg.function(linalg.det)(np.eye(2, dtype=np.float16))


@np.errstate(invalid="ignore")
def test_gradient_at_nan_is_nan():
    odd = np.array([[np.nan, 1.0], [1.0, 2.0]])
    assert np.isnan(gradient(linalg.det, odd)).all()
    with pytest.warns(hg.UndefinedGradientWarning, match="singular, or has NaN in it"):
        assert np.isnan(gradient(lambda x: linalg.slogdet(x).logabsdet, odd)).all()


# -- determinants of singular matrices ------------------------------------------------------------


@pytest.mark.parametrize("letter", "fc")
def test_determinant_of_a_singular_matrix_has_a_gradient(letter):
    x = made(real(3, 3), letter)
    x[2] = x[0] + x[1]
    check_gradient(linalg.det, x, order=1)
    check_gradient(linalg.det, np.zeros((2, 2), x.dtype), order=1)


def along(start, direction, orders):
    """Return the derivatives of det(start + t direction) at t = 0, from the first to the last."""
    found = []

    def f(t):
        return linalg.det(start + t * direction)

    for _ in range(orders):
        f = hg.grad(f)
        found.append(f(hg.asarray(0.0)))
    return found


def coefficients(start, direction):
    """Return the derivatives of the same polynomial by its values on the unit circle."""
    count = len(start) + 1
    points = np.exp(2j * np.pi * np.arange(count) / count)
    values = [np.linalg.det(start + t * direction) for t in points]
    return [c.real * math.factorial(k) for k, c in enumerate(np.fft.fft(values) / count)][1:]


@pytest.mark.parametrize(
    "values", [(2, 1, 0.5), (2, 1, 0), (2, 0, 0), (0, 0, 0), (1, 1, 1e-7, 1e-9), (3, 2, 1, 0, 0)]
)
def test_determinant_has_every_derivative_at_singular_matrices(values):
    rng = np.random.default_rng(3)
    size = len(values)
    u, v = (np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(2))
    start, direction = u @ np.diag(values) @ v, rng.normal(size=(size, size))
    expected = coefficients(start, direction)[:3]
    np.testing.assert_allclose(
        [c.numpy() for c in along(start, direction, 3)], expected, rtol=1e-9, atol=1e-10
    )


@pytest.mark.peers
def test_determinant_has_derivatives_at_singular_matrices_when_compiled():
    start, direction = np.diag([1.0, 0.0, 0.0]), np.arange(9.0).reshape(3, 3) ** 2
    found = hg.function(lambda start: along(start, direction, 2))(start)
    expected = coefficients(start, direction)[:2]
    np.testing.assert_allclose([c.numpy() for c in found], expected, atol=1e-10)


def test_slogdet_of_a_singular_matrix():
    sign, logarithm = linalg.slogdet(np.zeros((2, 2)))
    assert (sign.numpy(), logarithm.numpy()) == (0.0, -math.inf)


# -- norms ----------------------------------------------------------------------------------------


def test_gradient_of_a_norm_at_zero():
    """As TensorFlow has it: NaN where the derivative does not exist."""
    zero = np.zeros(3)
    assert np.isnan(gradient(linalg.norm, zero)).all()
    assert np.isnan(gradient(lambda x: linalg.vector_norm(x, ord=3), zero)).all()
    np.testing.assert_array_equal(gradient(lambda x: linalg.vector_norm(x, ord=1), zero), zero)
    np.testing.assert_array_equal(
        gradient(lambda x: linalg.vector_norm(x, ord=math.inf), zero), zero
    )


def test_largest_elements_share_the_gradient():
    shared = gradient(lambda x: linalg.vector_norm(x, ord=math.inf), [1.0, -3.0, 3.0])
    np.testing.assert_array_equal(shared, [0.0, -0.5, 0.5])


@pytest.mark.parametrize("letter", "fc")
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_matrix_norms(ord, keepdims, letter):
    x = made(real(2, 3, 4), letter)
    found = linalg.matrix_norm(x, ord=ord, keepdims=keepdims)
    expected = np.linalg.matrix_norm(x, ord=ord, keepdims=keepdims)
    np.testing.assert_allclose(found.value, expected)
    check_gradient(lambda x: linalg.matrix_norm(x, ord=ord), x)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3,), {}),
        ((3, 4), {}),
        ((2, 3, 4), {}),
        ((3,), {"ord": 1}),
        ((3, 4), {"ord": 1}),
        ((3, 4), {"ord": "fro"}),
        ((3, 4), {"axis": 0}),
        ((3, 4), {"axis": (1,), "ord": 3}),
        ((2, 3, 4), {"axis": (0, 1)}),
        ((2, 3, 4), {"axis": (0, 2), "ord": "nuc", "keepdims": True}),
        ((2, 3, 4), {"axis": (-1, 0), "ord": 1}),
        ((2, 3, 4), {"axis": 1, "ord": math.inf, "keepdims": True}),
    ],
)
def test_norm_is_numpys(shape, options):
    x = made(real(*shape))
    numpys = options | ({"axis": options["axis"][0]} if options.get("axis") == (1,) else {})
    np.testing.assert_allclose(linalg.norm(x, **options).value, np.linalg.norm(x, **numpys))
    check_gradient(lambda x: linalg.norm(x, **options), x)


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        (lambda: linalg.norm(np.ones((2, 2, 2)), ord=2), "needs an axis"),
        (lambda: linalg.norm(np.ones((2, 2, 2)), ord=2, axis=(0, 1, 2)), "one number or two"),
        (lambda: linalg.matrix_norm(np.ones(3)), "must be matrices"),
        (lambda: linalg.matrix_norm(np.ones((3, 3)), ord=5), "ord must be"),
        (lambda: linalg.matrix_power(np.ones((2, 3)), 2), "square"),
        (lambda: hg.einsum("ij", np.ones(3)), r"does not fit an operand of 1(.|\n)*float64 \(3,\)"),
    ],
)
def test_bad_calls_of_composed_functions(call, pattern):
    with pytest.raises(ValueError, match=pattern):
        call()


def test_einsum_wants_its_subscripts_first():
    with pytest.raises(TypeError, match="subscripts first"):
        hg.einsum(np.ones((2, 2)), "ij->i")


# -- compositions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", "fc")
@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 3, 5, 8])
def test_matrix_power(n, letter):
    x = made(spd(2, 3), letter) / 3
    np.testing.assert_allclose(
        linalg.matrix_power(x, n).value, np.linalg.matrix_power(x, n), rtol=1e-10
    )
    if n:
        check_gradient(lambda x: linalg.matrix_power(x, n), x)


@pytest.mark.parametrize(
    ("x_shape", "y_shape"), [((2, 3), (4, 5)), ((3,), (2, 2)), ((2, 3, 2), (4,)), ((), (3,))]
)
def test_kron(x_shape, y_shape):
    x, y = made(real(*x_shape)), made(real(*y_shape))
    np.testing.assert_allclose(linalg.kron(x, y).value, np.kron(x, y))
    check_gradient(linalg.kron, x, y)


def test_einsum_of_a_broadcast_axis():
    """NumPy lets an axis of size 1 meet any other of its letter; its gradient is summed."""
    x, y = made(real(1, 3)), made(real(4, 3))
    np.testing.assert_allclose(hg.einsum("ij,ij->i", x, y).value, np.einsum("ij,ij->i", x, y))
    check_gradient(lambda x, y: hg.einsum("ij,ij->i", x, y), x, y)
    check_gradient(lambda x, y: hg.einsum("ij,kj->ik", x, y), x[:, :1], y)


def test_einsum_with_the_same_operand_twice():
    check_gradient(lambda x: hg.einsum("ij,jk->ik", x, x), made(real(3, 3), "c"))


def test_einsum_with_constants_between():
    constant = np.arange(3.0)
    x = made(real(3))
    np.testing.assert_allclose(
        gradient(lambda x: hg.einsum("i,i,->", x, constant, 2.0), x), 2 * constant
    )


@pytest.mark.parametrize(
    "subscripts", ["ij, jk -> ik", "ij,jk", "IJ,JK->KI", "ab...,b...->...a", "ij,ij->", "ij,kj"]
)
def test_einsum_is_numpys(subscripts):
    x = made(real(3, 3))
    y = x[0] + 1 if "..." in subscripts else x + 1
    expected = np.einsum(subscripts, x, y)
    np.testing.assert_allclose(hg.einsum(subscripts, x, y).value, expected)


def test_gradient_of_a_shared_matrix_is_one_product():
    """No stack of products is built only to be summed."""
    x, g = np.ones((50, 4, 30)), np.ones((50, 4, 20))
    assert linalg._matmul_y(g, NUMPY, x, (30, 20)).shape == (30, 20)


@pytest.mark.parametrize("name", ["inv", "det", "cholesky", "eigvalsh", "eigh", "qr", "svd"])
def test_stacks_of_no_matrices(name):
    def f(x):
        result = getattr(linalg, name)(x)
        return sum(hg.sum(part) for part in as_tuple(result))

    assert gradient(f, np.zeros((0, 2, 2))).shape == (0, 2, 2)


@pytest.mark.peers
@pytest.mark.parametrize(
    ("ours", "theirs", "maker"),
    [
        (spectral, "eigh", lopsided(spd(4))),
        (polar, "svd", real(5, 3)),
        (orthogonal, "qr", real(5, 3)),
        (linalg.cholesky, "cholesky", spd(4)),
        (linalg.pinv, "pinv", real(5, 3)),
        (linalg.det, "det", real(4, 4)),
        (lambda x: linalg.matrix_norm(x, ord=2), "norm", real(4, 3)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_gradient_is_jaxs(ours, theirs, maker):
    """The same program differentiated by JAX itself: rules of ours against rules of theirs."""
    import jax

    def program(x):
        results = ours(hg.asarray(x))
        results = results if isinstance(results, tuple) else (results,)
        return sum(hg.sum(result * result).value for result in results)

    x = made(maker)
    expected = jax.grad(program)(jax.numpy.asarray(x))
    found = gradient(lambda x: sum(hg.sum(r * r) for r in as_tuple(ours(x))), x)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)
