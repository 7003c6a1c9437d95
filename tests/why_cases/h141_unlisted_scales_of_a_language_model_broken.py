# cause: unlisted
# line: 30
# affected: scale_0 scale_1
# symptom: absent
# expect: scale_0=still scale_1=still
# also: 42 43 64 65 84 85
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(12)
VOCABULARY, WIDTH, LENGTH, DEPTH = 7, 8, 6, 2


def causal_mask(length):
    return tf.constant(np.tril(np.ones((length, length), bool)))


class Block:
    """Attention and a small network, each added with a scale that is learnt (ReZero)."""

    def __init__(self, index):
        self.index = index
        self.query = keras.layers.Dense(WIDTH, use_bias=False, name=f"query_{index}")
        self.key = keras.layers.Dense(WIDTH, use_bias=False, name=f"key_{index}")
        self.value = keras.layers.Dense(WIDTH, use_bias=False, name=f"value_{index}")
        self.wide = keras.layers.Dense(2 * WIDTH, activation="relu", name=f"wide_{index}")
        self.narrow = keras.layers.Dense(WIDTH, name=f"narrow_{index}")
        self.scale = tf.Variable(0.5, name=f"scale_{index}")

    @property
    def layers(self):
        return [self.query, self.key, self.value, self.wide, self.narrow]

    def attend(self, x, mask):
        scores = self.query(x) @ tf.transpose(self.key(x), (0, 2, 1)) / WIDTH**0.5
        scores = tf.where(mask, scores, tf.fill(scores.shape, -1e9))
        return tf.nn.softmax(scores) @ self.value(x)

    def __call__(self, x, mask):
        x = x + self.scale * self.attend(x, mask)
        return x + self.scale * self.narrow(self.wide(x))


class LanguageModel:
    def __init__(self):
        self.tokens = keras.layers.Embedding(VOCABULARY, WIDTH, name="tokens")
        self.places = tf.Variable(0.1 * tf.random.normal((LENGTH, WIDTH)), name="places")
        self.blocks = [Block(i) for i in range(DEPTH)]
        self.out = keras.layers.Dense(VOCABULARY, name="out")

    def __call__(self, tokens):
        x = self.tokens(tokens) + self.places
        mask = causal_mask(LENGTH)
        for block in self.blocks:
            x = block(x, mask)
        return self.out(x)

    def parameters(self):
        found = [self.places, *self.tokens.trainable_variables, *self.out.trainable_variables]
        for block in self.blocks:
            for layer in block.layers:
                found += layer.trainable_variables
        return found


def sequences(rng, count):
    """Each token follows from the last one, mostly."""
    first = rng.integers(0, VOCABULARY, size=(count, 1))
    steps = rng.choice([1, 2], size=(count, LENGTH), p=[0.8, 0.2])
    return np.concatenate([first, first + np.cumsum(steps, axis=1)], axis=1) % VOCABULARY


model = LanguageModel()
optimizer = keras.optimizers.AdamW(0.01)
rng = np.random.default_rng(0)
for _step in range(4):
    text = sequences(rng, 8)
    with tf.GradientTape() as tape:
        logits = model(text[:, :-1])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=text[:, 1:], logits=logits)
        loss = tf.reduce_mean(losses)
    weights = model.parameters()
    gradients, _norm = tf.clip_by_global_norm(tape.gradient(loss, weights), 1.0)
    optimizer.apply_gradients(zip(gradients, weights))
for block in model.blocks:
    print(f"{block.scale.name}: {'still' if float(block.scale) == 0.5 else 'learns'}")
