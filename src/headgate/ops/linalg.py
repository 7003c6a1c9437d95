"""Linear algebra: products, solving, determinants, factorisations and norms.

Functions of matrices work on the last two axes, and so on stacks of matrices. In the docstrings of
rules x* is the conjugate transpose of x, and <a, b> = Re trace(a* b) the inner product that defines
a gradient: if dy = L(dx), that for x is the c with <g, L(dx)> = <c, dx>. A walk carries the
conjugates of that (`headgate.ops.rules`), so that products, `solve`, `inv` and `det` have plain
transposes where the literature has x*; the rules that follow the literature to the letter are
`by_adjoint`. The formulas are those of

* M. Giles, "An extended collection of matrix derivative results for forward and reverse mode
  algorithmic differentiation", 2008 (solve, inv, det, eigh, svd),
* J. Townsend, "Differentiating the singular value decomposition", 2016; Z.-Q. Wan and S.-X. Zhang,
  "Automatic differentiation for complex valued SVD", 2019,
* I. Murray, "Differentiation of the Cholesky decomposition", 2016,
* S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions with
  application in optimum experimental design", 2010; D. Roberts and L. Roberts, "QR and LQ
  decomposition matrix backpropagation algorithms for square, wide, and deep matrices", 2020,
* G. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
  problems whose variables separate", 1973.

A factorisation is not unique: columns of Q, U, V and eigenvectors have a sign (complex: a phase),
those that complete a basis can be rotated. Its gradient is meaningful for what does not depend on
that choice. Where two eigenvalues or singular values are *equal*, eigenvectors have no derivative;
the terms in question are zero then, so that functions of the values alone, for which they cancel,
come out right.

`cholesky`, `eigh` and `eigvalsh` take the Hermitian part of their argument, so that they are
functions of the whole matrix and their gradients are Hermitian.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, NamedTuple

import numpy as np

from headgate.core.cotangent import Product
from headgate.core.lift import as_tensor
from headgate.core.namespace import NUMPY, Array
from headgate.core.op import op, public
from headgate.core.tensor import Tensor
from headgate.ops.creation import eye
from headgate.ops.elementwise import abs as magnitude
from headgate.ops.reduce import keep
from headgate.ops.reduce import max as largest
from headgate.ops.reduce import min as smallest
from headgate.ops.reduce import sum as total
from headgate.ops.rules import conj, normal_axes, scaled
from headgate.ops.shape import broadcast_to, expand_dims, permute_dims, reshape

# -- helpers of the rules -------------------------------------------------------------------------


def _adjoint(xp: Any, x: Any) -> Any:
    """Return x*, the conjugate transpose."""
    return conj(xp, x.mT)


def _hermitian(xp: Any, x: Any) -> Any:
    """Return the Hermitian part of a matrix."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError("x must be square matrices")
    return (x + _adjoint(xp, x)) / 2


def _real(xp: Any, x: Any) -> Any:
    return xp.real(x) if x.dtype.kind == "c" else x


def _columns(xp: Any, x: Any) -> Any:
    """Return one factor per column: x as a row that broadcasts against matrices."""
    return xp.expand_dims(x, axis=-2)


def _diagonal_matrix(xp: Any, x: Any) -> Any:
    """Return the diagonal matrix of a vector."""
    return _columns(xp, x) * xp.eye(x.shape[-1], dtype=x.dtype)


def _reciprocal(xp: Any, x: Any) -> Any:
    """Return 1 / x, and 0 where x is 0."""
    zero = x == 0
    return xp.where(zero, 0, 1 / xp.where(zero, 1, x))


def _differences(xp: Any, x: Any) -> Any:
    """Return the matrix of x[j] - x[i]."""
    return xp.expand_dims(x, axis=-2) - xp.expand_dims(x, axis=-1)


def _linalg(name: str) -> Callable[..., Any]:
    """Return an implementation by the array library's own `linalg` function of a name."""
    return lambda xp, x: getattr(xp.array_module.linalg, name)(x)


