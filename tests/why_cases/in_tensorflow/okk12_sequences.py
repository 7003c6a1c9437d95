# cause: none
# line: 0
# affected: -
# symptom: legit: recurrent layers, attention, masks, teacher forcing, carried state, and pipelines
# expect: masked=learns stateful=learns translate=learns attention=learns
# also: -
# stops: 59 100
"""Recurrent layers with masks and with state, an encoder with a decoder, and attention in fit."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(312)
layers = keras.layers
TOKENS = np.random.randint(1, 9, size=(32, 6))
TOKENS[:, 4:][::2] = 0


def values(model):
    return {v.path: v.numpy() for v in model.trainable_variables}


def moved(model, start):
    changed = [(v.numpy() != start[v.path]).any() for v in model.trainable_variables]
    return "learns" if all(changed) else "still"


def masked():
    model = keras.Sequential(
        [
            layers.Embedding(9, 6, mask_zero=True),
            layers.Bidirectional(layers.GRU(5, return_sequences=True)),
            layers.LSTM(4, unroll=True),
            layers.Dense(1, "sigmoid"),
        ]
    )
    model.build((None, 6))
    start = values(model)
    model.compile("adam", "binary_crossentropy", jit_compile=False)
    data = tf.data.Dataset.from_tensor_slices((TOKENS, TOKENS[:, 0] > 4))
    data = data.shuffle(32, seed=2).batch(8).map(lambda x, y: (x, tf.cast(y, tf.float32)))
    model.fit(data.prefetch(tf.data.AUTOTUNE), epochs=2, verbose=0)
    return moved(model, start)


def stateful(steps=4):
    """The state goes on from one piece to the next, as a constant."""
    cell, out = layers.GRUCell(6), layers.Dense(1)
    cell.build((None, 1))
    out.build((None, 6))
    variables = cell.trainable_variables + out.trainable_variables
    start, optimizer = [v.numpy() for v in variables], keras.optimizers.Adam(1e-2)
    state = tf.zeros((4, 6))
    series = tf.sin(0.3 * tf.range(41.0) + tf.range(4.0)[:, None])
    for step in range(steps):
        piece = series[:, 10 * step : 10 * step + 11]
        with tf.GradientTape() as tape:
            h, loss = tf.stop_gradient(state), 0.0
            for k in range(10):
                _, h = cell(piece[:, k : k + 1], h)
                h = h[0] if isinstance(h, (list, tuple)) else h
                loss += tf.reduce_mean(tf.square(out(h) - piece[:, k + 1 : k + 2]))
        state = h
        gradients = tape.gradient(loss, variables)
        gradients = [tf.clip_by_norm(g, 1.0) for g in gradients]
        optimizer.apply_gradients(zip(gradients, variables))
    changed = [(v.numpy() != before).any() for v, before in zip(variables, start)]
    return "learns" if all(changed) else "still"


class Translator(keras.Model):
    """Encodes a sequence and repeats it backwards, partly from its own words."""

    def __init__(self):
        super().__init__()
        self.embed = layers.Embedding(9, 6)
        self.encoder = layers.GRU(8, return_state=True)
        self.decoder = layers.GRU(8, return_sequences=True, return_state=True)
        self.out = layers.Dense(9)

    def call(self, pair):
        source, shifted = pair
        _, state = self.encoder(self.embed(source))
        h, _ = self.decoder(self.embed(shifted), initial_state=state)
        return self.out(h)


def translate(steps=3):
    model, optimizer = Translator(), keras.optimizers.Adam(1e-2)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
    source, target = tf.constant(TOKENS), tf.constant(TOKENS[:, ::-1].copy())
    model((source, target))
    start = values(model)

    @tf.function
    def step(source, target):
        shifted = tf.pad(target[:, :-1], [[0, 0], [1, 0]])
        # Half of the words that go in are those that the model itself would say.
        said = tf.argmax(model((source, shifted)), axis=-1, output_type=shifted.dtype)
        said = tf.pad(said[:, :-1], [[0, 0], [1, 0]])
        own = tf.random.uniform(tf.shape(shifted)) < 0.5
        with tf.GradientTape() as tape:
            logits = model((source, tf.where(own, said, shifted)))
            weights = tf.cast(target > 0, tf.float32)
            loss = tf.reduce_sum(weights * loss_of(target, logits)) / tf.reduce_sum(weights)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))

    for _ in range(steps):
        step(source, target)
    return moved(model, start)


class Block(layers.Layer):
    def __init__(self, width, heads):
        super().__init__()
        self.attention = layers.MultiHeadAttention(heads, width // heads)
        self.norms = [layers.LayerNormalization(), layers.LayerNormalization()]
        self.mlp = keras.Sequential([layers.Dense(2 * width, "gelu"), layers.Dense(width)])

    def call(self, x, training=None):
        h = self.norms[0](x)
        x = x + self.attention(h, h, use_causal_mask=True, training=training)
        return x + self.mlp(self.norms[1](x))


def attention():
    inputs = keras.Input((5,), dtype="int32")
    h = layers.Embedding(9, 8)(inputs)
    h = h + layers.Embedding(5, 8)(keras.ops.arange(5))
    for _ in range(2):
        h = Block(8, 2)(h)
    model = keras.Model(inputs, layers.Dense(9)(h))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    model.compile("adam", loss, weighted_metrics=["accuracy"], jit_compile=False)
    start = values(model)
    model.fit(TOKENS[:, :-1], TOKENS[:, 1:], batch_size=16, epochs=2, verbose=0)
    # A bias of the keys moves no probability, and may stay where it was.
    start = {path: v for path, v in start.items() if "key/bias" not in path}
    changed = [(v.numpy() != start[v.path]).any() for v in model.variables if v.path in start]
    return "learns" if all(changed) else "still"


for train in (masked, stateful, translate, attention):
    print(f"{train.__name__}: {train()}")
