"""How exactly float32 is multiplied: in the text of programs, for a CPU has one precision."""

import copy
import re
import threading

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf
from headgate import nn, optim
from headgate.compile.precision import products

jax = pytest.importorskip("jax")

X = np.arange(6, dtype="f").reshape(2, 3)
IMAGE, KERNEL = np.ones((1, 8, 8, 40), "f"), np.ones((3, 3, 40, 40), "f")

PRODUCTS = {
    "matmul": lambda x: hg.matmul(x, x.T),
    "einsum": lambda x: hg.einsum("ij,kj->ik", x, x),
    "tensordot": lambda x: hg.tensordot(x, x, ([1], [1])),
    "vecdot": lambda x: hg.vecdot(x, x),
    "expm": lambda x: hg.linalg.expm(hg.matmul(x, x.T)),
    "conv": lambda x: hg.conv(IMAGE * x[0, 0], KERNEL * x[0, 1]),
    "conv of one channel": lambda x: hg.conv(IMAGE[..., :1] * x[0, 0], KERNEL[:, :, :1] * x[0, 1]),
    "scan": lambda x: hg.scan(lambda h, y: (hg.matmul(h, h) + y, h), hg.matmul(x, x.T), x[:, 0])[0],
    "while_loop": lambda x: hg.while_loop(
        lambda h: hg.sum(h) < 1e3, lambda h: hg.matmul(h, h) + 1.0, hg.matmul(x, x.T), 4
    ),
    "cond": lambda x: hg.cond(
        x[0, 0] > 0, lambda: hg.matmul(x, x.T), lambda: hg.matmul(x.T, x)[:2, :2]
    ),
    "from_jax": lambda x: hg.from_jax(lambda y: y @ y.T)(x),
}


@pytest.fixture(autouse=True)
def _as_before():
    """Begin with nothing said, and leave the setting as it was."""
    before = jax.config.jax_default_matmul_precision
    jax.config.update("jax_default_matmul_precision", None)
    products.matmul_precision = None
    yield
    jax.config.update("jax_default_matmul_precision", before)
    products.matmul_precision = None


def precisions(text):
    """Return the precisions of the products of a program."""
    written = re.findall(r"precision = \[(\w+), \w+\]", text)
    written += re.findall(r"precision_config = \[#stablehlo<precision (\w+)>", text)
    several = text.count("stablehlo.dot_general") + text.count("stablehlo.convolution")
    assert len(written) == several
    return set(written)


def differentiated(f):
    def gradient(x):
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = hg.sum(f(x))
        return tape.gradient(y, x)

    return gradient


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_and_their_gradients(name):
    for f in (PRODUCTS[name], differentiated(PRODUCTS[name])):
        text = hg.function(f, precision="highest").lower_text(X)
        assert precisions(text) <= {"HIGHEST"}
        assert precisions(text) or name == "vecdot"
        usual = hg.function(f).lower_text(X)
        assert usual == hg.function(f, precision="default").lower_text(X)
        if name == "expm":  # JAX has it do a part of its products in full
            usual = usual.replace("HIGHEST", "DEFAULT")
        assert usual == text.replace("HIGHEST", "DEFAULT")


def test_names():
    f = PRODUCTS["matmul"]
    assert precisions(hg.function(f, precision="high").lower_text(X)) == {"HIGH"}
    names = "'default' or 'high' or 'highest'"
    for choose in (
        lambda: hg.function(f, precision="medium"),
        lambda: tf.function(f, precision="medium"),
        lambda: hg.function(f, precision=True),
        lambda: hg.set_matmul_precision("float32"),
        lambda: hg.set_matmul_precision(None),
    ):
        with pytest.raises((ValueError, TypeError), match=names):
            choose()


def test_gradient_that_is_traced_later():
    f = hg.function(PRODUCTS["matmul"], precision="highest")
    f(X)
    x = hg.asarray(X)
    with hg.GradientTape() as outer:
        outer.watch(x)
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = hg.sum(f(x) ** 2)
        slope = hg.sum(tape.gradient(y, x))
    outer.gradient(slope, x)
    (variant,) = f._all
    (pull,) = variant.pulls.values()
    texts = [each.program.text() for each in pull.function._all]
    texts += [
        each.program.text()
        for inner in pull.function._all
        for further in inner.pulls.values()
        for each in further.function._all
    ]
    assert len(texts) > 1
    assert set().union(*map(precisions, texts)) == {"HIGHEST"}


def test_gradient_of_a_call_before_the_setting_is_as_that_call():
    f = hg.function(PRODUCTS["matmul"])
    x = hg.asarray(X)
    with hg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = hg.sum(f(x))
    (pull,) = f._all[0].pulls.values()
    hg.set_matmul_precision("highest")
    tape.gradient(y, x)
    assert {p for v in pull.function._all for p in precisions(v.program.text())} == {"DEFAULT"}