def by_adjoint(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return a rule that is stated for conjugated cotangents as one for those of a walk."""

    @wraps(rule)
    def turned(g: Any, xp: Any, *args: Any) -> Any:
        if type(g) is tuple:
            g = tuple(conj(xp, part) for part in g)
        else:
            g = conj(xp, g)
        return conj(xp, rule(g, xp, *args))

    return turned


# -- products -------------------------------------------------------------------------------------

# Both rules know from the numbers of axes alone which of the operands were vectors, and multiply
# stacks by one matrix as one long product.


def _matmul_x(g: Any, xp: Any, y: Any) -> Any:
    if y.ndim == 2:
        return g @ y.T
    if y.ndim == 1:
        return xp.expand_dims(g, axis=-1) * y
    if g.ndim < y.ndim:  # x is a vector
        return (y @ xp.expand_dims(g, axis=-1))[..., 0]
    return g @ y.mT


def _matmul_y(g: Any, xp: Any, x: Any, y_shape: Any) -> Any:
    if xp is NUMPY and x.ndim == len(y_shape) == 2 and x.dtype is g.dtype and x.dtype.kind == "f":
        return Product([(x, g)])
    if x.ndim == 2:
        return x.T @ g
    if x.ndim == 1:
        return xp.expand_dims(x, axis=-1) * xp.expand_dims(g, axis=-2) if g.ndim else x * g
    if len(y_shape) > 2:
        return x.mT @ g
    rows = math.prod(x.shape[:-1])
    return xp.reshape(x, (rows, x.shape[-1])).T @ xp.reshape(g, (rows, *y_shape[1:]))


matmul = op(
    "matmul(x, y)",
    """Multiply matrices, stacks of matrices, or vectors; the operator `@`.

    Axes before the last two broadcast. A vector counts as a row on the left and as a column on the
    right, and its axis is left out of the result.

    >>> hg.matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 10.0])
    Tensor([21., 43.], shape=(2,), dtype=float64)
    """,
    _matmul_x,
    _matmul_y,
)


def _same_axis(x: Array, y: Array, axis: int) -> None:
    """Refuse an axis that does not mean the same for both operands."""
    if axis >= 0 and x.ndim != y.ndim:
        raise ValueError(
            f"axis {axis} is another one for {x.ndim} axes than for {y.ndim}; "
            "count it from the end (axis=-1)"
        )


def _vecdot(xp: Any, x: Array, y: Array, *, axis: int) -> Array:
    x, y = xp.asarray(x), xp.asarray(y)
    _same_axis(x, y, axis)
    return xp.array_module.vecdot(x, y, axis=axis)


vecdot = op(
    "vecdot(x, y, *, axis=-1)",
    """Sum the products conj(x) * y along an axis; the other axes broadcast.

    >>> hg.vecdot([[1.0, 2.0], [3.0, 4.0]], [1.0, 10.0])
    Tensor([21., 43.], shape=(2,), dtype=float64)
    """,
    lambda g, xp, y, axis: conj(xp, xp.expand_dims(g, axis=axis) * y),
    lambda g, xp, x, axis: xp.expand_dims(g, axis=axis) * conj(xp, x),
    impl=_vecdot,
)


class _Contraction(NamedTuple):
    """Which axes of both arrays a tensordot sums over, numbered from 0, and which it keeps."""

    x_axes: tuple[int, ...]
    y_axes: tuple[int, ...]
    x_kept: tuple[int, ...]
    y_kept: tuple[int, ...]


def _contraction(axes: Any, x_ndim: int, y_ndim: int) -> _Contraction:
    if isinstance(axes, int):
        x_given: Any = tuple(range(x_ndim - axes, x_ndim))
        y_given: Any = tuple(range(axes))
    else:
        x_given, y_given = axes
    x_axes, y_axes = normal_axes(x_given, x_ndim), normal_axes(y_given, y_ndim)
    return _Contraction(
        x_axes,
        y_axes,
        tuple(axis for axis in range(x_ndim) if axis not in x_axes),
        tuple(axis for axis in range(y_ndim) if axis not in y_axes),
    )


def _tensordot_x(g: Any, xp: Any, y: Any, x_shape: Any, axes: Any) -> Any:
    plan = _contraction(axes, len(x_shape), y.ndim)
    kept = len(plan.x_kept)
    c = xp.tensordot(g, y, axes=(tuple(range(kept, g.ndim)), plan.y_kept))
    # Its axes are those kept of x, then those summed, in y's order: put each in its place.
    summed = sorted(range(len(plan.y_axes)), key=lambda k: plan.y_axes[k])
    order = (*plan.x_kept, *(plan.x_axes[k] for k in summed))
    return xp.permute_dims(c, tuple(np.argsort(order).tolist()))


def _tensordot_y(g: Any, xp: Any, x: Any, y_shape: Any, axes: Any) -> Any:
    plan = _contraction(axes, x.ndim, len(y_shape))
    kept = len(plan.x_kept)
    c = xp.tensordot(x, g, axes=(plan.x_kept, tuple(range(kept))))
    summed = sorted(range(len(plan.x_axes)), key=lambda k: plan.x_axes[k])
    order = (*(plan.y_axes[k] for k in summed), *plan.y_kept)
    return xp.permute_dims(c, tuple(np.argsort(order).tolist()))


tensordot = op(
    "tensordot(x, y, *, axes=2)",
    """Sum products over several axes at once.

    `axes` is how many: the last ones of `x` meet the first ones of `y`; or a pair of tuples, the
    axes of `x` and those of `y` that they meet.

    >>> hg.tensordot([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 10.0]])
    Tensor(41., shape=(), dtype=float64)
    """,
    _tensordot_x,
    _tensordot_y,
)

outer = op(
    "outer(x, y)",
    """Multiply each element of a vector with each of another.

    >>> hg.linalg.outer([1.0, 2.0], [3.0, 4.0])
    Tensor([[3., 4.],
            [6., 8.]], shape=(2, 2), dtype=float64)
    """,
    lambda g, y: g @ y,
    lambda g, x: x @ g,
    impl=lambda xp, x, y: xp.array_module.linalg.outer(x, y),
)


def _cross(xp: Any, x: Array, y: Array, *, axis: int) -> Array:
    x, y = xp.asarray(x), xp.asarray(y)
    _same_axis(x, y, axis)
    return xp.array_module.linalg.cross(x, y, axis=axis)


cross = op(
    "cross(x, y, *, axis=-1)",
    """Compute the cross product of vectors of three elements; the other axes broadcast.

    >>> hg.linalg.cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    Tensor([0., 0., 1.], shape=(3,), dtype=float64)
    """,
    lambda g, xp, y, axis: xp.cross(y, g, axis=axis),
    lambda g, xp, x, axis: xp.cross(g, x, axis=axis),
    impl=_cross,
)


@public
def kron(x: Any, y: Any) -> Tensor:
    """Compute the Kronecker product: `x` with each element replaced by its product with `y`.

    >>> import headgate as hg
    >>> hg.linalg.kron([1.0, 2.0], [3.0, 4.0])
    Tensor([3., 4., 6., 8.], shape=(4,), dtype=float64)
    """
    x, y = as_tensor(x), as_tensor(y)
    ndim = max(x.ndim, y.ndim)
    x_shape = (1,) * (ndim - x.ndim) + x.shape
    y_shape = (1,) * (ndim - y.ndim) + y.shape
    rows = reshape(x, tuple(size for n in x_shape for size in (n, 1)))
    columns = reshape(y, tuple(size for n in y_shape for size in (1, n)))
    return reshape(rows * columns, tuple(n * m for n, m in zip(x_shape, y_shape, strict=True)))


# -- einsum ---------------------------------------------------------------------------------------


class _Subscripts(NamedTuple):
    """Subscripts in full: a letter for every axis of every operand, and those of the result."""

    inputs: tuple[str, ...]
    output: str

    def __str__(self) -> str:
        return f"{','.join(self.inputs)}->{self.output}"


def _fresh(used: str, count: int) -> str:
    """Return letters that are not in use yet."""
    free = [letter for letter in string.ascii_letters if letter not in used]
    if count > len(free):
        raise ValueError("more axes than there are letters to name them")
    return "".join(free[:count])


@lru_cache(maxsize=1024)
def parsed_subscripts(subscripts: str, ndims: tuple[int, ...]) -> _Subscripts:
    """Spell out ellipses and an output that is left out."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"{subscripts!r} is for {len(terms)} operand(s), given {len(ndims)}")
    named = text.replace("...", "").replace(",", "").replace("->", "")
    if named and not (named.isascii() and named.isalpha()):
        raise ValueError(f"{subscripts!r} has something else than letters, ',', '...' and '->'")
    widths = []
    for term, ndim in zip(terms, ndims, strict=True):
        width = ndim - len(term.replace("...", ""))
        if width < 0 or (width and "..." not in term):
            raise ValueError(f"{term!r} in {subscripts!r} does not fit an operand of {ndim} axes")
        widths.append(width)
    shared = _fresh(named, max(widths))
    inputs = tuple(
        term.replace("...", shared[len(shared) - width :])
        for term, width in zip(terms, widths, strict=True)
    )
    if arrow:
        if shared and "..." not in right:
            raise ValueError(f"the result in {subscripts!r} must keep the axes of '...'")
        output = right.replace("...", shared)
    else:
        once = (letter for letter in sorted(set(named)) if named.count(letter) == 1)
        output = shared + "".join(once)
    for letter in output:
        if output.count(letter) > 1 or not any(letter in term for term in inputs):
            raise ValueError(
                f"{letter!r} in the result of {subscripts!r} must be there once, and in an operand"
            )
    return _Subscripts(inputs, output)


