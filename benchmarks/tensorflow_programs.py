"""Steps that are written otherwise for TensorFlow than for Headgate, which has an option there.

Keras' Adam moves every row of a table at each step, whatever form the gradient has. The same step
as Headgate's lazy Adam, and as PyTorch's `SparseAdam`, has to be written out.
"""

from typing import Any

from benchmarks.programs import ADAM_BETAS, ADAM_EPSILON, LEARNING_RATE, Step, Variables, distance


def embedding_adam(tf: Any, variables: Variables) -> Step:
    """Move some rows of a table and their moments by Adam."""
    (table,), (means,), (squares,) = (variables[name] for name in ("table", "means", "squares"))
    (count,) = variables["count"]
    beta_1, beta_2 = ADAM_BETAS

    def step(ids: Any, target: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            loss = distance(tf, table, ids, target)
        gradient = tape.gradient(loss, table)
        count.assign_add(1.0)
        rows, places = tf.unique(gradient.indices)
        g = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
        mean = beta_1 * tf.gather(means, rows) + (1.0 - beta_1) * g
        square = beta_2 * tf.gather(squares, rows) + (1.0 - beta_2) * tf.square(g)
        size = tf.sqrt(1.0 - tf.pow(beta_2, count)) / (1.0 - tf.pow(beta_1, count))
        change = LEARNING_RATE * size * mean / (tf.sqrt(square) + ADAM_EPSILON)
        means.scatter_update(tf.IndexedSlices(mean, rows))
        squares.scatter_update(tf.IndexedSlices(square, rows))
        table.scatter_sub(tf.IndexedSlices(change, rows))
        return (loss,)

    return step
