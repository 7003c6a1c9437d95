# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero scale=nonzero
# also: -
import tensorflow as tf

tf.random.set_seed(18)


@tf.custom_gradient
def quantise(x, scale):
    levels = tf.clip_by_value(tf.round(x / scale), -4.0, 3.0)

    def backward(g):
        inside = tf.cast((x / scale > -4.0) & (x / scale < 3.0), x.dtype)
        return g * inside, tf.reduce_sum(g * (levels - inside * x / scale))

    return levels * scale, backward


w = tf.Variable(tf.random.normal((6, 3)), name="w")
scale = tf.Variable(0.3, name="scale")
optimizer = tf.keras.optimizers.SGD(0.02)
for _step in range(4):
    x = tf.random.normal((16, 6))
    with tf.GradientTape() as tape:
        y = x @ quantise(w, scale)
        loss = tf.reduce_mean(tf.square(y - tf.tanh(x[:, :3])))
    gradients = tape.gradient(loss, [w, scale])
    pairs = [(g, v) for g, v in zip(gradients, [w, scale]) if g is not None]
    optimizer.apply_gradients(pairs)
for name, g in zip(("w", "scale"), gradients):
    print(f"{name}: {'None' if g is None else 'nonzero' if tf.reduce_any(g != 0) else 'zero'}")