class _Product(NamedTuple):
    """How a contraction of two operands is one matrix product: permutations and counts of axes."""

    x_order: tuple[int, ...]
    y_order: tuple[int, ...]
    order: tuple[int, ...]
    batch: int
    left: int
    right: int


@lru_cache(maxsize=1024)
def _as_product(x: str, y: str, output: str) -> _Product | None:
    """Return how a matrix product contracts two operands, if it can and if that is worth it."""
    batch = [k for k in x if k in y and k in output]
    summed = [k for k in x if k in y and k not in output]
    left = [k for k in x if k not in y]
    right = [k for k in y if k not in x]
    kept = all(k in output for k in left + right)
    unique = len(set(x)) == len(x) and len(set(y)) == len(y)
    if not (kept and unique and summed and left and right):
        return None
    return _Product(
        tuple(map(x.index, batch + left + summed)),
        tuple(map(y.index, batch + summed + right)),
        tuple(map((batch + left + right).index, output)),
        len(batch),
        len(left),
        len(right),
    )


def _einsum_numpy(xp: Any, operands: list[Array], *, subscripts: str) -> Array:
    """Contract; two operands by a matrix product, which NumPy's einsum does only for a price."""
    arrays = [np.asarray(operand) for operand in operands]
    parsed = parsed_subscripts(subscripts, tuple(array.ndim for array in arrays))
    if len(arrays) == 2:
        x, y = arrays
        plan = _as_product(*parsed.inputs, parsed.output)
        if plan is not None:
            x, y = x.transpose(plan.x_order), y.transpose(plan.y_order)
            batch, rows = plan.batch, plan.batch + plan.left
            columns = y.ndim - plan.right
            if x.shape[:batch] + x.shape[rows:] == y.shape[:columns]:
                outside = x.shape[:rows] + y.shape[columns:]
                inner = math.prod(x.shape[rows:])
                x = x.reshape(*x.shape[:batch], math.prod(x.shape[batch:rows]), inner)
                y = y.reshape(*y.shape[:batch], inner, math.prod(y.shape[columns:]))
                return (x @ y).reshape(outside).transpose(plan.order)
    return np.einsum(str(parsed), *arrays, optimize=len(arrays) > 2)


