"""Pictures of what the example programs did, drawn by matplotlib without a display."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

SIDE = 8
COLUMNS = 10
ROWS = 3


def _sheet(pixels: Any) -> Any:
    """Return the first images side by side on one sheet, with a margin around each."""
    tiles = pixels[: ROWS * COLUMNS].reshape(ROWS, COLUMNS, SIDE, SIDE)
    framed = np.pad(tiles, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return framed.transpose(0, 2, 1, 3).reshape(ROWS * (SIDE + 2), COLUMNS * (SIDE + 2))


def digits(path: Path, stages: Sequence[tuple[str, Any]], real: Any) -> None:
    """Draw generated digits stage by stage, and real ones below, in columns from 0 to 9."""
    sheets = [*stages, ("real digits", real)]
    figure = Figure(figsize=(6.6, 1.6 * len(sheets) + 0.7), layout="constrained")
    figure.suptitle("What the generator paints when asked for 0, 1, 2, ... 9")
    for number, (label, pixels) in enumerate(sheets):
        axes = figure.add_subplot(len(sheets), 1, number + 1)
        axes.imshow(_sheet(pixels), cmap="gray_r", vmin=0, vmax=16, interpolation="nearest")
        axes.set_yticks([])
        axes.set_ylabel(label.replace(", ", ",\n"), rotation="horizontal", ha="right", va="center")
        axes.xaxis.tick_top()
        centres = (np.arange(COLUMNS) + 0.5) * (SIDE + 2) - 0.5
        labels = [str(column) if number == 0 else "" for column in range(COLUMNS)]
        axes.set_xticks(centres, labels=labels)
        axes.tick_params(length=0)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def gan_training(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Draw losses, share of images taken for real, and size of the generator's gradient."""
    figure = Figure(figsize=(7.4, 6.0), layout="constrained")
    panels: Any = figure.subplots(3, 1, sharex=True)
    steps = [entry["step"] for entry in history]

    def curve(axes: Any, key: str, label: str) -> None:
        axes.plot(steps, [entry[key] for entry in history], label=label)

    curve(panels[0], "discriminator_loss", "discriminator")
    curve(panels[0], "generator_loss", "generator")
    panels[0].set_ylabel("loss")
    curve(panels[1], "fooling_rate", "generated images taken for real")
    panels[1].set_ylabel("share")
    curve(panels[2], "generator_gradient_norm", "corrected")
    panels[2].axhline(0.0, color="black", linestyle=":", label="as written: no gradient")
    panels[2].set_ylabel("norm of the\ngenerator's gradient")
    panels[2].set_xlabel("step")
    for axes in panels:
        axes.set_ylim(bottom=0.0 if axes is not panels[2] else None)
        axes.legend(loc="upper right")
    figure.suptitle("The corrected GAN learns")
    figure.savefig(path, dpi=110)


def returns(path: Path, played: Sequence[int], as_written: float, goal: float, window: int) -> None:
    """Draw the return of each episode and the mean over a window of them."""
    figure = Figure(figsize=(7.4, 4.2), layout="constrained")
    axes: Any = figure.add_subplot()
    episodes = np.arange(1, len(played) + 1)
    means = [np.mean(played[max(0, k - window) : k]) for k in range(1, len(played) + 1)]
    axes.plot(episodes, played, color="tab:blue", alpha=0.35, label="corrected: each episode")
    axes.plot(episodes, means, color="tab:blue", linewidth=2, label=f"mean of the last {window}")
    axes.axhline(goal, color="tab:green", linestyle="--", label=f"goal: {goal:.0f}")
    axes.axhline(as_written, color="black", linestyle=":", label="as written: mean return")
    axes.set_xlabel("episode")
    axes.set_ylabel("steps that the pole stayed up")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left")
    figure.suptitle("The corrected actor-critic on CartPole-v1")
    figure.savefig(path, dpi=110)


def curves(
    path: Path,
    title: str,
    arms: Mapping[str, Sequence[Mapping[str, float]]],
    names: Sequence[str],
) -> None:
    """Draw metrics over steps, a panel for each, a line for each arm; labels are its keys."""
    figure = Figure(figsize=(7.4, 1.2 + 2.1 * len(names)), layout="constrained")
    panels: Any = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for name, axes in zip(names, panels):
        looks = ({"color": "tab:blue"}, {"color": "tab:red", "linestyle": "--"})
        for look, (label, history) in zip(looks, arms.items()):
            points = [(entry["step"], entry[name]) for entry in history if name in entry]
            axes.plot(*zip(*points), label=label, marker="." * (len(points) < 2), **look)
        axes.set_ylabel(name.replace("_", " "))
        axes.grid(alpha=0.3)
    if len(arms) > 1:
        panels[0].legend()
    panels[-1].set_xlabel("step")
    figure.suptitle(textwrap.fill(title, 84), fontsize=11)
    figure.savefig(path, dpi=110)


def images(path: Path, rows: Any, labels: Sequence[str]) -> None:
    """Draw 8x8 images of shape (rows, columns, 8, 8), values from 0 to 1, a label for each row."""
    figure = Figure(figsize=(8.2, 0.72 * len(rows) + 0.2), layout="constrained")
    for number, row in enumerate(rows):
        axes = figure.add_subplot(len(rows), 1, number + 1)
        framed = np.pad(row, ((0, 0), (1, 1), (1, 1)))
        strip = framed.transpose(1, 0, 2).reshape(SIDE + 2, -1)
        axes.imshow(strip, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        if number < len(labels):
            axes.set_ylabel(labels[number], rotation="horizontal", ha="right", va="center")
    figure.savefig(path, dpi=110)
