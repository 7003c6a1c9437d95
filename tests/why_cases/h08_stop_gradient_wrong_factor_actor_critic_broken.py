# cause: stop_gradient
# line: 27
# affected: actor
# symptom: none
# expect: actor=None critic=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


actor = tf.Variable(0.1 * tf.random.normal((4, 2)), name="actor")
critic = tf.Variable(0.1 * tf.random.normal((4, 1)), name="critic")
states = tf.random.normal((10, 4))
actions = tf.constant([0, 1, 1, 0, 1, 0, 0, 1, 1, 0])
returns = tf.random.normal((10,)) + 1.0
with tf.GradientTape() as tape:
    log_policy = tf.nn.log_softmax(states @ actor)
    log_prob = tf.reduce_sum(log_policy * tf.one_hot(actions, 2), axis=1)
    advantage = returns - tf.squeeze(states @ critic, axis=1)
    policy_loss = -tf.reduce_mean(tf.stop_gradient(log_prob) * advantage)
    value_loss = tf.reduce_mean(advantage**2)
    loss = policy_loss + 0.5 * value_loss
report([actor, critic], tape.gradient(loss, [actor, critic]))
