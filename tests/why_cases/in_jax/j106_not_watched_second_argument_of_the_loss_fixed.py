# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: encoder.0=learns encoder.1=learns decoder.0=learns decoder.1=learns
# also: -
# args: --flow 'decoder*'
import jax
import jax.numpy as jnp


def init(key, sizes):
    keys = jax.random.split(key, len(sizes) - 1)
    return [jax.random.normal(k, (n, m)) / n**0.5 for k, n, m in zip(keys, sizes[:-1], sizes[1:])]


def mlp(layers, x):
    for w in layers[:-1]:
        x = jnp.tanh(x @ w)
    return x @ layers[-1]


def reconstruction(encoder, decoder, x):
    code = mlp(encoder, x)
    return jnp.mean((mlp(decoder, code) - x) ** 2)


def descend(params, grads):
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


@jax.jit
def step(encoder, decoder, x):
    loss, grads = jax.value_and_grad(reconstruction, argnums=(0, 1))(encoder, decoder, x)
    return descend((encoder, decoder), grads), loss


k1, k2, k3 = jax.random.split(jax.random.PRNGKey(0), 3)
encoder = init(k1, [6, 8, 2])
decoder = init(k2, [2, 8, 6])
x = jax.random.normal(k3, (64, 6))
before = {"encoder": encoder, "decoder": decoder}
for _ in range(5):
    (encoder, decoder), loss = step(encoder, decoder, x)
after = {"encoder": encoder, "decoder": decoder}
for part in before:
    for i, (old, new) in enumerate(zip(before[part], after[part])):
        print(f"{part}.{i}: {'still' if (old == new).all() else 'learns'}")
