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
that choice.

Where two eigenvalues or singular values are **equal**, their vectors have no derivative. Functions
of the values alone have one all the same, as long as they treat equal values alike; it is the first
one that is right then. A function that uses the vectors too may be smooth there (the exponential of
a matrix, the matrix put together again), but its derivative is a limit 0/0 that the cotangents of
values and vectors at this one matrix do not tell: it takes the function's next derivative. So the
gradient is NaN, with an `UndefinedGradientWarning`, and never a number without those terms. It
stays a number if nothing uses the vectors in question, which is to say if their cotangents and
those of their values are zero. Equal means equal up to rounding, where the difference of what is
to be divided is lost in rounding as well (`_quotient`).

`cholesky`, `eigh` and `eigvalsh` read the lower triangle of their argument and take the rest from
there, as LAPACK does. That is the function that is differentiated: of a matrix that is not
Hermitian the gradient is zero above the diagonal, and below it is what a change of both elements
makes. A Hermitian matrix is taken to change as one. Its gradient is Hermitian, each element having
half of that, so that a step along it stays among these matrices; JAX and PyTorch have the same.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from functools import lru_cache, partial, wraps
from typing import Any, NamedTuple

import numpy as np

from headgate.core.cotangent import Product
from headgate.core.lift import as_tensor
from headgate.core.namespace import NUMPY, TENSORS, Array, owner
from headgate.core.op import op, public, sees_missing
from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced
from headgate.ops.creation import eye
from headgate.ops.elementwise import abs as magnitude
from headgate.ops.reduce import keep
from headgate.ops.reduce import max as largest
from headgate.ops.reduce import min as smallest
from headgate.ops.reduce import sum as total
from headgate.ops.rules import by_float32, conj, normal_axes, scaled
from headgate.ops.shape import broadcast_to, expand_dims, permute_dims, reshape
from headgate.record.errors import warn_undefined

# -- helpers of the rules -------------------------------------------------------------------------


def _adjoint(xp: Any, x: Any) -> Any:
    """Return x*, the conjugate transpose."""
    return conj(xp, x.mT)


def _hermitian(xp: Any, x: Any) -> Any:
    """Return the Hermitian part of a matrix."""
    return (x + _adjoint(xp, x)) / 2


def _from_lower(xp: Any, x: Any) -> Any:
    """Return the Hermitian matrix that has the lower triangle of a matrix."""
    below = xp.tril(x, k=-1)
    own = xp.where(np.eye(x.shape[-1], dtype=bool), _real(xp, x), 0)
    return below + _adjoint(xp, below) + own


def _to_read(xp: Any, x: Any, c: Any) -> Any:
    """Return the gradient for a matrix of which only the lower triangle is read.

    `c` is the gradient for the Hermitian matrix that is made of it.
    """
    array = _raw(x)
    is_hermitian = (array == conj(owner[type(array)], array.mT)).all((-2, -1), keepdims=True)
    if type(array) is np.ndarray and is_hermitian.all():
        return c
    own = xp.where(np.eye(c.shape[-1], dtype=bool), _real(xp, c), 0)
    return xp.where(is_hermitian, c, xp.tril(c + _adjoint(xp, c), k=-1) + own)


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


def _raw(x: Any) -> Any:
    return x.value if type(x) is Tensor else x


def _lengths(x: Any) -> Any:
    """Return the Euclidean lengths of the columns of a raw matrix."""
    ns = owner[type(x)].array_module
    return ns.sqrt(ns.sum(ns.abs(x) ** 2, axis=-2))


def _rounding(values: Any, size: int) -> Any:
    """Return how far rounding moves the computed values of each matrix, as a column."""
    ns = owner[type(values)].array_module
    return size * ns.finfo(values.dtype).eps * ns.max(abs(values), axis=-1, initial=0)[..., None]


def _quotient(
    xp: Any,
    name: str,
    values: Any,
    numerator: Any,
    gap: Any,
    near: Any,
    noise: Any,
    used: Any,
    size: Any = None,
) -> Any:
    """Divide by gaps between values, or by values; NaN where a quotient 0/0 is asked for.

    A gap up to `near` may be rounding, and so may a numerator up to `noise`; `size` is how large
    the numerator is, if not by elements. Where both are, or where the gap is zero, the quotient is
    NaN if it is `used`, and 0 / 0 is 0 if not.
    """
    raw = _raw(gap)
    size = abs(_raw(numerator)) if size is None else size
    undefined = ((raw == 0) | ((abs(raw) <= near) & (size <= noise))) & used
    if not is_traced(undefined) and undefined.any():
        warn_undefined(name, _met(name, np.asarray(_raw(values)), np.asarray(undefined)))
    return xp.where(undefined, math.nan, numerator * _reciprocal(xp, gap))


