"""Plants into gp_regression.py: the kernel's scale is read as a number."""

import runpy
from pathlib import Path

from gpytorch.kernels import ScaleKernel


def forward(self, x1, x2, diag=False, **params):
    covariance = self.base_kernel(x1, x2, diag=diag, **params).to_dense()
    return covariance * self.outputscale.item()  # planted


ScaleKernel.forward = forward
program = Path(__file__).parents[1] / "programs" / "gp_regression.py"
runpy.run_path(str(program), run_name="__main__")