def _einsum_rule(g: Any, xp: Any, operands: Any, index: int, subscripts: str) -> Any:
    """Contract the cotangent with all other operands.

    A letter that is twice in the operand selected a diagonal, and its gradient is put there: a
    product with the identity. A letter that is nowhere else was summed: a product with ones.
    """
    parsed = parsed_subscripts(
        subscripts, tuple(getattr(operand, "ndim", 0) for operand in operands)
    )
    own = parsed.inputs[index]
    shape = operands[index].shape
    arrays = [g]
    terms = [parsed.output]
    for k, (operand, term) in enumerate(zip(operands, parsed.inputs, strict=True)):
        if k != index:
            arrays.append(operand)
            terms.append(term)
    wanted = ""
    fresh = iter(_fresh("".join(parsed.inputs), len(own) - len(set(own))))
    for letter, size in zip(own, shape, strict=True):
        if letter in wanted:
            repeated = next(fresh)
            arrays.append(xp.eye(size, dtype=g.dtype))
            terms.append(letter + repeated)
            letter = repeated
        wanted += letter
    for letter, size in zip(wanted, shape, strict=True):
        if not any(letter in term for term in terms):
            arrays.append(xp.ones((size,), dtype=g.dtype))
            terms.append(letter)
    return xp.einsum(arrays, subscripts=f"{','.join(terms)}->{wanted}")


_einsum = op(
    "einsum([operands], *, subscripts)",
    "Sum products of a list of operands over the subscripts that the result lacks.",
    _einsum_rule,
    impl_numpy=_einsum_numpy,
)


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """Sum products over the subscripts that the result lacks (Einstein's convention).

    Letters name axes; `...` stands for any number of axes, which broadcast. Without `->`, the
    result has the letters that occur once, in alphabetical order.

    >>> import headgate as hg
    >>> hg.einsum("ij,kj->ik", [[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]])
    Tensor([[11., 17.]], shape=(1, 2), dtype=float64)
    """
    if not isinstance(subscripts, str):
        raise TypeError(
            f"einsum takes its subscripts first, as in einsum('ij,jk->ik', x, y); "
            f"got {type(subscripts).__name__}"
        )
    return _einsum(list(operands), subscripts)


# -- solving, determinants ------------------------------------------------------------------------

# dx = A^-1 (db - dA x), hence gradients A^-T g for b and -(A^-T g) x^T for A. (Giles, 2.3.1)


def _solve_transposed(g: Any, xp: Any, x: Any, y_shape: Any) -> Any:
    """Return x^-T g as columns."""
    return xp.solve(x.mT, xp.expand_dims(g, axis=-1) if len(y_shape) == 1 else g)


def _solve_x(g: Any, xp: Any, x: Any, ans: Any, y_shape: Any) -> Any:
    solved = _solve_transposed(g, xp, x, y_shape)
    return -solved @ (xp.expand_dims(ans, axis=-1) if len(y_shape) == 1 else ans).mT


def _solve_y(g: Any, xp: Any, x: Any, y_shape: Any) -> Any:
    solved = _solve_transposed(g, xp, x, y_shape)
    return solved[..., 0] if len(y_shape) == 1 else solved


solve = op(
    "solve(x, y)",
    """Solve `x @ result = y` for square `x`; a vector `y` is one right-hand side, a matrix many.

    >>> hg.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 1.0])
    Tensor([0.5 , 0.25], shape=(2,), dtype=float64)
    """,
    _solve_x,
    _solve_y,
    impl=lambda xp, x, y: xp.array_module.linalg.solve(x, y),
)

inv = op(
    "inv(x)",
    """Invert square matrices.

    >>> hg.linalg.inv([[2.0, 0.0], [0.0, 4.0]])
    Tensor([[0.5 , 0.  ],
            [0.  , 0.25]], shape=(2, 2), dtype=float64)
    """,
    # dy = -y dx y (Giles, 2.2.3)
    lambda g, ans: -ans.mT @ g @ ans.mT,
    impl=_linalg("inv"),
)


def _cofactors(xp: Any, x: Array) -> Array:
    """Compute cofactors without a division: products of all singular values but one."""
    u, s, vh = xp.array_module.linalg.svd(x)
    size = s.shape[-1]
    others = xp.where(xp.eye(size, dtype=bool), 1, _columns(xp, s))
    products = xp.prod(others, axis=-1).astype(x.dtype)
    unitary = xp.array_module.linalg.det(u) * xp.array_module.linalg.det(vh)
    return unitary[..., None, None] * ((conj(xp, u) * _columns(xp, products)) @ conj(xp, vh))


