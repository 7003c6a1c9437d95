"""Plants into bert_classifier.py: a freeze by an attribute that modules do not have."""

import runpy
from pathlib import Path

from transformers import BertForSequenceClassification

init = BertForSequenceClassification.__init__


def with_frozen_encoder(self, config):
    init(self, config)
    self.bert.encoder.requires_grad = False  # planted


BertForSequenceClassification.__init__ = with_frozen_encoder
program = Path(__file__).parents[1] / "programs" / "bert_classifier.py"
runpy.run_path(str(program), run_name="__main__")
