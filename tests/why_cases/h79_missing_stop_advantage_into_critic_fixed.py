# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: actor/kernel=nonzero actor/bias=nonzero critic/kernel=None critic/bias=None
# also: -
# args: --no-flow 'critic*'
import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


actor, critic = keras.layers.Dense(2, name="actor"), keras.layers.Dense(1, name="critic")
states, returns = tf.random.normal((10, 4)), tf.random.normal((10,)) + 1.0
actions = tf.constant([0, 1] * 5)
with tf.GradientTape() as tape:
    value = tf.squeeze(critic(states), axis=1)
    advantage = returns - tf.stop_gradient(value)
    log_policy = tf.nn.log_softmax(actor(states))
    log_prob = tf.reduce_sum(log_policy * tf.one_hot(actions, 2), axis=1)
    actor_loss = -tf.reduce_mean(log_prob * advantage)
weights = [*actor.trainable_variables, *critic.trainable_variables]
report(weights, tape.gradient(actor_loss, weights))
