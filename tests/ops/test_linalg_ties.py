"""Equal and zero eigenvalues and singular values: what has a gradient, and what says why not."""

import numpy as np
import pytest

import headgate as hg
from headgate import linalg
from headgate.testing import check_gradient
from ops.matrices import gradient, weigh


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
        assert caught[0].filename == gradient.__code__.co_filename
    with pytest.warns(hg.UndefinedGradientWarning) as caught:
        gradient(through_eigh(hg.exp), np.stack([np.eye(3), 2 * np.eye(3)]))
    said = str(caught[0].message)
    assert "the gradient of eigh is NaN: eigenvalues of matrix (0,) are equal (1, 1, 1)" in said
    assert "headgate.linalg.funm(x, f) has the gradient of v @ diag(f(w)) @ v*" in said
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
