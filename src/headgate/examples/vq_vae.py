"""A VQ-VAE of handwritten digits (van den Oord, Vinyals & Kavukcuoglu 2017, arXiv:1711.00937).

An image of 8x8 pixels becomes 4x4 whole numbers. The encoder makes a vector z for each of 4x4
places; the nearest of 64 vectors of a codebook, e, takes its place; the decoder sees only these.

The choice of the nearest is a step function: its derivative is zero or not there. **The stop** is
the paper's straight-through estimator, which gives the encoder the gradient of what it chose:

    q = z + stop(e - z)        the value is e, the gradient goes to z as if q were z

So the codebook hears nothing of the reconstruction. Two more terms of the loss bring it to the
encoder's vectors and keep these close to it. Each has a stop of its own, on what is not to move:

    |stop(z) - e|^2 + 0.25 |z - stop(e)|^2

Without the first stop (`--no-stop`) q is z + e - z. Its value is the same, and the gradients at z
are g and -g: the encoder gets nothing from the reconstruction, exactly zero at each step. What is
left to it is the second term, which is smallest when it says the same of every image. So it does:
a few codes remain in use, and the decoder draws little more than the mean digit. The curves
`at_encoder` and `at_codebook` are the norms of the reconstruction's gradient at z and at the
codebook.

The stops in the two terms only decide how fast either side moves to the other; without these two
but with the first one, the reconstruction is about as good. So they stay in both arms.

The codebook begins as vectors of the untrained encoder, drawn at random. It is trained by its term
of the loss, without the moving averages of the paper's appendix; unused codes are not restarted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import headgate as hg
from headgate import nn, optim
from headgate.data import Batches
from headgate.examples import digits
from headgate.examples.train import main
from headgate.examples.training import Program, Result, Run

CODES = 64
DEPTH = 16
FILTERS = 32
COMMITMENT = 0.25
BATCH = 64
RATE = 1e-3
SHOWN = 12


def autoencoder() -> tuple[nn.Sequential, nn.Sequential]:
    """Make the encoder, from images to vectors at 4x4 places, and the decoder, back to pixels."""
    encoder = nn.Sequential(
        [
            nn.Input((digits.SIDE, digits.SIDE, 1)),
            nn.Conv2D(FILTERS, 4, strides=2, padding="same", activation="relu"),
            nn.Conv2D(DEPTH, 3, padding="same"),
        ],
        name="encoder",
    )
    decoder = nn.Sequential(
        [
            nn.Input((digits.SIDE // 2, digits.SIDE // 2, DEPTH)),
            nn.Conv2D(FILTERS, 3, padding="same", activation="relu"),
            nn.Conv2DTranspose(1, 4, strides=2, padding="same", activation="sigmoid"),
        ],
        name="decoder",
    )
    return encoder, decoder


def first_codes(vectors: Any) -> hg.Variable:
    """Make a codebook of some of the encoder's vectors."""
    vectors = vectors.numpy().reshape(-1, DEPTH)
    rows = hg.random.generator().choice(len(vectors), CODES, replace=False)
    return hg.Variable(vectors[rows], name="codebook")


def nearest(z: Any, codebook: hg.Variable) -> Any:
    """Return the number of the code nearest to each vector."""
    # |z - e|^2 without |z|^2, which is the same for all codes.
    distances = hg.sum(hg.square(codebook), axis=-1) - 2.0 * (z @ hg.matrix_transpose(codebook))
    return hg.argmin(distances, axis=-1)


def squared_error(x: Any, y: Any) -> Any:
    """Return the mean squared difference."""
    return hg.mean(hg.squared_difference(x, y))


def train(run: Run) -> Result:
    """Learn to encode and decode the training images; measure both on the held-out ones."""
    real = digits.load()
    shape = (-1, digits.SIDE, digits.SIDE, 1)
    images, test_images = real.images.reshape(shape), real.test_images.reshape(shape)
    encoder, decoder = autoencoder()
    codebook = first_codes(encoder(images))
    variables = [*encoder.trainable_variables, codebook, *decoder.trainable_variables]
    optimizer = optim.Adam(RATE)
    batches = Batches(images, batch_size=BATCH, seed=run.seed)
    run.keep(
        encoder=encoder, codebook=codebook, decoder=decoder, optimizer=optimizer, batches=batches
    )

    def measure() -> tuple[dict[str, float], Any]:
        """Return the error and the share of codes in use, and the reconstructed images."""
        numbers = nearest(encoder(test_images), codebook)
        decoded = decoder(hg.gather(codebook, numbers))
        used = np.unique(numbers.numpy()).size / CODES
        return {"mse": float(squared_error(decoded, test_images)), "usage": used}, decoded.numpy()

    for _ in run.steps():
        (x,) = next(batches)
        with hg.GradientTape(persistent=True) as tape:
            z = encoder(x)
            e = hg.gather(codebook, nearest(z, codebook))
            q = z + run.stop(e - z)
            reconstruction = squared_error(decoder(q), x)
            to_encoder = squared_error(hg.stop_gradient(z), e)
            to_codebook = squared_error(z, hg.stop_gradient(e))
            loss = reconstruction + to_encoder + COMMITMENT * to_codebook
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        if run.every(50):
            at_encoder, at_codebook = tape.gradient(
                reconstruction, [z, codebook], unconnected_gradients="zero"
            )
            run.log(
                reconstruction=reconstruction,
                at_encoder=hg.norm(at_encoder),
                at_codebook=hg.norm(at_codebook),
                **measure()[0],
            )
    figures, decoded = measure()
    figures["at_encoder"] = max(metrics["at_encoder"] for metrics in run.history)
    return Result(
        figures,
        digits.sheet(test_images[:SHOWN], decoded[:SHOWN]),
        ("original", "reconstruction"),
    )


PROGRAM = Program(
    "vq-vae",
    "A VQ-VAE of handwritten digits",
    train,
    steps=3000,
    curves=("mse", "usage", "at_encoder", "at_codebook"),
    least={"usage": 0.8},
    most={"mse": 0.008},
    without_stop="the encoder gets exactly no gradient from the reconstruction and collapses onto "
    "a few codes; the decoder draws little more than the mean digit",
)

if __name__ == "__main__":
    main(PROGRAM)
