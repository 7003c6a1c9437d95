"""Cases of the linear algebra ops; for the choice of a basis see `test_linalg_factors.py`."""

import math

import numpy as np
import scipy.linalg

from headgate.testing import OpCase, distinct, integers, real, spd


def einsum(operands, subscripts):
    return np.einsum(subscripts, *operands)


def svdvals_slope(x, weights):
    u, _, vh = np.linalg.svd(x, full_matrices=False)
    return (u * weights[..., None, :]) @ vh


def eigvalsh_slope(x, weights):
    _, v = np.linalg.eigh(x)
    return (v * weights[..., None, :]) @ np.conj(v.mT)


def solve_triangle(x, y, lower, unit_diagonal):
    x = np.tril(x) if lower else np.triu(x)
    if unit_diagonal:
        x = np.where(np.eye(x.shape[-1], dtype=bool), 1, x)
    return np.linalg.solve(x, y).astype(x.dtype)


def eig(x):
    return tuple(np.linalg.eig(x.astype(np.result_type(x, np.complex64))))


def lu(x):
    found = [scipy.linalg.lu_factor(each) for each in x]
    orders = []
    for _, pivots in found:
        order = np.arange(len(pivots))
        for k, pivot in enumerate(pivots):
            order[[k, pivot]] = order[[pivot, k]]
        orders.append(order)
    return np.stack([packed for packed, _ in found]), np.stack(orders)


def cholesky(x, upper=False):
    return np.linalg.cholesky(x, upper=upper)


def vector_norm(x, axis=None, keepdims=False, ord=2):
    return np.asarray(np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord), x.real.dtype)


def by_eigenvalues(f):
    """Return a function of matrices that have a basis of eigenvectors."""

    def compute(x):
        w, v = np.linalg.eig(x)
        found = (v * f(w.astype(complex))[..., None, :]) @ np.linalg.inv(v)
        return (found if x.dtype.kind == "c" else found.real).astype(x.dtype)

    return compute


def zeros(x, *others, **statics):
    return np.zeros_like(x)


def lopsided(maker, upper=False):
    """Return a maker of matrices that hold something else in the triangle that nobody reads."""

    def make(rng, letter):
        x = maker(rng, letter)
        other = np.ones(x.shape, x.dtype)
        return x + (np.tril(other, -1) if upper else np.triu(other, 1))

    return make


def turning(*shape):
    """Make matrices that are not Hermitian, with eigenvalues to the right of zero."""

    def make(rng, letter):
        matrix = real(*shape, shape[-1], low=-0.6, high=0.6)(rng, letter)
        return matrix + 2 * np.eye(shape[-1], dtype=matrix.dtype)

    return make


MISMATCH = [([real(2, 3), real(2, 3)], {}, ValueError, "float64 \\(2, 3\\)")]
CONTRACTED = [([real(2, 3), real(2, 3)], {"axes": 1}, ValueError, "float64 \\(2, 3\\)")]
NOT_SQUARE = [([real(2, 3)], {}, ValueError, "square")]
SINGULAR = [*NOT_SQUARE, ([np.zeros((2, 2))], {}, ValueError, "[Ss]ingular")]


