"""SimSiam: embeddings of digits learned without labels and without negative pairs.

A network is to give the same embedding to two distorted views of one image (Chen & He 2020,
arXiv:2011.10566). Nothing in that forbids the same embedding for *every* image, which makes the
loss as small as it can be. What prevents it is **the stop**: a predictor guesses one view's
embedding from the other's, and the embedding it is compared with counts as a constant.

    loss = -(likeness(predict(z1), stop_gradient(z2)) +
             likeness(predict(z2), stop_gradient(z1))) / 2

**Without the stop** (`--no-stop`) the network collapses: the loss falls to its least value, -1, all
images get one embedding, and the network does not tell them apart any more.

Two figures show it, both on images held out. `embedding_std` is the deviation of the embeddings, at
length one, times the root of their size: 1 if they are spread over the sphere, 0 if they are one.
`probe` is the share of digits that logistic regression recognises from the embeddings; only the
probe sees labels. As digits are easy, it is also told for the network before it was trained.

As in the paper, kernels decay a little in each step. The decay acts in both arms alike; what the
loss needs is held up against it. In a collapsed network the loss needs nothing of the images, and
the last traces of them fade. That takes many steps in the paper; here the decay is stronger.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

import headgate as hg
from headgate import nn, optim
from headgate.data import Batches
from headgate.examples import digits
from headgate.examples.train import main
from headgate.examples.training import Program, Result, Run

WIDTH = 256
SIZE = 64
BATCH = 256
RATE = 0.2
DECAY = 0.05

TURN = 0.25
"""At most so far is an image turned, in radians."""

STRETCH = 0.15
"""At most so much is it stretched and sheared, as a part of its size."""

SHIFT = 1.0
"""At most so many pixels is it shifted, along each axis."""

CONTRAST = 0.3
NOISE = 0.1


def hidden(units: int, name: str) -> list[nn.Layer]:
    """Make a fully connected layer, normalized over the batch and rectified."""
    return [
        nn.Dense(units, use_bias=False, name=name),
        nn.BatchNormalization(momentum=0.9, name=f"{name}_normalize"),
        nn.ReLU(),
    ]


def networks() -> tuple[nn.Sequential, nn.Sequential]:
    """Make the encoder, whose results are the embeddings, and the predictor."""
    encoder = nn.Sequential(
        [
            nn.Input((digits.PIXELS,)),
            *hidden(WIDTH, "hidden_1"),
            *hidden(WIDTH, "hidden_2"),
            nn.Dense(SIZE, name="embedding"),
        ],
        name="encoder",
    )
    predictor = nn.Sequential(
        [nn.Input((SIZE,)), *hidden(SIZE // 2, "hidden"), nn.Dense(SIZE, name="guess")],
        name="predictor",
    )
    return encoder, predictor


def distort(images: Any) -> Any:
    """Turn, stretch, shear and shift each image a little; change its contrast, and add noise."""
    rng = hg.random.generator()
    count, side = len(images), digits.SIDE
    angle = rng.uniform(-TURN, TURN, count)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1)
    stretch = np.eye(2) + rng.uniform(-STRETCH, STRETCH, (count, 2, 2))
    shift = rng.uniform(-SHIFT, SHIFT, (count, 2, 1))
    middle = (side - 1) / 2
    grid = np.indices((side, side)).reshape(2, -1) - middle
    places = turn.reshape(count, 2, 2) @ stretch @ grid + shift + middle
    moved = between_pixels(images.reshape(count, side, side), places)
    contrast = rng.uniform(1 - CONTRAST, 1 + CONTRAST, (count, 1))
    noise = rng.normal(0.0, NOISE, moved.shape)
    return (moved * contrast + noise).astype("float32")


def between_pixels(images: Any, places: Any) -> Any:
    """Return images at places (count, 2, n) between their pixels, bilinearly; 0 outside."""
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    places = np.clip(places + 1.0, 0.0, framed.shape[1] - 1.001)
    corner = places.astype(int)
    (down, right), (row, column) = np.moveaxis(places - corner, 1, 0), np.moveaxis(corner, 1, 0)
    image = np.arange(len(images))[:, None]
    upper = framed[image, row, column] * (1 - right) + framed[image, row, column + 1] * right
    lower = (
        framed[image, row + 1, column] * (1 - right) + framed[image, row + 1, column + 1] * right
    )
    return upper * (1 - down) + lower * down


def likeness(x: Any, y: Any) -> Any:
    """Return the mean cosine between rows."""
    return hg.mean(hg.sum(hg.l2_normalize(x, axis=1) * hg.l2_normalize(y, axis=1), axis=1))


def embed(encoder: nn.Sequential, images: Any) -> Any:
    """Return embeddings of length one."""
    return hg.l2_normalize(encoder(images), axis=1).numpy()


def spread(embeddings: Any) -> float:
    """Return the deviation of embeddings: 1 if spread over the sphere, 0 if all are one."""
    return float(embeddings.std(axis=0).mean() * math.sqrt(embeddings.shape[1]))


def probe(encoder: nn.Sequential) -> float:
    """Return the share of held-out digits that logistic regression recognises from embeddings."""
    images, labels, test_images, test_labels = digits.load()
    classifier = LogisticRegression(C=10.0, max_iter=1000).fit(embed(encoder, images), labels)
    return float(classifier.score(embed(encoder, test_images), test_labels))


def train(run: Run) -> Result:
    """Train without labels; then probe the embeddings with them."""
    images, _, test_images, _ = digits.load()
    encoder, predictor = networks()
    untrained_probe = probe(encoder)
    variables = encoder.trainable_variables + predictor.trainable_variables
    rate = optim.schedules.CosineDecay(RATE, run.total)
    optimizer = optim.SGD(rate, momentum=0.9, weight_decay=DECAY)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    batches = Batches(images, batch_size=BATCH, seed=run.seed)
    run.keep(encoder=encoder, predictor=predictor, optimizer=optimizer, batches=batches)
    for _ in run.steps():
        (batch,) = next(batches)
        one, other = distort(batch), distort(batch)
        with hg.GradientTape() as tape:
            z1, z2 = encoder(one, training=True), encoder(other, training=True)
            p1, p2 = predictor(z1, training=True), predictor(z2, training=True)
            loss = -(likeness(p1, run.stop(z2)) + likeness(p2, run.stop(z1))) / 2
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        if run.every(100):
            run.log(loss=loss, embedding_std=spread(embed(encoder, test_images)))
    return Result(
        {
            "probe": probe(encoder),
            "embedding_std": spread(embed(encoder, test_images)),
            "untrained_probe": untrained_probe,
        }
    )


PROGRAM = Program(
    "simsiam",
    "Learn to see digits without labels: two views of an image, one stop against collapse",
    train,
    steps=1500,
    curves=("embedding_std", "loss"),
    least={"probe": 0.95, "embedding_std": 0.5},
    without_stop="collapse: all embeddings become one, the probe is left to guess",
)

if __name__ == "__main__":
    main(PROGRAM)
