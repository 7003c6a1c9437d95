"""Callbacks: what is told of epochs and steps, and what they may change."""

import csv

import numpy as np
import pytest

import headgate.tf as tf

keras = tf.keras

X = np.linspace(-1, 1, 40, dtype="float32")[:, None]
Y = 3 * X


def model(rate=0.1):
    tf.random.set_seed(0)
    made = keras.Sequential([keras.layers.Dense(1)])
    made.compile(keras.optimizers.SGD(rate), "mse", run_eagerly=True)
    return made


def test_the_order_of_calls():
    calls = []

    def noting(name):
        return lambda *args: calls.append((name, *args))

    moments = ["train_begin", "train_end", "epoch_begin", "epoch_end", "test_begin", "test_end"]
    seen = keras.callbacks.LambdaCallback(**{f"on_{name}": noting(name) for name in moments})
    model().fit(X, Y, epochs=2, validation_data=(X, Y), verbose=0, callbacks=[seen])
    epoch = ["epoch_begin", "test_begin", "test_end", "epoch_end"]
    assert [call[0] for call in calls] == ["train_begin", *epoch, *epoch, "train_end"]
    _, number, numbers = calls[4]
    assert (number, sorted(numbers)) == (0, ["loss", "val_loss"])


def test_numbers_of_batches_are_those_of_the_epoch_so_far():
    seen = []
    losses = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append((batch, logs["loss"]))
    )
    history = model().fit(X, Y, epochs=2, batch_size=10, verbose=0, callbacks=[losses])
    assert [batch for batch, _ in seen] == [0, 1, 2, 3] * 2
    assert seen[3][1] == history.history["loss"][0]
    with pytest.raises(TypeError, match="no 'on_epoch_ends'"):
        keras.callbacks.LambdaCallback(on_epoch_ends=print)


def test_early_stopping_ends_and_gives_the_best_weights_back():
    made = model(1.5)  # a rate at which it gets worse and worse
    weights = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(made.get_weights())
    )
    stop = keras.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    history = made.fit(X, Y, epochs=20, batch_size=40, verbose=0, callbacks=[keep, stop])
    losses = history.history["loss"]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 20
    assert stop.stopped_epoch == best + 2
    assert np.array_equal(made.get_weights()[0], weights[best][0])
    with pytest.raises(
        ValueError, match="watches 'val_loss', and the numbers of an epoch are loss"
    ):
        made.fit(X, Y, verbose=0, callbacks=[keras.callbacks.EarlyStopping()])
    with pytest.raises(ValueError, match="whether 'val_mine' is to be small or large"):
        keras.callbacks.EarlyStopping("val_mine")


def test_a_baseline_must_be_reached():
    stop = keras.callbacks.EarlyStopping("loss", patience=3, baseline=1e-9)
    history = model(0.01).fit(X, Y, epochs=9, verbose=0, callbacks=[stop])
    assert len(history.epoch) == 3


def test_the_rate_goes_down_on_a_plateau_and_by_a_schedule():
    made = model(0.1)
    plateau = keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.5, patience=1, min_delta=1e9, min_lr=0.02
    )
    rates = made.fit(X, Y, epochs=6, verbose=0, callbacks=[plateau]).history["learning_rate"]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.05, 0.025, 0.02, 0.02], rtol=1e-6)
    made = model(0.1)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    rates = made.fit(X, Y, epochs=3, verbose=0, callbacks=[schedule]).history["learning_rate"]
    np.testing.assert_allclose(rates, [0.05, 0.025, 0.0125], rtol=1e-6)
    alone = keras.callbacks.LearningRateScheduler(lambda epoch: 0.3)
    rates = made.fit(X, Y, verbose=0, callbacks=[alone]).history["learning_rate"]
    np.testing.assert_allclose(rates, [0.3], rtol=1e-6)


def test_weights_are_saved_when_they_are_better(tmp_path):
    made = model(1.5)
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best", "loss", save_best_only=True)
    each = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch:02d}-{loss:.0f}.safetensors"))
    history = made.fit(X, Y, epochs=3, verbose=0, callbacks=[best, each])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["best.safetensors"]
        + [f"{k + 1:02d}-{loss:.0f}.safetensors" for k, loss in enumerate(history.history["loss"])]
    )
    steps = keras.callbacks.ModelCheckpoint(tmp_path / "steps" / "{epoch}", save_freq=3)
    made.fit(X, Y, batch_size=10, epochs=2, verbose=0, callbacks=[steps])
    assert sorted(path.stem for path in (tmp_path / "steps").iterdir()) == ["1", "2"]
    wrong = keras.callbacks.ModelCheckpoint(str(tmp_path / "{val_mae}"))
    with pytest.raises(ValueError, match="names 'val_mae', and the numbers are epoch, loss"):
        made.fit(X, Y, verbose=0, callbacks=[wrong])


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_loss_that_is_not_finite_ends_the_training(capsys):
    made = model(1e30)
    history = made.fit(
        X, Y, epochs=5, batch_size=5, verbose=0, callbacks=[keras.callbacks.TerminateOnNaN()]
    )
    assert len(history.epoch) == 1
    assert "the training ends" in capsys.readouterr().out


def test_a_table_of_the_epochs_goes_on_with_append(tmp_path):
    file = tmp_path / "log.csv"
    made = model()
    made.fit(X, Y, epochs=2, verbose=0, callbacks=[keras.callbacks.CSVLogger(file)])
    log = keras.callbacks.CSVLogger(file, append=True)
    made.fit(X, Y, epochs=3, initial_epoch=2, verbose=0, callbacks=[log])
    with file.open() as text:
        rows = list(csv.DictReader(text))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert float(rows[2]["loss"]) < float(rows[0]["loss"])


def test_tensorboard_reads_what_was_written(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = model()
    board = keras.callbacks.TensorBoard(tmp_path, update_freq=1)
    history = made.fit(
        X, Y, epochs=2, batch_size=20, validation_data=(X, Y), verbose=0, callbacks=[board]
    )
    found = EventAccumulator(str(tmp_path / "train")).Reload()
    values = [event.value for event in found.Scalars("epoch_loss")]
    np.testing.assert_allclose(values, history.history["loss"], rtol=1e-6)
    assert len(found.Scalars("batch_loss")) == 4
    found = EventAccumulator(str(tmp_path / "validation")).Reload()
    values = [event.value for event in found.Scalars("epoch_loss")]
    np.testing.assert_allclose(values, history.history["val_loss"], rtol=1e-6)


def test_what_is_no_callback_is_refused():
    with pytest.raises(TypeError, match=r"a callback is a headgate\.fit\.Callback"):
        model().fit(X, Y, verbose=0, callbacks=[print])
