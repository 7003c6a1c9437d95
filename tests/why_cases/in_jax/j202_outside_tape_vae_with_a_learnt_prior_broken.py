# cause: outside_tape variable_replaced unused_parameter
# line: 104
# affected: pseudo
# symptom: not updated
# expect: decoder.hidden.b=learns decoder.hidden.w=learns decoder.out.b=learns decoder.out.w=learns encoder.hidden.b=learns encoder.hidden.w=learns encoder.log_var.b=learns encoder.log_var.w=learns encoder.mean.b=learns encoder.mean.w=learns pseudo=still
# also: 37 65 70 87 90 109
"""A variational autoencoder whose prior is a mixture of the codes of learnt pseudo-inputs."""

import functools

import jax
import jax.numpy as jnp

SIZE, HIDDEN, CODE, PSEUDO = 10, 16, 3, 4
LOG_TWO_PI = 1.8378770664093453


# -- parameters ------------------------------------------------------------------------------------


def linear(key, n, m):
    return {"w": jax.random.normal(key, (n, m)) / n**0.5, "b": jnp.zeros(m)}


def init(key):
    k = jax.random.split(key, 6)
    return {
        "encoder": {
            "hidden": linear(k[0], SIZE, HIDDEN),
            "mean": linear(k[1], HIDDEN, CODE),
            "log_var": linear(k[2], HIDDEN, CODE),
        },
        "decoder": {
            "hidden": linear(k[3], CODE, HIDDEN),
            "out": linear(k[4], HIDDEN, SIZE),
        },
        "pseudo": 0.5 * jax.random.normal(k[5], (PSEUDO, SIZE)),
    }


def apply(layer, x):
    return x @ layer["w"] + layer["b"]


# -- model -----------------------------------------------------------------------------------------


def encode(params, x):
    encoder = params["encoder"]
    h = jnp.tanh(apply(encoder["hidden"], x))
    return apply(encoder["mean"], h), apply(encoder["log_var"], h)


def decode(params, z):
    decoder = params["decoder"]
    return apply(decoder["out"], jnp.tanh(apply(decoder["hidden"], z)))


def log_normal(z, mean, log_var):
    return -0.5 * jnp.sum(LOG_TWO_PI + log_var + (z - mean) ** 2 * jnp.exp(-log_var), axis=-1)


def prior_of(params):
    """The components of the prior: the posteriors of the pseudo-inputs."""
    mean, log_var = encode(params, params["pseudo"])
    return mean, log_var


def mixture_log_prob(prior, z):
    means, log_vars = prior
    each = log_normal(z[:, None], means[None], log_vars[None])
    return jax.nn.logsumexp(each, axis=1) - jnp.log(PSEUDO)


def reparameterize(key, mean, log_var):
    return mean + jnp.exp(0.5 * log_var) * jax.random.normal(key, mean.shape)


# -- training --------------------------------------------------------------------------------------


def make_loss(prior):
    def elbo(params, key, x):
        mean, log_var = encode(params, x)
        z = reparameterize(key, mean, log_var)
        fit = -0.5 * jnp.sum((decode(params, z) - x) ** 2, axis=-1) / 0.25
        log_prior = mixture_log_prob(prior, z)
        return fit + log_prior - log_normal(z, mean, log_var)

    def loss_fn(params, key, x):
        return -jnp.mean(elbo(params, key, x))

    return loss_fn


@functools.partial(jax.jit, static_argnames="rate")
def descend(params, grads, rate=1e-2):
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads)))
    factor = rate * jnp.minimum(1.0, 5.0 / norm)
    return jax.tree.map(lambda p, g: p - factor * g, params, grads)


def epoch(params, key, batches):
    prior = prior_of(params)
    step_grad = jax.jit(jax.value_and_grad(make_loss(prior)))
    total = 0.0
    for x in batches:
        key, k = jax.random.split(key)
        loss, grads = step_grad(params, k, x)
        params = descend(params, grads)
        total += loss
    return params, total / len(batches)


def data(key, batches, size):
    k1, k2 = jax.random.split(key)
    z = jax.random.normal(k1, (batches, size, 2))
    mixing = jax.random.normal(k2, (2, SIZE))
    return jnp.tanh(z @ mixing)


def main():
    k_init, k_data, k_train = jax.random.split(jax.random.PRNGKey(202), 3)
    params = start = init(k_init)
    batches = data(k_data, 3, 16)
    for k in jax.random.split(k_train, 2):
        params, loss = epoch(params, k, batches)
    for (path, after), before in zip(jax.tree.leaves_with_path(params), jax.tree.leaves(start)):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        print(f"{name}: {'still' if jnp.array_equal(after, before) else 'learns'}")


main()