@pytest.mark.parametrize("kind", [hg.function, tf.function])
def test_setting_of_all_is_a_part_of_the_signature(kind):
    traced = []

    @kind
    def f(x):
        traced.append(1)
        return hg.matmul(x, x.T)

    def once():
        f(X)
        return precisions(f.lower_text(X))

    own = kind(PRODUCTS["matmul"], precision="high")
    own(X)
    assert once() == {"DEFAULT"}
    hg.set_matmul_precision("highest")
    assert once() == {"HIGHEST"}
    assert f.signatures[-1] != f.signatures[0] or len(f.signatures) == 2
    hg.set_matmul_precision("high")
    assert once() == {"HIGH"}
    count = len(traced)
    hg.set_matmul_precision("highest")
    assert once() == {"HIGHEST"}
    assert len(traced) == count  # it is remembered
    own(X)
    assert len(own.signatures) == 1  # it has its own
    assert precisions(own.lower_text(X)) == {"HIGH"}


def test_it_is_said_what_changed():
    f = hg.function(PRODUCTS["matmul"])
    f(X)
    hg.set_matmul_precision("highest")
    f(X)
    assert any(each.get("headgate.matmul_precision") == "'highest'" for each in f.signatures)


def test_eager_products_of_jax_arrays(tmp_path):
    x = hg.to_backend(hg.ones((17, 19), dtype="float32"), "jax")
    hg.set_matmul_precision("highest")
    jax.config.update("jax_dump_ir_to", str(tmp_path))  # what JAX compiles for an op
    try:
        differentiated(PRODUCTS["matmul"])(x)
    finally:
        jax.config.update("jax_dump_ir_to", None)
    texts = [path.read_text() for path in tmp_path.iterdir() if "matmul" in path.name]
    assert len(texts) > 1
    assert set().union(*map(precisions, texts)) == {"HIGHEST"}
    equations = jax.make_jaxpr(hg.to_jax(PRODUCTS["matmul"]))(X)
    assert "HIGHEST" in str(equations)


def test_jaxs_own_setting_is_kept_where_nothing_else_is_said():
    f = PRODUCTS["matmul"]
    with jax.default_matmul_precision("highest"):
        assert precisions(hg.function(f).lower_text(X)) == {"HIGHEST"}
        assert precisions(hg.function(f, precision="high").lower_text(X)) == {"HIGH"}
        late = hg.function(f)
        late._variant((X,), {})
    assert precisions(late.lower_text(X)) == {"HIGHEST"}  # lowered after it was traced


def test_inside_of_another_function():
    exact = hg.function(PRODUCTS["matmul"], precision="highest")
    outer = hg.function(lambda x: exact(x) + hg.matmul(x, x.T))
    assert precisions(outer.lower_text(X)) == {"HIGHEST", "DEFAULT"}
    plain = hg.function(PRODUCTS["matmul"], precision="highest", jit=False)
    assert precisions(hg.function(lambda x: plain(x)).lower_text(X)) == {"HIGHEST"}
    np.testing.assert_array_equal(plain(hg.asarray(X)).numpy(), X @ X.T)


def test_not_while_a_function_is_traced():
    def f(x):
        hg.set_matmul_precision("highest")
        return x

    with pytest.raises(hg.TracingError, match="call it before the function runs"):
        hg.function(f)(X)
    assert products.matmul_precision is None


class Model(nn.Layer):
    def build(self, shape):
        self.w = self.add_weight((3, 3), name="w")

    @hg.function(precision="highest")
    def call(self, x):
        return hg.matmul(x, self.w)


def test_method_and_its_copy():
    model = Model()
    model.build((None, 3))
    for each in (model, copy.deepcopy(model)):
        assert precisions(each.call.lower_text(X)) == {"HIGHEST"}
    for kind in (hg.function, tf.function):
        bound = copy.copy(kind(nn.Dense(2).__call__, precision="high"))
        assert precisions(bound.lower_text(X)) == {"HIGH"}


def test_training_step_moved_and_in_another_thread():
    model, rule = nn.Dense(2), optim.Adam(0.01)
    hg.to_backend([model, rule], "jax")
    model.build((None, 3))

    @hg.function(precision="highest")
    def step(x):
        with hg.GradientTape() as tape:
            loss = hg.mean(model(x) ** 2)
        rule.minimize(loss, model.trainable_variables, tape)
        return loss

    found = []
    thread = threading.Thread(target=lambda: found.append(step(X)))
    thread.start()
    thread.join()
    assert precisions(step.lower_text(X)) == {"HIGHEST"}
    assert float(step(X)) < float(found[0])
