# cause: none
# line: 0
# affected: -
# symptom: legit: the divergence holds a term of the teacher only, which trains nothing
# expect: student=1.628
# also: -
import numpy as np

import headgate.tf as tf

rng = np.random.default_rng(4)
student = tf.Variable(0.5 * rng.normal(size=(4, 3)), name="student")
teacher = tf.Variable(0.5 * rng.normal(size=(4, 3)), name="teacher")
optimizer = tf.keras.optimizers.Adam(0.02)


def divergence(goal, logits):
    """KL(goal || student); its first part does not depend on the student."""
    entropy = tf.reduce_sum(goal * tf.math.log(goal + 1e-8), axis=1)
    cross = tf.reduce_sum(goal * tf.nn.log_softmax(logits), axis=1)
    return tf.reduce_mean(entropy - cross)


for _step in range(4):
    x = rng.normal(size=(10, 4))
    labels = np.argmax(x[:, :3], axis=1)
    with tf.GradientTape() as tape:
        on_teacher, on_student = x @ teacher, x @ student
        goal = tf.stop_gradient(tf.nn.softmax(on_teacher / 2.0))
        hard = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=on_teacher)
        loss = tf.reduce_mean(hard) + divergence(goal, on_student)
    weights = [student, teacher]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"student: {float(tf.norm(student)):.3f}")
