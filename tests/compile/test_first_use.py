"""Variables that are made at first use, eagerly and compiled, on NumPy and on JAX."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import headgate as hg
from headgate import metrics, nn, optim
from headgate.core.traced import is_traced

pytest.importorskip("jax")

RULES = {
    "SGD": lambda: optim.SGD(0.1, momentum=0.9),
    "Adam": lambda: optim.Adam(0.1),
    "AMSGrad": lambda: optim.Adam(0.1, amsgrad=True),
    "AdamW": lambda: optim.AdamW(0.1),
    "RMSprop": lambda: optim.RMSprop(0.1, momentum=0.5, centered=True),
    "Adagrad": lambda: optim.Adagrad(0.1),
    "Lion": lambda: optim.Lion(0.1),
}


def steps(rule, home, compiled):
    v = hg.Variable(np.array([1.0, 2.0], "f"), name="v")
    optimizer = RULES[rule]()
    hg.to_backend([v, optimizer], home)

    def step():
        with hg.GradientTape() as tape:
            loss = hg.sum(v**2)
        optimizer.apply([tape.gradient(loss, v)], [v])

    step = hg.function(step) if compiled else step
    for _ in range(3):
        step()
    assert not any(is_traced(each._value) for each in (v, *optimizer.variables))
    return [v.numpy(), *(each.numpy() for each in optimizer.variables)]


@pytest.mark.parametrize("home", ["numpy", "jax"])
@pytest.mark.parametrize("rule", RULES)
def test_state_of_a_rule(rule, home):
    for compiled, eager in zip(steps(rule, home, True), steps(rule, "numpy", False), strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    if home == "jax":
        for jax, eager in zip(steps(rule, home, False), steps(rule, "numpy", False), strict=True):
            np.testing.assert_allclose(jax, eager, rtol=1e-5)


IMAGE, SEQUENCE, ROW = (2, 6, 6, 3), (2, 4, 3), (4, 3)
LAYERS = {
    "Dense": (lambda: nn.Dense(2), ROW),
    "Conv2D": (lambda: nn.Conv2D(2, 3), IMAGE),
    "BatchNormalization": (lambda: nn.BatchNormalization(), ROW),
    "LayerNormalization": (lambda: nn.LayerNormalization(), ROW),
    "LSTM": (lambda: nn.LSTM(2), SEQUENCE),
    "GRU": (lambda: nn.GRU(2), SEQUENCE),
    "Sequential": (lambda: nn.Sequential([nn.Dense(2), nn.BatchNormalization()]), ROW),
}


@pytest.mark.parametrize("home", ["numpy", "jax"])
@pytest.mark.parametrize("layer", LAYERS)
def test_weights_of_a_layer(layer, home):
    make, shape = LAYERS[layer]
    x = np.random.default_rng(0).normal(size=shape).astype("f")
    if home == "jax":
        x = hg.to_backend(x, "jax")
    layer = make()
    forward = hg.function(lambda x: layer(x))
    first = forward(x)
    assert not any(is_traced(each._value) for each in layer.variables)
    np.testing.assert_allclose(np.asarray(first), np.asarray(layer(x)), rtol=1e-4, atol=1e-5)


def test_state_of_a_metric():
    mean = []

    @hg.function
    def step(x):
        if not mean:
            mean.append(metrics.Mean())
        mean[0].update_state(x)

    for _ in range(2):
        step(hg.to_backend(np.ones(3, "f"), "jax"))
    assert float(mean[0].result()) == 1.0
    assert float(mean[0].variables[1]) == 6.0


def test_a_variable_from_a_function_of_jax():
    """What is computed for a first value is computed then, although it is JAX that computes."""
    start, cells = hg.to_backend(np.ones(2, "f"), "jax"), []

    @hg.function
    def step():
        if not cells:
            cells.append(hg.Variable(lambda: hg.asarray(start) * 2.0))
        return cells[0].assign_add(np.ones(2, "f"))

    assert [step().numpy().tolist() for _ in range(2)] == [[3, 3], [4, 4]]


def on_a_second_device():
    """Do what is done above with state and arrays on the second of two devices."""
    import jax

    (_, second) = jax.devices()
    for rule in RULES:
        expected = steps(rule, "numpy", False)
        for compiled in (True, False):
            for found, eager in zip(steps(rule, second, compiled), expected, strict=True):
                np.testing.assert_allclose(found, eager, rtol=1e-5, err_msg=rule)
    for name, (make, shape) in LAYERS.items():
        x = np.random.default_rng(0).normal(size=shape).astype("f")
        there = hg.to_backend(x, second)
        for compiled in (True, False):
            layer = make()
            forward = hg.function(lambda x: layer(x)) if compiled else layer  # noqa: B023
            first = forward(there)  # which makes its weights, on the host
            hg.to_backend(layer, second)
            moved = forward(there)
            for found in (first, moved):
                assert found.value.device == second, name
                np.testing.assert_allclose(
                    np.asarray(found), np.asarray(layer(x)), rtol=1e-4, atol=1e-5, err_msg=name
                )
            assert all(v.device == second for v in layer.variables), name


@pytest.mark.cpu
def test_state_on_a_second_device():
    """In a process of its own, whose CPU counts as two devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    where = [str(Path(hg.__file__).parents[1]), str(Path(__file__).parent)]
    code = f"import sys; sys.path[:0] = {where}; import test_first_use as t; t.on_a_second_device()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
