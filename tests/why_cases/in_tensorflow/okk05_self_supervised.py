# cause: none
# line: 0
# affected: -
# symptom: legit: SimSiam's stop, the teacher of BYOL and DINO, and keys of a queue
# expect: simsiam.encoder=learns simsiam.predictor=learns byol.online=learns byol.teacher=learns moco.query=learns
# also: -
# stops: 56 78 101
"""SimSiam in fit, BYOL with a slow teacher, and contrast with a queue of old keys."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(305)
dense = keras.layers.Dense
IMAGES = np.random.normal(size=(48, 8)).astype("float32")


def view(x):
    return x + 0.1 * tf.random.normal(tf.shape(x))


def head(inputs, outputs, **options):
    return keras.Sequential([keras.Input((inputs,)), dense(16, "relu"), dense(outputs)], **options)


def values(variables):
    return [v.numpy() for v in variables]


def moved(variables, start):
    return all((v.numpy() != before).any() for v, before in zip(variables, start))


class SimSiam(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential(
            [keras.Input((8,)), dense(16), keras.layers.BatchNormalization(), dense(6)]
        )
        self.predictor = head(6, 6)
        self.mean = keras.metrics.Mean(name="loss")

    def train_step(self, x):
        one, two = view(x), view(x)
        with tf.GradientTape() as tape:
            z1, z2 = self.encoder(one, training=True), self.encoder(two, training=True)
            p1, p2 = self.predictor(z1), self.predictor(z2)
            loss = self.far(p1, z2) / 2 + self.far(p2, z1) / 2
        variables = self.encoder.trainable_variables + self.predictor.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}

    def far(self, p, z):
        z = tf.stop_gradient(z)
        p, z = tf.math.l2_normalize(p, axis=1), tf.math.l2_normalize(z, axis=1)
        return -tf.reduce_mean(tf.reduce_sum(p * z, axis=1))


def simsiam():
    model = SimSiam()
    start = values(model.encoder.trainable_variables), values(model.predictor.variables)
    model.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.6))
    model.fit(IMAGES, batch_size=16, epochs=2, verbose=0)
    # A bias before a normalisation stays where it was.
    yield "encoder", moved(model.encoder.trainable_variables[:1], start[0])
    yield "predictor", moved(model.predictor.variables, start[1])


def byol(steps=4):
    online, teacher, predictor = head(8, 4), head(8, 4), head(4, 4)
    teacher.set_weights(online.get_weights())
    optimizer = keras.optimizers.Adam(1e-2)
    start = values(online.variables), values(teacher.variables)
    for _ in range(steps):
        x = tf.constant(IMAGES[:16])
        goal = tf.math.l2_normalize(teacher(view(x)), axis=1)
        with tf.GradientTape() as tape:
            guess = tf.math.l2_normalize(predictor(online(view(x))), axis=1)
            loss = tf.reduce_mean(tf.reduce_sum(tf.square(guess - goal), axis=1))
        variables = online.trainable_variables + predictor.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        for slow, fast in zip(teacher.weights, online.weights):
            slow.assign(0.95 * slow + 0.05 * fast)
    yield "online", moved(online.variables, start[0])
    yield "teacher", moved(teacher.variables, start[1])


def moco(steps=5, momentum=0.9):
    query, key = head(8, 4), head(8, 4)
    for slow, fast in zip(key.weights, query.weights):
        slow.assign(fast)
    queue = tf.Variable(tf.math.l2_normalize(tf.random.normal((32, 4)), axis=1), trainable=False)
    optimizer, start = keras.optimizers.Adam(1e-2), values(query.variables)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            q = tf.math.l2_normalize(query(view(x)), axis=1)
            k = tf.stop_gradient(tf.math.l2_normalize(key(view(x)), axis=1))
            same = tf.reduce_sum(q * k, axis=1, keepdims=True)
            logits = tf.concat([same, q @ tf.transpose(queue)], axis=1) / 0.2
            labels = tf.zeros(tf.shape(x)[0], tf.int32)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        variables = query.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        for slow, fast in zip(key.weights, query.weights):
            slow.assign(momentum * slow + (1.0 - momentum) * fast)
        queue.assign(tf.concat([k, queue[:-16]], axis=0))
        return loss

    for place in range(steps):
        step(tf.constant(IMAGES[place : place + 16]))
    yield "query", moved(query.variables, start)


for train in (simsiam, byol, moco):
    for name, learns in train():
        print(f"{train.__name__}.{name}: {'learns' if learns else 'still'}")
