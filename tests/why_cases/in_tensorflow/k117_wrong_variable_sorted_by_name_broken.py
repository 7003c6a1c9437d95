# cause: wrong_variable
# line: 37
# affected: gates['candidate'] gates['update']
# symptom: wrong update
# expect: gates['update']=0.227 gates['reset']=0.376 gates['candidate']=0.358
# also: 25 36
import tensorflow as tf

tf.random.set_seed(17)

gates = {
    name: tf.Variable(tf.random.normal((4, 4), stddev=0.4), name=name)
    for name in ("update", "reset", "candidate")
}


def cell(h, x):
    u = tf.sigmoid((x + h) @ gates["update"])
    r = tf.sigmoid((x - h) @ gates["reset"])
    return u * h + (1.0 - u) * tf.tanh((x + r * h) @ gates["candidate"])


def descend(pairs, rate=0.5):
    for gradient, variable in pairs:
        variable.assign_sub(rate * gradient)


for _step in range(4):
    sequence = tf.random.normal((5, 8, 4))
    with tf.GradientTape() as tape:
        h = tf.zeros((8, 4))
        for x in tf.unstack(sequence):
            h = cell(h, x)
        loss = tf.reduce_mean(tf.square(h - sequence[0]))
    gradients = tape.gradient(loss, list(gates.values()))
    names = sorted(gates)
    descend(zip(gradients, [gates[name] for name in names]))
for name, gate in gates.items():
    print(f"gates[{name!r}]: {tf.reduce_mean(tf.abs(gate)):.3f}")
