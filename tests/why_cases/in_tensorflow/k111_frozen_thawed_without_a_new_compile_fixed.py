# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: one.kernel=learns one.bias=learns two.kernel=learns two.bias=learns
# also: -
import keras
import numpy as np

keras.utils.set_random_seed(11)
layers = keras.layers
x = np.random.normal(size=(96, 8)).astype("float32")

base = keras.Sequential(
    [keras.Input((8,)), layers.Dense(16, "tanh", name="one"), layers.Dense(6, "tanh", name="two")]
)
old = keras.Sequential([base, layers.Dense(1, name="old")])
old.compile("adam", "mse")
old.fit(x, x[:, :1] * x[:, 1:2], epochs=1, verbose=0)

base.trainable = False
model = keras.Sequential([base, layers.Dense(1, name="new")])
model.compile("adam", "mse")
model.fit(x, x[:, 2:3] * x[:, 3:4], epochs=2, verbose=0)

base.trainable = True
model.compile(keras.optimizers.Adam(1e-4), "mse")
start = [v.numpy() for v in base.variables]
model.fit(x, x[:, 2:3] * x[:, 3:4], epochs=2, verbose=0)
for v, before in zip(base.variables, start):
    name = ".".join(v.path.split("/")[-2:])
    print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")
