"""Gradients of tables: dense to everybody, and computed with by their rows where that is the same.

The variable, the optimizer's state and what is read of the gradient are those of the dense rule to
the last bit (but for norms, which are sums over fewer numbers); a program that reads the gradient,
or makes another one of it, goes the dense way. A lazy rule is one by rows, whatever is known.
"""

import gc

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf
from headgate import nn, optim
from headgate.core import rows
from headgate.core.rows import noted

COUNT, SIZE = 5000, 16
IDS = np.array([[3, 17, 3], [4999, 0, -1], [-5000, 3, 42]])

RULES = {
    "SGD": lambda **common: optim.SGD(0.1, **common),
    "Adagrad": lambda **common: optim.Adagrad(0.1, **common),
    "SGD with momentum": lambda **common: optim.SGD(0.1, momentum=0.9, **common),
    "Nesterov": lambda **common: optim.SGD(0.1, momentum=0.9, nesterov=True, **common),
    "SGD with decay": lambda **common: optim.SGD(0.1, weight_decay=0.1, **common),
    "SGD, clipped": lambda **common: optim.SGD(0.1, clipvalue=0.5, **common),
    "Adam": lambda **common: optim.Adam(0.1, **common),
    "AMSGrad": lambda **common: optim.Adam(0.1, amsgrad=True, **common),
    "AdamW": lambda **common: optim.AdamW(0.1, **common),
    "RMSprop": lambda **common: optim.RMSprop(0.1, **common),
    "RMSprop, centered": lambda **common: optim.RMSprop(0.1, centered=True, momentum=0.5, **common),
    "Lion": lambda **common: optim.Lion(0.1, **common),
}
SPARES = {"SGD", "Adagrad"}


def table(dtype="f"):
    made = np.random.default_rng(0).standard_normal((COUNT, SIZE)).astype(dtype)
    return hg.Variable(made, name="table")


def trained(make, compiled, dense, dtype="f", start=None, **common):
    """Take three steps; `dense` hides what is known of the gradient's rows."""
    v, optimizer = table(dtype) if start is None else hg.Variable(start), make(**common)

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
    count = len(rows.notes)
    v = table()
    for _ in range(3):
        with hg.GradientTape() as tape:
            loss = hg.sum(hg.embedding(v, IDS))
        optim.SGD(1.0).apply([tape.gradient(loss, v)], [v])
    gc.collect()
    assert len(rows.notes) == count
    small = hg.Variable(np.ones((10, 2), "f"))
    with hg.GradientTape() as tape:
        loss = hg.sum(hg.embedding(small, [1]))
    assert noted(tape.gradient(loss, small).value) is None


# -- who notes rows -------------------------------------------------------------------------------