PRODUCTS = [
    OpCase("matmul", [real(3, 4), real(4, 2)], dtypes="fFc", bad=MISMATCH),
    OpCase("matmul", [real(4), real(4)], dtypes="fFc"),
    OpCase("matmul", [real(4), real(4, 2)], dtypes="fc"),
    OpCase("matmul", [real(3, 4), real(4)], dtypes="fc"),
    OpCase("matmul", [real(4), real(5, 4, 2)], dtypes="fc"),
    OpCase("matmul", [real(5, 3, 4), real(4)], dtypes="fc"),
    OpCase("matmul", [real(5, 3, 4), real(4, 2)], dtypes="fFc"),
    OpCase("matmul", [real(3, 4), real(5, 4, 2)], dtypes="fc"),
    OpCase("matmul", [real(5, 3, 4), real(5, 4, 2)], dtypes="fc"),
    OpCase("matmul", [real(2, 1, 3, 4), real(5, 4, 2)], dtypes="fc"),
    OpCase("matmul", [real(0, 4), real(4, 2)]),
    OpCase("matmul", [real(3, 0), real(0, 2)]),
    OpCase("matmul", [real(5, 3, 0), real(0, 2)]),
    OpCase("matmul", [integers(2, 3), real(3, 4)]),
    OpCase("vecdot", [real(3, 4), real(3, 4)], dtypes="fFc"),
    OpCase("vecdot", [real(5, 1, 4), real(3, 4)], dtypes="fc"),
    OpCase(
        "vecdot",
        [real(4, 3), real(4, 3)],
        {"axis": 0},
        dtypes="fc",
        bad=[([real(4, 3), real(4)], {"axis": 0}, ValueError, "count it from the end")],
    ),
    OpCase("tensordot", [real(3, 4, 5), real(4, 5, 2)], dtypes="fFc", bad=CONTRACTED),
    OpCase("tensordot", [real(3), real(2)], {"axes": 0}, dtypes="fc"),
    OpCase("tensordot", [real(3, 4), real(3, 4)], {"axes": ((0, 1), (0, 1))}, dtypes="fc"),
    OpCase("tensordot", [real(3, 4, 5, 2), real(5, 6, 3)], {"axes": ((0, 2), (2, 0))}, dtypes="fc"),
    OpCase("tensordot", [real(4, 2, 3), real(2, 3, 4)], {"axes": ((-1, 0), (1, -1))}, dtypes="fc"),
    OpCase(
        "outer",
        [real(3), real(4)],
        dtypes="fFc",
        bad=[([real(3, 2), real(4)], {}, ValueError, "one-dimensional")],
    ),
    OpCase("cross", [real(5, 3), real(5, 3)], dtypes="fFc", reference=np.linalg.cross),
    OpCase("cross", [real(2, 1, 3), real(5, 3)], dtypes="fc", reference=np.linalg.cross),
    OpCase(
        "cross",
        [real(3, 5), real(3, 5)],
        {"axis": 0},
        reference=np.linalg.cross,
        bad=[([real(4), real(4)], {}, ValueError, "float64 \\(4,\\)")],
    ),
]

EINSUM = [
    OpCase("einsum", [[real(*shape) for shape in shapes]], {"subscripts": text}, einsum, letters)
    for text, shapes, letters in [
        ("ij,jk->ik", [(2, 3), (3, 4)], "fFc"),
        ("ij,jk", [(2, 3), (3, 4)], "f"),
        ("ji", [(2, 3)], "f"),
        ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)], "fc"),
        ("kdbq,bq->dk", [(2, 3, 4, 5), (4, 5)], "f"),
        ("acb,dbe->edca", [(2, 3, 4), (5, 4, 6)], "fc"),
        ("i,j->ij", [(3,), (4,)], "fc"),
        ("ij,ij->", [(3, 4), (3, 4)], "fc"),
        ("ij->", [(3, 4)], "fc"),
        ("ij->j", [(3, 4)], "f"),
        ("ij,k->i", [(3, 4), (5,)], "f"),
        ("ii->", [(3, 3)], "fc"),
        ("ii->i", [(3, 3)], "f"),
        ("iji->j", [(3, 4, 3)], "f"),
        ("iii,i->i", [(3, 3, 3), (3,)], "fc"),
        ("ii,ij,jk->k", [(3, 3), (3, 4), (4, 2)], "fc"),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)], "f"),
        (",i->i", [(), (4,)], "f"),
        ("...ij,...jk->...ik", [(5, 2, 3), (5, 3, 4)], "fc"),
        ("...ij,...jk", [(1, 2, 3), (5, 3, 4)], "f"),
        ("...ij,jk->...ik", [(6, 5, 2, 3), (3, 4)], "f"),
        ("i...,j...->...", [(2, 3), (4, 5, 3)], "f"),
        ("...->...", [(2, 3)], "f"),
        ("ij,jk->ik", [(2, 0), (0, 4)], "f"),
    ]
]
EINSUM.append(
    OpCase(
        "einsum",
        [[real(2, 2), real(2, 2)]],
        {"subscripts": "ij,ji->"},
        einsum,
        bad=[
            (([real(2, 2)],), {"subscripts": "ij,jk"}, ValueError, "is for 2 operand"),
            (([real(2, 2)],), {"subscripts": "ijk->i"}, ValueError, "does not fit an operand of 2"),
            (([real(2, 2)],), {"subscripts": "i->i"}, ValueError, "does not fit an operand of 2"),
            (([real(2, 2)],), {"subscripts": "ij->ik"}, ValueError, "'k' in the result"),
            (([real(2, 2)],), {"subscripts": "ij->ii"}, ValueError, "must be there once"),
            (([real(2, 2)],), {"subscripts": "i1->i"}, ValueError, "something else than letters"),
            (([real(2, 2)],), {"subscripts": "...i->i"}, ValueError, "keep the axes of '...'"),
            (([real(2), real(3)],), {"subscripts": "i,i->"}, ValueError, "float64 \\(3,\\)"),
        ],
    )
)

