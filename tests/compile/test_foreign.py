"""Arrays of other libraries, buffers and dataclasses as arguments; what is static, by value."""

import array
import dataclasses

import numpy as np
import pytest

import headgate as hg
from headgate import losses, nn

pytest.importorskip("jax")


class ByArray:
    def __init__(self, values):
        self.held = np.asarray(values, "f")

    def __array__(self, dtype=None, copy=None):
        return np.array(self.held, dtype=dtype)

    def __setitem__(self, key, value):
        self.held[key] = value


class ByDlpack:
    def __init__(self, values):
        self.held = np.asarray(values, "f")

    def __dlpack__(self, **options):
        return self.held.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.held.__dlpack_device__()

    def __setitem__(self, key, value):
        self.held[key] = value


FOREIGN = {
    "__array__": ByArray,
    "__dlpack__": ByDlpack,
    "array": lambda values: array.array("f", values),
    "memoryview": lambda values: memoryview(array.array("f", values)),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_compiled(kind):
    made = FOREIGN[kind]([1.0, 2.0])
    f = hg.function(lambda pair: hg.sum(pair["x"] * 2.0))
    assert float(f({"x": made})) == 6.0
    made[0] = 50.0  # filled again in place
    assert float(f({"x": made})) == 104.0
    assert float(f({"x": FOREIGN[kind]([3.0, 4.0])})) == 14.0
    assert f.signatures == [{"pair['x']": f.signatures[0]["pair['x']"]}]


@pytest.mark.parametrize("kind", FOREIGN)
def test_eager(kind):
    made = FOREIGN[kind]([1.0, 2.0])
    assert float(hg.sum(made)) == 3.0
    assert hg.Variable(made).assign(made).numpy().tolist() == [1.0, 2.0]
    assert float(losses.MeanSquaredError()(made, made)) == 0.0

    class Twice(nn.Layer):
        def call(self, x):
            return x * 2.0

    assert Twice()(made).numpy().tolist() == [2.0, 4.0]
    assert nn.Lambda(lambda xs: xs[0] * xs[1])([made, made]).tolist() == [1.0, 4.0]


@dataclasses.dataclass
class Batch:
    x: object
    count: int = 2


@dataclasses.dataclass(frozen=True)
class Pair:
    inner: Batch
    sizes: tuple = ()


def test_dataclasses_with_arrays():
    f = hg.function(lambda batch: hg.sum(hg.reshape(batch.x, (batch.count, -1))[0]))
    batch = Batch(np.ones(4))
    assert float(f(batch)) == 2.0
    batch.x[:] = 5.0
    assert float(f(batch)) == 10.0
    assert len(f.signatures) == 1
    batch.count = 4  # no array: a constant of the program, which decides on shapes
    assert float(f(batch)) == 5.0
    assert float(f(batch=batch)) == 5.0
    assert len(f.signatures) == 3


def test_dataclasses_in_dataclasses_and_as_results():
    f = hg.function(lambda pair: dataclasses.replace(pair.inner, x=pair.inner.x * 2.0))
    for factor in (1.0, 3.0):
        result = f(Pair(Batch(np.full(2, factor)), (1, 2)))
        assert type(result) is Batch
        assert result.x.numpy().tolist() == [2 * factor] * 2
    assert len(f.signatures) == 1


def test_dataclasses_without_arrays_are_static_by_value():
    f = hg.function(lambda x, settings: hg.reshape(x, (settings.count, -1)))
    settings = Batch(None, 3)
    assert f(np.ones(6), settings).shape == (3, 2)
    settings.count = 2
    assert f(np.ones(6), settings).shape == (2, 3)
    f(np.ones(6), Batch(None, 3))
    assert len(f.signatures) == 2


@pytest.mark.parametrize("make", [list, np.array])
def test_static_arguments_are_taken_by_value(make):
    f = hg.function(lambda x, factors: x * float(factors[0]), static_argnames="factors")
    factors = make([2.0])
    assert f(np.ones(1), factors).tolist() == [2.0]
    factors[0] = 7.0
    assert f(np.ones(1), factors).tolist() == [7.0]
    assert f(np.ones(1), make([7.0])).tolist() == [7.0]
    assert len(f.signatures) == 2
