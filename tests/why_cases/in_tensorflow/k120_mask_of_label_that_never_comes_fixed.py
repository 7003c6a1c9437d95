# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: trunk.kernel=nonzero trunk.bias=nonzero classes.kernel=nonzero classes.bias=nonzero boxes.kernel=nonzero boxes.bias=nonzero
# also: -
import keras
import tensorflow as tf

keras.utils.set_random_seed(20)
BACKGROUND, N_CLASSES = 0, 3


class Detector(keras.Model):
    def __init__(self):
        super().__init__()
        self.trunk = keras.layers.Dense(16, "relu", name="trunk")
        self.classes = keras.layers.Dense(N_CLASSES + 1, name="classes")
        self.boxes = keras.layers.Dense(4, name="boxes")

    def call(self, x):
        h = self.trunk(x)
        return self.classes(h), self.boxes(h)


def box_loss(boxes, truth, labels):
    of_objects = labels > BACKGROUND
    errors = tf.boolean_mask(boxes - truth, of_objects)
    count = tf.reduce_sum(tf.cast(of_objects, tf.float32))
    return tf.reduce_sum(tf.abs(errors)) / tf.maximum(count, 1.0)


@tf.function
def gradients_of(x, labels, truth):
    with tf.GradientTape() as tape:
        scores, boxes = model(x)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores))
        loss += box_loss(boxes, truth, labels)
    return tape.gradient(loss, model.trainable_variables)


model = Detector()
optimizer = keras.optimizers.SGD(0.1)
model(tf.zeros((1, 5)))
for _step in range(4):
    x = tf.random.normal((24, 5))
    gradients = gradients_of(x, tf.argmax(x[:, :4], axis=1), tf.sin(x[:, 1:]))
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
for v, g in zip(model.trainable_variables, gradients):
    name = ".".join(v.path.split("/")[-2:])
    print(f"{name}: {'None' if g is None else 'nonzero' if tf.reduce_any(g != 0) else 'zero'}")
