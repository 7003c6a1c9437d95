# cause: none
# line: 0
# affected: -
# symptom: legit: inner steps are differentiated, or their gradients stopped for first order
# expect: maml.start=nonzero maml.rate=nonzero first.start=nonzero reptile.start=learns hyper.log_decay=nonzero
# also: -
# stops: 73 86
"""MAML with a learned rate, first-order MAML, Reptile, and a tuned weight decay."""

import numpy as np
import tensorflow as tf

tf.random.set_seed(307)


def forward(w, x):
    return tf.tanh(x @ w["inner"]) @ w["outer"]


def error(w, x, y):
    return tf.reduce_mean(tf.square(forward(w, x) - y))


def weights():
    return {
        "inner": tf.Variable(tf.random.normal((1, 8)), name="inner"),
        "outer": tf.Variable(tf.random.normal((8, 1)), name="outer"),
    }


def task():
    phase = tf.random.uniform((), 0.0, 3.0)
    x = tf.random.uniform((10, 1), -3.0, 3.0)
    return x, tf.sin(x + phase)


def said(*gradients):
    fine = all(g is not None and bool(tf.reduce_any(g != 0)) for g in gradients)
    return "nonzero" if fine else "missing"


def maml(steps=3, tasks=2):
    start, rate = weights(), tf.Variable(0.05, name="rate")
    parameters = [*start.values(), rate]
    for _ in range(steps):
        with tf.GradientTape() as outer:
            total = 0.0
            for _ in range(tasks):
                x, y = task()
                fast = dict(start)
                for _ in range(2):
                    with tf.GradientTape() as inner:
                        inner.watch(fast)
                        loss = error(fast, x, y)
                    slopes = inner.gradient(loss, fast)
                    fast = {name: fast[name] - rate * slope for name, slope in slopes.items()}
                total += error(fast, *task())
        gradients = outer.gradient(total, parameters)
        for p, g in zip(parameters, gradients):
            p.assign_sub(0.01 * g)
    yield "start", said(*gradients[:2])
    yield "rate", said(gradients[2])


def first(steps=3):
    start = weights()
    for _ in range(steps):
        x, y = task()
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                loss = error(start, x, y)
            slopes = inner.gradient(loss, start)
            fast = {name: w - 0.1 * tf.stop_gradient(slopes[name]) for name, w in start.items()}
            total = error(fast, x, y)
        gradients = outer.gradient(total, start)
        for name, g in gradients.items():
            start[name].assign_sub(0.01 * g)
    yield "start", said(*gradients.values())


def reptile(steps=3):
    start, work = weights(), weights()
    before = start["inner"].numpy()
    for _ in range(steps):
        for name in start:
            work[name].assign(start[name])
        x, y = task()
        for _ in range(3):
            with tf.GradientTape() as tape:
                loss = error(work, x, y)
            for name, g in tape.gradient(loss, work).items():
                work[name].assign_sub(0.05 * g)
        for name in start:
            start[name].assign_add(0.3 * (work[name] - start[name]))
    yield "start", "learns" if (start["inner"].numpy() != before).all() else "still"


def hyper(steps=3):
    w = tf.Variable(tf.random.normal((4, 1)), name="w")
    log_decay = tf.Variable(-2.0, name="log_decay")
    x, held = tf.random.normal((16, 4)), tf.random.normal((16, 4))
    for _ in range(steps):
        with tf.GradientTape() as outer:
            outer.watch(log_decay)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(w)
                fit = tf.reduce_mean(tf.square(x @ w - x[:, :1]))
                loss = fit + tf.exp(log_decay) * tf.reduce_sum(tf.square(w))
            after = w - 0.1 * inner.gradient(loss, w)
            total = tf.reduce_mean(tf.square(held @ after - held[:, :1]))
        gradient = outer.gradient(total, log_decay)
        log_decay.assign_sub(0.1 * gradient)
        w.assign(after)
    yield "log_decay", said(gradient)


for train in (maml, first, reptile, hyper):
    for name, word in train():
        print(f"{train.__name__}.{name}: {word}")
assert np.isfinite(float(error(weights(), *task())))
