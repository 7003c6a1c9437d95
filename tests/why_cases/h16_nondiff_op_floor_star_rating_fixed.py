# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: taste=nonzero item=nonzero offset=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


taste = tf.Variable(tf.random.normal((5, 3)), name="taste")
item = tf.Variable(tf.random.normal((7, 3)), name="item")
offset = tf.Variable(3.0, name="offset")
users, items = tf.constant([0, 1, 2, 3, 4, 0]), tf.constant([6, 5, 4, 3, 2, 1])
stars = tf.constant([5.0, 3.0, 1.0, 4.0, 2.0, 2.0])


def predict(users, items):
    score = tf.reduce_sum(tf.gather(taste, users) * tf.gather(item, items), axis=1)
    return score + offset


with tf.GradientTape() as tape:
    loss = tf.reduce_mean((predict(users, items) - stars) ** 2)
weights = [taste, item, offset]
report(weights, tape.gradient(loss, weights))
