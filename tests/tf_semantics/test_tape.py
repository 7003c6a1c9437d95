"""Section 2.1: what a GradientTape records, and what it watches."""

import warnings

import numpy as np
import pytest


def watched_variables(tape, *expected):
    """Check identity: `==` of variables is elementwise."""
    watched = tape.watched_variables()
    assert isinstance(watched, tuple)
    return len(watched) == len(expected) and all(
        w is e for w, e in zip(watched, expected, strict=True)
    )


# What is watched.


def test_constant(tf, near):
    """source constant not watched: None; watch(c) then y=c*c: 6.0."""
    c = tf.constant(3.0)
    with tf.GradientTape() as tape:
        y = c * c
    assert tape.gradient(y, c) is None
    with tf.GradientTape() as tape:
        assert tape.watch(c) is None
        y = c * c
    near(tape.gradient(y, c), 6.0)


def test_watch_after_some_ops(tf, near):
    """watch after some ops: earlier ops are not connected (9.0)."""
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        y = x * x
        tape.watch(x)
        z = x * y
    near(tape.gradient(z, x), 9.0)


@pytest.mark.parametrize("watch_x", [False, True])
def test_watch_a_derived_tensor(tf, near, watch_x):
    """watch a derived tensor h: dy/dx None; h derived from watched x: both given (108, 18)."""
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        if watch_x:
            tape.watch(x)
        h = x * x
        tape.watch(h)
        y = h * h
    dx, dh = tape.gradient(y, [x, h])
    near(dh, 18.0)
    assert (dx.numpy() == 108.0) if watch_x else (dx is None)


def test_trainable_variable_is_watched(tf, near):
    """trainable Variable auto-watched; trainable=False not; explicit watch of it works (4.0)."""
    v, frozen = tf.Variable(2.0), tf.Variable(2.0, trainable=False)
    with tf.GradientTape() as tape:
        y = v * v + frozen * frozen
    assert watched_variables(tape, v)
    dv, dfrozen = tape.gradient(y, [v, frozen])
    near(dv, 4.0)
    assert dfrozen is None
    with tf.GradientTape() as tape:
        tape.watch(frozen)
        y = frozen * frozen
    assert watched_variables(tape, frozen)
    near(tape.gradient(y, frozen), 4.0)


def test_int_variable(tf):
    """int Variable: auto-watched (in watched_variables) but gradient None."""
    v = tf.Variable(2)
    with tf.GradientTape() as tape:
        y = tf.cast(v * v, tf.float32)
    assert watched_variables(tape, v)
    assert tape.gradient(y, v) is None


def test_watch_an_int_tensor(tf, deviation, caplog):
    """watch(int tensor): warning, gradient None, no error. TF logs it, Headgate uses `warnings`."""
    c = tf.constant(2)
    with warnings.catch_warnings(record=True) as caught, tf.GradientTape() as tape:
        warnings.simplefilter("always")
        tape.watch(c)
        y = tf.cast(c * c, tf.float32)
    logged = [record.getMessage() for record in caplog.records]
    said = deviation(tensorflow=logged, headgate=[str(warning.message) for warning in caught])
    assert len([text for text in said if "must be floating" in text and "int32" in text]) == 1
    assert tape.gradient(y, c) is None


@pytest.mark.parametrize("thing", [np.ones(2), 1.0, None], ids=["ndarray", "float", "None"])
def test_watch_something_else(tf, thing):
    """watch(ndarray / float / None): ValueError naming the type; the tape stays usable."""
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        with pytest.raises(ValueError, match=type(thing).__name__):
            tape.watch(thing)
        y = v * v
    assert tape.gradient(y, v).numpy() == 6.0


def test_watch_nested(tf, near):
    """watch(nested list/dict/tuple): flattens; returns None."""
    a, b, c = (tf.constant(value) for value in (1.0, 2.0, 3.0))
    with tf.GradientTape() as tape:
        assert tape.watch({"a": a, "rest": [b, (c,)]}) is None
        y = a * b * c
    for gradient, expected in zip(tape.gradient(y, [a, b, c]), (6.0, 3.0, 2.0), strict=True):
        near(gradient, expected)


