# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: tower_in.kernel=learns tower_in.bias=learns tower_out.kernel=learns tower_out.bias=learns
# also: -
"""A siamese network learns from pairs and triplets which signals come from one source."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

SOURCES, FEATURES = 5, 10


class Signals:
    """Noisy copies of a few sources."""

    def __init__(self, seed):
        self.draw = np.random.default_rng(seed)
        self.centres = self.draw.normal(size=(SOURCES, FEATURES))

    def copies(self, sources):
        noise = 0.3 * self.draw.normal(size=(len(sources), FEATURES))
        return (self.centres[sources] + noise).astype("float32")

    def pairs(self, count):
        """Pairs with a label: 1 if both are from one source. Some are one and the same signal."""
        left = self.draw.integers(0, SOURCES, size=count)
        same = self.draw.uniform(size=count) < 0.5
        right = np.where(same, left, (left + self.draw.integers(1, SOURCES, size=count)) % SOURCES)
        a, b = self.copies(left), self.copies(right)
        b[: count // 16] = a[: count // 16]
        same[: count // 16] = True
        return (a, b), same.astype("float32")


class L2Normalise(layers.Layer):
    def call(self, x):
        return x * ops.rsqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-9)


class Distance(layers.Layer):
    """The Euclidean distance between two embeddings."""

    def call(self, embeddings):
        a, b = embeddings
        squares = ops.sum(ops.square(a - b), axis=-1)
        return (squares + 1e-9) ** 0.5


def tower(width=24, embedding=6):
    return keras.Sequential(
        [
            keras.Input((FEATURES,)),
            layers.Dense(width, activation="relu", name="tower_in"),
            layers.Dropout(0.0),
            layers.Dense(embedding, name="tower_out"),
            L2Normalise(),
        ],
        name="tower",
    )


@keras.saving.register_keras_serializable("siamese")
class Contrastive(keras.losses.Loss):
    """Pulls pairs of one source together, and pushes others apart up to a margin."""

    def __init__(self, margin=1.0, **options):
        super().__init__(**options)
        self.margin = margin

    def call(self, same, distance):
        near = same * ops.square(distance)
        far = (1.0 - same) * ops.square(ops.maximum(self.margin - distance, 0.0))
        return near + far


class Agreement(keras.metrics.Metric):
    """How often a distance under a threshold means the same source."""

    def __init__(self, threshold=0.5, **options):
        super().__init__(**options)
        self.threshold = threshold
        self.right = self.add_weight(name="right", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, same, distance, sample_weight=None):
        said = ops.cast(distance < self.threshold, "float32")
        self.right.assign_add(ops.sum(ops.cast(ops.equal(said, same), "float32")))
        self.count.assign_add(ops.cast(ops.size(same), "float32"))

    def result(self):
        return self.right / ops.maximum(self.count, 1.0)


def siamese(shared):
    left, right = keras.Input((FEATURES,)), keras.Input((FEATURES,))
    distance = Distance(name="distance")([shared(left), shared(right)])
    return keras.Model([left, right], distance, name="siamese")


def nearest(shared, signals, count=20):
    """The share of signals whose nearest neighbour has the same source."""
    sources = np.arange(count) % SOURCES
    embedded = shared.predict(signals.copies(sources), verbose=0)
    far = np.linalg.norm(embedded[:, None] - embedded[None], axis=-1)
    np.fill_diagonal(far, np.inf)
    return float(np.mean(sources[np.argmin(far, axis=1)] == sources))


def main():
    keras.utils.set_random_seed(107)
    signals = Signals(seed=9)
    shared = tower()
    model = siamese(shared)
    model.compile(
        optimizer=keras.optimizers.SGD(0.05, momentum=0.9),
        loss=Contrastive(),
        metrics=[Agreement(name="agreement")],
    )
    start = [v.numpy() for v in shared.trainable_variables]
    pairs, same = signals.pairs(128)
    model.fit(tf.data.Dataset.from_tensor_slices((pairs, same)).batch(32), epochs=2, verbose=0)
    assert 0.0 <= nearest(shared, signals) <= 1.0
    for v, before in zip(shared.trainable_variables, start):
        now, name = v.numpy(), ".".join(v.path.split("/")[-2:])
        moved = "still" if np.array_equal(now, before) else "learns"
        print(f"{name}: {moved if np.isfinite(now).all() else 'nan'}")


if __name__ == "__main__":
    main()
