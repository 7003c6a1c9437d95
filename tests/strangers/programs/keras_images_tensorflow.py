"""A convolutional network on small images, in two phases (Keras on TensorFlow)."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(21)
x = np.random.normal(size=(96, 16, 16, 1)).astype("float32")
y = (x[:, :8].mean(axis=(1, 2, 3)) > x[:, 8:].mean(axis=(1, 2, 3))).astype("int32")
x[y == 1, :8] += 0.3


def residual(h, filters, strides=1):
    short = layers.Conv2D(filters, 1, strides=strides, padding="same")(h)
    h = layers.SeparableConv2D(filters, 3, strides=strides, padding="same")(h)
    h = layers.BatchNormalization()(h)
    h = layers.Activation("relu")(h)
    return layers.add([h, short])


inputs = keras.Input((16, 16, 1))
h = layers.RandomFlip("horizontal")(inputs)
h = layers.Rescaling(0.5)(h)
h = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(h)
h = residual(h, 12, strides=2)
h = layers.MaxPooling2D(2)(h)
h = residual(h, 16)
h = layers.GlobalAveragePooling2D()(h)
h = layers.Dropout(0.3)(h)
outputs = layers.Dense(2, activation="softmax", name="classes")(h)
model = keras.Model(inputs, outputs)
model.compile(
    optimizer=keras.optimizers.Adam(1e-3),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=1)],
)
history = model.fit(
    x,
    y,
    batch_size=16,
    epochs=2,
    validation_split=0.25,
    callbacks=[
        keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(patience=1),
        keras.callbacks.TerminateOnNaN(),
    ],
    verbose=0,
)
print("losses", [repr(float(value)) for value in history.history["loss"]])

model.compile(
    optimizer=keras.optimizers.SGD(1e-2, momentum=0.9, nesterov=True),
    loss=keras.losses.SparseCategoricalCrossentropy(),
    weighted_metrics=["accuracy"],
)
model.fit(x, y, batch_size=32, epochs=1, class_weight={0: 1.0, 1: 2.0}, verbose=0)
print("score", [repr(float(value)) for value in model.evaluate(x, y, verbose=0)])
print("classes", model.predict(x[:8], verbose=0).argmax(axis=1))
for variable in model.variables:
    print(variable.path, repr(float(np.abs(variable.numpy()).sum())))
