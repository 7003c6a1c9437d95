# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: encoder.kernel=nonzero encoder.bias=nonzero decoder.kernel=nonzero decoder.bias=nonzero
# also: -
import keras
import tensorflow as tf

keras.utils.set_random_seed(25)

encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, "tanh", name="encoder")])
decoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(6, name="decoder")])
optimizer = keras.optimizers.Adam(1e-2)
nets = (encoder, decoder)


def parts():
    return [v for net in nets for v in net.trainable_variables]


for _step in range(4):
    x = tf.random.normal((16, 6))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([v.value for v in encoder.trainable_variables])
        tape.watch([v.value for v in decoder.trainable_variables])
        loss = tf.reduce_mean(tf.square(decoder(encoder(x)) - x))
    gradients = tape.gradient(loss, parts())
    optimizer.apply_gradients([(g, v) for g, v in zip(gradients, parts()) if g is not None])
for v, g in zip(parts(), gradients):
    said = "None" if g is None else "nonzero" if tf.reduce_any(g != 0) else "zero"
    print(f"{'.'.join(v.path.split('/')[-2:])}: {said}")
