# cause: none
# line: 0
# affected: -
# symptom: legit: models as classes, modules of flax, equinox' kind of trees, inputs differentiated
# expect: model=learns attack=learns saliency=learns statistics=learns logged=learns pulled=learns
# also: -
# stops: 73
"""A dataclass that is a tree, a class with methods, statistics of a batch as aux, saliency, attacks."""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax


@functools.partial(jax.tree_util.register_dataclass, data_fields=["w", "b"], meta_fields=["act"])
@dataclass
class Layer:
    w: jax.Array
    b: jax.Array
    act: str = "tanh"

    def __call__(self, x):
        return getattr(jax.nn, self.act)(x @ self.w + self.b)


@jax.tree_util.register_pytree_node_class
class Model:
    def __init__(self, layers, scale):
        self.layers, self.scale = layers, scale

    def tree_flatten(self):
        return (self.layers, self.scale), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)

    @jax.jit
    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.scale * x


def init(key):
    k1, k2 = jax.random.split(key)
    first = Layer(jax.random.normal(k1, (3, 6)), jnp.zeros(6))
    last = Layer(jax.random.normal(k2, (6, 2)) / 2, jnp.zeros(2), "silu")
    return Model([first, last], jnp.array(1.0))


def cross_entropy(model, x, y):
    logits = model(x)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1))


def with_statistics(params, mean, x, y):
    """A running mean for evaluation goes out as aux, and is no parameter."""
    h = x @ params["w"]
    here = h.mean(axis=0)
    spread = jnp.sqrt(h.var(axis=0) + 1e-5)
    loss = jnp.mean(((h - here) / spread * params["scale"] + params["shift"] - y) ** 2)
    return loss, 0.9 * mean + 0.1 * lax.stop_gradient(here)


def logged(params, x, y):
    """Accuracy and the histogram are for the log."""
    logits = x @ params["w"]
    loss = jnp.mean(jax.nn.softplus(-y * logits))
    logits = lax.stop_gradient(logits)
    accuracy = jnp.mean(jnp.sign(logits) == y)
    jax.debug.callback(lambda a: None, accuracy)
    return loss, {"accuracy": accuracy, "count": jnp.round(logits).astype(jnp.int32)}


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


x = jax.random.normal(jax.random.key(0), (16, 3))
y = (x[:, 0] > 0).astype(jnp.int32)
start = model = init(jax.random.key(1))
for _ in range(3):
    loss, grads = jax.value_and_grad(cross_entropy)(model, x, y)
    model = jax.tree.map(lambda p, g: p - 0.1 * g, model, grads)
report("model", start, model)

saliency = jax.vmap(jax.grad(lambda x: model(x)[0]))(x)
attacked = x + 0.1 * jnp.sign(jax.grad(cross_entropy, argnums=1)(model, x, y))
report("attack", x[0], attacked[0])
report("saliency", jnp.zeros_like(x), saliency)

start = params = {"w": jnp.eye(3, 2), "scale": jnp.ones(2), "shift": jnp.zeros(2)}
mean = jnp.zeros(2)
step = jax.jit(jax.grad(with_statistics, has_aux=True))
for _ in range(3):
    grads, mean = step(params, mean, x, x[:, :2] + 0.3)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
report("statistics", start, params)

start = params = {"w": jnp.full(3, 0.1)}
for _ in range(3):
    (loss, log), grads = jax.value_and_grad(logged, has_aux=True)(params, x, 2.0 * y - 1.0)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
report("logged", start, params)

first, pull = jax.vjp(lambda w, x: jnp.tanh(x @ w), params["w"], x)
given, _ = pull(jnp.ones_like(first))
report("pulled", start["w"], params["w"] - 0.1 * given)
