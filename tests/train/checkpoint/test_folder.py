"""A folder of checkpoints: the last few stay, and a training goes on from them."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import headgate as hg
from headgate import nn
from headgate.checkpoint import CheckpointError, Checkpoints, save


def test_the_last_few_stay(tmp_path):
    v = hg.Variable(0)
    checkpoints = Checkpoints(tmp_path / "new" / "folder", keep=3, v=v)
    assert checkpoints.steps() == []
    assert checkpoints.restore() is None
    for step in [0, 5, 7, 100_000_000, 10, 123_456_789]:
        v.assign(step)
        checkpoints.save(step)
    assert checkpoints.steps() == [10, 100_000_000, 123_456_789]
    assert (checkpoints.restore(), int(v)) == (123_456_789, 123_456_789)
    assert (checkpoints.restore(10), int(v)) == (10, 10)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 7 .*there are \[10, 1000"):
        checkpoints.restore(7)


def test_an_older_step_is_not_removed_by_its_own_save(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1, v=hg.Variable(0))
    checkpoints.save(9)
    checkpoints.save(3)
    assert checkpoints.steps() == [3, 9]


@pytest.mark.parametrize(
    ("step", "error"), [(-1, ValueError), (1.0, TypeError), ("../x", TypeError), (None, TypeError)]
)
def test_steps_that_are_none(tmp_path, step, error):
    with pytest.raises(error):
        Checkpoints(tmp_path, v=hg.Variable(0)).save(step)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("keep", "error"), [(0, ValueError), (-1, ValueError), (2.5, TypeError)])
def test_keep(tmp_path, keep, error):
    with pytest.raises(error):
        Checkpoints(tmp_path, keep, v=hg.Variable(0))


def test_a_damaged_newest_one_is_passed_over(tmp_path):
    v = hg.Variable(0)
    checkpoints = Checkpoints(tmp_path, v=v)
    for step in (1, 2, 3):
        v.assign(step)
        checkpoints.save(step)
    (tmp_path / "step-00000003.safetensors").write_bytes(b"")
    with pytest.warns(UserWarning, match="passed over a damaged.*step-00000003") as caught:
        assert checkpoints.restore() == 2
    assert caught[0].filename == __file__
    assert int(v) == 2
    with pytest.raises(CheckpointError, match="step-00000003"):
        checkpoints.restore(3)
    for step in (1, 2):
        (tmp_path / f"step-0000000{step}.safetensors").write_bytes(b"x")
    with (
        pytest.warns(UserWarning, match="passed over"),
        pytest.raises(CheckpointError, match="all checkpoints in"),
    ):
        checkpoints.restore()
    assert int(v) == 2


def test_a_checkpoint_of_another_program_is_not_passed_over(tmp_path):
    Checkpoints(tmp_path, v=hg.Variable(1)).save(1)
    Checkpoints(tmp_path, v=hg.Variable([1])).save(2)
    with pytest.raises(CheckpointError, match=r"has the shape \(1,\)"):
        Checkpoints(tmp_path, v=hg.Variable(0)).restore()


def test_what_is_no_checkpoint_in_the_folder_is_left_alone(tmp_path):
    v = hg.Variable(1)
    elsewhere = tmp_path / "elsewhere"
    save(elsewhere, v=v)
    folder = tmp_path / "folder"
    checkpoints = Checkpoints(folder, keep=1, v=v)
    checkpoints.save(1)
    (folder / "step-00000007.safetensors").mkdir()
    (folder / "step-00000008.safetensors").symlink_to(elsewhere)
    for stem in ("step-2", "step-000000002", "xstep-00000009", "step-٠٠٠٠٠٠٠٩", "step-00000009.x"):
        name = f"{stem}.safetensors"
        (folder / name).write_bytes(elsewhere.read_bytes())
    before = set(os.listdir(folder))
    assert checkpoints.steps() == [1]
    checkpoints.save(2)
    assert checkpoints.steps() == [2]
    assert set(os.listdir(folder)) == before - {"step-00000001.safetensors"} | {
        "step-00000002.safetensors"
    }
    with pytest.raises(FileNotFoundError, match="step 8"):
        checkpoints.restore(8)
    with pytest.raises(OSError, match="is not saved"):
        checkpoints.save(7)
    checkpoints.save(8)
    assert checkpoints.restore(8) == 8
    assert elsewhere.exists()


@pytest.mark.parametrize("name", ["with space", "ünï çødé 数据", "a'b\"c", "%s{0}"])
def test_names_of_folders(tmp_path, name):
    v = hg.Variable(3)
    for folder in (tmp_path / name, str(tmp_path / name)):
        Checkpoints(folder, v=v).save(1)
        assert Checkpoints(folder, v=v).restore() == 1


def test_saves_in_threads_share_a_folder(tmp_path):
    failures = []

    def work(first):
        v = hg.Variable(np.zeros(1000))
        checkpoints = Checkpoints(tmp_path, keep=2, v=v)
        try:
            for step in range(first, 40, 2):
                v.assign(np.full(1000, step))
                checkpoints.save(step)
                checkpoints.save(1000)  # both write this one
                found = checkpoints.restore()
                assert found == 1000
                assert np.ptp(v.numpy()) == 0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(tmp_path.glob(".headgate-*.tmp")) == []
    assert 1000 in Checkpoints(tmp_path).steps()


def test_going_back_leaves_what_was_saved_after_that(tmp_path):
    v = hg.Variable(0)
    checkpoints = Checkpoints(tmp_path, keep=4, v=v)
    for step in (50, 100, 150):
        checkpoints.save(step)
    assert checkpoints.restore(50) == 50
    v.assign(1)
    with pytest.warns(UserWarning, match="step 60 .* from step 50.*100, 150.* are left") as told:
        checkpoints.save(60)
    assert told[0].filename == __file__
    assert checkpoints.steps() == [100, 150, 50, 60]
    checkpoints.save(70)  # it is said once
    assert checkpoints.steps() == [150, 50, 60, 70]
    again = Checkpoints(tmp_path, keep=4, v=v)  # another process
    assert (again.restore(), int(v)) == (70, 1)
    again.save(150)  # a new one, in place of the one that was left
    assert (again.restore(), again.steps()) == (150, [50, 60, 70, 150])
    assert again.restore(70) == 70
    assert again.restore() == 150  # nothing was saved in between, so nothing is left
    again.save(160)
    assert again.steps() == [60, 70, 150, 160]
    assert again.restore(60) == 60
    with pytest.warns(UserWarning, match="step 65 .* from step 60"):
        again.save(65)
    assert Checkpoints(tmp_path, v=v).restore() == 65
    assert Checkpoints(tmp_path, v=v).restore(160) == 160


def test_a_model_without_weights_is_not_saved(tmp_path):
    model = nn.Sequential([nn.Dense(2), nn.Dropout(0.5)], name="model")
    for items in ({"model": model}, {"all": [hg.Variable(1.0), model]}):
        with pytest.raises(
            ValueError, match=r"item '(model'|all', part '1').* no weights yet.*call"
        ):
            save(tmp_path / "file", **items)
    with pytest.raises(ValueError, match="no weights yet"):
        Checkpoints(tmp_path, model=model).save(0)
    assert os.listdir(tmp_path) == []
    model(np.ones((1, 3)))
    save(tmp_path / "file", model=model, dropout=nn.Dropout(0.5), relu=nn.ReLU())
    model.head = nn.Dense(3)
    with pytest.warns(UserWarning, match=r"nothing is saved of the layers 'model/head'") as told:
        save(tmp_path / "file", model=model)
    assert told[0].filename == __file__


# -- processes that end ----------------------------------------------------------------------------

KILLING = """
import os, random, signal, sys, time, warnings
from pathlib import Path
import numpy as np
import headgate as hg
from headgate.checkpoint import Checkpoints

