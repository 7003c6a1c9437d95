# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: weight=learns bias=learns
# also: -
# args: --flow '*bias'
import equinox as eqx
import jax
import jax.numpy as jnp
import optax


class Model(eqx.Module):
    net: eqx.nn.MLP
    bias: jax.Array

    def __init__(self, key):
        self.net = eqx.nn.MLP(3, 2, 8, 1, use_final_bias=False, key=key)
        self.bias = jnp.zeros(2)

    def __call__(self, x):
        return self.net(x) + self.bias


def fine_tune(model, x, y, steps):
    """Only the last layer learns: its weight and its bias."""
    spec = jax.tree.map(lambda _: False, model)
    spec = eqx.tree_at(lambda m: (m.net.layers[-1].weight, m.bias), spec, (True, True))
    trained, rest = eqx.partition(model, spec)
    optimizer = optax.sgd(0.1)
    state = optimizer.init(trained)

    @eqx.filter_jit
    def step(trained, state):
        def loss_fn(trained):
            model = eqx.combine(trained, rest)
            return jnp.mean((jax.vmap(model)(x) - y) ** 2)

        loss, grads = eqx.filter_value_and_grad(loss_fn)(trained)
        updates, state = optimizer.update(grads, state)
        return eqx.apply_updates(trained, updates), state, loss

    for _ in range(steps):
        trained, state, loss = step(trained, state)
    return eqx.combine(trained, rest)


before = Model(jax.random.key(20))
x = jax.random.normal(jax.random.key(21), (12, 3))
after = fine_tune(before, x, jnp.stack([x[:, 0], x[:, 1] ** 2], axis=1), steps=3)
same = {
    "weight": (before.net.layers[-1].weight == after.net.layers[-1].weight).all(),
    "bias": (before.bias == after.bias).all(),
}
for name, still in same.items():
    print(f"{name}: {'still' if still else 'learns'}")