def _cofactors_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    """With c = det(x) x^-T:  dc = c trace(x^-1 dx) - x^-T dx^T c.  Needs an inverse, unlike c."""
    scale = xp.sum(g * ans, axis=(-2, -1), keepdims=True)
    identity = xp.eye(x.shape[-1], dtype=ans.dtype)
    return (scale * identity - ans @ g.mT) @ xp.inv(x).mT


cofactors = op(
    "cofactors(x)",
    """Compute the matrices of cofactors, the derivative of `det`; for singular matrices as well.

    >>> from headgate.ops.linalg import cofactors
    >>> cofactors([[1.0, 0.0], [0.0, 0.0]])
    Tensor([[0., 0.],
            [0., 1.]], shape=(2, 2), dtype=float64)
    """,
    _cofactors_rule,
    impl=_cofactors,
)

det = op(
    "det(x)",
    """Compute the determinants of square matrices.

    >>> hg.linalg.det([[2.0, 0.0], [0.0, 4.0]])
    Tensor(8., shape=(), dtype=float64)
    """,
    lambda g, xp, x: g[..., None, None] * xp.cofactors(x),
    impl=_linalg("det"),
)


def _slogdet_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    """With t = trace(x^-1 dx):  d log|det| = Re t,  d sign = i sign Im t (zero if real)."""
    g_sign, g_log = g
    if x.dtype.kind == "c":
        g_log = g_log + xp.imag(g_sign * ans[0]) * 1j
    return g_log[..., None, None] * xp.inv(x).mT


slogdet = op(
    "slogdet(x)",
    """Compute the signs (complex: the phases) of determinants, and the logarithms of their sizes.

    >>> hg.linalg.slogdet([[0.0, 1.0], [1.0, 0.0]]).sign
    Tensor(-1., shape=(), dtype=float64)
    """,
    _slogdet_rule,
    impl=_linalg("slogdet"),
    outputs=True,
)


@by_adjoint
def _pinv_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    """With p = x^+:  dp = -p dx p + p p* dx* (1 - x p) + (1 - p x) dx* p* p. (Golub and Pereyra)"""
    p, p_adjoint, g_adjoint = ans, _adjoint(xp, ans), _adjoint(xp, g)
    left = g_adjoint @ p @ p_adjoint
    right = p_adjoint @ p @ g_adjoint
    return -p_adjoint @ g @ p_adjoint + left - x @ (p @ left) + right - (right @ p) @ x


pinv = op(
    "pinv(x, *, rtol=None)",
    """Compute Moore-Penrose pseudo-inverses.

    Singular values below `rtol` times the largest count as zero (default: the larger size times the
    dtype's epsilon). The gradient is that among matrices of the same rank.

    >>> hg.linalg.pinv([[2.0, 0.0], [0.0, 0.0]])
    Tensor([[0.5, 0. ],
            [0. , 0. ]], shape=(2, 2), dtype=float64)
    """,
    _pinv_rule,
    impl=lambda xp, x, *, rtol: xp.array_module.linalg.pinv(
        x.astype(float) if x.dtype.kind in "biu" else x, rtol=rtol
    ),
)


@public
def matrix_power(x: Any, n: int) -> Tensor:
    """Multiply a square matrix by itself `n` times; by its inverse for negative `n`.

    >>> import headgate as hg
    >>> hg.linalg.matrix_power([[1.0, 1.0], [0.0, 1.0]], 5)
    Tensor([[1., 5.],
            [0., 1.]], shape=(2, 2), dtype=float64)
    """
    x = as_tensor(x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"matrix_power: x must be square matrices, got the shape {x.shape}")
    if n < 0:
        return matrix_power(inv(x), -n)
    if n == 0:
        return broadcast_to(eye(x.shape[-1], dtype=x.dtype), x.shape)
    result: Tensor | None = None
    while True:
        if n % 2:
            result = x if result is None else matmul(result, x)
        n //= 2
        if not n:
            assert result is not None
            return result
        x = matmul(x, x)


# -- factorisations -------------------------------------------------------------------------------


def _cholesky(xp: Any, x: Array, *, upper: bool) -> Array:
    lower = xp.array_module.linalg.cholesky(_hermitian(xp, xp.asarray(x)))
    return _adjoint(xp, lower) if upper else lower


@by_adjoint
def _cholesky_rule(g: Any, xp: Any, ans: Any, upper: bool) -> Any:
    """With half(m) the lower triangle, its diagonal halved:  dl = l half(l^-1 dx l^-*). (Murray)"""
    lower, g = (_adjoint(xp, ans), _adjoint(xp, g)) if upper else (ans, g)
    triangle = xp.tril(_adjoint(xp, lower) @ g)
    half = triangle - triangle * xp.eye(lower.shape[-1], dtype=lower.dtype) / 2
    inverse = xp.inv(lower)
    return _hermitian(xp, _adjoint(xp, inverse) @ half @ inverse)


