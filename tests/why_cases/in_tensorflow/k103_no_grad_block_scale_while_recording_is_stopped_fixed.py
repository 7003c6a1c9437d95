# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: encoder=nonzero gain=nonzero decoder=nonzero
# also: -
import tensorflow as tf

tf.random.set_seed(3)

encoder = tf.Variable(tf.random.normal((5, 6)), name="encoder")
gain = tf.Variable(tf.ones(6), name="gain")
decoder = tf.Variable(tf.random.normal((6, 2)), name="decoder")
history = []


@tf.function
def gradients_of(x, y):
    with tf.GradientTape() as tape:
        h = tf.nn.relu(x @ encoder)
        with tape.stop_recording():
            # The statistics are for the log only.
            mean, variance = tf.nn.moments(h, axes=[0])
            history_entry = tf.reduce_mean(variance)
        h = gain * (h - mean) / tf.sqrt(variance + 1e-5)
        loss = tf.reduce_mean(tf.square(h @ decoder - y))
    return tape.gradient(loss, [encoder, gain, decoder]), history_entry


for _step in range(3):
    x = tf.random.normal((12, 5))
    gradients, entry = gradients_of(x, tf.sin(x[:, :2]))
    history.append(float(entry))
    for variable, gradient in zip((encoder, gain, decoder), gradients):
        if gradient is not None:
            variable.assign_sub(0.05 * gradient)
for name, g in zip(("encoder", "gain", "decoder"), gradients):
    print(f"{name}: {'None' if g is None else 'nonzero' if tf.reduce_any(g != 0) else 'zero'}")