def _met(name: str, values: Any, undefined: Any) -> str:
    """Say which values are in the way, those of the first matrix that has some, and what to do."""
    columns = undefined.any(axis=-2)
    first = tuple(np.argwhere(columns.any(axis=-1))[0].tolist())
    met = values[first][columns[first]]
    shown = ", ".join(f"{value:.6g}" for value in met[:4]) + (", ..." if len(met) > 4 else "")
    where = f" of matrix {first}" if first else ""
    what = "eigenvalues" if name.startswith("eig") else "singular values"
    how = "equal" if len(met) > 1 else "zero"
    order = "second derivative by" if name.endswith("vals") or name == "eigvalsh" else "gradient by"
    return (
        f"{what}{where} are {how} ({shown}), and what is computed from their vectors has no "
        f"{order} the matrix that could be told there. Compute a function of the matrix itself "
        "(solve, inv, det, cholesky, matrix_power, or a series), or set the values apart: add "
        "small numbers, all different, to the diagonal"
    )


def _touched(values: Any, used: Any) -> Any:
    """Tell which pairs of values ask for a quotient: those of equal values of which any is used.

    `used` are two masks: whether a vector is used, and whether its value is.
    """
    ns = owner[type(values)].array_module
    vectors, valued = used
    rows, columns = vectors[..., :, None], vectors[..., None, :]
    equal = values[..., :, None] == values[..., None, :]
    group = ns.any(equal & (vectors | valued)[..., None, :], axis=-1)
    apart = ~ns.eye(values.shape[-1], dtype=bool)
    return ns.where(equal, group[..., :, None], rows | columns) & apart


def _matrices(xp: Any, x: Any, square: bool = False) -> Any:
    """Return matrices that LAPACK computes with; refuse what it does not know, by name."""
    x = xp.asarray(x)
    if x.ndim < 2:
        raise ValueError(f"x must be matrices, with two axes or more; its shape is {x.shape}")
    if square and x.shape[-1] != x.shape[-2]:
        raise ValueError(f"x must be square matrices; its shape is {x.shape}")
    if x.dtype.kind in "biu":
        return x.astype(np.float64)
    if x.dtype.itemsize == 2:
        raise TypeError(
            f"there is no linear algebra in {x.dtype}, neither here nor in NumPy and JAX; convert "
            "the matrices with headgate.astype(x, 'float32')"
        )
    return x


def _of_numbers(xp: Any, x: Any) -> tuple[Any, Any]:
    """Return matrices for LAPACK, which goes astray at NaN, and what to add to all that it finds.

    Matrices with something else than numbers in them become identities; NaN is to be added to their
    results, and 0 to those of the others.
    """
    ns = xp.array_module
    bad = ~ns.all(ns.isfinite(x), axis=(-2, -1))
    if xp is NUMPY and not bad.any():
        return x, None
    nothing = ns.where(bad, math.nan, 0.0).astype(x.real.dtype)
    return ns.where(bad[..., None, None], ns.eye(*x.shape[-2:], dtype=x.dtype), x), nothing


def _spoilt(ans: Any, nothing: Any) -> Any:
    """Add to each result of each matrix what `_of_numbers` says."""
    if nothing is None:
        return ans
    if type(ans) is tuple or hasattr(ans, "_fields"):
        parts = [_spoilt(part, nothing) for part in ans]
        return type(ans)(*parts) if hasattr(ans, "_fields") else tuple(parts)
    return ans + nothing.reshape(nothing.shape + (1,) * (ans.ndim - nothing.ndim))


def _or_spoilt(xp: Any, compute: Callable[[Any], Any], x: Any) -> Any:
    """Compute a decomposition; NaN, as in JAX, where NumPy gives up for NaN in the matrix."""
    try:
        return compute(x)
    except np.linalg.LinAlgError:
        x, nothing = _of_numbers(xp, x)
        if nothing is None:
            raise
        return _spoilt(compute(x), nothing)


