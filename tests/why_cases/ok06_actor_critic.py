# cause: none
# line: 0
# affected: -
# symptom: legit: advantage is a constant to the actor; sampled actions are integers
# expect: actor=nonzero critic=nonzero
# also: -
# stops: 27 30
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


actor = tf.Variable(0.1 * tf.random.normal((4, 2)), name="actor")
critic = tf.Variable(0.1 * tf.random.normal((4, 1)), name="critic")
weights = [actor, critic]
optimizer = tf.keras.optimizers.Adam(0.01)
for _episode in range(3):
    states, returns = tf.random.normal((10, 4)), tf.random.normal((10,)) + 1.0
    with tf.GradientTape() as tape:
        logits = states @ actor
        actions = tf.random.categorical(logits, 1)[:, 0]
        log_prob = tf.reduce_sum(tf.nn.log_softmax(logits) * tf.one_hot(actions, 2), axis=1)
        advantage = returns - tf.squeeze(states @ critic, axis=1)
        policy_loss = -tf.reduce_mean(log_prob * tf.stop_gradient(advantage))
        loss = policy_loss + 0.5 * tf.reduce_mean(advantage**2)
    gradients = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(gradients, weights))
report(weights, gradients)
