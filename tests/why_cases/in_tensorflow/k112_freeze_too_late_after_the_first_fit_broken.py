# cause: freeze_too_late
# line: 21
# affected: features.kernel features.bias
# symptom: leak
# expect: features.kernel=moves features.bias=moves classes.kernel=learns classes.bias=learns
# also: 18 24
import keras
import numpy as np

keras.utils.set_random_seed(12)
layers = keras.layers
x = np.random.normal(size=(128, 5)).astype("float32")
y = (x[:, 0] * x[:, 1] > 0).astype("float32")

features = layers.Dense(16, "relu", name="features")
classes = layers.Dense(1, "sigmoid", name="classes")
model = keras.Sequential([keras.Input((5,)), features, classes])
model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
model.fit(x, y, epochs=2, verbose=0)

features.trainable = False
frozen = [v.numpy() for v in features.variables]
learning = [v.numpy() for v in classes.variables]
model.fit(x[:64], 1.0 - y[:64], epochs=2, verbose=0)
for v, before in zip(features.variables, frozen):
    name = ".".join(v.path.split("/")[-2:])
    print(f"{name}: {'kept' if np.array_equal(v, before) else 'moves'}")
for v, before in zip(classes.variables, learning):
    name = ".".join(v.path.split("/")[-2:])
    print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")