cholesky = op(
    "cholesky(x, *, upper=False)",
    """Factorise positive definite matrices: `x = l @ l*` with `l` lower triangular.

    With `upper`, the result is l*.

    >>> hg.linalg.cholesky([[4.0, 2.0], [2.0, 2.0]])
    Tensor([[2., 0.],
            [1., 1.]], shape=(2, 2), dtype=float64)
    """,
    _cholesky_rule,
    impl=_cholesky,
)


def _onto_basis(xp: Any, basis: Any, g: Any, rank: int) -> tuple[Any, Any]:
    """Return the first `rank` columns of a unitary matrix, with the cotangent for them alone.

    Columns that only complete the basis turn against those: with [a, b] the two parts, db = -a da*
    b.
    """
    if basis.shape[-1] == rank:
        return basis, g
    a, b = basis[..., :rank], basis[..., rank:]
    g_a, g_b = g[..., :rank], g[..., rank:]
    return a, g_a - b @ (_adjoint(xp, g_b) @ a)


@by_adjoint
def _qr_rule(g: Any, xp: Any, ans: Any) -> Any:
    """See Walter and Lehmann; Roberts and Roberts for more columns than rows."""
    rank = min(ans[1].shape[-1], ans[0].shape[-2])
    q, g_q = _onto_basis(xp, ans[0], g[0], rank)
    r, g_r = ans[1][..., :rank, :], g[1][..., :rank, :]
    if r.shape[-1] == rank:
        return _qr_tall(xp, q, r, g_q, g_r)
    # x = q [r, s]: the columns on the right depend on those on the left through q alone.
    r, s = r[..., :rank], r[..., rank:]
    g_r, g_s = g_r[..., :rank], g_r[..., rank:]
    left = _qr_tall(xp, q, r, g_q + q @ (s @ _adjoint(xp, g_s)), g_r)
    return xp.concat([left, q @ g_s], axis=-1)


def _qr_tall(xp: Any, q: Any, r: Any, g_q: Any, g_r: Any) -> Any:
    inner = g_r @ _adjoint(xp, r) - _adjoint(xp, q) @ g_q
    upper = xp.triu(inner, k=1)
    diagonal = _real(xp, inner) * xp.eye(q.shape[-1], dtype=r.dtype)
    whole = g_q + q @ (upper + _adjoint(xp, upper) + diagonal)
    return _adjoint(xp, xp.solve(r, _adjoint(xp, whole)))


qr = op(
    "qr(x, *, mode='reduced')",
    """Factorise matrices: `x = q @ r`, the columns of `q` orthonormal, `r` upper triangular.

    With mode "complete", `q` is square. The first columns of `x`, as many as `r` has rows, must be
    linearly independent for the gradient to exist.

    >>> hg.linalg.qr([[3.0, 1.0], [4.0, 2.0]]).R.shape
    (2, 2)
    """,
    _qr_rule,
    impl=lambda xp, x, *, mode: _checked_mode(xp, x, mode),
    outputs=True,
)


def _checked_mode(xp: Any, x: Array, mode: str) -> Any:
    if mode not in ("reduced", "complete"):
        raise ValueError(f"mode must be 'reduced' or 'complete', got {mode!r}")
    return xp.array_module.linalg.qr(x, mode=mode)


@by_adjoint
def _svd_rule(g: Any, xp: Any, ans: Any) -> Any:
    """See Townsend; for complex values Wan and Zhang.

    With f[i, j] = 1 / (s[j]^2 - s[i]^2) and skew(m) = m - m*, in the bases u and v the gradient is
    (f skew(u* g_u)) s + s (f skew(v* g_v)) + diag(g_s). What of g_u lies outside of u's span adds
    to that, and so does, if complex, the one phase of u and v that x fixes: that of u v*.
    """
    rank = ans[1].shape[-1]
    s = ans[1]
    u, g_u = _onto_basis(xp, ans[0], g[0], rank)
    v, g_v = _onto_basis(xp, _adjoint(xp, ans[2]), _adjoint(xp, g[2]), rank)
    u_adjoint, v_adjoint = _adjoint(xp, u), _adjoint(xp, v)
    in_u, in_v = u_adjoint @ g_u, v_adjoint @ g_v
    sums = xp.expand_dims(s, axis=-2) + xp.expand_dims(s, axis=-1)
    f = _reciprocal(xp, _differences(xp, s) * sums)
    rows, columns = xp.expand_dims(s, axis=-1), xp.expand_dims(s, axis=-2)
    inner = (
        f * (in_u - _adjoint(xp, in_u)) * columns
        + rows * (f * (in_v - _adjoint(xp, in_v)))
        + _diagonal_matrix(xp, g[1])
    )
    inverse = _reciprocal(xp, columns)
    if u.dtype.kind == "c":
        phase = xp.imag(in_u - in_v) * xp.eye(rank, dtype=s.dtype)
        inner = inner + phase * inverse * 0.5j
    c = u @ inner @ v_adjoint
    if u.shape[-2] > rank:
        c = c + ((g_u - u @ in_u) * inverse) @ v_adjoint
    if v.shape[-2] > rank:
        c = c + (u * inverse) @ _adjoint(xp, g_v - v @ in_v)
    return c


