"""The options that `headgate train` and each training program have in common."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Name(StrEnum):
    """The training programs."""

    GAN = "gan"
    WGAN_GP = "wgan-gp"
    VAE = "vae"
    VQ_VAE = "vq-vae"
    SIMSIAM = "simsiam"
    DQN = "dqn"
    ACTOR_CRITIC = "actor-critic"
    MAML = "maml"
    STE = "ste"


Steps = Annotated[
    int | None, typer.Option(min=1, help="Number of steps; what the program needs if left out.")
]
Seed = Annotated[int | None, typer.Option(min=0, help="Makes a run repeatable; 0 if left out.")]
NoStop = Annotated[
    bool, typer.Option("--no-stop", help="Leave the stop out, to see what it is for.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        file_okay=False,
        help="Folder for metrics, checkpoints and pictures; headgate-train/NAME if left out.",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the run in that folder, from where it ended.")
]
Ablate = Annotated[
    bool, typer.Option("--ablate", help="Run with and without the stop, and draw both.")
]