SOLVING = [
    OpCase(
        "solve",
        [spd(3), real(3)],
        dtypes="fFc",
        bad=[([real(2, 3), real(2)], {}, ValueError, "square")],
    ),
    OpCase("solve", [spd(3), real(3, 2)], dtypes="fFc"),
    OpCase("solve", [spd(4, 3), real(3)], dtypes="fc"),
    OpCase("solve", [spd(4, 3), real(4, 3, 2)], dtypes="fc"),
    OpCase("solve", [spd(3), real(4, 3, 2)], dtypes="f"),
    OpCase("solve", [spd(4, 3), real(3, 2)], dtypes="f"),
    *(
        OpCase(
            "solve_triangle",
            [spd(*shape), real(*right)],
            {"lower": lower, "unit_diagonal": unit},
            solve_triangle,
            letters,
        )
        for shape, right, lower, unit, letters in (
            ((3,), (3,), True, False, "fFc"),
            ((4, 3), (3, 2), False, False, "fc"),
            ((3,), (4, 3, 2), True, True, "fc"),
        )
    ),
    OpCase("inv", [spd(3)], dtypes="fFc", bad=SINGULAR),
    OpCase("inv", [spd(2, 1, 3)], dtypes="fc"),
    OpCase("inv", [real(0, 3, 3)]),
    OpCase("det", [real(3, 3)], dtypes="fFc", bad=NOT_SQUARE),
    OpCase("det", [real(4, 2, 2)], dtypes="fc"),
    OpCase("det", [np.diag([2.0, 1.0, 0.0])]),
    OpCase("det", [np.stack([np.ones((3, 3)), np.eye(3), np.zeros((3, 3))])]),
    OpCase("slogdet", [real(3, 3)], dtypes="fFc", bad=NOT_SQUARE),
    OpCase("slogdet", [spd(4, 3)], dtypes="fc"),
    OpCase("pinv", [real(4, 3)], dtypes="fFc"),
    OpCase("pinv", [real(3, 4)], dtypes="fc"),
    OpCase("pinv", [real(2, 4, 3)], {"rtol": 1e-6}, dtypes="f"),
]

FACTORISATIONS = [
    OpCase(
        "cholesky",
        [lopsided(spd(3))],
        dtypes="fFc",
        bad=[*NOT_SQUARE, ([-np.eye(2)], {}, ValueError, "positive definite")],
    ),
    OpCase("cholesky", [lopsided(spd(3), upper=True)], {"upper": True}, cholesky, "fc"),
    OpCase("cholesky", [lopsided(spd(2, 4))]),
    OpCase("eig", [turning(3)], {}, eig, "fFc", wrt=[], bad=NOT_SQUARE),
    OpCase("lu", [turning(2, 3)], {}, lu, "fFc", bad=[([real(3)], {}, ValueError, "two axes")]),
    # Real bases have signs only, which do not change nearby: they can be checked as they are.
    OpCase(
        "qr", [real(3, 3)], dtypes="fF", bad=[([real(2, 2)], {"mode": "r"}, ValueError, "mode")]
    ),
    OpCase("qr", [real(5, 3)], dtypes="fF"),
    OpCase("qr", [real(3, 5)]),
    OpCase("qr", [real(2, 4, 3)], {"mode": "reduced"}),
    OpCase("qr", [real(3, 4)], {"mode": "complete"}),
    OpCase("svd", [real(3, 3)], dtypes="fF"),
    OpCase("svd", [real(5, 3)], {"full_matrices": False}, dtypes="fF"),
    OpCase("svd", [real(3, 5)], {"full_matrices": False}),
    OpCase("svd", [real(2, 3, 4)], {"full_matrices": False}),
    OpCase("svdvals", [real(4, 3)], dtypes="fFc"),
    OpCase("svdvals", [real(2, 3, 4)], dtypes="fc"),
    OpCase("eigh", [lopsided(spd(3))], dtypes="fF", bad=NOT_SQUARE),
    OpCase("eigh", [lopsided(spd(2, 4))]),
    OpCase("eigvalsh", [lopsided(spd(3))], dtypes="fFc"),
    OpCase("eigvalsh", [real(2, 4, 4)], dtypes="fc"),
    OpCase("eigh", [real(2, 3, 3)]),
    OpCase("eigvalsh_slope", [real(2, 3, 3), distinct(3)], {}, eigvalsh_slope, "f"),
    OpCase("eigvalsh_slope", [real(3, 3), np.array([0.3, 1.0, 2.5])], {}, eigvalsh_slope, "fc"),
    OpCase("svdvals_slope", [real(4, 3), np.array([0.3, 1.0, 2.5])], {}, svdvals_slope, "fc"),
    OpCase("svdvals_slope", [real(2, 3, 4), real(2, 3)], {}, svdvals_slope, "f"),
]

