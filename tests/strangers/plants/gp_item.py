"""Plants into gp_regression.py: the kernel's lengthscale is read as a number."""

import runpy
from pathlib import Path

from gpytorch.kernels import RBFKernel


def forward(self, x1, x2, diag=False, **params):
    lengthscale = self.lengthscale.item()  # planted
    distance = self.covar_dist(x1 / lengthscale, x2 / lengthscale, square_dist=True, diag=diag)
    return distance.div(-2).exp()


RBFKernel.forward = forward
program = Path(__file__).parents[1] / "programs" / "gp_regression.py"
runpy.run_path(str(program), run_name="__main__")