COLUMNS = np.array([0, 5, 15])
MASK = np.isin(np.arange(COUNT), [2, 9])
PICKS = {
    "embedding": lambda v, ids: hg.embedding(v, ids),
    "x[ids]": lambda v, ids: v[ids],
    "x[ids, :]": lambda v, ids: v[ids, :],
    "x[ids, ...]": lambda v, ids: v[ids, ...],
    "x[ids, None]": lambda v, ids: v[ids, None],
    "x[ids, 2:9:3]": lambda v, ids: v[ids, 2:9:3],
    "x[ids, ::-1]": lambda v, ids: v[ids, ::-1],
    "x[ids, columns]": lambda v, ids: v[ids, COLUMNS],
    "x[ids, 3]": lambda v, ids: v[ids, 3],
    "x[ids[0, 0]]": lambda v, ids: v[ids[0, 0]],
    "x[7]": lambda v, ids: v[7],
    "x[7, columns]": lambda v, ids: v[7, COLUMNS],
    "x[-9:-2:2]": lambda v, ids: v[-9:-2:2],
    "x[9:2:-1, 1:]": lambda v, ids: v[9:2:-1, 1:],
    "x[mask]": lambda v, ids: v[MASK],
    "gather_nd, one column": lambda v, ids: hg.gather_nd(v, ids[..., None]),
    "gather_nd, two columns": lambda v, ids: hg.gather_nd(v, hg.stack([ids, ids % SIZE], -1)),
    "tf.gather": lambda v, ids: tf.gather(v, ids % COUNT),
    "tf.nn.embedding_lookup": lambda v, ids: tf.nn.embedding_lookup(v, ids % COUNT),
    "twice": lambda v, ids: hg.concat([v[ids], hg.embedding(v, ids)]),
    "in many ways": lambda v, ids: hg.sum(v[3:9]) + hg.sum(v[ids, 1:]) * hg.sum(v[ids[0]]) + v[1:2],
    "in parts": lambda v, ids: hg.sum(v[3:4]) * hg.sum(v[7:10]) * v[ids],
}
ELSEWHERE = {
    "x[:, 3]": lambda v, ids: v[:, 3],
    "x[None, ids]": lambda v, ids: v[None, ids],
    "x[..., columns]": lambda v, ids: v[..., COLUMNS],
    "many, by number": lambda v, ids: v[3] * v[4] * v[5],
    "all by an empty key": lambda v, ids: v[ids] * hg.sum(v[()]) * hg.sum(v[...]),
    "all and some": lambda v, ids: v[ids] * hg.sum(v),
    "a third of the rows": lambda v, ids: v[: COUNT // 3],
}


def gradient(pick, v, ids):
    with hg.GradientTape() as tape:
        rows = pick(v, ids)
        loss = hg.sum(rows * hg.cos(rows))
    return tape.gradient(loss, v)


@pytest.mark.parametrize("name", PICKS)
def test_whoever_picks_rows_notes_them(name):
    def step(v, ids, dense=False):
        g = gradient(PICKS[name], v, ids)
        assert noted(g.value) is not None
        optim.SGD(1.0, name="descent").apply([g + 0.0 if dense else g], [v])

    v, w = table("d"), table("d")
    step(v, IDS)
    step(w, IDS, dense=True)
    np.testing.assert_array_equal(v.numpy(), w.numpy())
    assert np.any(v.numpy() != table("d").numpy())


def test_whoever_picks_rows_in_a_program_notes_them():
    pytest.importorskip("jax")
    tables = {name: (table("d"), table("d")) for name in PICKS}
    descent = optim.SGD(1.0)

    def step(ids):
        for name, (v, _) in tables.items():
            g = gradient(PICKS[name], v, ids)
            assert noted(g.value) is not None, name
            descent.apply([g], [v])

    hg.function(step)(IDS)
    for name, (v, w) in tables.items():
        descent.apply([gradient(PICKS[name], w, IDS) + 0.0], [w])
        np.testing.assert_allclose(v.numpy(), w.numpy(), rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_picked_elsewhere_is_dense(name):
    v, w = table("d"), table("d")
    g = gradient(ELSEWHERE[name], v, IDS)
    assert noted(g.value) is None
    optim.SGD(1.0).apply([g], [v])
    optim.SGD(1.0).apply([g + 0.0], [w])
    np.testing.assert_array_equal(v.numpy(), w.numpy())


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("count", [2, 200])
def test_ids_of_every_width(dtype, count):
    ids = (np.arange(count) % 100).astype(dtype)
    if ids.dtype.kind == "i":
        ids[0] = -1
    expected = np.zeros((COUNT, SIZE))
    np.add.at(expected, ids.astype(int), 1.0)
    for key in (ids, (ids, slice(None))):
        v = table("d")
        start = v.numpy()
        with hg.GradientTape() as tape:
            loss = hg.sum(v[key])
        g = tape.gradient(loss, v)
        np.testing.assert_array_equal(g.numpy(), expected)
        optim.SGD(1.0).apply([g], [v])
        np.testing.assert_array_equal(v.numpy(), start - expected)


def test_a_program_leaves_out_rows_that_are_not_there():
    pytest.importorskip("jax")
    v = table()
    start = v.numpy()
    adam = optim.Adam(0.1, lazy=True)

    def step(ids):
        with hg.GradientTape() as tape:
            loss = hg.sum(v[ids] * 2.0)
        adam.apply([tape.gradient(loss, v)], [v])

    hg.function(step)(np.array([3, COUNT, -COUNT - 1, -1]))
    np.testing.assert_array_equal(np.flatnonzero((v.numpy() != start).any(1)), [3, COUNT - 1])


def test_derivatives_of_a_noted_gradient():
    v = table("d")
    with hg.GradientTape() as outer:
        with hg.GradientTape() as inner:
            loss = hg.sum(v[IDS] ** 3) + hg.sum(v[IDS[0], 2:5] ** 3)
        g = inner.gradient(loss, v)
        size = hg.sum(g * g)
    second = outer.gradient(size, v)
    count = np.zeros((COUNT, SIZE))
    np.add.at(count, IDS, 1.0)
    np.add.at(count, (IDS[0], slice(2, 5)), 1.0)
    x = v.numpy()
    np.testing.assert_allclose(g.numpy(), 3 * count * x**2, rtol=1e-12)
    np.testing.assert_allclose(second.numpy(), 36 * count**2 * x**3, rtol=1e-12)
    assert noted(g.value) is not None


# -- what keeps a note ----------------------------------------------------------------------------


def test_a_table_used_twice_has_the_rows_of_both_uses():
    v, w = table(), table()
    for variable, dense in ((v, False), (w, True)):
        with hg.GradientTape() as tape:
            first, second = hg.embedding(variable, IDS[0]), hg.embedding(variable, IDS[1])
            loss = hg.sum(first) + hg.sum(second * second)
        g = tape.gradient(loss, variable)
        assert set((noted(g.value).indices % COUNT).tolist()) == set(
            (IDS[:2] % COUNT).ravel().tolist()
        )
        optim.SGD(0.1).apply([g * 1.0 if dense else g], [variable])
    np.testing.assert_array_equal(v.numpy(), w.numpy())


def test_a_gradient_is_not_changed_by_sums_with_it():
    v, u = table("d"), table("d")
    with hg.GradientTape() as tape:
        total = v + u  # both have the cotangent of the sum, and v more to add
        loss = hg.sum(total[IDS]) + hg.sum(v[IDS[0]] * 3.0) + hg.sum(v[5, 3:])
    of_v, of_u = tape.gradient(loss, [v, u])
    expected = np.zeros((COUNT, SIZE))
    np.add.at(expected, IDS, 1.0)
    np.testing.assert_array_equal(of_u.numpy(), expected)
    np.add.at(expected, IDS[0], 3.0)
    expected[5, 3:] += 1
    np.testing.assert_array_equal(of_v.numpy(), expected)
    for g in (of_u, of_v):
        rows = np.flatnonzero(g.numpy().any(1))
        np.testing.assert_array_equal(np.unique(noted(g.value).indices % COUNT), rows)


CLIPS = {
    "by value": lambda g: optim.clip_by_value(g, -0.5, 0.25),
    "by norm": lambda g: optim.clip_by_norm(g, 0.5),
    "by the common norm": lambda g: optim.clip_by_global_norm([g, hg.asarray(1.0)], 0.5)[0][0],
    "tf, by value": lambda g: tf.clip_by_value(g, -0.5, 0.25),
    "tf, by norm": lambda g: tf.clip_by_norm(g, 0.5),
    "tf, by the common norm": lambda g: tf.clip_by_global_norm([None, g], 0.5)[0][1],
}


@pytest.mark.parametrize("compiled", [False, True])
def test_clipping_keeps_rows(compiled):
    v = table("d")

    def step(ids):
        g = gradient(PICKS["x[ids]"], v, ids)
        results = []
        for name, clip in CLIPS.items():
            got, dense = clip(g), clip(g + 0.0)
            assert noted(got.value) is not None, name
            assert noted(dense.value) is None
            results.append((got, dense))
        return results

    if compiled:
        pytest.importorskip("jax")
        step = hg.function(step)
    for name, (got, dense) in zip(CLIPS, step(IDS), strict=True):
        np.testing.assert_allclose(got.numpy(), dense.numpy(), rtol=1e-12, atol=0, err_msg=name)
        assert np.any(got.numpy())


@pytest.mark.parametrize("limit", ["clipnorm", "clipvalue", "global_clipnorm"])
@pytest.mark.parametrize("compiled", [False, True])
def test_an_optimizer_that_clips_computes_with_rows(limit, compiled):
    if compiled:
        pytest.importorskip("jax")
    make = RULES["SGD"]
    g = gradient(PICKS["x[ids]"], table("d"), IDS)
    assert noted(optim.SGD(1.0, **{limit: 0.5})._clipped([g.value])[0]) is not None
    for got, expected in zip(
        trained(make, compiled, False, "d", **{limit: 0.5}),
        trained(make, False, True, "d", **{limit: 0.5}),
        strict=True,
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_clipping_that_a_tape_follows_is_recorded():
    v = table("d")
    with hg.GradientTape(persistent=True) as outer:
        g = gradient(PICKS["x[ids]"], v, IDS)
        clipped = optim.clip_by_norm(g, 0.5)
        plain = optim.clip_by_norm(g + 0.0, 0.5)
        loss, expected = hg.sum(clipped**3), hg.sum(plain**3)
    assert float(loss) == pytest.approx(float(expected), rel=1e-12)
    found, right = (outer.gradient(target, v).numpy() for target in (loss, expected))
    assert np.any(found)
    np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-12)


# -- lazy rules -----------------------------------------------------------------------------------


def sparse_adam(x, steps, rate=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Adam as PyTorch's SparseAdam has it: row by row, moments of other rows left alone."""
    x, m, v = x.copy(), np.zeros_like(x), np.zeros_like(x)
    for number, g in enumerate(steps, 1):
        for row in np.flatnonzero(g.any(1)):
            m[row] = beta_1 * m[row] + (1 - beta_1) * g[row]
            v[row] = beta_2 * v[row] + (1 - beta_2) * g[row] ** 2
            size = rate * np.sqrt(1 - beta_2**number) / (1 - beta_1**number)
            x[row] -= size * m[row] / (np.sqrt(v[row]) + epsilon)
    return x, m, v


WAYS = {
    "rows": lambda g: g,
    "dense": lambda g: g + 0.0,
}


@pytest.mark.parametrize("count", [20, COUNT])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("compiled", [False, True])
def test_lazy_adam_is_sparse_adam(count, way, compiled):
    rng = np.random.default_rng(2)
    start = rng.standard_normal((count, SIZE))
    v, adam = hg.Variable(start), optim.Adam(0.1, lazy=True)

    def step(ids, factors):
        with hg.GradientTape() as tape:
            loss = hg.sum(v[ids] * factors)
        g = tape.gradient(loss, v)
        adam.apply([WAYS[way](g)], [v])
        return g + 0.0

    if compiled:
        pytest.importorskip("jax")
        step = hg.function(step)
    gradients = []
    for ids in ([3, 7, 3], [7, 1, -1], [1, 9, 9], [3, 3, 3]):
        gradients.append(step(np.array(ids), rng.standard_normal((3, SIZE))).numpy())
    for got, expected in zip([v, *adam.variables[1:]], sparse_adam(start, gradients), strict=True):
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-10, atol=1e-12)


def by_rows(make, start, steps):
    """Give each row an optimizer of its own, which counts all steps and is asked where it is."""
    rows, state = [], []
    for number, x in enumerate(start):
        v, optimizer = hg.Variable(x), make()
        for at, g in enumerate(steps):
            if g[number].any():
                optimizer.iterations.assign(at)
                optimizer.apply([g[number]], [v])
        optimizer.build([v])
        rows.append(v.numpy())
        state.append([slot.numpy() for slot in optimizer.variables[1:]])
    return [np.stack(rows), *map(np.stack, zip(*state, strict=True))]


@pytest.mark.parametrize("name", RULES)
def test_every_rule_can_be_lazy(name):
    """Few rows, some rows, and all of them: by rows, by parts and in one."""
    rng = np.random.default_rng(3)
    start = rng.standard_normal((40, SIZE))
    steps = [rng.standard_normal((40, SIZE)) for _ in range(4)]
    steps[0][5:] = 0
    steps[1][::3] = 0
    steps[2][:, ::2] = 0
    expected = by_rows(RULES[name], start, steps)
    for compiled in (False, True):
        v, optimizer = hg.Variable(start), RULES[name](lazy=True)

        def step(g, v=v, optimizer=optimizer):
            optimizer.apply([g], [v])

        if compiled:
            pytest.importorskip("jax")
            step = hg.function(step)
        for g in steps:
            step(g)
        for got, wanted in zip([v, *optimizer.variables[1:]], expected, strict=True):
            np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_a_lazy_rule_by_known_rows_is_that_by_looking(name):
    for got, expected in zip(
        trained(RULES[name], False, False, lazy=True),
        trained(RULES[name], False, True, lazy=True),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)


def test_what_lazy_does_to_numbers_vectors_and_rows_of_zeros():
    number, vector = hg.Variable(1.0), hg.Variable([1.0, 1.0])
    adam = optim.Adam(0.1, lazy=True, weight_decay=0.1)
    adam.apply([1.0, [1.0, 1.0]], [number, vector])
    before = float(number), vector.numpy()
    adam.apply([0.0, [0.0, np.nan]], [number, vector])
    assert float(number) < before[0]  # one number is no row: the moment goes on
    assert vector.numpy()[0] == before[1][0]
    assert np.isnan(vector.numpy()[1])


def test_state_is_made_while_a_function_is_traced_for_arrays_of_jax():
    jax = pytest.importorskip("jax")
    v, optimizer = table(), optim.SGD(0.1, momentum=0.9)
    v.assign(jax.numpy.asarray(v.numpy()))

    def step(ids):
        optimizer.apply([gradient(PICKS["x[ids]"], v, ids)], [v])

    run = hg.function(step)
    run(IDS)
    run(IDS)
    w, other = table(), optim.SGD(0.1, momentum=0.9)
    for _ in range(2):
        other.apply([gradient(PICKS["x[ids]"], w, IDS)], [w])
    np.testing.assert_allclose(v.numpy(), w.numpy(), rtol=1e-5, atol=1e-6)
