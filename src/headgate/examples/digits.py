"""scikit-learn's 1,797 handwritten digits of 8x8 pixels, and how generated ones are judged.

The **split** is the same for every program and seed: 1,437 images to train on, 360 held out, each
digit with its share. Pixels go from 0 to 1.

The **judge** is a classifier that was trained on the real training images: logistic regression on
the likeness to 700 of them (a radial kernel). An image that is like none of them has features near
zero, and there is no intercept, so that its ten probabilities are all near 0.1: unlike most
classifiers, this one is not sure of noise. It is right about 98 % of the held-out images.

Images that a program copied from its training data would please any judge. So the distance from
each to the nearest training image is compared with that distance for the held-out real images
(`novelty`).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

SIDE = 8
PIXELS = SIDE * SIDE
CLASSES = 10
HELD_OUT = 0.2
COPY = 1
"""A percentile: what is nearer to a training image than these real images are counts as a copy."""

PRESENT = 0.02
"""The share of generated images that a class needs to count as one that occurs."""


class Digits(NamedTuple):
    """Images of shape (n, 64), float32 from 0 to 1, with their labels; the last two held out."""

    images: Any
    labels: Any
    test_images: Any
    test_labels: Any


@cache
def load() -> Digits:
    """Return the training images, their labels, the held-out images and theirs.

    >>> from headgate.examples import digits
    >>> images, labels, test_images, test_labels = digits.load()
    >>> images.shape, test_images.shape, float(images.max())
    ((1437, 64), (360, 64), 1.0)
    """
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16.0).astype("float32")
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=HELD_OUT, stratify=labels, random_state=0
    )
    return Digits(train, train_labels, test, test_labels)


class Judge:
    """A classifier of real digits, trained on the training images.

    >>> from headgate.examples import digits
    >>> judge = digits.Judge()
    >>> judge.accuracy() > 0.97
    True
    >>> noise = np.random.default_rng(0).random((100, 64), "float32")
    >>> bool(judge.probabilities(noise).max() < 0.3)
    True
    """

    def __init__(self) -> None:
        real = load()
        self._classifier = make_pipeline(
            Nystroem(gamma=0.3, n_components=700, random_state=0),
            LogisticRegression(C=20.0, fit_intercept=False, max_iter=1000),
        ).fit(real.images, real.labels)

    def probabilities(self, images: Any) -> Any:
        """Return the probabilities of the ten classes, of shape (n, 10)."""
        return np.asarray(self._classifier.predict_proba(images))

    def accuracy(self) -> float:
        """Return the share of the held-out real images that are recognised."""
        real = load()
        return float(np.mean(self.probabilities(real.test_images).argmax(1) == real.test_labels))


def nearest(images: Any) -> tuple[Any, Any]:
    """Return the training image nearest to each image, and its Euclidean distance."""
    train = load().images
    found, distances = pairwise_distances_argmin_min(images, train)
    return train[found], distances


def novelty(images: Any) -> dict[str, float]:
    """Compare how near images are to the training images with how near held-out real ones are.

    Returns:
        `copies`, the share of the images that is nearer than 99 % of the held-out real images,
        and `distance_ratio`, the median distance divided by that of the held-out real images.

    >>> from headgate.examples import digits
    >>> digits.novelty(digits.load().images[:50])
    {'copies': 1.0, 'distance_ratio': 0.0}
    """
    _, distances = nearest(images)
    _, usual = nearest(load().test_images)
    return {
        "copies": float(np.mean(distances < np.percentile(usual, COPY))),
        "distance_ratio": float(np.median(distances) / np.median(usual)),
    }


def appraise(images: Any) -> tuple[dict[str, float], Any]:
    """Return what is to be said of generated images, and the class that the judge gives to each.

    The figures are `classes`, the number of digits that occur; `top_probability`, how sure the
    judge is, in the mean; `rarest`, the share of the digit that occurs least; and `novelty`'s.
    """
    probabilities = Judge().probabilities(images)
    classes = probabilities.argmax(1)
    shares = np.bincount(classes, minlength=CLASSES) / len(images)
    figures = {
        "classes": float(np.sum(shares >= PRESENT)),
        "top_probability": float(probabilities.max(1).mean()),
        "rarest": float(shares.min()),
        **novelty(images),
    }
    return figures, classes


def sheet(*rows: Any) -> Any:
    """Return rows of images of 64 pixels as one array of shape (rows, columns, 8, 8).

    >>> from headgate.examples import digits
    >>> images = digits.load().images
    >>> digits.sheet(images[:5], images[5:10]).shape
    (2, 5, 8, 8)
    """
    return np.clip(np.stack(rows).reshape(len(rows), -1, SIDE, SIDE), 0.0, 1.0)


def beside_nearest(images: Any, classes: Any, rows: int = 3) -> tuple[Any, tuple[str, ...]]:
    """Return a sheet of generated images, a digit in each column, each above its nearest real one.

    Args:
        images: as generated; the first of each class are shown.
        classes: what the judge takes each for.
        rows: so many of each digit; one that occurs less often leaves its places black.
    """
    shown = np.zeros((rows, CLASSES, PIXELS), images.dtype)
    for digit in range(CLASSES):
        first = images[classes == digit][:rows]
        shown[: len(first), digit] = first
    pairs = [row for made in shown for row in (made, _beside(made))]
    return sheet(*pairs), ("generated", "nearest real") * rows


def _beside(made: Any) -> Any:
    """Return the nearest real images of those that are there."""
    there = made.any(axis=1, keepdims=True)
    return np.where(there, nearest(made)[0], 0.0)
