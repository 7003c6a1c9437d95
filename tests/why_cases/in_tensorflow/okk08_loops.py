# cause: none
# line: 0
# affected: -
# symptom: legit: sums of micro-batches, loss scales, averages, schedules, logs and early ends
# expect: micro=learns scaled=learns averaged=learns scheduled=learns manual=learns
# also: -
# stops: -
"""Loops of training with what they have around them."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(308)
X = np.random.normal(size=(64, 5)).astype("float32")
Y = np.sin(X[:, :1]).astype("float32")


def network():
    return keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(12, "tanh"), keras.layers.Dense(1)]
    )


def batches(size=16):
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(64, seed=1).batch(size)


def loss_of(model, x, y, **options):
    return tf.reduce_mean(tf.square(model(x, **options) - y))


def micro(model):
    """Gradients of four batches are added up in variables; also by the optimizer itself."""
    variables = model.trainable_variables
    sums = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]
    optimizer = keras.optimizers.Adam(1e-2)
    for number, (x, y) in enumerate(batches(8)):
        with tf.GradientTape() as tape:
            loss = loss_of(model, x, y) / 4.0
        for total, gradient in zip(sums, tape.gradient(loss, variables)):
            total.assign_add(gradient)
        if number % 4 == 3:
            optimizer.apply_gradients(zip(sums, variables))
            for total in sums:
                total.assign(tf.zeros_like(total))
    model.compile(keras.optimizers.Adam(1e-2, gradient_accumulation_steps=2), "mse")
    model.fit(X, Y, batch_size=16, epochs=1, verbose=0)


def scaled(model):
    """Half precision with a loss scale, whose first steps overflow and are left out."""
    inner = keras.optimizers.SGD(0.05)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**15)
    half = keras.DTypePolicy("mixed_float16")
    inputs = keras.Input((5,))
    h = keras.layers.Dense(12, "tanh", dtype=half)(inputs)
    mixed = keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(h))
    mixed.set_weights(model.get_weights())

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = optimizer.scale_loss(loss_of(mixed, x, y))
        variables = mixed.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))

    for x, y in batches():
        step(x, y)
    model.set_weights(mixed.get_weights())


def averaged(model):
    """Averages of the weights, by hand and by the optimizer."""
    slow = keras.models.clone_model(model)
    slow.set_weights(model.get_weights())
    optimizer = keras.optimizers.AdamW(1e-2, use_ema=True, ema_momentum=0.8)
    average = tf.train.ExponentialMovingAverage(0.9)
    for x, y in batches():
        with tf.GradientTape() as tape:
            loss = loss_of(model, x, y)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        for a, b in zip(slow.weights, model.weights):
            a.assign_sub(0.1 * (a - b))
        average.apply([v.value for v in model.trainable_variables])
    optimizer.finalize_variable_values(model.trainable_variables)
    assert np.isfinite(loss_of(slow, X, Y))


def scheduled(model):
    """A rate that starts at zero, callbacks, validation, and a run that ends early."""
    rates = keras.optimizers.schedules.CosineDecay(0.0, 20, warmup_target=1e-2, warmup_steps=2)
    model.compile(keras.optimizers.Adam(rates), "mse", metrics=["mae"])
    log = []
    callbacks = [
        keras.callbacks.EarlyStopping(patience=1, restore_best_weights=False),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: log.append(logs["mae"])),
        keras.callbacks.TerminateOnNaN(),
    ]
    model.fit(X, Y, batch_size=16, epochs=3, validation_split=0.25, callbacks=callbacks, verbose=0)
    assert len(log) >= 1
    assert model.evaluate(X, Y, verbose=0)[0] >= 0.0


def manual(model):
    """Gradients that are clipped, decayed and applied by hand; values that are logged."""
    history, best = [], np.inf
    mean = keras.metrics.Mean()
    for _epoch in range(2):
        mean.reset_state()
        for x, y in batches():
            with tf.GradientTape() as tape:
                predicted = model(x, training=True)
                loss = tf.reduce_mean(tf.square(predicted - y))
                history.append(float(loss))
                right = tf.reduce_mean(tf.cast(tf.sign(predicted) == tf.sign(y), tf.float32))
            mean.update_state(loss)
            gradients = tape.gradient(loss, model.trainable_variables)
            gradients, size = tf.clip_by_global_norm(gradients, 1.0)
            for v, g in zip(model.trainable_variables, gradients):
                v.assign_sub(0.05 * (g + 1e-4 * v))
        if float(mean.result()) < best:
            best, kept = float(mean.result()), model.get_weights()
        assert 0.0 <= float(right) <= 1.0
        assert float(size) > 0.0
    model.set_weights(kept)


for train in (micro, scaled, averaged, scheduled, manual):
    model = network()
    start = model.get_weights()
    train(model)
    moved = all((v != before).any() for v, before in zip(model.get_weights(), start))
    print(f"{train.__name__}: {'learns' if moved else 'still'}")
