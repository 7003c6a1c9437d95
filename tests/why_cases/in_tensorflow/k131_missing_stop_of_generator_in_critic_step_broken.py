# cause: missing_stop
# line: 29
# affected: generator.kernel generator.bias
# symptom: leak
# expect: generator.kernel=0.529 generator.bias=0.068
# also: 31 32
# args: --no-flow 'generator*@critic_step'
import keras
import tensorflow as tf

keras.utils.set_random_seed(31)


class Nets(keras.Model):
    def __init__(self):
        super().__init__()
        self.generator = keras.layers.Dense(2, name="generator")
        self.critic = keras.layers.Dense(1, name="critic")


nets = Nets()
nets.generator.build((None, 2))
nets.critic.build((None, 2))
optimizer = keras.optimizers.SGD(0.2)


def critic_step(real, noise):
    with tf.GradientTape() as tape:
        fake = nets.generator(noise)
        loss = tf.reduce_mean(tf.nn.softplus(-nets.critic(real)))
        loss += tf.reduce_mean(tf.nn.softplus(nets.critic(fake)))
    gradients = tape.gradient(loss, nets.trainable_variables)
    optimizer.apply_gradients(
        (g, v) for g, v in zip(gradients, nets.trainable_variables) if g is not None
    )


def generator_step(noise):
    variables = nets.generator.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.softplus(-nets.critic(nets.generator(noise))))
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))


optimizer.build(nets.trainable_variables)
for _step in range(4):
    critic_step(tf.random.normal((16, 2)) + 2.0, tf.random.normal((16, 2)))
    generator_step(tf.random.normal((16, 2)))
for v in nets.generator.variables:
    print(f"generator.{v.name}: {tf.norm(v):.3f}")
