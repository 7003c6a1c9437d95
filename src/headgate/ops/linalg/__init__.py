"""Linear algebra: products, solving, factorisations, norms, functions of matrices.

All of it works on the last two axes, and so on stacks of matrices. In the docstrings of
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
that choice. What it is where values are equal is told in `headgate.ops.linalg.ties`, what a matrix
of which one triangle is read has for a gradient in `headgate.ops.linalg.matrices`.
"""
