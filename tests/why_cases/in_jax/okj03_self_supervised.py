# cause: none
# line: 0
# affected: -
# symptom: legit: one branch of two is a constant
# expect: simsiam=learns byol=learns dino=learns
# also: -
# stops: 42 48 55
"""SimSiam, BYOL with a moving average and DINO with a centre, by scans and by loops."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Net(NamedTuple):
    encoder: Any
    predictor: Any


def init(key):
    k1, k2 = jax.random.split(key)
    return Net(jax.random.normal(k1, (5, 6)) / 2, jax.random.normal(k2, (6, 6)) / 2)


def cosine(a, b):
    a = a / jnp.sqrt(jnp.sum(a**2, axis=-1, keepdims=True) + 1e-8)
    b = b / jnp.sqrt(jnp.sum(b**2, axis=-1, keepdims=True) + 1e-8)
    return jnp.mean(jnp.sum(a * b, axis=-1))


def views(key):
    k1, k2 = jax.random.split(key)
    x = jax.random.normal(k1, (16, 5))
    return x, x + 0.1 * jax.random.normal(k2, x.shape)


def simsiam(net, key):
    z1, z2 = (jnp.tanh(v @ net.encoder) for v in views(key))
    p1, p2 = z1 @ net.predictor, z2 @ net.predictor
    z1, z2 = lax.stop_gradient((z1, z2))
    return -(cosine(p1, z2) + cosine(p2, z1)) / 2


def byol(net, target, key):
    first, second = views(key)
    wanted = jax.tree.map(lax.stop_gradient, jnp.tanh(second @ target.encoder))
    return -cosine(jnp.tanh(first @ net.encoder) @ net.predictor, wanted)


def dino(net, target, centre, key):
    first, second = views(key)
    teacher = jnp.tanh(second @ target.encoder) @ target.predictor
    centre = 0.9 * centre + 0.1 * lax.stop_gradient(teacher.mean(axis=0))
    aim = jax.nn.softmax((teacher - centre) / 0.5)
    student = jax.nn.log_softmax(jnp.tanh(first @ net.encoder) @ net.predictor)
    return -jnp.mean(jnp.sum(aim * student, axis=-1)), centre


def descend(net, grads):
    return jax.tree.map(lambda p, g: p - 0.1 * g, net, grads)


def slow(target, net):
    return jax.tree.map(lambda t, p: 0.9 * t + 0.1 * p, target, net)


def report(name, before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    still = any(jnp.array_equal(a, b) for a, b in pairs)
    print(f"{name}: {'still' if still else 'learns'}")


start = net = init(jax.random.key(1))
keys = jax.random.split(jax.random.key(2), 3)
for key in keys:
    net = descend(net, jax.grad(simsiam)(net, key))
report("simsiam", start, net)


def step(carry, key):
    net, target = carry
    loss, grads = jax.value_and_grad(byol)(net, target, key)
    net = descend(net, grads)
    return (net, slow(target, net)), loss


(net, _), losses = jax.jit(lambda carry: lax.scan(step, carry, keys))((start, start))
report("byol", start, net)

net = target = start
centre = jnp.zeros(6)
for key in keys:
    grads, centre = jax.grad(dino, has_aux=True)(net, target, centre, key)
    net = descend(net, grads)
    target = slow(target, net)
report("dino", start, net)
