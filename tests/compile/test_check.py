"""Indices out of range in compiled code: what they give, and `hg.function(check=True)`."""

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf

pytestmark = [pytest.mark.peers, pytest.mark.light]

X = np.arange(1.0, 6.0)
GOOD, BAD = np.asarray([1, 2, -1, 3]), np.asarray([1, 2, 5, -7])
LOGITS = np.ones((4, 5))

PROGRAMS = {
    "take": lambda x, i: hg.take(x, i),
    "x[i]": lambda x, i: x[i],
    "x[k]": lambda x, i: x[i[-1]],
    "rows": lambda x, i: hg.stack([x, x])[1, i],
    "gather": lambda x, i: hg.gather(hg.stack([x] * 4), i, batch_dims=1),
    "gather_nd": lambda x, i: hg.gather_nd(hg.stack([x] * 5), hg.stack([i, i], axis=1)),
    "embedding": lambda x, i: hg.embedding(hg.reshape(x, (5, 1)), i),
    "take_along_axis": lambda x, i: hg.take_along_axis(x, i, axis=0),
    "scatter_add": lambda x, i: hg.scatter_add(x, x[:4], i),
    "scatter_update": lambda x, i: hg.scatter_update(x, x[:4], i),
    "scatter_nd": lambda x, i: hg.scatter_nd(i[:, None], x[:4], (5,)),
    "cond": lambda x, i: hg.cond(x[0] > 0.0, lambda: x[i], lambda: x[:4]),
    "scan": lambda x, i: hg.scan(lambda c, k: (c + x[k], c), 0.0, i)[0],
    "while_loop": lambda x, i: hg.while_loop(
        lambda at: at[0] < 4, lambda at: [at[0] + 1, at[1] * x[i[at[0]]]], [0, 1.0]
    )[1],
    "gradient": lambda x, i: hg.grad(lambda y: hg.sum(y[i] ** 2))(x),
    "hessian": lambda x, i: hg.hessian(lambda y: hg.sum(y[i] ** 3))(x),
    "gradient of scan": lambda x, i: hg.grad(
        lambda y: hg.scan(lambda c, k: (c + y[k], c), 0.0, i)[0]
    )(x),
}


def first_line(call):
    with pytest.raises((IndexError, ValueError)) as raised:
        call()
    assert "test_check.py" in str(raised.value)
    return type(raised.value), str(raised.value).splitlines()[0]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_checked_program_raises_what_eager_code_raises(name):
    x, call = hg.asarray(X), PROGRAMS[name]
    checked = hg.function(call, check=True)
    np.testing.assert_allclose(checked(x, GOOD).value, call(x, GOOD).value)
    for indices in (BAD, np.roll(BAD, 1)):
        assert first_line(lambda: checked(x, indices)) == first_line(lambda: call(x, indices))  # noqa: B023
    np.testing.assert_allclose(checked(x, GOOD).value, call(x, GOOD).value)


