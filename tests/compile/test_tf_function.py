"""`headgate.tf.function`: compiled where that can be, plain Python where it cannot."""

import warnings

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf

pytestmark = pytest.mark.peers


def test_options_of_tensorflow_are_taken():
    @tf.function(input_signature=None, jit_compile=True, reduce_retracing=True, autograph=False)
    def double(x):
        return 2.0 * x

    assert double(tf.constant([1.0, 2.0])).numpy().tolist() == [2.0, 4.0]
    assert double.python_function(3.0) == 6.0
    assert len(double.signatures) == 1


def test_python_runs_once_for_each_signature():
    runs = []

    @tf.function
    def count(x):
        runs.append(x.shape)
        return x + 1.0

    for _ in range(3):
        count(tf.zeros([2]))
    assert len(runs) == 1
    count(tf.zeros([3]))
    assert runs == [(2,), (3,)]


def test_branching_on_a_tensor_falls_back_to_python_with_a_warning():
    @tf.function
    def sign(x):
        if x > 0:
            return tf.constant(1.0)
        return tf.constant(-1.0)

    with pytest.warns(UserWarning, match="runs as plain Python.*branching"):
        assert float(sign(tf.constant(3.0))) == 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert float(sign(tf.constant(-3.0))) == -1.0


def test_with_jit_compile_that_is_an_error():
    import headgate as hg

    must = tf.function(lambda x: x if x > 0 else -x, jit_compile=True)
    with pytest.raises(hg.TracingError, match="branching"):
        must(tf.constant(1.0))


def test_methods_are_compiled_for_each_instance():
    class Counter:
        def __init__(self, start):
            self.v = tf.Variable(start)

        @tf.function
        def add(self, x):
            self.v.assign_add(x)
            return self.v * 1.0

    one, other = Counter(1.0), Counter(10.0)
    assert [float(one.add(1.0)), float(one.add(1.0)), float(other.add(5.0))] == [2.0, 3.0, 15.0]


def test_control_flow():
    @tf.function(jit_compile=True)
    def collatz(n):
        def body(n, steps):
            return tf.cond(n % 2 == 0, lambda: n // 2, lambda: 3 * n + 1), steps + 1

        return tf.while_loop(lambda n, _: n > 1, body, [n, tf.constant(0)])[1]

    assert [int(collatz(tf.constant(n))) for n in (1, 6, 27)] == [0, 8, 111]


def test_a_training_step_is_that_of_eager_execution():
    def run(compiled):
        w = tf.Variable(np.linspace(-1, 1, 6, dtype="f").reshape(3, 2), name="w")
        optimizer = tf.keras.optimizers.Adam(0.1)

        def step(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(tf.matmul(x, w)))
            optimizer.apply_gradients([(tape.gradient(loss, w), w)])
            return loss

        step = tf.function(step) if compiled else step
        x = tf.constant(np.arange(12, dtype="f").reshape(4, 3))
        return [float(step(x)) for _ in range(5)]

    np.testing.assert_allclose(run(True), run(False), rtol=1e-5)


def test_python_numbers_are_constants():
    @tf.function
    def filled(n, value):
        return tf.ones([n, 2]) * value, tf.range(n)

    for n, value in ((2, 0.5), (3, 0.5), (3, 2), (3, 2.0), (3, float("nan")), (3, float("nan"))):
        found, counted = filled(n, value)
        assert found.shape == (n, 2)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, np.full((n, 2), value, np.float32))
        assert counted.shape == (n,)
    assert len(filled.signatures) == 5
    assert filled.signatures[0] == {"n": "2 (static)", "value": "0.5 (static)"}


def test_many_numbers_are_warned_of_once():
    double = tf.function(lambda n: 2 * n)
    for n in range(6):
        double(n)
    with pytest.warns(hg.RecompileWarning, match=r"n: 5 \(static\), now 6.*tf\.constant"):
        double(6)
    assert double(7) == 14  # and no second warning
    assert len(double.signatures) == 8
    tripled = tf.function(lambda n: 3 * n)
    for n in range(9):
        assert tripled(tf.constant(n)) == 3 * n
    assert len(tripled.signatures) == 1


@pytest.mark.parametrize(
    "f",
    [
        lambda n: tf.range(n),
        lambda n: tf.random.categorical([[0.0, 50.0]], n),
        lambda n: tf.ones([n, 2]),
    ],
)
def test_a_tensor_as_a_size_runs_as_plain_python(f):
    with pytest.warns(UserWarning, match="plain Python"):
        found = tf.function(f)(tf.constant(2))
    assert 2 in found.shape


def test_a_function_that_donates_writes_over_its_variables():
    for donate in (False, True, None):
        v = tf.Variable(np.zeros(100_000, np.float32))

        @tf.function(donate=donate)
        def step(x, v=v):
            v.assign_add(x + tf.zeros_like(v))

        for _ in range(3):
            step(tf.constant(1.0))
        assert v.numpy().tolist() == [3.0] * 100_000
        assert ("tf.aliasing_output" in step.lower_text(tf.constant(1.0))) is (donate is not False)
