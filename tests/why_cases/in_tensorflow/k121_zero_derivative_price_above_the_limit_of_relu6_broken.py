# cause: zero_derivative
# line: 19
# affected: hidden.kernel hidden.bias price.kernel price.bias
# symptom: not updated
# expect: hidden.kernel=still hidden.bias=still price.kernel=still price.bias=still
# also: 25
import keras
import numpy as np

keras.utils.set_random_seed(21)

x = np.random.normal(size=(80, 6)).astype("float32")
y = 35.0 + 3.0 * x[:, :1] + x[:, 1:2] * x[:, 2:3]
begin = keras.initializers.Constant(y.mean())

model = keras.Sequential(
    [
        keras.layers.Dense(12, activation="tanh", name="hidden"),
        keras.layers.Dense(1, activation="relu6", bias_initializer=begin, name="price"),
    ]
)
model.compile(optimizer="adam", loss="mse", metrics=["mae"])
model.build(x.shape)
start = [v.numpy() for v in model.variables]
model.fit(x, y, epochs=3, verbose=0)
for v, before in zip(model.variables, start):
    name = ".".join(v.path.split("/")[-2:])
    print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")
