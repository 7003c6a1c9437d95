# cause: frozen
# line: 23
# affected: adapt.kernel adapt.bias
# symptom: not updated
# expect: adapt.kernel=still adapt.bias=still head.kernel=learns head.bias=learns
# also: 19
import keras
import numpy as np

keras.utils.set_random_seed(10)
layers = keras.layers
x = np.random.normal(size=(96, 8)).astype("float32")

trunk = [layers.Dense(16, "relu", name="one"), layers.Dense(16, "relu", name="two")]
pretrained = keras.Sequential([keras.Input((8,)), *trunk, layers.Dense(3, name="old")])
pretrained.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
pretrained.fit(x, np.argmax(x[:, :3], axis=1), epochs=2, verbose=0)

adapt = layers.Dense(12, "relu", name="adapt")
head = layers.Dense(2, name="head")
model = keras.Sequential([keras.Input((8,)), *trunk, adapt, head])
for layer in model.layers[:-1]:
    layer.trainable = False
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
new = adapt.variables + head.variables
start = [v.numpy() for v in new]
model.fit(x, (x[:, 3] > x[:, 4]).astype(int), epochs=2, verbose=0)
for v, before in zip(new, start):
    name = v.path.replace("/", ".").removeprefix("sequential_1.")
    print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")
