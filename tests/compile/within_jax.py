"""Interrupt compiled steps while JAX's own Python runs: `python within_jax.py SETTING`.

Where a call goes on in Python, it is given copies, so at each place there the variables are whole.
It is a process of its own because JAX may not get over it: what is interrupted while it traces or
compiles can answer "recursively calling" for as long as the process lives. Then there is nothing
more to learn, and the variables are looked at once more.
"""

import random
import sys

import jax
import numpy as np

import headgate as hg
from headgate.core import bundle

SETTINGS = {
    "first": lambda step: step(),
    "precision": lambda step: again(step, jax.default_matmul_precision("highest")),
    "device": lambda step: again(step, jax.default_device(jax.devices()[0])),
    "cleared": lambda step: (jax.clear_caches(), step()),
    "nan": lambda step: again(step, jax.debug_nans(True)),
    "infinite": lambda step: again(step, jax.debug_infs(True)),
}


class Interrupt(KeyboardInterrupt):
    """What is raised at the chosen place."""


def again(step, block):
    with block:
        step()


def counting(variables):
    def step():
        for v in variables:
            v.assign_add(np.ones(2))
        return variables[0] * 1.0

    return step


def interrupted_while_writing(call, at):
    """Interrupt a call before the nth function of any file that is entered or left there."""
    count, over = 0, bundle.Bundle.write_over.__code__

    def within(frame):
        while frame is not None and frame.f_code is not over:
            frame = frame.f_back
        return frame is not None

    def note(frame, event, argument):
        nonlocal count
        if event in ("call", "return") and within(frame):
            count += 1
            if count == at + 1:
                raise Interrupt

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)


def main(setting):
    draw = random.Random(setting)
    variables = [hg.Variable(np.zeros(2)) for _ in range(2)]
    steps = hits = 0
    for _ in range(8):
        broken = False
        try:
            step = hg.function(counting(variables))
            if setting != "first":
                step()
                steps += 1
            step.lower_text()
            at = draw.choice([draw.randrange(100), draw.randrange(4000)])
            interrupted_while_writing(lambda: SETTINGS[setting](step), at)  # noqa: B023
        except Interrupt:
            hits += 1
        except RecursionError:
            assert hits, "JAX fails before anything was interrupted"
            broken = True
        values = [v.numpy().tolist() for v in variables]
        assert values in ([[steps] * 2] * 2, [[steps + 1] * 2] * 2), values
        if broken:
            break
        steps = int(values[0][0])
    assert hits, "nothing was interrupted"


if __name__ == "__main__":
    main(sys.argv[1])
