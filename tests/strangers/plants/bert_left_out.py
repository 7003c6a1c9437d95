"""Plants into bert_classifier.py: the optimizer is not given the classifier."""

import runpy
from pathlib import Path

import torch
from transformers import Trainer


def create_optimizer(self, model=None):
    named = [(name, p) for name, p in self.model.named_parameters() if "classifier" not in name]
    self.optimizer = torch.optim.AdamW(named, lr=self.args.learning_rate)  # planted
    return self.optimizer


Trainer.create_optimizer = create_optimizer
program = Path(__file__).parents[1] / "programs" / "bert_classifier.py"
runpy.run_path(str(program), run_name="__main__")
