# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: policy=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


policy = tf.Variable(0.1 * tf.random.normal((3, 2)), name="policy")
observations = [tf.random.normal((1, 3)) for _ in range(4)]
rewards = [1.0, 0.5, -0.2, 0.3]
with tf.GradientTape() as tape:
    loss = tf.constant(0.0)
    for observation, reward in zip(observations, rewards):
        log_probs = tf.nn.log_softmax(observation @ policy)
        action = int(tf.random.categorical(log_probs, 1)[0, 0])
        loss = loss - log_probs[0, action] * reward
report([policy], tape.gradient(loss, [policy]))
