# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: mu=nonzero log_std=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


mu = tf.Variable([0.5, -0.7], name="mu")
log_std = tf.Variable([0.0, 0.0], name="log_std")
noise = 0.01 * tf.random.normal((8, 2))
with tf.GradientTape() as tape:
    action = mu + noise
    action = tf.clip_by_value(action, -1.0, 1.0)
    loss = tf.reduce_mean((action - 0.3) ** 2 * tf.exp(log_std))
report([mu, log_std], tape.gradient(loss, [mu, log_std]))
