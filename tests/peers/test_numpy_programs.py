"""Whole programs against finite differences: no other library is needed.

Programs with gates (stops and the like) are left out of that, since their gradient differs from
their derivative on purpose; that it does is tested instead, and what the tape says of it.
"""

import pytest

import headgate as hg
from headgate.testing import check_gradient
from peers.programs import PROGRAMS

STEERED = {
    "actor_critic",
    "batch_norm_training",
    "binary_network",
    "clipped_messages",
    "distillation",
    "domain_adversarial",
    "double_dqn",
    "dqn",
    "gan_discriminator_loss",
    "gan_generator_loss",
    "gumbel_softmax",
    "implicit_root",
    "lora",
    "maml_first_order",
    "ppo",
    "quantised_network",
    "simsiam",
    "spectral_normalisation",
    "truncated_recurrence",
    "vq_vae",
}


def check(name):
    program = PROGRAMS[name]
    check_gradient(lambda *arrays: program.function(hg, *arrays), *program.arrays())


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in STEERED])
def test_derivatives(name):
    check(name)


@pytest.mark.parametrize("name", sorted(STEERED))
def test_gates_change_the_gradient(name):
    with pytest.raises(AssertionError, match="finite differences say"):
        check(name)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if PROGRAMS[name].stopped])
def test_verdicts(name):
    """The tape gives `None` for the arrays that a program cuts off, and says where that was."""
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
            assert verdict.verdict == "cut"
            assert "programs.py" in str(verdict)
