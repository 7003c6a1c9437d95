"""Copies of models, optimizers and what belongs to them: by `copy`, by `pickle`, in processes."""

import copy
import multiprocessing
import pickle
import subprocess
import sys

import numpy as np
import pytest

import headgate as hg
from headgate import losses, metrics, nn, optim, random
from headgate.data import Batches
from headgate.nn.layer import every_layer

X = np.linspace(-1.0, 1.0, 24, dtype="float32").reshape(8, 3)
WAYS = {"pickle": lambda given: pickle.loads(pickle.dumps(given)), "deepcopy": copy.deepcopy}


@pytest.fixture(params=WAYS)
def copied(request):
    return WAYS[request.param]


class Tied(nn.Model):
    """A layer that is used under two names, layers in a list, and a variable of its own."""

    def __init__(self):
        super().__init__(name="tied")
        self.encode = nn.Dense(3, activation="tanh")
        self.decode = self.encode
        self.blocks = [nn.BatchNormalization(), nn.Dense(3)]
        self.scale = hg.Variable(2.0, name="scale", dtype="float32")

    def call(self, x, training=False):
        x = self.decode(self.encode(x))
        for block in self.blocks:
            x = block(x)
        return x * self.scale

    @hg.function
    def compiled(self, x):
        return self(x)


def functional():
    x = nn.Input((3,))
    hidden = nn.Dense(4, activation="sigmoid")(x)
    return nn.Model(x, nn.Dense(2)(1.0 - hidden * 2.0 + hidden[:, :1]))


MODELS = {
    "sequential": lambda: nn.Sequential([nn.Dense(4, activation="relu"), nn.Dense(1)]),
    "built": lambda: nn.Sequential([nn.Input((3,)), nn.Dropout(0.5, seed=3), nn.Dense(2)]),
    "subclass": Tied,
    "functional": functional,
    "recurrent": lambda: nn.Sequential([nn.Reshape((1, 3)), nn.LSTM(4), nn.Dense(2)]),
}


def train(model, optimizer, steps=3):
    for _ in range(steps):
        with hg.GradientTape() as tape:
            loss = hg.mean(model(X, training=True) ** 2)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)


def values(model):
    return [variable.numpy() for variable in model.variables]


def assert_equal(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)  # sums depend on where arrays lie


@pytest.mark.parametrize("name", MODELS)
def test_a_copy_is_the_same_model_and_goes_its_own_way(name, copied):
    model, optimizer = MODELS[name](), optim.Adam(0.1)
    train(model, optimizer)
    other, second = copied((model, optimizer))
    assert [v.name for v in other.variables] == [v.name for v in model.variables]
    assert list(other.named_variables()) == list(model.named_variables())
    assert [layer.path for layer in other.layers] == [layer.path for layer in model.layers]
    assert {v._source for v in other.variables}.isdisjoint(v._source for v in model.variables)
    assert set(other.layers) <= set(every_layer)
    assert_equal(values(other), values(model))
    assert_equal([other(X).numpy()], [model(X).numpy()])
    before = values(model)
    train(other, second)
    assert_equal(values(model), before)
    train(model, optimizer)
    assert_equal(values(other), values(model))
    assert second.iterations.numpy() == 6
    for key, value in optimizer.get_state().items():
        if key != "rule":
            assert_equal([second.get_state()[key]], [value])


def test_what_is_shared_stays_shared(copied):
    model = Tied()
    model(X)
    other, variable, bias = copied((model, model.encode.kernel, model.blocks[1].bias))
    assert other.decode is other.encode
    assert other.encode.kernel is variable
    assert other.blocks[1].bias is bias


def test_freezing_goes_along(copied):
    model = Tied()
    model(X)
    model.freeze("encode/*")
    model.blocks[1].trainable = False
    model.eval()
    other = copied(model)
    names = [v.name for v in model.trainable_variables]
    assert [v.name for v in other.trainable_variables] == names
    assert len(names) == 3  # gamma and beta of the normalization, and the scale
    assert [str(site) for _, site in other.encode._frozen_variables()] == [
        str(site) for _, site in model.encode._frozen_variables()
    ]
    other.unfreeze("*")
    assert len(other.trainable_variables) > len(model.trainable_variables)


@pytest.mark.parametrize("model_too", [False, True])
def test_an_optimizer_alone_finds_its_variables_by_name(copied, model_too):
    model, optimizer = Tied(), optim.AdamW(0.1, weight_decay=0.5)
    model(X)
    optimizer.exclude_from_weight_decay([model.scale])
    train(model, optimizer)
    second, other = copied(optimizer), copied(model) if model_too else model
    if not model_too:
        before = values(model)
        train(model, optimizer)
        expected = values(model)
        for variable, value in zip(model.variables, before):
            variable.assign(value)
    else:
        train(model, optimizer)
        expected = values(model)
    train(other, second)
    assert_equal(values(other), expected)


def test_two_variables_of_one_name(copied):
    pair = [hg.Variable([1.0], name="w"), hg.Variable([1.0, 2.0], name="w")]
    optimizer = optim.Adam(0.1)
    optimizer.apply([np.ones(1), np.ones(2)], pair)
    second = copied(optimizer)
    second.apply([np.ones(1), np.ones(2)], pair)
    assert second.get_state()["w#2/momentum"].shape == (2,)
    assert second.get_state().keys() == optimizer.get_state().keys()