def test_without_checks_all_rows_agree():
    def program(x, i):
        def slope(f):
            return hg.grad(lambda y: hg.sum(f(y)))(x)

        names = ["take", "x[i]", "rows", "gather", "gather_nd", "embedding", "take_along_axis"]
        picks = [PROGRAMS[name](x, i) for name in names]
        puts = [PROGRAMS[name](x, i) for name in ("scatter_add", "scatter_update", "scatter_nd")]
        counts = hg.arange(5)
        return {
            "picked": picks,
            "one": [x[i[2]], x[i[3]], hg.stack([x, x])[1, i[2]]],
            "gradients": [slope(lambda y, n=n: PROGRAMS[n](y, i)) for n in names],
            "put": puts,
            "for updates": [
                hg.grad(lambda u: hg.sum(hg.scatter_add(x, u, i) * 2.0))(x[:4]),
                hg.grad(lambda u: hg.sum(hg.scatter_update(x, u, i) * 2.0))(x[:4]),
                hg.grad(lambda u: hg.sum(hg.scatter_nd(i[:, None], u, (5,)) * 2.0))(x[:4]),
            ],
            "whole": [hg.take(counts, i), hg.take(counts > 0, i), hg.take(counts + 0, i)],
        }

    found = hg.function(program)(hg.asarray(X), BAD)
    for picked in found["picked"]:
        np.testing.assert_array_equal(np.ravel(picked.value), [2, 3, np.nan, np.nan])
    assert all(np.isnan(x.value) for x in found["one"])
    for gradient in found["gradients"]:
        np.testing.assert_array_equal(gradient.value, [0, 1, 1, 0, 0])
    for put, right in zip(found["put"], ([1, 3, 5, 4, 5], [1, 1, 2, 4, 5], [0, 1, 2, 0, 0])):
        np.testing.assert_array_equal(put.value, right)
    for gradient in found["for updates"]:
        np.testing.assert_array_equal(gradient.value, [2, 2, 0, 0])
    least = np.iinfo(np.int64).min
    np.testing.assert_array_equal(found["whole"][0].value, [1, 2, least, least])
    np.testing.assert_array_equal(found["whole"][1].value, [True] * 4)


def test_an_index_of_64_bits_is_not_cut_off():
    far = np.asarray([2**32 + 1, 1, -(2**32)])
    found = hg.function(lambda x, i: [hg.take(x, i), hg.scatter_add(x, 1.0, i)])(X, far)
    np.testing.assert_array_equal(found[0].value, [np.nan, 2, np.nan])
    np.testing.assert_array_equal(found[1].value, [1, 3, 3, 4, 5])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint64"])
def test_indices_of_any_width(dtype):
    x = np.arange(300.0)
    places = np.asarray([5, 100, 0]).astype(dtype)
    if dtype == "int8":
        places[0] = -1
    program = hg.function(lambda x, i: [x[i], hg.take(x[:3], i, axis=0)])
    found = program(x, places)
    np.testing.assert_array_equal(found[0].value, x[places])
    np.testing.assert_array_equal(found[1].value, [2 if dtype == "int8" else np.nan, np.nan, 0])


def test_known_indices_are_refused_while_a_function_is_traced():
    for call in (lambda x: hg.take(x, [7]), lambda x: x[[0, 7]], lambda x: x[np.asarray(7)]):
        expected = first_line(lambda call=call: call(hg.asarray(X)))
        assert first_line(lambda call=call: hg.function(call)(X)) == expected


def test_class_labels():
    def loss(logits, labels):
        return hg.sparse_softmax_cross_entropy(logits, labels)

    checked = hg.function(loss, check=True)
    right = np.log(5) * np.ones(4)
    np.testing.assert_allclose(checked(LOGITS, np.abs(GOOD)).value, right)
    for labels in (GOOD, BAD):  # a negative one is no class
        expected = first_line(lambda labels=labels: loss(LOGITS, labels))
        assert first_line(lambda labels=labels: checked(LOGITS, labels)) == expected
    found = hg.function(loss)(LOGITS, BAD).value
    np.testing.assert_allclose(found, np.log(5) * np.asarray([1, 1, np.nan, np.nan]))


