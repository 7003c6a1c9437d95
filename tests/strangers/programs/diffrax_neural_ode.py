"""A neural ODE on oscillations (diffrax)."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import optax


class Func(eqx.Module):
    out_scale: jax.Array
    mlp: eqx.nn.MLP

    def __init__(self, data_size, width_size, depth, *, key):
        self.out_scale = jnp.array(1.0)
        self.mlp = eqx.nn.MLP(
            in_size=data_size,
            out_size=data_size,
            width_size=width_size,
            depth=depth,
            activation=jax.nn.softplus,
            final_activation=jnp.tanh,
            key=key,
        )

    def __call__(self, t, y, args):
        return self.out_scale * self.mlp(y)


class NeuralODE(eqx.Module):
    func: Func

    def __init__(self, data_size, width_size, depth, *, key):
        self.func = Func(data_size, width_size, depth, key=key)

    def __call__(self, ts, y0):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(self.func),
            diffrax.Tsit5(),
            t0=ts[0],
            t1=ts[-1],
            dt0=ts[1] - ts[0],
            y0=y0,
            stepsize_controller=diffrax.PIDController(rtol=1e-3, atol=1e-6),
            saveat=diffrax.SaveAt(ts=ts),
            max_steps=64,
        )
        return solution.ys


@eqx.filter_value_and_grad
def grad_loss(model, ti, yi):
    y_pred = jax.vmap(model, in_axes=(None, 0))(ti, yi[:, 0])
    return jnp.mean((yi - y_pred) ** 2)


@eqx.filter_jit
def make_step(ti, yi, model, opt_state):
    loss, grads = grad_loss(model, ti, yi)
    updates, opt_state = optim.update(grads, opt_state)
    return loss, eqx.apply_updates(model, updates), opt_state


ts = jnp.linspace(0, 2, 6)
phases = jnp.linspace(0.0, 1.0, 4)[:, None]
ys = jnp.stack([jnp.cos(ts + phases), -jnp.sin(ts + phases)], axis=-1)
model = NeuralODE(2, 8, 2, key=jax.random.PRNGKey(5))
optim = optax.adabelief(3e-3)
opt_state = optim.init(eqx.filter(model, eqx.is_inexact_array))
for step in range(3):
    loss, model, opt_state = make_step(ts, ys, model, opt_state)
    print(f"Step: {step}, Loss: {float(loss)!r}")

for path, value in jax.tree_util.tree_leaves_with_path(eqx.filter(model, eqx.is_inexact_array)):
    print(jax.tree_util.keystr(path), repr(float(jnp.abs(value).sum())))
