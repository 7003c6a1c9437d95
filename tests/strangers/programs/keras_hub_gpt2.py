"""A small GPT-2 with low-rank adapters, and a small BERT that classifies (keras-hub)."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import keras_hub
import numpy as np

keras.utils.set_random_seed(25)
VOCABULARY, LENGTH = 40, 10

backbone = keras_hub.models.GPT2Backbone(
    vocabulary_size=VOCABULARY,
    num_layers=2,
    num_heads=2,
    hidden_dim=16,
    intermediate_dim=32,
    max_sequence_length=LENGTH,
)
tokens = np.random.randint(1, VOCABULARY, size=(32, LENGTH + 1))
x = {"token_ids": tokens[:, :-1], "padding_mask": np.ones((32, LENGTH), dtype="int32")}
language = keras_hub.models.GPT2CausalLM(backbone=backbone, preprocessor=None)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
language.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, jit_compile=False)
history = language.fit(x, tokens[:, 1:], batch_size=8, epochs=1, verbose=0)
print("pretraining", repr(float(history.history["loss"][0])))

backbone.enable_lora(rank=2)
language.compile(optimizer=keras.optimizers.AdamW(1e-2), loss=loss, jit_compile=False)
history = language.fit(x, tokens[:, 1:], batch_size=8, epochs=2, verbose=0)
print("adapted", [repr(float(value)) for value in history.history["loss"]])
for variable in backbone.variables:
    print(variable.path, repr(float(np.abs(variable.numpy()).sum())))

encoder = keras_hub.models.BertBackbone(
    vocabulary_size=VOCABULARY,
    num_layers=2,
    num_heads=2,
    hidden_dim=16,
    intermediate_dim=32,
    max_sequence_length=LENGTH,
)
classifier = keras_hub.models.BertTextClassifier(backbone=encoder, num_classes=2, preprocessor=None)
classifier.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, jit_compile=False)
x = {
    "token_ids": tokens[:, :-1],
    "segment_ids": np.zeros((32, LENGTH), dtype="int32"),
    "padding_mask": np.ones((32, LENGTH), dtype="int32"),
}
y = (tokens[:, 0] > tokens[:, 1]).astype("int32")
history = classifier.fit(x, y, batch_size=8, epochs=2, verbose=0)
print("classified", [repr(float(value)) for value in history.history["loss"]])
for variable in classifier.variables:
    print(variable.path, repr(float(np.abs(variable.numpy()).sum())))
