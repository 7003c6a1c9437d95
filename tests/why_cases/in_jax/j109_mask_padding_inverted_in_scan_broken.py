# cause: mask zero_derivative
# line: 21
# affected: cell.b cell.u cell.w embed out
# symptom: zero
# expect: bias=nonzero cell.b=zero cell.u=zero cell.w=zero embed=zero out=zero
# also: 20 24 25
import jax
import jax.numpy as jnp

PAD = 0


def cell(p, h, x):
    return jnp.tanh(x @ p["w"] + h @ p["u"] + p["b"])


def encode(params, tokens):
    def step(h, token):
        new = cell(params["cell"], h, params["embed"][token])
        inside = token == PAD
        h = jnp.where(inside, new, h)
        return h, None

    h = jnp.zeros(6)
    h, _ = jax.lax.scan(step, h, tokens)
    return h


def loss_fn(params, tokens, y):
    h = jax.vmap(encode, in_axes=(None, 0))(params, tokens)
    return jnp.mean((h @ params["out"] + params["bias"] - y) ** 2)


k = jax.random.split(jax.random.key(9), 5)
params = {
    "embed": jax.random.normal(k[0], (10, 3)),
    "cell": {
        "w": 0.5 * jax.random.normal(k[1], (3, 6)),
        "u": 0.5 * jax.random.normal(k[2], (6, 6)),
        "b": jnp.zeros(6),
    },
    "out": jnp.ones(6),
    "bias": jnp.array(0.0),
}
tokens = jax.random.randint(k[3], (8, 7), 1, 10)
y = tokens.sum(axis=1) / 30.0
grads = jax.grad(loss_fn)(params, tokens, y)
for path, g in jax.tree_util.tree_leaves_with_path(grads):
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    print(f"{name}: {'nonzero' if jnp.any(g != 0) else 'zero'}")
