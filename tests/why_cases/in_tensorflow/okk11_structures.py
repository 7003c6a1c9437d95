# cause: none
# line: 0
# affected: -
# symptom: legit: embeddings, ragged and sparse inputs, scatter, loops and branches
# expect: words=learns ragged=learns sparse=learns scatter=learns loops=learns branches=learns
# also: -
# stops: 87
"""Tensors that are not dense, and control flow on values."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(311)


def descend(parameters, loss_of, batches, rate=0.1):
    start = [p.numpy() for p in parameters]
    for batch in batches:
        with tf.GradientTape() as tape:
            loss = loss_of(batch)
        for p, g in zip(parameters, tape.gradient(loss, parameters)):
            if isinstance(g, tf.IndexedSlices):
                p.scatter_sub(tf.IndexedSlices(rate * g.values, g.indices))
            else:
                p.assign_sub(rate * g)
    changed = [(p.numpy() != before).any() for p, before in zip(parameters, start)]
    return "learns" if all(changed) else "still"


def words():
    """An embedding whose rows are gathered; most of them get nothing in a batch."""
    table = tf.Variable(tf.random.normal((20, 4)), name="table")
    context = tf.Variable(tf.random.normal((20, 4)), name="context")

    def loss_of(pairs):
        left = tf.nn.embedding_lookup(table, pairs[:, 0])
        right = tf.gather(context, pairs[:, 1])
        labels = tf.cast(pairs[:, 0] < 10, tf.float32)
        logits = tf.reduce_sum(left * right, axis=1)
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))

    batches = [tf.random.uniform((8, 2), 0, 20, tf.int32) for _ in range(4)]
    return descend([table, context], loss_of, batches)


def ragged():
    """The mean of as many words as each sentence has."""
    table = tf.Variable(tf.random.normal((12, 3)), name="table")
    out = tf.Variable(tf.random.normal((3, 1)), name="out")
    sentences = tf.ragged.constant([[1, 4, 2], [7], [3, 3, 9, 11], [], [5, 6]])

    def loss_of(sentences):
        seen = tf.ragged.map_flat_values(tf.nn.embedding_lookup, table, sentences)
        total = tf.reduce_sum(seen, axis=1)
        lengths = tf.cast(sentences.row_lengths(), tf.float32)[:, None]
        return tf.reduce_mean(tf.square((total / tf.maximum(lengths, 1.0)) @ out - 1.0))

    return descend([table, out], loss_of, [sentences] * 3)


def sparse():
    """Bags of words as a sparse matrix."""
    weights = tf.Variable(tf.random.normal((10, 2)), name="weights")
    bias = tf.Variable(tf.zeros(2), name="bias")
    places = [[0, 1], [0, 7], [1, 2], [2, 0], [2, 9]]
    rows = tf.SparseTensor(places, [1.0, 2.0, 1.0, 1.0, 3.0], [3, 10])

    def loss_of(x):
        logits = tf.sparse.sparse_dense_matmul(x, weights) + bias
        labels = tf.constant([0, 1, 0])
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    return descend([weights, bias], loss_of, [rows] * 3)


def scatter():
    """Values are put into a table at places that are drawn; a memory is written for later."""
    w = tf.Variable(tf.random.normal((4, 2)), name="w")
    memory = tf.Variable(tf.zeros((6, 2)), trainable=False, name="memory")

    def loss_of(x):
        h = tf.tanh(x @ w)
        places = tf.constant([[0], [2], [5]])
        table = tf.tensor_scatter_nd_update(tf.ones((6, 2)), places, h)
        far = tf.reduce_mean(tf.square(table - memory))
        memory.scatter_nd_update(places, 0.5 * tf.stop_gradient(h))
        return far + tf.reduce_mean(tf.math.unsorted_segment_sum(h, tf.constant([1, 0, 1]), 2) ** 2)

    return descend([w], loss_of, [tf.random.normal((3, 4)) for _ in range(3)])


def loops():
    """A recurrence by while_loop, a TensorArray, map_fn, scan and foldl."""
    a = tf.Variable(0.5 * tf.eye(3), name="a")
    b = tf.Variable(tf.random.normal((3, 3)), name="b")

    @tf.function
    def loss_of(x):
        steps = tf.shape(x)[0]
        states = tf.TensorArray(tf.float32, steps)

        def body(k, h, states):
            h = tf.tanh(tf.linalg.matvec(a, h) + tf.linalg.matvec(b, x[k]))
            return k + 1, h, states.write(k, h)

        _, last, states = tf.while_loop(
            lambda k, *_: k < steps, body, (0, tf.zeros(3), states), maximum_iterations=10
        )
        doubled = tf.map_fn(lambda h: 2.0 * tf.linalg.matvec(a, h), states.stack())
        summed = tf.scan(lambda total, h: total + h, doubled)
        product = tf.foldl(lambda total, h: total + h**2, summed)
        total = 0.0
        for h in doubled:  # a loop of the graph
            total += tf.reduce_sum(h)
        return tf.reduce_mean(tf.square(last - 1.0)) + 0.1 * tf.reduce_mean(product) + 0.01 * total

    return descend([a, b], loss_of, [tf.random.normal((5, 3)) for _ in range(3)], rate=0.02)


def branches():
    """What is computed depends on values: cond, switch_case, case, where, if."""
    low, high = tf.Variable(1.0, name="low"), tf.Variable(2.0, name="high")
    third = tf.Variable(0.5, name="third")

    @tf.function
    def loss_of(x):
        y = tf.cond(tf.reduce_mean(x) > 0.0, lambda: high * x, lambda: low * x)
        y += tf.switch_case(tf.cast(x[0] > 0.0, tf.int32), [lambda: third * x, lambda: -third * x])
        if tf.reduce_max(x) > 100.0:
            y = y * 0.0
        y = tf.where(x > 0.0, y * high, y * low)
        return tf.reduce_mean(tf.square(y - 1.0))

    rows = [[0.5, 0.8, -0.2], [-0.5, 0.3, -1.0], [1.0, 2.0, 0.1]]
    batches = [tf.constant(row) for row in rows]
    return descend([low, high, third], loss_of, batches)


for train in (words, ragged, sparse, scatter, loops, branches):
    print(f"{train.__name__}: {train()}")
assert np.isfinite(float(tf.random.uniform(())))
