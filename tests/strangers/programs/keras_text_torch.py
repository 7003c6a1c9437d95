"""A transformer that classifies sequences, as a subclassed model (Keras on PyTorch)."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
from keras import layers, ops

keras.utils.set_random_seed(22)
VOCABULARY, LENGTH = 30, 12


class TransformerBlock(layers.Layer):
    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim // num_heads)
        self.ffn = keras.Sequential(
            [layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)]
        )
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)
        self.dropout2 = layers.Dropout(rate)

    def call(self, inputs, training=None):
        attn_output = self.att(inputs, inputs)
        attn_output = self.dropout1(attn_output, training=training)
        out1 = self.layernorm1(inputs + attn_output)
        ffn_output = self.dropout2(self.ffn(out1), training=training)
        return self.layernorm2(out1 + ffn_output)


class TokenAndPositionEmbedding(layers.Layer):
    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        positions = ops.arange(0, ops.shape(x)[-1], 1)
        return self.token_emb(x) + self.pos_emb(positions)


class Classifier(keras.Model):
    def __init__(self):
        super().__init__()
        self.embedding = TokenAndPositionEmbedding(LENGTH, VOCABULARY, 16)
        self.block = TransformerBlock(16, 2, 32)
        self.pool = layers.GlobalAveragePooling1D()
        self.hidden = layers.Dense(20, activation="relu")
        self.out = layers.Dense(2, activation="softmax")

    def call(self, x, training=None):
        h = self.pool(self.block(self.embedding(x), training=training))
        return self.out(self.hidden(h))


x = np.random.randint(0, VOCABULARY, size=(96, LENGTH))
y = (x[:, :4].sum(axis=1) > x[:, 4:8].sum(axis=1)).astype("int32")
model = Classifier()
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, batch_size=16, epochs=2, validation_data=(x[:16], y[:16]), verbose=0)
print("losses", [repr(float(value)) for value in history.history["loss"]])
print("score", [repr(float(value)) for value in model.evaluate(x, y, verbose=0)])
for variable in model.variables:
    print(variable.path, repr(float(np.abs(ops.convert_to_numpy(variable)).sum())))
