# cause: outside_tape
# line: 40
# affected: critic_hidden.kernel critic_hidden.bias critic_out.kernel critic_out.bias
# symptom: none
# expect: actor.kernel=nonzero actor.bias=nonzero critic_hidden.kernel=None critic_hidden.bias=None critic_out.kernel=None critic_out.bias=None
# also: 42
import keras
import tensorflow as tf

keras.utils.set_random_seed(2)
layers = keras.layers

actor = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="actor")])
critic = keras.Sequential(
    [
        keras.Input((4,)),
        layers.Dense(16, activation="tanh", name="critic_hidden"),
        layers.Dense(1, name="critic_out"),
    ]
)
variables = actor.trainable_variables + critic.trainable_variables
optimizer = keras.optimizers.Adam(3e-3)


def huber(errors):
    size = tf.abs(errors)
    return tf.reduce_mean(tf.where(size < 1.0, 0.5 * errors**2, size - 0.5))


for _episode in range(4):
    states = tf.random.normal((16, 4))
    actions = tf.cast(states[:, 0] > 0.0, tf.int32)
    returns = tf.tanh(states[:, 1]) + tf.cast(actions, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        log_probs = tf.nn.log_softmax(actor(states))
        values = tf.squeeze(critic(states), axis=1)
        taken = tf.gather(log_probs, actions, batch_dims=1)
        advantages = tf.stop_gradient(returns - values)
        policy_loss = -tf.reduce_mean(taken * advantages)
    value_loss = huber(returns - values)
    gradients = tape.gradient(policy_loss, actor.trainable_variables)
    gradients += tape.gradient(value_loss, critic.trainable_variables)
    del tape
    optimizer.apply_gradients(zip(gradients, variables))
for v, g in zip(variables, gradients):
    said = "None" if g is None else "nonzero" if tf.reduce_any(g != 0) else "zero"
    print(f"{v.path.replace('/', '.').split('.', 1)[-1]}: {said}")