warnings.simplefilter("error")
folder = Path(sys.argv[1])
delays = random.Random(0)

def content(step):
    return {str(i): np.full(size, step * 3 + i) for i, size in enumerate((1, 1000, 100_000))}

class Item:
    state = None
    def get_state(self):
        return self.state
    def set_state(self, state):
        self.state = state

item = Item()
checkpoints = Checkpoints(folder, keep=3, item=item)

def save_in_a_loop(report):
    step = checkpoints.restore() or 0
    while True:
        step += 1
        item.state = content(step)
        checkpoints.save(step)
        os.write(report, b"%d\\n" % step)

reported, cut = 0, 0
for moment in range(50):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            save_in_a_loop(writing)
        finally:
            os._exit(1)
    os.close(writing)
    first = os.read(reading, 1000)  # the first save of this process is done
    time.sleep(delays.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the saving process failed"
    with open(reading, "rb") as report:
        reported = max([reported, *map(int, (first + report.read()).split())])
    cut += len(list(folder.glob(".headgate-*.tmp")))
    step = checkpoints.restore()
    assert step >= reported > moment, (step, reported, moment)
    expected = content(step)
    assert item.state.keys() == expected.keys()
    assert all(np.array_equal(item.state[key], expected[key]) for key in expected)
item.state = content(0)
checkpoints.save(step + 1)
assert not list(folder.glob(".headgate-*.tmp"))
assert len(checkpoints.steps()) == 3
print(cut)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_at_fifty_moments(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLING, str(tmp_path / "run")],
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0, "the kills must meet saves that are under way"


TRAINING = """
import os, sys
import numpy as np
import headgate as hg
from headgate import data, nn, optim
from headgate.checkpoint import Checkpoints

folder, seed, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
hg.random.set_seed(seed)
x = np.random.default_rng(0).standard_normal((20, 3)).astype("float32")
y = (x[:, :1] > 0).astype("float32")
model = nn.Sequential(
    [nn.Dense(8, "relu"), nn.BatchNormalization(), nn.Dropout(0.5), nn.Dense(1)]
)
model.build((None, 3))
optimizer = optim.Adam(0.01)
batches = data.Batches(x, y, batch_size=4, seed=seed)
items = {"model": model, "optimizer": optimizer, "batches": batches, "random": hg.random}
checkpoints = Checkpoints(folder, keep=2, **items)
step = checkpoints.restore() or 0
print("from", step, "in epoch", batches.epoch, "at", batches.position)
while step < 12:
    if step == end:
        os._exit(1)
    inputs, targets = next(batches)
    with hg.GradientTape() as tape:
        noisy = inputs + hg.random.normal(inputs.shape, 0.0, 0.1, inputs.dtype)
        loss = hg.mean((model(noisy, training=True) - targets) ** 2)
    variables = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    step += 1
    print("loss", step, loss.numpy().tobytes().hex())
    if step % 3 == 0 and step < 12:
        checkpoints.save(step)
for name, item in items.items():
    for key, value in item.get_state().items():
        print(name, key, value.tobytes().hex() if isinstance(value, np.ndarray) else value)
"""


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    def train(folder, *arguments, status=0):
        done = subprocess.run(
            [sys.executable, "-c", TRAINING, str(tmp_path / folder), *map(str, arguments)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
        return done.stdout.splitlines()

    whole = train("a", 1, 99)
    train("b", 1, 8, status=1)  # ends two steps after its last checkpoint
    resumed = train("b", 2, 99)  # another seed: all that matters comes from the checkpoint
    assert resumed[0] == "from 6 in epoch 1 at 1"
    assert resumed[1:] == whole[7:]
    assert sum(line.startswith("optimizer") for line in resumed) == 15


def test_a_history_that_changed_later_is_found(tmp_path):
    v = hg.Variable(1.0, name="v")
    folder = Checkpoints(tmp_path, v=v)
    for step in (10, 20):
        folder.save(step)
    folder.restore(10)
    with pytest.warns(UserWarning, match="goes on from step 10"):
        folder.save(15)
    path = tmp_path / "step-00000015.safetensors"
    path.write_bytes(path.read_bytes().replace(b'"history":"10"', b'"history":"90"'))
    with pytest.raises(CheckpointError, match="digest"):
        folder.restore(15)