DIAGONALS_AND_NORMS = [
    *(
        OpCase(name, [real(*shape)], {"offset": offset}, getattr(np.linalg, name), letters)
        for name in ("trace", "diagonal")
        for shape, offset, letters in [
            ((3, 3), 0, "fFc"),
            ((3, 5), 1, "f"),
            ((3, 5), -2, "f"),
            ((5, 3), -3, "f"),
            ((2, 5, 3), 2, "fc"),
            ((0, 3, 3), 0, "f"),
        ]
    ),
    *(
        OpCase("vector_norm", [distinct(3, 4)], {"ord": ord, **statics}, vector_norm, letters)
        for ord, statics, letters in [
            (2, {}, "fF"),
            (2, {"axis": 0}, "f"),
            (2, {"axis": (0, 1), "keepdims": True}, "f"),
            (1, {"axis": -1, "keepdims": True}, "fF"),
            (1, {}, "f"),
            (3, {"axis": 0}, "fF"),
            (1.5, {}, "f"),
            (-1, {}, "f"),
            (math.inf, {"axis": 0}, "fF"),
            (-math.inf, {}, "f"),
            (0, {}, "f"),
        ]
    ),
    *(
        OpCase("vector_norm", [real(3, 4)], {"ord": ord, "axis": -1}, vector_norm, "c")
        for ord in (2, 1, 3, math.inf)
    ),
    OpCase("vector_norm", [integers(4, low=1)], reference=lambda x: np.linalg.norm(x)),
    OpCase("vector_norm", [real(0, 3)], {"axis": 0}, vector_norm),
    OpCase("matrix_rank", [real(4, 3)], order=0),
    OpCase("matrix_rank", [np.diag([1.0, 1e-3])], {"rtol": 0.1}, order=0),
]

FUNCTIONS = [
    OpCase("expm", [real(3, 3)], {}, by_eigenvalues(np.exp), "fFc", bad=NOT_SQUARE),
    OpCase("expm", [10 * np.array([[0.0, 1.0], [-1.0, 0.5]])], {}, by_eigenvalues(np.exp)),
    OpCase("expm", [real(2, 4, 4)], {}, by_eigenvalues(np.exp), "fc"),
    OpCase("expm", [real(0, 2, 2)], {}, zeros),
    *(
        OpCase(name, arrays, {}, by_eigenvalues(f), letters)
        for name, f in (("sqrtm", np.sqrt), ("logm", np.log))
        for arrays, letters in [([spd(3)], "fFc"), ([turning(3)], "fFc"), ([turning(2, 3)], "fc")]
    ),
    # What these are is in their gradients, which `test_linalg_functions.py` has.
    OpCase("funm_change", [spd(3), real(3, 3)], {}, zeros, "fFc", wrt=[]),
    OpCase("funm_along", [real(3, 3), real(3, 3)], {}, zeros, "fFc", wrt=[]),
    OpCase("funm_later", [real(3, 3)], {"then": None}, zeros, "fFc", wrt=[]),
    OpCase("funm_unknown", [real(3, 3)], {}, zeros, "fFc", wrt=[]),
]

CASES = [*PRODUCTS, *EINSUM, *SOLVING, *FACTORISATIONS, *DIAGONALS_AND_NORMS, *FUNCTIONS]
