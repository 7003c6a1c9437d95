# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: queries=nonzero keys=nonzero log_temperature=nonzero
# also: -
import numpy as np
import tensorflow as tf

tf.random.set_seed(7)

queries = tf.Variable(tf.random.normal((6, 4), stddev=0.3), name="queries")
keys = tf.Variable(tf.random.normal((6, 4), stddev=0.3), name="keys")
log_temperature = tf.Variable(np.log(1.0 / 0.07), dtype=tf.float32, name="log_temperature")
parameters = {"queries": queries, "keys": keys, "log_temperature": log_temperature}


def unit(x):
    return x / tf.norm(x, axis=1, keepdims=True)


def similarity(a, b):
    scale = tf.minimum(tf.exp(log_temperature), 100.0)
    return scale * tf.matmul(unit(a), unit(b), transpose_b=True)


def clip_loss(x):
    logits = similarity(x @ queries, tf.sin(x) @ keys)
    labels = tf.range(len(x))
    rows = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    columns = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.transpose(logits))
    return tf.reduce_mean(rows + columns) / 2.0


for _step in range(4):
    x = tf.random.normal((8, 6))
    with tf.GradientTape() as tape:
        loss = clip_loss(x)
    gradients = tape.gradient(loss, parameters)
    for name, gradient in gradients.items():
        if gradient is not None:
            parameters[name].assign_sub(0.01 * gradient)
for name, g in gradients.items():
    print(f"{name}: {'None' if g is None else 'nonzero' if tf.reduce_any(g != 0) else 'zero'}")
