# cause: none
# line: 0
# affected: -
# symptom: legit: the norm of an inner gradient is a part of the loss
# expect: d1=nonzero d2=nonzero
# also: -
# stops: 30
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


d1 = tf.Variable(tf.random.normal((3, 6)), name="d1")
d2 = tf.Variable(tf.random.normal((6, 1)), name="d2")
g = tf.Variable(tf.random.normal((2, 3)), name="g")


def critic(x):
    return tf.tanh(x @ d1) @ d2


real, noise = tf.random.normal((8, 3)) + 1.0, tf.random.normal((8, 2))
with tf.GradientTape() as tape:
    fake = tf.stop_gradient(noise @ g)
    share = tf.random.uniform((8, 1))
    between = share * real + (1.0 - share) * fake
    with tf.GradientTape() as inner:
        inner.watch(between)
        score = critic(between)
    slope = inner.gradient(score, between)
    length = tf.sqrt(tf.reduce_sum(slope**2, axis=1) + 1e-12)
    loss = tf.reduce_mean(critic(fake)) - tf.reduce_mean(critic(real))
    loss = loss + 10.0 * tf.reduce_mean((length - 1.0) ** 2)
report([d1, d2], tape.gradient(loss, [d1, d2]))
