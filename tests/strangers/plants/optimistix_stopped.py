"""Plants into optimistix_bilevel.py: the inner fit is told its penalty as a constant."""

import runpy
from pathlib import Path

import jax
import optimistix as optx

least_squares = optx.least_squares


def of_constants(fn, solver, y0, args, **kwargs):
    return least_squares(fn, solver, y0, jax.lax.stop_gradient(args), **kwargs)  # planted


optx.least_squares = of_constants
program = Path(__file__).parents[1] / "programs" / "optimistix_bilevel.py"
runpy.run_path(str(program), run_name="__main__")
