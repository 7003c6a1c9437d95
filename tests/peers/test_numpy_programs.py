"""Whole programs against finite differences: what `test_jax_programs.py` does, where JAX is missing.

There is one program here for each part of Headgate that JAX checks in more of them. Those with a
stop are left out, since their gradient is meant to differ from their derivative.
"""

import pytest

import headgate as hg
from headgate.testing import check_gradient
from peers.programs import PROGRAMS

CHOSEN = (
    "affine_coupling_flow",
    "alignment_by_logaddexp",
    "causal_attention",
    "complex_linear_algebra",
    "conv_net",
    "conv_transpose_decoder",
    "divergences",
    "eigenvalue_objective",
    "every_index",
    "gaussian_process",
    "graph_network",
    "language_model",
    "layer_norm",
    "lstm",
    "maml",
    "mlp_gelu",
    "nuclear_norm",
    "physics_informed_network",
    "sorted_distances",
    "vae",
    "wave_stencil",
    "wgan_gradient_penalty",
)


@pytest.mark.parametrize("name", CHOSEN)
def test_derivatives(name):
    program = PROGRAMS[name]
    # The second order of what is of second order itself tells nothing new, and takes long.
    order = 1 if name in ("maml", "physics_informed_network") else program.order
    check_gradient(lambda *arrays: program.function(hg, *arrays), *program.arrays(), order=order)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if PROGRAMS[name].stopped])
def test_verdicts(name):
    """The tape says `None` for the arrays that a program cuts off, and why."""
    program = PROGRAMS[name]
    arrays = [hg.asarray(array) for array in program.arrays()]
    sources = {k: array for k, array in enumerate(arrays) if array.dtype.kind in "fc"}
    with hg.GradientTape() as tape:
        tape.watch(list(sources.values()))
        loss = program.function(hg, *arrays)
    gradients = tape.gradient(loss, sources)
    for k, source in sources.items():
        verdict = tape.why(loss, source)
        assert (gradients[k] is None) == (k in program.stopped) == (not verdict.connected)
        if k in program.stopped:
            assert "programs.py" in str(verdict)
