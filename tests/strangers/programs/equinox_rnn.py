"""A recurrent classifier of spirals (equinox)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax


class RNN(eqx.Module):
    hidden_size: int
    cell: eqx.nn.GRUCell
    linear: eqx.nn.Linear
    bias: jax.Array

    def __init__(self, in_size, out_size, hidden_size, *, key):
        ckey, lkey = jax.random.split(key)
        self.hidden_size = hidden_size
        self.cell = eqx.nn.GRUCell(in_size, hidden_size, key=ckey)
        self.linear = eqx.nn.Linear(hidden_size, out_size, use_bias=False, key=lkey)
        self.bias = jnp.zeros(out_size)

    def __call__(self, xs):
        hidden = jnp.zeros((self.hidden_size,))

        def step(carry, x):
            return self.cell(x, carry), None

        out, _ = jax.lax.scan(step, hidden, xs)
        return jax.nn.sigmoid(self.linear(out) + self.bias)


def spirals(size, length, *, key):
    t = jnp.linspace(0, 2 * jnp.pi, length)
    offset = jax.random.uniform(key, (size, 1), minval=0, maxval=2 * jnp.pi)
    x1, x2 = jnp.sin(t + offset) / (1 + t), jnp.cos(t + offset) / (1 + t)
    y = jnp.where(jnp.arange(size) < size // 2, 1, 0)
    x1 = jnp.where(y[:, None] == 1, -x1, x1)
    return jnp.stack([x1, x2], axis=-1), y


@eqx.filter_value_and_grad
def compute_loss(model, x, y):
    pred_y = jax.vmap(model)(x)[:, 0]
    return -jnp.mean(y * jnp.log(pred_y) + (1 - y) * jnp.log(1 - pred_y))


@eqx.filter_jit
def make_step(model, x, y, opt_state):
    loss, grads = compute_loss(model, x, y)
    updates, opt_state = optim.update(grads, opt_state)
    model = eqx.apply_updates(model, updates)
    return loss, model, opt_state


data_key, model_key = jax.random.split(jax.random.PRNGKey(5678))
x, y = spirals(16, 8, key=data_key)
model = RNN(in_size=2, out_size=1, hidden_size=8, key=model_key)
optim = optax.adam(3e-3)
opt_state = optim.init(eqx.filter(model, eqx.is_inexact_array))
for step in range(4):
    loss, model, opt_state = make_step(model, x, y, opt_state)
    print(f"step={step}, loss={loss.item()!r}")

for path, value in jax.tree_util.tree_leaves_with_path(eqx.filter(model, eqx.is_inexact_array)):
    print(jax.tree_util.keystr(path), repr(float(jnp.abs(value).sum())))
