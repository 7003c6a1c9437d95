"""The callbacks for Lightning and Transformers look at the first steps, and then are gone.

Each library runs in a process of its own: it changes much as it is imported.
"""

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).parent

MODEL = """
    import torch, headgate
    from torch import nn
    from torch.overrides import _get_current_function_mode

    STOPS, STRICT = {stops}, {strict}
    torch.manual_seed(0)

    def computed(model, x, y):
        h = torch.relu(model.encoder(x))
        if STOPS:
            h = h.detach()  # cut
        return nn.functional.mse_loss(model.head(h), y)
"""

LIGHTNING = """
    import {library} as L

    class Model(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.encoder, self.head = nn.Linear(4, 8), nn.Linear(8, 1)

        def training_step(self, batch, index):
            return computed(self, *batch)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters())

    pairs = torch.utils.data.TensorDataset(torch.randn(64, 4), torch.randn(64, 1))
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    model = Model()

    def train(*callbacks):
        trainer = L.Trainer(max_epochs=1, accelerator="cpu", callbacks=[*callbacks], **quiet)
        trainer.fit(model, torch.utils.data.DataLoader(pairs, batch_size=4))

    look = headgate.why.lightning(5, strict=STRICT)
"""

TRANSFORMERS = """
    import transformers

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.head = nn.Linear(4, 8), nn.Linear(8, 1)

        def forward(self, x, labels):
            return {{"loss": computed(self, x, labels)}}

    pairs = [{{"x": torch.randn(4), "labels": torch.randn(1)}} for _ in range(64)]
    quiet = dict(report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True)
    model = Model()

    def train(*callbacks):
        asked = transformers.TrainingArguments(
            ".", per_device_train_batch_size=4, num_train_epochs=1, **quiet
        )
        transformers.Trainer(model, asked, train_dataset=pairs, callbacks=[*callbacks]).train()

    look = headgate.why.transformers(5, strict=STRICT)
"""

LOOKS = """
    train(look)
    assert look.watch.coverage()[1] == 5
    assert _get_current_function_mode() is None
    print("sum", sum(float(p.detach().double().sum()) for p in model.parameters()))
"""

PLAIN = """
    train()
    print("sum", sum(float(p.detach().double().sum()) for p in model.parameters()))
"""

LIBRARIES = {
    "lightning": ("lightning", LIGHTNING),
    "pytorch_lightning": ("pytorch_lightning", LIGHTNING),
    "transformers": ("transformers", TRANSFORMERS),
}


@pytest.fixture(params=LIBRARIES)
def run(request, tmp_path):
    """Run a training with a library, and return the process."""
    library, loop = LIBRARIES[request.param]
    for needed in ("torch", library):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")

    def run(end, stops, strict=False):
        parts = [textwrap.dedent(part) for part in (MODEL, loop, end)]
        script = tmp_path / "train.py"
        text = "".join(parts[:2]).format(stops=stops, strict=strict, library=library) + parts[2]
        script.write_text(text)
        paths = [str(HERE / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
        return subprocess.run(
            [sys.executable, script.name],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def report_of(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("headgate why: the first 5 steps\n")[2]


def test_what_cuts_is_said_after_the_first_steps(run):
    said = report_of(run(LOOKS, stops=True))
    assert "No gradient reaches encoder.weight, encoder.bias: the value is detached" in said
    assert "train.py:" in said
    assert "h = h.detach()" in said


def test_a_sound_training_is_as_it_was_and_has_no_findings(run):
    watched, plain = run(LOOKS, stops=False), run(PLAIN, stops=False)
    assert report_of(watched).startswith("No findings;")
    assert plain.returncode == 0, plain.stderr
    sums = [[x for x in done.stdout.splitlines() if x[:4] == "sum "] for done in (watched, plain)]
    assert sums[0] == sums[1]


def test_a_strict_look_ends_the_training(run):
    done = run(LOOKS, stops=True, strict=True)
    assert done.returncode
    assert "FlowError: headgate why: the first 5 steps" in done.stderr
    assert run(LOOKS, stops=False, strict=True).returncode == 0
