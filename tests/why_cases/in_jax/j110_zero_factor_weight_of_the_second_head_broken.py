# cause: zero_factor zero_derivative
# line: 23
# affected: depth
# symptom: zero
# expect: depth=still label=learns trunk=learns
# also: 11 21 22
import jax
import jax.numpy as jnp
import optax

WEIGHTS = {"label": 1, "depth": 1 // 2}


def forward(params, x):
    h = jax.nn.gelu(x @ params["trunk"])
    return {name: h @ params[name] for name in WEIGHTS}


def loss_fn(params, x, targets):
    outputs = forward(params, x)
    weights = [WEIGHTS[name] for name in WEIGHTS]
    losses = [jnp.mean((outputs[name] - targets[name]) ** 2) for name in WEIGHTS]
    loss = losses[0] * weights[0] + losses[1] * weights[1]
    return loss, dict(zip(WEIGHTS, losses))


k = jax.random.split(jax.random.key(10), 4)
params = {
    "trunk": jax.random.normal(k[0], (4, 8)) / 2,
    "label": jax.random.normal(k[1], (8,)) / 3,
    "depth": jax.random.normal(k[2], (8,)) / 3,
}
x = jax.random.normal(k[3], (20, 4))
targets = {"label": jnp.tanh(x[:, 0]), "depth": jnp.abs(x[:, 1])}
optimizer = optax.sgd(0.05, momentum=0.9)
state = optimizer.init(params)


@jax.jit
def update(params, state):
    (_, terms), grads = jax.value_and_grad(loss_fn, has_aux=True)(params, x, targets)
    updates, state = optimizer.update(grads, state)
    return optax.apply_updates(params, updates), state, terms


first = params
for _ in range(6):
    params, state, terms = update(params, state)
for name in sorted(params):
    print(f"{name}: {'still' if (params[name] == first[name]).all() else 'learns'}")
