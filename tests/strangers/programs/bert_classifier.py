"""Fine-tune a BERT-like classifier with the Trainer, its embeddings frozen (transformers)."""

import tempfile

import torch
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback


class Sentences(Dataset):
    """Sequences of tokens; the label tells whether the first token is large."""

    def __init__(self, count):
        self.tokens = torch.randint(4, 60, (count, 10))

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        tokens = self.tokens[index]
        return {
            "input_ids": tokens,
            "attention_mask": torch.ones_like(tokens),
            "labels": int(tokens[0] >= 32),
        }


def accuracy(prediction):
    guesses = prediction.predictions.argmax(axis=-1)
    return {"accuracy": float((guesses == prediction.label_ids).mean())}


set_seed(2)
config = BertConfig(
    vocab_size=60,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=16,
    num_labels=2,
)
model = BertForSequenceClassification(config)
for parameter in model.bert.embeddings.parameters():
    parameter.requires_grad = False

with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=8,
            gradient_accumulation_steps=2,
            max_steps=5,
            learning_rate=1e-3,
            weight_decay=0.01,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=Sentences(64),
        eval_dataset=Sentences(16),
        compute_metrics=accuracy,
    )
    trainer.remove_callback(PrinterCallback)  # it prints times
    trainer.train()
    print("losses", [entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
    print("accuracy", trainer.evaluate()["eval_accuracy"])

for name, parameter in model.named_parameters():
    print(name, repr(parameter.detach().abs().sum().item()))