@pytest.mark.parametrize(
    "make",
    [
        lambda: random.Generator(5),
        lambda: Batches(np.arange(12), batch_size=4, seed=0),
        lambda: metrics.Mean(),
        lambda: metrics.AUC(num_thresholds=5),
        lambda: optim.ExponentialMovingAverage([hg.Variable(1.0, name="w")]),
        lambda: optim.SGD(optim.schedules.CosineDecay(0.1, 10), momentum=0.5),
    ],
)
def test_other_state(make, copied):
    given = make()
    if isinstance(given, metrics.Metric):
        given.update_state([1.0, 0.0], [0.5, 0.2]) if isinstance(given, metrics.AUC) else given(3.0)
    other = copied(given)
    for key, value in given.get_state().items():
        np.testing.assert_array_equal(other.get_state()[key], value)
    if isinstance(given, random.Generator):
        assert bool(hg.all(given.normal((3,)) == other.normal((3,))))


def test_losses(copied):
    loss = losses.Huber(delta=2.0)
    assert copied(loss)([[0.0]], [[1.0]]) == loss([[0.0]], [[1.0]])


def test_variables_and_tensors(copied):
    v = hg.Variable([1.0, 2.0], name="v", trainable=False)
    other = copied(v)
    assert (other.name, other.trainable, other.numpy().tolist()) == ("v", False, [1.0, 2.0])
    other.assign([5.0, 5.0])
    assert v.numpy().tolist() == [1.0, 2.0]
    shallow = copy.copy(v)
    assert shallow._source is not v._source
    w = hg.Variable(3.0)
    with hg.GradientTape() as tape:
        constant = copied(w * 2.0)
        y = constant * w
    assert float(tape.gradient(y, w)) == 6.0
    with hg.GradientTape() as tape:
        y = copy.copy(w) * copied(w)
    assert tape.why(y, w).verdict == "unused"


def test_a_shallow_copy_shares_the_weights():
    model = Tied()
    model(X)
    other = copy.copy(model)
    assert [a is b for a, b in zip(other.variables, model.variables)] == [True] * 9
    assert [layer.path for layer in model.layers] == [
        "tied/encode",
        "tied/batch_normalization",
        "tied/dense",
    ]
    other.blocks.append(nn.Dense(1))
    assert len(model.blocks) == 2


def test_a_compiled_method_is_compiled_anew(copied):
    pytest.importorskip("jax")
    model = Tied()
    expected = model.compiled(X)
    other = copied(model)
    other.scale.assign(4.0)
    np.testing.assert_allclose(other.compiled(X).numpy(), 2.0 * expected.numpy(), rtol=1e-6)
    np.testing.assert_allclose(model.compiled(X).numpy(), expected.numpy())


class Counting(nn.Model):
    """A method is compiled when the model is made, and kept beside it."""

    def __init__(self):
        super().__init__()
        self.count = hg.Variable(0.0)
        self.step = hg.function(self._step)

    def _step(self):
        self.count.assign_add(1.0)


def test_a_method_compiled_by_hand_goes_with_its_model(copied):
    pytest.importorskip("jax")
    model = Counting()
    model.step()
    other = copied(model)
    other.step()
    other.step()
    assert (float(model.count), float(other.count)) == (1.0, 3.0)


def test_what_cannot_be_copied_says_so():
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="GradientTape belongs to what runs here and now"):
            way(hg.GradientTape())


def test_a_pickle_is_read_by_another_process(tmp_path):
    model, optimizer = functional(), optim.Adam(0.1)
    train(model, optimizer)
    (tmp_path / "model").write_bytes(pickle.dumps((model, optimizer)))
    program = (
        "import pickle, sys, numpy as np\n"
        "model, optimizer = pickle.load(open(sys.argv[1], 'rb'))\n"
        "x = np.linspace(-1.0, 1.0, 24, dtype='float32').reshape(8, 3)\n"
        "print(float(np.sum(model(x).numpy())), *[v.name for v in model.variables])\n"
        "print(optimizer)\n"
    )
    run = [sys.executable, "-c", program, str(tmp_path / "model")]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    first, *names = done.stdout.splitlines()[0].split()
    assert float(first) == pytest.approx(float(hg.sum(model(X))))
    assert names == [v.name for v in model.variables]


def forward(model):
    return model(X).numpy()


def test_a_model_goes_to_a_process_that_is_spawned():
    model = nn.Sequential([nn.Dense(2, activation="relu"), nn.Dense(1)])
    model(X)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(forward, (model,))
    np.testing.assert_allclose(found, model(X).numpy(), rtol=1e-6)


def test_a_deep_model(copied):
    x = y = nn.Input((2,))
    for _ in range(150):
        y = nn.Dense(2, activation="tanh")(y)
    model = nn.Model(x, y)
    given = np.ones((1, 2), "float32")
    assert_equal([copied(model)(given).numpy()], [model(given).numpy()])