def test_watch_on_a_tape_never_entered(tf, error):
    """watch on a tape never entered: AttributeError, an accident; Headgate: RuntimeError."""
    with pytest.raises(error("watch before entering")):
        tf.GradientTape().watch(tf.constant(1.0))


def test_watch_twice(tf, near):
    """watch twice: same as once."""
    c = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(c)
        tape.watch(c)
        y = c * c
    near(tape.gradient(y, c), 6.0)


def test_source_must_be_the_same_object(tf):
    """source is tf.identity(x) of watched x, made outside: None."""
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    assert tape.gradient(y, tf.identity(x)) is None


def test_watch_accessed_variables_off(tf, near):
    """watch_accessed_variables=False: only watched variables; others None."""
    v, w = tf.Variable(3.0), tf.Variable(4.0)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(v)
        y = v * w
    assert watched_variables(tape, v)
    dv, dw = tape.gradient(y, [v, w])
    near(dv, 4.0)
    assert dw is None


def test_watched_variables(tf):
    """watched_variables(): in order of CONSTRUCTION; () before any; kept after gradient()."""
    first, second = tf.Variable(1.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        assert tape.watched_variables() == ()
        y = second * first
    assert watched_variables(tape, first, second)
    tape.gradient(y, first)
    assert watched_variables(tape, first, second)


@pytest.mark.parametrize(
    ("access", "marks"),
    [
        (lambda tf, v: v.numpy(), True),
        (lambda tf, v: v.assign(2.0), True),
        (lambda tf, v: v.assign_add(2.0), True),
        (lambda tf, v: v + 1.0, True),
        (lambda tf, v: (v.shape, v.name, v.dtype), False),
        (lambda tf, v: tf.stop_gradient(v), False),
    ],
    ids=["numpy", "assign", "assign_add", "op", "shape_name", "stop_gradient"],
)
def test_what_marks_a_variable_as_accessed(tf, access, marks):
    """accessed: any read, incl. .numpy(), assign; not .shape, .name, stop_gradient(v)."""
    v = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        access(tf, v)
    assert watched_variables(tape, *[v] * marks)


def test_a_read_under_stop_recording_does_not_mark(tf):
    """... not a read inside stop_recording."""
    v = tf.Variable(1.0)
    with tf.GradientTape() as tape, tape.stop_recording():
        v * v
    assert watched_variables(tape)


@pytest.mark.parametrize("read_under_the_stop", [False, True])
@pytest.mark.peers
def test_variable_used_inside_a_function(tf, read_under_the_stop):
    """variable used in tf.function: watched even if the output is fully stopped; gradient None."""
    v = tf.Variable(3.0)

    @tf.function
    def stopped():
        return tf.stop_gradient(v if read_under_the_stop else v * v)

    with tf.GradientTape() as tape:
        y = stopped()
    assert watched_variables(tape, v)
    assert tape.gradient(y, v) is None


# Threads and several tapes.


def test_op_in_another_thread_is_not_recorded(tf, in_thread):
    """op run in another thread under this tape: not recorded (None, ())."""
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = in_thread(lambda: v * v)
    assert watched_variables(tape)
    assert tape.gradient(y, v) is None


def test_one_tape_per_thread(tf, near, in_thread):
    """one tape per thread works, also while a tape is active in this one."""
    v = tf.Variable(3.0)

    def derivative():
        with tf.GradientTape() as tape:
            y = v * v
        return tape.gradient(y, v)

    with tf.GradientTape() as outer:
        y = v * v * v
        near(in_thread(derivative), 6.0)
    near(outer.gradient(y, v), 27.0)


def test_gradient_from_another_thread(tf, near, in_thread):
    """calling gradient from another thread works."""
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = v * v
    near(in_thread(lambda: tape.gradient(y, v)), 6.0)


def test_interleaved_tapes(tf, near):
    """tapes can be interleaved: each records exactly what ran while it was active."""
    v = tf.Variable(3.0)
    first, second = tf.GradientTape(persistent=True), tf.GradientTape(persistent=True)
    first.__enter__()
    only_first = v * v
    second.__enter__()
    both = v * v * v
    first.__exit__(None, None, None)
    only_second = 2.0 * v
    second.__exit__(None, None, None)
    near(first.gradient(only_first, v), 6.0)
    near(first.gradient(both, v), 27.0)
    assert first.gradient(only_second, v) is None
    assert second.gradient(only_first, v) is None
    near(second.gradient(both, v), 27.0)
    near(second.gradient(only_second, v), 2.0)


def test_exception_inside_the_block(tf, near):
    """exception inside `with`: tape is exited, gradient still works (6.0)."""
    v = tf.Variable(3.0)
    tape, targets = tf.GradientTape(), []

    def program():
        with tape:
            targets.append(v * v)
            raise KeyError

    with pytest.raises(KeyError):
        program()
    y = targets[0]
    near(tape.gradient(y, v), 6.0)
    with tape:  # would raise if it were still active
        y = v * v
    near(tape.gradient(y, v), 6.0)


def test_exception_in_an_inner_tape(tf, near):
    """an exception in an inner tape leaves the outer fine."""
    v = tf.Variable(3.0)
    with tf.GradientTape() as outer:
        with pytest.raises(KeyError), tf.GradientTape():
            raise KeyError
        y = v * v
    near(outer.gradient(y, v), 6.0)


# Entering again, reset, stop_recording.


def test_reenter_a_finished_persistent_tape(tf, near):
    """re-enter finished tape (persistent): continues on the SAME record (27.0)."""
    v = tf.Variable(3.0)
    tape = tf.GradientTape(persistent=True)
    with tape:
        y = v * v
    with tape:
        z = y * v
    near(tape.gradient(z, v), 27.0)


def test_reenter_after_a_non_persistent_gradient(tf, near):
    """re-enter after non-persistent gradient: fresh record, works."""
    v = tf.Variable(3.0)
    tape = tf.GradientTape()
    with tape:
        y = v * v
    tape.gradient(y, v)
    with tape:
        z = y * v
    near(tape.gradient(z, v), 9.0)


def test_reenter_while_active(tf):
    """re-enter while active: ValueError "Tape is still recording"."""
    with tf.GradientTape() as tape, pytest.raises(ValueError, match="still recording"), tape:
        pass


def test_reset_inside(tf, near):
    """reset() inside: drops record and watches; only later ops count (3.0)."""
    v, c = tf.Variable(3.0), tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(c)
        y = v * v
        tape.reset()
        z = y + 3.0 * v + c * c
    dv, dc = tape.gradient(z, [v, c])
    near(dv, 3.0)
    assert dc is None


def test_reset_outside(tf):
    """reset() outside: ValueError "Tape is not recording."."""
    with tf.GradientTape() as tape:
        pass
    with pytest.raises(ValueError, match="not recording"):
        tape.reset()


def test_stop_recording_on_a_tape_never_entered(tf):
    """stop_recording() never-entered: RuntimeError "... not recording"."""
    with pytest.raises(RuntimeError, match="not recording"), tf.GradientTape().stop_recording():
        pass


def test_stop_recording_after_exit_or_nested(tf):
    """stop_recording() after exit, or nested in itself: ValueError "Tape is not recording."."""
    tape = tf.GradientTape()
    refused = pytest.raises(ValueError, match="not recording")
    with tape, tape.stop_recording(), refused, tape.stop_recording():
        pass
    with pytest.raises(ValueError, match="not recording"), tape.stop_recording():
        pass


def test_stop_recording_affects_only_that_tape(tf, near):
    """stop_recording() affects only that tape; outer tape still records (None vs 6.0)."""
    v = tf.Variable(3.0)
    with tf.GradientTape() as outer, tf.GradientTape() as inner, inner.stop_recording():
        y = v * v
    assert inner.gradient(y, v) is None
    near(outer.gradient(y, v), 6.0)


def test_value_made_under_stop_recording(tf, near):
    """value made under stop_recording: a constant to this tape (v*a: dv=4, dw None)."""
    v, w = tf.Variable(3.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        with tape.stop_recording():
            a = w * 2.0
        y = v * a
    dv, dw = tape.gradient(y, [v, w])
    near(dv, 4.0)
    assert dw is None