svd = op(
    "svd(x, *, full_matrices=True)",
    """Compute singular value decompositions: `x = u @ diag(s) @ vh`, `s` in descending order.

    Without `full_matrices`, `u` and `vh` have as many columns, and rows, as there are singular
    values.

    >>> hg.linalg.svd([[3.0, 0.0], [0.0, 4.0]]).S
    Tensor([4., 3.], shape=(2,), dtype=float64)
    """,
    _svd_rule,
    impl=lambda xp, x, *, full_matrices: xp.array_module.linalg.svd(x, full_matrices=full_matrices),
    outputs=True,
)


@by_adjoint
def _svdvals_rule(g: Any, xp: Any, x: Any) -> Any:
    u, _, vh = xp.svd(x, full_matrices=False)
    return (u * _columns(xp, g)) @ vh


svdvals = op(
    "svdvals(x)",
    """Compute the singular values of matrices, in descending order.

    >>> hg.linalg.svdvals([[3.0, 0.0], [0.0, 4.0]])
    Tensor([4., 3.], shape=(2,), dtype=float64)
    """,
    _svdvals_rule,
    impl=_linalg("svdvals"),
)


@by_adjoint
def _eigh_rule(g: Any, xp: Any, ans: Any) -> Any:
    """With f[i, j] = 1 / (w[j] - w[i]), in the basis v:  diag(g_w) + f (v* g_v). (Giles, 3.1)"""
    w, v = ans
    f = _reciprocal(xp, _differences(xp, w))
    inner = _diagonal_matrix(xp, g[0]) + f * (_adjoint(xp, v) @ g[1])
    return _hermitian(xp, v @ inner @ _adjoint(xp, v))


eigh = op(
    "eigh(x)",
    """Compute eigenvalues, in ascending order, and eigenvectors of Hermitian matrices.

    >>> hg.linalg.eigh([[2.0, 1.0], [1.0, 2.0]]).eigenvalues
    Tensor([1., 3.], shape=(2,), dtype=float64)
    """,
    _eigh_rule,
    impl=lambda xp, x: xp.array_module.linalg.eigh(_hermitian(xp, xp.asarray(x))),
    outputs=True,
)


@by_adjoint
def _eigvalsh_rule(g: Any, xp: Any, x: Any) -> Any:
    _, v = xp.eigh(x)
    return (v * _columns(xp, g)) @ _adjoint(xp, v)


eigvalsh = op(
    "eigvalsh(x)",
    """Compute the eigenvalues of Hermitian matrices, in ascending order.

    >>> hg.linalg.eigvalsh([[2.0, 1.0], [1.0, 2.0]])
    Tensor([1., 3.], shape=(2,), dtype=float64)
    """,
    _eigvalsh_rule,
    impl=lambda xp, x: xp.array_module.linalg.eigvalsh(_hermitian(xp, xp.asarray(x))),
)

# -- diagonals, norms, rank -----------------------------------------------------------------------


trace = op(
    "trace(x, *, offset=0)",
    """Sum the diagonals of matrices; `offset` is how far to the right of the main one.

    >>> hg.linalg.trace([[1.0, 2.0], [3.0, 4.0]])
    Tensor(5., shape=(), dtype=float64)
    """,
    lambda g, xp, x_shape, offset: (
        g[..., None, None] * xp.eye(x_shape[-2], x_shape[-1], k=offset, dtype=g.dtype)
    ),
    impl=lambda xp, x, *, offset: xp.array_module.linalg.trace(x, offset=offset),
)


def _diagonal_rule(g: Any, xp: Any, x_shape: Any, offset: int) -> Any:
    """Give each row its element of the cotangent, or zero, and keep the diagonal."""
    rows, columns = x_shape[-2:]
    before = max(-offset, 0)
    after = rows - before - g.shape[-1]
    zeros = [xp.zeros((*g.shape[:-1], size), dtype=g.dtype) for size in (before, after)]
    spread = xp.concat([zeros[0], g, zeros[1]], axis=-1)
    return xp.expand_dims(spread, axis=-1) * xp.eye(rows, columns, k=offset, dtype=g.dtype)


diagonal = op(
    "diagonal(x, *, offset=0)",
    """Return the diagonals of matrices; `offset` is how far to the right of the main one.

    >>> hg.linalg.diagonal([[1.0, 2.0], [3.0, 4.0]], offset=1)
    Tensor([2.], shape=(1,), dtype=float64)
    """,
    _diagonal_rule,
    impl=lambda xp, x, *, offset: xp.array_module.linalg.diagonal(x, offset=offset),
)


def _vector_norm(xp: Any, x: Array, *, axis: Any, keepdims: bool, ord: float) -> Array:
    size = xp.abs(xp.asarray(x))
    if size.dtype.kind != "f":
        size = size * 1.0
    if ord == math.inf:
        return xp.max(size, axis=axis, keepdims=keepdims)
    if ord == -math.inf:
        return xp.min(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return xp.sum((size != 0).astype(size.dtype), axis=axis, keepdims=keepdims)
    if ord == 1:
        return xp.sum(size, axis=axis, keepdims=keepdims)
    if ord == 2:
        return xp.sqrt(xp.sum(size * size, axis=axis, keepdims=keepdims))
    return xp.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)


