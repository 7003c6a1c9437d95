"""A VQ-VAE whose codebook follows moving averages (dm-haiku)."""

import haiku as hk
import jax
import jax.numpy as jnp
import optax


class VQVAE(hk.Module):
    def __init__(self, width=16, code=4):
        super().__init__(name="vqvae")
        self.encoder = hk.nets.MLP([width, code], name="encoder")
        self.vq = hk.nets.VectorQuantizerEMA(
            embedding_dim=code, num_embeddings=8, commitment_cost=0.25, decay=0.9, name="vq"
        )
        self.decoder = hk.nets.MLP([width, 6], name="decoder")

    def __call__(self, x, is_training):
        z = self.encoder(x)
        vq_output = self.vq(z, is_training=is_training)
        x_recon = self.decoder(vq_output["quantize"])
        recon_error = jnp.mean((x_recon - x) ** 2)
        return {
            "loss": recon_error + vq_output["loss"],
            "perplexity": vq_output["perplexity"],
        }


def forward(x, is_training):
    return VQVAE()(x, is_training)


forward = hk.transform_with_state(forward)
optimizer = optax.adam(3e-3)


@jax.jit
def train_step(params, state, opt_state, x):
    def adapt_forward(params, state, x):
        model_output, state = forward.apply(params, state, None, x, is_training=True)
        return model_output["loss"], (model_output, state)

    grads, (model_output, state) = jax.grad(adapt_forward, has_aux=True)(params, state, x)
    updates, opt_state = optimizer.update(grads, opt_state)
    params = optax.apply_updates(params, updates)
    return params, state, opt_state, model_output


key = jax.random.PRNGKey(42)
x = jax.random.normal(key, (16, 6))
params, state = forward.init(key, x, is_training=True)
opt_state = optimizer.init(params)
for step in range(4):
    params, state, opt_state, output = train_step(params, state, opt_state, x)
    print(f"step {step}:", {name: float(value) for name, value in sorted(output.items())})

for module, name, value in hk.data_structures.traverse(params):
    print(module, name, repr(float(jnp.abs(value).sum())))
