"""Gradients of tables: dense to everybody, and computed with by their rows where that is the same.

The variable, the optimizer's state and what is read of the gradient are those of the dense rule to
the last bit; a program that reads the gradient, or makes another one of it, goes the dense way.
"""

import gc

import numpy as np
import pytest

import headgate as hg
from headgate import nn, optim
from headgate.core import rows
from headgate.core.rows import noted

COUNT, SIZE = 5000, 16
IDS = np.array([[3, 17, 3], [4999, 0, -1], [-5000, 3, 42]])

RULES = {
    "SGD": lambda: optim.SGD(0.1),
    "Adagrad": lambda: optim.Adagrad(0.1),
    "SGD with momentum": lambda: optim.SGD(0.1, momentum=0.9),
    "SGD with decay": lambda: optim.SGD(0.1, weight_decay=0.1),
    "SGD, clipped": lambda: optim.SGD(0.1, global_clipnorm=0.5),
    "Adam": lambda: optim.Adam(0.1),
    "RMSprop": lambda: optim.RMSprop(0.1),
}
SPARES = {"SGD", "Adagrad"}


def table(dtype="f"):
    made = np.random.default_rng(0).standard_normal((COUNT, SIZE)).astype(dtype)
    return hg.Variable(made, name="table")


def trained(make, compiled, dense, dtype="f"):
    """Take three steps; `dense` hides what is known of the gradient's rows."""
    v, optimizer = table(dtype), make()

    def step(ids, factors):
        with hg.GradientTape() as tape:
            loss = hg.sum(hg.embedding(v, ids) * factors) ** 2
        g = tape.gradient(loss, v)
        optimizer.apply([g + 0.0 if dense else g], [v])
        return g if dense else loss

    run = hg.function(step) if compiled else step
    rng = np.random.default_rng(1)
    for _ in range(3):
        run(IDS, rng.standard_normal((*IDS.shape, SIZE)).astype(dtype))
    return [v.numpy(), *(slot.numpy() for slot in optimizer.variables)]


@pytest.mark.parametrize("name", RULES)
def test_rows_are_the_dense_rule_to_the_last_bit(name):
    for got, expected in zip(
        trained(RULES[name], False, False), trained(RULES[name], False, True), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", sorted(SPARES))
def test_compiled_rows_are_the_compiled_dense_rule(name):
    pytest.importorskip("jax")
    for got, expected in zip(
        trained(RULES[name], True, False), trained(RULES[name], True, True), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


def test_half_precision_and_what_a_rule_is_given(monkeypatch):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    seen = []
    inner = optim.SGD.rule

    def rule(self, xp, rate, step, g, x, *state):
        seen.append(g.shape)
        return inner(self, xp, rate, step, g, x, *state)

    monkeypatch.setattr(optim.SGD, "rule", rule)
    for dtype in ("e", ml_dtypes.bfloat16):
        got = trained(RULES["SGD"], False, False, dtype)
        assert got[0].dtype == dtype
        np.testing.assert_array_equal(got[0], trained(RULES["SGD"], False, True, dtype)[0])
    assert (5, SIZE) in seen  # of nine ids, five name rows of their own
    assert seen[0] == (5, SIZE)


def test_a_gradient_that_is_read_is_dense():
    v = table()
    with hg.GradientTape() as tape:
        loss = hg.sum(nn.Embedding(COUNT, SIZE)(IDS % COUNT)) + hg.sum(hg.embedding(v, IDS))
    g = tape.gradient(loss, v)
    expected = np.zeros((COUNT, SIZE), "f")
    np.add.at(expected, IDS, 1.0)
    np.testing.assert_array_equal(g.numpy(), expected)
    assert noted(g.value) is not None
    assert noted((g * 1.0).value) is None


def test_the_value_before_a_step_stays_with_who_holds_it():
    v = table()
    before, held = v.numpy(), v.read_value()
    with hg.GradientTape() as tape:
        loss = hg.sum(hg.embedding(v, IDS))
    optim.SGD(1.0).apply([tape.gradient(loss, v)], [v])
    np.testing.assert_array_equal(held.numpy(), before)
    changed = np.flatnonzero((v.numpy() != before).any(1))
    np.testing.assert_array_equal(changed, np.unique(IDS % COUNT))


def test_notes_are_gone_with_their_arrays():
    gc.collect()
    count = len(rows._notes)
    v = table()
    for _ in range(3):
        with hg.GradientTape() as tape:
            loss = hg.sum(hg.embedding(v, IDS))
        optim.SGD(1.0).apply([tape.gradient(loss, v)], [v])
    gc.collect()
    assert len(rows._notes) == count
    small = hg.Variable(np.ones((10, 2), "f"))
    with hg.GradientTape() as tape:
        loss = hg.sum(hg.embedding(small, [1]))
    assert noted(tape.gradient(loss, small).value) is None


def test_a_table_used_twice_goes_the_dense_way():
    v, w = table(), table()
    for variable, parts in ((v, False), (w, True)):
        with hg.GradientTape() as tape:
            first, second = hg.embedding(variable, IDS[0]), hg.embedding(variable, IDS[1])
            loss = hg.sum(first) + hg.sum(second * second)
        g = tape.gradient(loss, variable)
        assert noted(g.value) is None
        optim.SGD(0.1).apply([g * 1.0 if parts else g], [variable])
    np.testing.assert_array_equal(v.numpy(), w.numpy())