def _linalg(name: str) -> Callable[..., Any]:
    """Return an implementation by the array library's own `linalg` function of square matrices."""

    def compute(xp: Any, x: Any) -> Any:
        return getattr(xp.array_module.linalg, name)(_matrices(xp, x, square=True))

    return compute


def by_adjoint(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return a rule that is stated for conjugated cotangents as one for those of a walk."""

    @wraps(rule)
    def turned(g: Any, xp: Any, *args: Any) -> Any:
        if type(g) is tuple:
            g = tuple(part if part is None else conj(xp, part) for part in g)
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


def narrowed(ans: Array, x: Array, y: Array) -> Array:
    """Return a product of bfloat16 arrays, which NumPy makes a float32 one, as bfloat16."""
    return ans.astype(x.dtype) if x.dtype.kind == "V" and x.dtype == y.dtype else ans


def _matmul_numpy(xp: Any, x: Array, y: Array) -> Array:
    ans = x @ y
    return ans if ans.dtype is x.dtype else narrowed(ans, x, y)


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
    impl_numpy=_matmul_numpy,
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
    return narrowed(xp.array_module.vecdot(x, y, axis=axis), x, y)


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
    lists=("axes",),
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
    if any(array.dtype.kind == "V" for array in arrays):  # bfloat16, which NumPy's does not know
        wide = [array.astype(np.float32) if array.dtype.kind == "V" else array for array in arrays]
        found = _einsum_numpy(xp, wide, subscripts=subscripts)
        return found.astype(np.result_type(*arrays))
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


def _solve(xp: Any, x: Array, y: Array) -> Array:
    x, y = _matrices(xp, x, square=True), xp.asarray(y)
    return xp.array_module.linalg.solve(x, y if y.ndim == 1 else _matrices(xp, y))


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
    impl=_solve,
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
    u, s, vh = _or_spoilt(xp, xp.array_module.linalg.svd, x)
    size = s.shape[-1]
    others = xp.where(xp.eye(size, dtype=bool), 1, _columns(xp, s))
    products = xp.prod(others, axis=-1).astype(x.dtype)
    unitary = xp.array_module.linalg.det(u) * xp.array_module.linalg.det(vh)
    return unitary[..., None, None] * ((conj(xp, u) * _columns(xp, products)) @ conj(xp, vh))


_SMALL, _MOST = 1e-3, 8
"""Singular values below the first, beside the largest, are not divided by, if they are no more than
the second; if they are, derivatives of `det` of that order and below are zero."""


def _smooth_cofactors(x: Tensor) -> Tensor:
    """Compute cofactors by ops that have derivatives at singular matrices too.

    With the unitary u, v of the matrix at hand taken as constants, t = u* x v is a smooth function
    of x, and diagonal here. Split into large (a) and small (b) singular values,
    det t = det(t_aa) det(s) with s = t_bb - t_ba t_aa^-1 t_ab, which is about zero. Its determinant
    is a polynomial, e_k(s) for k small ones, and with m_0 = 1, e_j = trace(s m_{j-1}) / j and
    m_j = e_j - s m_{j-1} (Faddeev and LeVerrier), d e_k = trace(m_{k-1} ds). So nothing small is
    divided by. The blocks have the size of the whole, as masks say which elements are theirs.
    """
    xp = TENSORS
    home = owner[type(x.value)]
    ns = home.array_module
    at, _ = _of_numbers(home, home.block_gradient(x.value))
    u, s, vh = ns.linalg.svd(at)
    size = s.shape[-1]
    scale = s[..., :1]
    zero = s <= size * ns.finfo(s.dtype).eps * scale
    last = ns.arange(size) >= size - _MOST
    small = (s <= _SMALL * scale) & last
    good = ~(small | zero)
    count = ns.where(ns.any(zero & ~last, axis=-1), -1, ns.sum(small, axis=-1))
    steps = min(size, _MOST) if is_traced(count) else int(ns.max(count, initial=0))
    u_adjoint, v = _adjoint(home, u), _adjoint(home, vh)

    def block(t: Any, rows: Any, columns: Any) -> Any:
        return t * (rows[..., :, None] & columns[..., None, :]).astype(s.dtype)

    one = ns.eye(size, dtype=at.dtype)
    t = matmul(matmul(u_adjoint, x), v)
    t_aa = block(t, good, good) + one * (~good)[..., None, :].astype(s.dtype)
    inverse = block(xp.inv(t_aa), good, good)
    core: Any = inverse * (count == 0)[..., None, None].astype(s.dtype)
    if steps:
        t_ba, t_ab = block(t, small, good), block(t, good, small)
        schur = block(t, small, small) - t_ba @ inverse @ t_ab
        kept = one * small[..., None, :].astype(s.dtype)
        left, right = kept - t_ba @ inverse, kept - inverse @ t_ab
        m: Any = one
        for k in range(1, steps + 1):
            mine = (count == k)[..., None, None].astype(s.dtype)
            product = schur @ m
            e = (trace(product) / k)[..., None, None]
            core = core + mine * (e * inverse + right @ m @ left)
            m = e * one - product
    unitary = (ns.linalg.det(u) * ns.linalg.det(vh))[..., None, None]
    c: Tensor = (v @ core @ u_adjoint).mT * xp.det(t_aa)[..., None, None] * unitary
    return c


def _det_rule(g: Any, xp: Any, x: Any) -> Any:
    return g[..., None, None] * (_smooth_cofactors(x) if xp is TENSORS else _cofactors(xp, x))


det = op(
    "det(x)",
    """Compute the determinants of square matrices.

    The gradient is that of a polynomial: it exists at singular matrices as well, to any order.

    >>> hg.linalg.det([[2.0, 0.0], [0.0, 4.0]])
    Tensor(8., shape=(), dtype=float64)
    """,
    _det_rule,
    impl=_linalg("det"),
)


def _slogdet(xp: Any, x: Array) -> Any:
    ans = _linalg("slogdet")(xp, x)
    lost = ans[1] != ans[1]
    if xp is NUMPY and not lost.any():
        return ans
    return type(ans)(xp.where(lost, math.nan, ans[0]).astype(ans[0].dtype), ans[1])


def _slogdet_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    """With t = trace(x^-1 dx):  d log|det| = Re t,  d sign = i sign Im t (zero if real)."""
    g_sign, g_log = g
    if x.dtype.kind == "c":
        g_log = g_log + xp.imag(g_sign * ans[0]) * 1j
    sign, logarithm = map(_raw, ans)
    lost = (sign == 0) | (logarithm != logarithm)
    if is_traced(lost) or lost.any():
        if not is_traced(lost) and (lost & (_raw(g_log) != 0)).any():
            warn_undefined("slogdet", "the matrix is singular, or has NaN in it")
        g_log = xp.where(lost, xp.where(g_log == 0, 0, math.nan), g_log)
        x = xp.where(lost[..., None, None], xp.eye(x.shape[-1], dtype=x.dtype), x)
    return g_log[..., None, None] * xp.inv(x).mT


slogdet = op(
    "slogdet(x)",
    """Compute the signs (complex: the phases) of determinants, and the logarithms of their sizes.

    At a singular matrix the logarithm is minus infinity and its gradient NaN.

    >>> hg.linalg.slogdet([[0.0, 1.0], [1.0, 0.0]]).sign
    Tensor(-1., shape=(), dtype=float64)
    """,
    _slogdet_rule,
    impl=_slogdet,
    outputs=True,
)


def _pinv(xp: Any, x: Array, *, rtol: Any) -> Array:
    pinv = partial(xp.array_module.linalg.pinv, rtol=rtol)
    return _or_spoilt(xp, pinv, _matrices(xp, x))


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
    impl=_pinv,
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
    x = _matrices(xp, x, square=True)
    x = _adjoint(xp, x) if upper else x
    lower = xp.array_module.linalg.cholesky(x if xp is NUMPY else _from_lower(xp, x))
    return _adjoint(xp, lower) if upper else lower


@by_adjoint
def _cholesky_rule(g: Any, xp: Any, x: Any, ans: Any, upper: bool) -> Any:
    """With half(m) the lower triangle, its diagonal halved:  dl = l half(l^-1 dx l^-*). (Murray)"""
    lower, g = (_adjoint(xp, ans), _adjoint(xp, g)) if upper else (ans, g)
    triangle = xp.tril(_adjoint(xp, lower) @ g)
    half = triangle - triangle * xp.eye(lower.shape[-1], dtype=lower.dtype) / 2
    inverse = xp.inv(lower)
    if upper:
        x = _raw(x)
        x = _adjoint(owner[type(x)], x)
    c = _to_read(xp, x, _hermitian(xp, _adjoint(xp, inverse) @ half @ inverse))
    return _adjoint(xp, c) if upper else c


cholesky = op(
    "cholesky(x, *, upper=False)",
    """Factorise positive definite matrices: `x = l @ l*` with `l` lower triangular.

    Only the lower triangle of `x` is read, with `upper` only the upper one, and the result is l*.
    The gradient of a Hermitian matrix is Hermitian; any other's is zero where nothing is read.

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
    pivots = owner[type(_raw(r))].diagonal(_raw(r), offset=0)
    lost = (pivots == 0).any(axis=-1)
    if is_traced(lost) or lost.any():
        if not is_traced(lost):
            warn_undefined("qr", "the first columns of the matrix are not linearly independent")
        r = xp.where(lost[..., None, None], math.nan, r)
    return _adjoint(xp, xp.solve(r, _adjoint(xp, whole)))


qr = op(
    "qr(x, *, mode='reduced')",
    """Factorise matrices: `x = q @ r`, the columns of `q` orthonormal, `r` upper triangular.

    With mode "complete", `q` is square. The first columns of `x`, as many as `r` has rows, must be
    linearly independent for the gradient to exist; if they are not, it is NaN.

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
    return xp.array_module.linalg.qr(_matrices(xp, x), mode=mode)


@by_adjoint
@sees_missing
def _svd_rule(g: Any, xp: Any, ans: Any) -> Any:
    """See Townsend; for complex values Wan and Zhang.

    With p and q the parts m - m* of u* g_u and of v* g_v, the gradient is, in the bases u and v,
    (p + q) / (s[j] - s[i]) / 2 + (p - q) / (s[j] + s[i]) / 2 + diag(g_s). On the diagonal, p - q is
    the one phase of u and v that x fixes, that of u v*. What of g_u lies outside of u's span adds
    to that.
    """
    u, s, vh = ans
    g_u, g_s, g_vh = g
    rank = s.shape[-1]
    if g_u is None and g_vh is None:
        return (u[..., :rank] * _columns(xp, g_s)) @ vh[..., :rank, :]
    g_u = xp.zeros_like(u) if g_u is None else g_u
    g_vh = xp.zeros_like(vh) if g_vh is None else g_vh
    u, g_u = _onto_basis(xp, u, g_u, rank)
    v, g_v = _onto_basis(xp, _adjoint(xp, vh), _adjoint(xp, g_vh), rank)
    u_adjoint, v_adjoint = _adjoint(xp, u), _adjoint(xp, v)
    in_u, in_v = u_adjoint @ g_u, v_adjoint @ g_v
    p, q = in_u - _adjoint(xp, in_u), in_v - _adjoint(xp, in_v)
    lengths = _lengths(_raw(g_u)), _lengths(_raw(g_v))
    valued = _raw(s) != _raw(s) if g_s is None else _raw(g_s) != 0
    singular = _Singular(xp, "svd", s, max(u.shape[-2], v.shape[-2]), sum(lengths), valued)
    inner = (singular.by_differences(p + q) + singular.by_sums(p - q)) / 2
    if g_s is not None:
        inner = inner + _diagonal_matrix(xp, g_s)
    c = u @ inner @ v_adjoint
    if u.shape[-2] > rank:
        c = c + singular.by_values(g_u - u @ in_u, lengths[0]) @ v_adjoint
    if v.shape[-2] > rank:
        c = c + u @ _adjoint(xp, singular.by_values(g_v - v @ in_v, lengths[1]))
    return c


class _Singular:
    """Singular values to divide by, and what is used of their vectors: columns of some lengths."""

    def __init__(self, xp: Any, name: str, s: Any, size: int, lengths: Any, valued: Any) -> None:
        self.xp, self.name, self.s = xp, name, s
        self.values = _raw(s)
        self.near = _rounding(self.values, size)
        self.precision = size * owner[type(self.values)].array_module.finfo(self.values.dtype).eps
        self.noise = self.precision * (lengths[..., :, None] + lengths[..., None, :])
        self.used = lengths != 0, valued
        self.pairs = _touched(self.values, self.used)

    def _quotient(self, *args: Any) -> Any:
        return _quotient(self.xp, self.name, self.s, *args)

    def by_differences(self, numerator: Any) -> Any:
        gaps = _differences(self.xp, self.s)
        return self._quotient(numerator, gaps, self.near[..., None], self.noise, self.pairs)

    def by_sums(self, numerator: Any) -> Any:
        sums = self.xp.expand_dims(self.s, axis=-2) + self.xp.expand_dims(self.s, axis=-1)
        used = self.pairs
        if numerator.dtype.kind == "c":  # if real, the diagonal is zero
            own = (self.used[0] | self.used[1])[..., None, :]
            used = used | own & (_raw(sums) == 2 * self.values[..., None, :])
        return self._quotient(numerator, sums, self.near[..., None], self.noise, used)

    def by_values(self, numerator: Any, lengths: Any) -> Any:
        """Divide columns by their singular values."""
        noise = (self.precision * lengths)[..., None, :]
        used = (self.used[0] | self.used[1])[..., None, :]
        size = _lengths(_raw(numerator))[..., None, :]
        return self._quotient(
            numerator, _columns(self.xp, self.s), self.near[..., None], noise, used, size
        )


def _svd(xp: Any, x: Array, *, full_matrices: bool) -> Any:
    svd = partial(xp.array_module.linalg.svd, full_matrices=full_matrices)
    return _or_spoilt(xp, svd, _matrices(xp, x))


svd = op(
    "svd(x, *, full_matrices=True)",
    """Compute singular value decompositions: `x = u @ diag(s) @ vh`, `s` in descending order.

    Without `full_matrices`, `u` and `vh` have as many columns, and rows, as there are singular
    values. Where singular values are equal, or zero, the gradient of what uses their vectors is NaN
    (see the head of `headgate.ops.linalg`).

    >>> hg.linalg.svd([[3.0, 0.0], [0.0, 4.0]]).S
    Tensor([4., 3.], shape=(2,), dtype=float64)
    """,
    _svd_rule,
    impl=_svd,
    outputs=True,
)


def _svdvals(xp: Any, x: Array) -> Array:
    return _or_spoilt(xp, xp.array_module.linalg.svdvals, _matrices(xp, x))


def _is_fixed(g: Any) -> bool:
    """Tell whether a cotangent depends on nothing that is differentiated by."""
    return type(g) is not Tensor or g.node is None or not g.node.live


@by_adjoint
def _svdvals_rule(g: Any, xp: Any, x: Any) -> Any:
    return xp.svdvals_slope(x, g, fixed=_is_fixed(g))


svdvals = op(
    "svdvals(x)",
    """Compute the singular values of matrices, in descending order.

    Where some are equal, functions that treat them alike have a gradient; their second derivative
    is NaN unless they are linear.

    >>> hg.linalg.svdvals([[3.0, 0.0], [0.0, 4.0]])
    Tensor([4., 3.], shape=(2,), dtype=float64)
    """,
    _svdvals_rule,
    impl=_svdvals,
)


def _svdvals_slope(xp: Any, x: Array, weights: Array, *, fixed: bool) -> Array:
    u, _, vh = _svd(xp, x, full_matrices=False)
    return (u * _columns(xp, weights)) @ vh


def _weighed(xp: Any, k: Any, weights: Any, sign: int, fixed: bool) -> tuple[Any, Any, Any]:
    """Return k times sums or differences of weights, what of them is noise, and what is used.

    Weights that are fixed stay equal where they are: then the quotient is 0 and not 0/0.
    """
    rows, columns = xp.expand_dims(weights, axis=-1), xp.expand_dims(weights, axis=-2)
    combined = columns + sign * rows
    raw, size = _raw(weights), abs(_raw(k))
    noise = 8 * np.finfo(raw.dtype).eps * (abs(raw)[..., :, None] + abs(raw)[..., None, :])
    used = size != 0
    if fixed:
        equal = abs(_raw(combined)) <= noise
        combined = xp.where(equal, 0, combined)
        used = used & ~equal
    return k * combined, noise * size, used


@by_adjoint
def _svdvals_slope_x(g: Any, xp: Any, x: Any, weights: Any, fixed: bool) -> Any:
    """As for `svd`, with k = u* g v in place of the cotangents: g_u = g v w, g_v = g* u w."""
    u, s, vh = xp.svd(x, full_matrices=False)
    v, u_adjoint = _adjoint(xp, vh), _adjoint(xp, u)
    k = u_adjoint @ g @ v
    values = _raw(s)
    near = _rounding(values, max(x.shape[-2:]))[..., None]
    whole = k + _adjoint(xp, k)
    numerator, noise, used = _weighed(xp, whole, weights, -1, fixed)
    apart = ~np.eye(s.shape[-1], dtype=bool)
    gaps = _differences(xp, s)
    inner = _quotient(xp, "svdvals", s, numerator, gaps, near, noise, used & apart)
    numerator, noise, used = _weighed(xp, k - _adjoint(xp, k), weights, 1, fixed)
    sums = xp.expand_dims(s, axis=-2) + xp.expand_dims(s, axis=-1)
    inner = (inner + _quotient(xp, "svdvals", s, numerator, sums, near, noise, used)) / 2
    c = u @ inner @ vh
    for outside, is_u in (
        (g @ v - u @ k, True),
        (_adjoint(xp, g) @ u - v @ _adjoint(xp, k), False),
    ):
        if (u if is_u else v).shape[-2] > s.shape[-1]:
            size = _lengths(_raw(outside))[..., None, :]
            part = _quotient(
                xp,
                "svdvals",
                s,
                outside * _columns(xp, weights),
                _columns(xp, s),
                near,
                0 * size,
                size != 0,
                size * abs(_raw(weights))[..., None, :],
            )
            c = c + (part @ vh if is_u else u @ _adjoint(xp, part))
    return c


@by_adjoint
def _svdvals_slope_weights(g: Any, xp: Any, x: Any) -> Any:
    u, _, vh = xp.svd(x, full_matrices=False)
    return xp.sum(_real(xp, conj(xp, u) * (g @ _adjoint(xp, vh))), axis=-2)


svdvals_slope = op(
    "svdvals_slope(x, weights, *, fixed=False)",
    """Compute `u @ diag(weights) @ vh` of singular value decompositions: the gradient of `svdvals`.

    `fixed` says that the weights do not depend on `x`.

    >>> from headgate.ops.linalg import svdvals_slope
    >>> svdvals_slope([[3.0, 0.0], [0.0, 4.0]], [1.0, 0.0])
    Tensor([[0., 0.],
            [0., 1.]], shape=(2, 2), dtype=float64)
    """,
    _svdvals_slope_x,
    _svdvals_slope_weights,
    impl=_svdvals_slope,
)


def _eigh(xp: Any, x: Array) -> Any:
    return _of_hermitian(xp, xp.array_module.linalg.eigh, x)


def _of_hermitian(xp: Any, compute: Callable[[Any], Any], x: Array) -> Any:
    """Compute with the lower triangles of matrices; NumPy and JAX read no more than these."""
    x = _matrices(xp, x, square=True)
    if xp is NUMPY and np.isfinite(x).all():
        return compute(x)
    x, nothing = _of_numbers(xp, _from_lower(xp, x))
    return _spoilt(compute(x), nothing)


@by_adjoint
@sees_missing
def _eigh_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    """With f[i, j] = 1 / (w[j] - w[i]), in the basis v:  diag(g_w) + f (v* g_v). (Giles, 3.1)"""
    w, v = ans
    g_w, g_v = g
    v_adjoint = _adjoint(xp, v)
    if g_v is None:
        return _to_read(xp, x, (v * _columns(xp, g_w)) @ v_adjoint)
    turned = v_adjoint @ g_v
    skew = (turned - _adjoint(xp, turned)) / 2  # f times this is Hermitian
    values, lengths = _raw(w), _lengths(_raw(g_v))
    near = _rounding(values, w.shape[-1])[..., None]
    precision = w.shape[-1] * np.finfo(values.dtype).eps
    noise = precision * (lengths[..., :, None] + lengths[..., None, :])
    valued = values != values if g_w is None else _raw(g_w) != 0
    used = _touched(values, (lengths != 0, valued))
    inner = _quotient(xp, "eigh", w, skew, _differences(xp, w), near, noise, used)
    if g_w is not None:
        inner = inner + _diagonal_matrix(xp, g_w)
    return _to_read(xp, x, v @ inner @ v_adjoint)


eigh = op(
    "eigh(x)",
    """Compute eigenvalues, in ascending order, and eigenvectors of Hermitian matrices.

    Only the lower triangle of `x` is read. The gradient of a Hermitian matrix is Hermitian; any
    other's is zero above the diagonal. Where eigenvalues are equal, the gradient of what uses their
    vectors is NaN, with a warning; that of functions of the values that treat equal ones alike is
    right.

    >>> hg.linalg.eigh([[2.0, 1.0], [1.0, 2.0]]).eigenvalues
    Tensor([1., 3.], shape=(2,), dtype=float64)
    """,
    _eigh_rule,
    impl=_eigh,
    outputs=True,
)


@by_adjoint
def _eigvalsh_rule(g: Any, xp: Any, x: Any) -> Any:
    return _to_read(xp, x, xp.eigvalsh_slope(x, g, fixed=_is_fixed(g)))


eigvalsh = op(
    "eigvalsh(x)",
    """Compute the eigenvalues of Hermitian matrices, in ascending order.

    Only the lower triangle of `x` is read. The gradient of a Hermitian matrix is Hermitian; any
    other's is zero above the diagonal. Where eigenvalues are equal, functions that treat them alike
    have a gradient; their second derivative is NaN unless they are linear.

    >>> hg.linalg.eigvalsh([[2.0, 1.0], [1.0, 2.0]])
    Tensor([1., 3.], shape=(2,), dtype=float64)
    """,
    _eigvalsh_rule,
    impl=lambda xp, x: _of_hermitian(xp, xp.array_module.linalg.eigvalsh, x),
)


def _eigvalsh_slope(xp: Any, x: Array, weights: Array, *, fixed: bool) -> Array:
    _, v = _eigh(xp, x)
    return (v * _columns(xp, weights)) @ _adjoint(xp, v)


@by_adjoint
def _eigvalsh_slope_x(g: Any, xp: Any, x: Any, weights: Any, fixed: bool) -> Any:
    """With k = v* g v, in the basis v:  k[i, j] (weights[j] - weights[i]) / (w[j] - w[i])."""
    w, v = xp.eigh(x)
    v_adjoint = _adjoint(xp, v)
    k = _hermitian(xp, v_adjoint @ g @ v)
    numerator, noise, used = _weighed(xp, k, weights, -1, fixed)
    used = used & ~np.eye(w.shape[-1], dtype=bool)
    near = _rounding(_raw(w), w.shape[-1])[..., None]
    gaps = _differences(xp, w)
    inner = _quotient(xp, "eigvalsh", w, numerator, gaps, near, noise, used)
    return _to_read(xp, x, v @ inner @ v_adjoint)


@by_adjoint
def _eigvalsh_slope_weights(g: Any, xp: Any, x: Any) -> Any:
    _, v = xp.eigh(x)
    return xp.sum(_real(xp, conj(xp, v) * (g @ v)), axis=-2)


eigvalsh_slope = op(
    "eigvalsh_slope(x, weights, *, fixed=False)",
    """Compute `v @ diag(weights) @ v*` with eigenvectors v: what `eigvalsh` has for a gradient.

    `fixed` says that the weights do not depend on `x`.

    >>> from headgate.ops.linalg import eigvalsh_slope
    >>> eigvalsh_slope([[3.0, 0.0], [0.0, 4.0]], [1.0, 0.0])
    Tensor([[1., 0.],
            [0., 0.]], shape=(2, 2), dtype=float64)
    """,
    _eigvalsh_slope_x,
    _eigvalsh_slope_weights,
    impl=_eigvalsh_slope,
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
    views=True,
)


@by_float32
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
    lists=("axis",),
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


def _matrix_rank(xp: Any, x: Array, *, rtol: Any) -> Array:
    x = _matrices(xp, x)
    if not x.size:
        return xp.zeros(x.shape[:-2], np.int64)
    return xp.array_module.linalg.matrix_rank(x, rtol=rtol)


matrix_rank = op(
    "matrix_rank(x, *, rtol=None)",
    """Count the singular values of matrices above `rtol` times the largest; it has no gradient.

    >>> hg.linalg.matrix_rank([[1.0, 1.0], [1.0, 1.0]])
    Tensor(1, shape=(), dtype=int64)
    """,
    None,
    impl=_matrix_rank,
)
