"""Plants into numpyro_svi.py: the likelihood does not see the gradient of its scale."""

import runpy
from pathlib import Path

import jax
import numpyro.distributions as dist

make = dist.StudentT.__init__


def with_stopped_scale(self, df, loc, scale, **kwargs):
    make(self, df, loc, jax.lax.stop_gradient(scale), **kwargs)  # planted


dist.StudentT.__init__ = with_stopped_scale
program = Path(__file__).parents[1] / "programs" / "numpyro_svi.py"
runpy.run_path(str(program), run_name="__main__")
