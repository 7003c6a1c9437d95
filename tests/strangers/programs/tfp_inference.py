"""Variational inference, a flow, Hamiltonian Monte Carlo, and a Bayesian layer (TFP)."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

tfb, tfd = tfp.bijectors, tfp.distributions
tf_keras.utils.set_random_seed(26)

x = np.random.normal(size=(40, 3)).astype("float32")
y = (x @ np.array([1.0, -2.0, 0.5], "float32") + 0.1 * np.random.normal(size=40)).astype("float32")

# A surrogate of the posterior of a linear regression.
joint = tfd.JointDistributionNamedAutoBatched(
    {
        "weights": tfd.Sample(tfd.Normal(0.0, 2.0), 3),
        "scale": tfd.HalfNormal(1.0),
        "y": lambda scale, weights: tfd.Normal(tf.linalg.matvec(x, weights), scale),
    }
)
pinned = joint.experimental_pin(y=y)
surrogate = tfp.experimental.vi.build_factored_surrogate_posterior(
    event_shape=pinned.event_shape,
    bijector=pinned.experimental_default_event_space_bijector(),
    seed=(1, 2),
)
losses = tfp.vi.fit_surrogate_posterior(
    pinned.unnormalized_log_prob,
    surrogate,
    optimizer=tf_keras.optimizers.legacy.Adam(0.1),
    num_steps=12,
    sample_size=4,
    seed=(3, 4),
)
print("vi", repr(float(losses[0])), repr(float(losses[-1])))
for variable in surrogate.trainable_variables:
    print(variable.name, variable.numpy().tolist())

# A flow, by a tape of one's own.
loc = tf.Variable(tf.zeros(2), name="loc")
raw_scale = tf.Variable(tf.zeros(2), name="raw_scale")
tail = tf.Variable(1.0, name="tail")
skew = tf.Variable(0.0, name="skew")
optimizer = tf_keras.optimizers.legacy.SGD(0.02)
data = tfd.MultivariateNormalTriL(loc=[1.0, -1.0], scale_tril=[[1.0, 0.0], [0.6, 0.8]]).sample(
    64, seed=(5, 6)
)
for step in range(6):
    with tf.GradientTape() as tape:
        bijector = tfb.Chain(
            [
                tfb.Shift(loc),
                tfb.Scale(tf.math.softplus(raw_scale)),
                tfb.SinhArcsinh(skewness=skew, tailweight=tf.math.softplus(tail)),
            ]
        )
        flow = tfd.TransformedDistribution(tfd.MultivariateNormalDiag(tf.zeros(2)), bijector)
        loss = -tf.reduce_mean(flow.log_prob(data))
    variables = [loc, raw_scale, tail, skew]
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    print("flow", step, repr(float(loss)))

# A sampler, whose gradients nobody trains by.
kernel = tfp.mcmc.HamiltonianMonteCarlo(
    lambda weights: tf.reduce_sum(tfd.Normal(tf.linalg.matvec(x, weights), 0.5).log_prob(y)),
    step_size=0.05,
    num_leapfrog_steps=3,
)


@tf.function
def chain():
    return tfp.mcmc.sample_chain(
        num_results=5, current_state=tf.zeros(3), kernel=kernel, trace_fn=None, seed=(7, 8)
    )


print("hmc", chain().numpy().tolist())

# A layer with a posterior of weights, in fit.
model = tf_keras.Sequential(
    [
        tf_keras.layers.Input((3,)),
        tfp.layers.DenseReparameterization(8, activation="relu", name="bayes"),
        tf_keras.layers.Dense(1, name="mean"),
    ]
)
model.compile(tf_keras.optimizers.legacy.Adam(0.01), "mse")
history = model.fit(x, y, batch_size=10, epochs=2, shuffle=False, verbose=0)
print("fit", [round(value, 5) >= 0.0 for value in history.history["loss"]])
for variable in model.trainable_variables:
    print(variable.name, variable.shape)
