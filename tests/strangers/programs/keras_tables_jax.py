"""Numbers and categories in, two outputs, as a functional model (Keras on JAX)."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(23)
COUNT = 96
numbers = np.random.normal(size=(COUNT, 5)).astype("float32")
towns = np.random.randint(0, 7, size=COUNT)
price = (numbers[:, :1] * 2.0 + towns[:, None] * 0.5).astype("float32")
sold = (price > 1.5).astype("float32")

number_input = keras.Input((5,), name="numbers")
town_input = keras.Input((), dtype="int32", name="town")
normalise = layers.Normalization()
normalise.adapt(numbers)
town = layers.Embedding(7, 3, name="town_table")(town_input)
h = layers.Concatenate()([normalise(number_input), town])
for width in (16, 8):
    h = layers.Dense(width, kernel_initializer="he_normal")(h)
    h = layers.LayerNormalization()(h)
    h = keras.activations.gelu(h)
outputs = {
    "price": layers.Dense(1, name="price")(h),
    "sold": layers.Dense(1, activation="sigmoid", name="sold")(h),
}
model = keras.Model({"numbers": number_input, "town": town_input}, outputs)
model.compile(
    optimizer=keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(5e-3, 20), clipnorm=1.0, use_ema=True
    ),
    loss={"price": keras.losses.Huber(), "sold": "binary_crossentropy"},
    loss_weights={"price": 1.0, "sold": 0.5},
    metrics={"price": ["mae"], "sold": ["accuracy"]},
)
inputs = {"numbers": numbers, "town": towns}
history = model.fit(inputs, {"price": price, "sold": sold}, batch_size=24, epochs=3, verbose=0)
for name in sorted(history.history):
    print(name, [repr(float(value)) for value in history.history[name]])
for variable in model.variables:
    print(variable.path, repr(float(np.abs(np.asarray(variable)).sum())))
