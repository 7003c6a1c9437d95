"""An inner fit and a fixed point, differentiated by what defines them (optimistix)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import optimistix as optx

x = jnp.linspace(-1.0, 1.0, 20)
y = jnp.exp(0.7 * x) + 0.05 * jnp.sin(20 * x)


def residuals(coefficients, penalty):
    fitted = jnp.polyval(coefficients, x[::2]) - y[::2]
    return jnp.concatenate([fitted, jnp.exp(penalty["log_weight"]) * coefficients])


def validation(penalty):
    solver = optx.LevenbergMarquardt(rtol=1e-6, atol=1e-6)
    solution = optx.least_squares(
        residuals, solver, jnp.zeros(4), args=penalty, throw=False, max_steps=32
    )
    error = jnp.polyval(solution.value, x[1::2]) - y[1::2]
    return jnp.mean(error**2)


penalty = {"log_weight": jnp.full(4, -2.0)}
optimizer = optax.sgd(0.5)
state = optimizer.init(penalty)
for step in range(3):
    value, grads = eqx.filter_jit(eqx.filter_value_and_grad(validation))(penalty)
    updates, state = optimizer.update(grads, state)
    penalty = optax.apply_updates(penalty, updates)
    print(f"step {step}: {float(value)!r}")


class Equilibrium(eqx.Module):
    inner: eqx.nn.Linear
    outer: eqx.nn.Linear

    def __init__(self, key):
        k1, k2 = jax.random.split(key)
        self.inner = eqx.nn.Linear(3, 3, key=k1)
        self.outer = eqx.nn.Linear(2, 3, key=k2)

    def __call__(self, x):
        def step(z, args):
            return jnp.tanh(0.5 * self.inner(z) + self.outer(args))

        solver = optx.FixedPointIteration(rtol=1e-5, atol=1e-5)
        return optx.fixed_point(step, solver, jnp.zeros(3), args=x, throw=False).value.sum()


@eqx.filter_jit
def train_step(model, x, y):
    def loss_fn(model):
        return jnp.mean((jax.vmap(model)(x) - y) ** 2)

    loss, grads = eqx.filter_value_and_grad(loss_fn)(model)
    return eqx.apply_updates(model, jax.tree.map(lambda g: -0.1 * g, grads)), loss


model = Equilibrium(jax.random.key(1))
points = jax.random.normal(jax.random.key(2), (8, 2))
for _ in range(3):
    model, loss = train_step(model, points, points[:, 0])
print("loss", repr(float(loss)), "log_weight", penalty["log_weight"].tolist())
for path, value in jax.tree_util.tree_leaves_with_path(eqx.filter(model, eqx.is_array)):
    print(jax.tree_util.keystr(path), repr(float(jnp.abs(value).sum())))