def test_whole_numbers_divided_by_zero():
    programs = [lambda x, y: x // y, lambda x, y: x % y, lambda x, y: 7 // y, lambda x, y: -x % y]
    x, good, bad = np.arange(4), np.asarray([1, 2, -3, 4]), np.asarray([1, 0, -3, 4])
    for program in programs:
        checked = hg.function(program, check=True)
        x, good, bad = hg.asarray(x), hg.asarray(good), hg.asarray(bad)
        np.testing.assert_array_equal(checked(x, good).value, program(x, good).value)
        said = []
        for call in (program, checked):
            with pytest.raises(ZeroDivisionError) as raised:
                call(x, bad)
            said.append(str(raised.value))
        assert said[0].splitlines()[0] == said[1].splitlines()[0]
        assert "test_check.py" in said[1]
        assert np.isfinite(hg.function(program)(x, bad).value).all()
    ratio = hg.function(lambda x, y: [x // y, hg.floor_divide(good, y)], check=True)
    with np.errstate(all="ignore"):
        floats = ratio(hg.astype(x, float), hg.astype(bad, float))[0]
    assert np.isinf(floats.value[1])
    counted = hg.function(hg.floor_divide, check=True)(x, bad)  # NumPy's, which warns
    np.testing.assert_array_equal(counted.value, [0, 0, -1, 0])


def test_tensorflows_function_can_be_asked_too():
    table = tf.Variable(tf.ones((3, 2)))

    @tf.function(check=True)
    def looked_up(ids):
        return tf.gather(table, ids)

    assert looked_up(tf.constant([0, 2])).shape == (2, 2)
    for index in (5, -1):
        said = []
        for call in (lambda ids: tf.gather(table, ids), looked_up):
            with pytest.raises(IndexError, match=rf"indices\[1\] = {index} is not in") as raised:
                call(tf.constant([0, index]))
            said.append(str(raised.value).splitlines()[0])
        assert said[0] == said[1]

    class Model(tf.Module):
        @tf.function(check=True)
        def divided(self, x, y):
            return x // y

    with pytest.raises(ZeroDivisionError, match="divided by 0"):
        Model().divided(tf.constant([1, 2]), tf.constant([1, 0]))


def test_a_failed_call_changes_nothing():
    w, steps = hg.Variable(X, name="w"), hg.Variable(0)

    @hg.function(check=True, donate=("state",))
    def step(i, state):
        steps.assign_add(1)
        with hg.GradientTape() as tape:
            loss = hg.sum(hg.embedding(w, i) ** 2)
        w.assign_sub(0.1 * tape.gradient(loss, w))
        return loss, state + 1.0

    state = hg.asarray(np.zeros(3))
    step(GOOD, state)
    before = w.numpy()
    for _ in range(2):
        with pytest.raises(IndexError, match=r"take: index 5 is out of bounds for axis 0 with"):
            step(BAD, state)
        np.testing.assert_array_equal(w.numpy(), before)
        assert steps.numpy() == 1
    step(GOOD, state)
    assert steps.numpy() == 2
    assert (w.numpy() != before).any()


def test_the_first_error_of_the_program_is_raised():
    checked = hg.function(lambda x, i: (hg.take(x, i), hg.scatter_add(x, 1.0, i)), check=True)
    with pytest.raises(IndexError, match=r"^take: index 5"):
        checked(X, BAD)


def test_under_a_tape():
    x = hg.asarray(X)
    checked = hg.function(lambda x, i: hg.sum(x[i] ** 2), check=True)
    with hg.GradientTape() as tape:
        tape.watch(x)
        with pytest.raises(IndexError, match="index 5"):
            checked(x, BAD)
        y = checked(x, GOOD)
    np.testing.assert_array_equal(tape.gradient(y, x).value, [0, 4, 6, 8, 10])


def test_of_a_method_and_as_a_call():
    class Model:
        @hg.function(check=True)
        def __call__(self, i):
            return hg.take(X, i)

    with pytest.raises(IndexError, match="index 5"):
        Model()(BAD)


def test_gradient_of_a_numpy_variable_is_numpys_to_any_order():
    v = hg.Variable(np.asarray([1.0, 2.0]))
    f = hg.function(lambda x: hg.sum(v**3 * x))
    x = hg.asarray([1.0, 2.0])
    with hg.GradientTape() as outer:
        with hg.GradientTape() as tape:
            y = f(x)
        first = tape.gradient(y, v)
        z = hg.sum(first * first)
    second = outer.gradient(z, v)
    for found, right in ((first, [3.0, 24.0]), (second, [36.0, 1152.0])):
        assert type(found.value) is np.ndarray
        assert found.dtype == np.float64
        np.testing.assert_allclose(found.value, right)
