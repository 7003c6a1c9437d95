# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: speaker.kernel=nonzero speaker.bias=nonzero words.embeddings=nonzero listener.kernel=nonzero listener.bias=nonzero
# also: -
import keras
import tensorflow as tf

keras.utils.set_random_seed(5)
N_WORDS = 7


class Game(keras.Model):
    """A speaker says one word about what it sees, and a listener guesses what it was."""

    def __init__(self):
        super().__init__()
        self.speaker = keras.layers.Dense(N_WORDS, name="speaker")
        self.words = keras.layers.Embedding(N_WORDS, 5, name="words")
        self.words.build()
        self.listener = keras.layers.Dense(3, name="listener")

    def call(self, seen):
        logits = self.speaker(seen)
        noise = -tf.math.log(-tf.math.log(tf.random.uniform(tf.shape(logits), 1e-6, 1.0 - 1e-6)))
        soft = tf.nn.softmax(logits + noise)
        hard = tf.one_hot(tf.argmax(soft, axis=1), N_WORDS)
        heard = (soft + tf.stop_gradient(hard - soft)) @ self.words.embeddings
        return self.listener(tf.tanh(heard))


game = Game()
optimizer = keras.optimizers.Adam(1e-2)


def play(seen, truth):
    with tf.GradientTape() as tape:
        guess = game(seen)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=truth, logits=guess)
        )
    gradients = tape.gradient(loss, game.trainable_variables)
    optimizer.apply_gradients(zip(gradients, game.trainable_variables))
    return gradients


for _round in range(4):
    seen = tf.random.normal((32, 3))
    gradients = play(seen, tf.argmax(seen, axis=1))
for v, g in zip(game.trainable_variables, gradients):
    g = g if g is None else tf.convert_to_tensor(g)
    said = "None" if g is None else "nonzero" if tf.reduce_any(g != 0) else "zero"
    print(f"{'.'.join(v.path.split('/')[-2:])}: {said}")
