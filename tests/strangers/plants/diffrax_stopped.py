"""Plants into diffrax_neural_ode.py: the field is solved for and not learnt."""

import runpy
from pathlib import Path

import diffrax
import jax


class Term(diffrax.ODETerm):
    def vf(self, t, y, args):
        return jax.lax.stop_gradient(super().vf(t, y, args))  # planted


diffrax.ODETerm = Term
program = Path(__file__).parents[1] / "programs" / "diffrax_neural_ode.py"
runpy.run_path(str(program), run_name="__main__")