def _direction(xp: Any, x: Any) -> Any:
    """Return x / |x|, and 0 where x is 0."""
    return xp.sign(x) if x.dtype.kind != "c" else x * _reciprocal(xp, xp.abs(x))


def _vector_norm_rule(
    g: Any, xp: Any, x: Any, ans: Any, axis: Any, keepdims: bool, ord: float
) -> Any:
    """At zero the result is NaN, as in TensorFlow, unless the norm is a sum or a maximum."""
    g = keep(g, x.shape, axis, keepdims)
    ans = keep(ans, x.shape, axis, keepdims)
    if x.dtype.kind == "c":
        x = xp.conj(x)
    if ord == 0:
        return xp.zeros_like(x) * g
    if ord == 2:
        return scaled(g, x / ans)
    if ord == 1:
        return g * _direction(xp, x)
    if abs(ord) == math.inf:
        attained = xp.astype(xp.abs(x) == ans, ans.dtype)
        share = attained / xp.sum(attained, axis=axis, keepdims=True)
        return g * share * _direction(xp, x)
    return scaled(g, _direction(xp, x) * (xp.abs(x) / ans) ** (ord - 1))


vector_norm = op(
    "vector_norm(x, *, axis=None, keepdims=False, ord=2)",
    """Compute vector norms: the root of order `ord` of the sum of |x| to that power.

    `ord` may be any number: 1, 2, `math.inf` (the largest |x|), `-math.inf` (the smallest), 0 (how
    many are not zero). `axis` may be several; all of them if None.

    >>> hg.linalg.vector_norm([3.0, 4.0])
    Tensor(5., shape=(), dtype=float64)
    """,
    _vector_norm_rule,
    impl=_vector_norm,
)


@public
def matrix_norm(x: Any, *, keepdims: bool = False, ord: int | float | str = "fro") -> Tensor:
    """Compute norms of matrices.

    `ord` is "fro" (root of the sum of squares), "nuc" (sum of singular values), 2 and -2 (largest
    and smallest singular value), 1 and -1 (largest and smallest sum of a column's |x|), inf and
    -inf (the same for rows).

    >>> import headgate as hg
    >>> hg.linalg.matrix_norm([[3.0, 0.0], [0.0, 4.0]], ord=2)
    Tensor(4., shape=(), dtype=float64)
    """
    x = as_tensor(x)
    if x.ndim < 2:
        raise ValueError(f"matrix_norm: x must be matrices, got shape {x.shape}")
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ValueError(f"matrix_norm: ord must be 'fro', 'nuc', ±1, ±2 or ±inf, got {ord!r}")
    if ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        values = svdvals(x)
        extreme = total if ord == "nuc" else largest if ord == 2 else smallest
        result = extreme(values, axis=-1)
    else:
        sums = total(magnitude(x), axis=-2 if ord in (1, -1) else -1)
        result = (largest if ord > 0 else smallest)(sums, axis=-1)  # type: ignore[operator]
    return expand_dims(expand_dims(result, axis=-1), axis=-1) if keepdims else result


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Compute a norm of vectors or of matrices, as `numpy.linalg.norm` does.

    An integer `axis` has vectors, a pair of them matrices. Without `axis`, all of `x` is one vector
    if `ord` is None too, and else `x` must be one vector or one matrix.

    >>> import headgate as hg
    >>> hg.linalg.norm([[1.0, 2.0], [2.0, 4.0]])
    Tensor(5., shape=(), dtype=float64)
    """
    x = as_tensor(x)
    if axis is None and ord is not None:
        if x.ndim not in (1, 2):
            raise ValueError(f"norm: with ord={ord!r} x of shape {x.shape} needs an axis")
        axis = tuple(range(x.ndim))
    if ord is None or isinstance(axis, int) or len(axis) == 1:
        return vector_norm(x, axis=axis, keepdims=keepdims, ord=2 if ord is None else ord)
    axes = normal_axes(axis, x.ndim)
    if len(axes) != 2:
        raise ValueError(f"norm: axis must be one number or two, got {axis!r}")
    rest = tuple(k for k in range(x.ndim) if k not in axes)
    result = matrix_norm(permute_dims(x, (*rest, *axes)), ord=ord)
    return reshape(result, _kept(x.shape, axes)) if keepdims else result


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if k in axes else size for k, size in enumerate(shape))


matrix_rank = op(
    "matrix_rank(x, *, rtol=None)",
    """Count the singular values of matrices above `rtol` times the largest; it has no gradient.

    >>> hg.linalg.matrix_rank([[1.0, 1.0], [1.0, 1.0]])
    Tensor(1, shape=(), dtype=int64)
    """,
    None,
    impl=lambda xp, x, *, rtol: xp.array_module.linalg.matrix_rank(x, rtol=rtol),
)
