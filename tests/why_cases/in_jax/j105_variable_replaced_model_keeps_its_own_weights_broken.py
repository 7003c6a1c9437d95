# cause: variable_replaced outside_tape unused_parameter
# line: 21
# affected: hidden.b hidden.w
# symptom: not updated
# expect: hidden.b=still hidden.w=still out.w=learns
# also: 22 28 25 35 15 33
import jax
import jax.numpy as jnp


class Regressor:
    def __init__(self, key):
        k1, k2 = jax.random.split(key)
        self.params = {
            "hidden": {"w": jax.random.normal(k1, (3, 8)), "b": jnp.zeros(8)},
            "out": {"w": 0.1 * jax.random.normal(k2, (8,))},
        }
        self.gradient = jax.grad(self.loss_fn)

    def features(self, x):
        h = x @ self.params["hidden"]["w"]
        return jnp.tanh(h + self.params["hidden"]["b"])

    def predict(self, params, x):
        h = self.features(x)
        return h @ params["out"]["w"]

    def loss_fn(self, params, x, y):
        return jnp.mean((self.predict(params, x) - y) ** 2)

    def fit(self, x, y, steps):
        for _ in range(steps):
            grads = self.gradient(self.params, x, y)
            params = jax.tree.map(lambda p, g: p - 0.1 * g, self.params, grads)
            self.params = params


model = Regressor(jax.random.key(5))
start = model.params
x = jax.random.normal(jax.random.key(6), (32, 3))
model.fit(x, x[:, 0] * x[:, 1], steps=5)
for layer, weights in model.params.items():
    for name, value in weights.items():
        same = (value == start[layer][name]).all()
        print(f"{layer}.{name}: {'still' if same else 'learns'}")
