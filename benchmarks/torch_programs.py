"""The same training steps in PyTorch eager, written the way that is fastest there.

Bias and product are one `addmm`, only the wanted gradients are computed, and the update is
in place. Convolutions run in PyTorch's own layout; `to_torch` and `from_torch` translate.
"""

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.programs import LEARNING_RATE, Step, Variables
from benchmarks.workloads import CHAIN_LENGTH, Workload


def to_torch(workload: Workload) -> tuple[Variables, list[torch.Tensor]]:
    """Return the workload's weights as leaf tensors, and its batch."""
    channels_first = workload.name == "conv_net"

    def tensor(array: np.ndarray) -> torch.Tensor:
        if array.dtype.kind == "i":
            return torch.tensor(array, dtype=torch.int64)
        if channels_first and array.ndim == 4 and array.shape[-1] == 1:
            array = array.transpose(0, 3, 1, 2)
        return torch.tensor(array)

    def weight(array: np.ndarray) -> torch.Tensor:
        if channels_first and array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        elif channels_first and array.ndim == 2:
            array = array.reshape(7, 7, 32, 10).transpose(2, 0, 1, 3).reshape(-1, 10)
        return torch.tensor(np.ascontiguousarray(array), requires_grad=True)

    weights = {name: [weight(array) for array in group] for name, group in workload.weights.items()}
    return weights, [tensor(array) for array in workload.batch]


def from_torch(workload: Workload, weights: Variables) -> dict[str, list[np.ndarray]]:
    """Return copies of the weights in the layout in which they were given."""
    channels_first = workload.name == "conv_net"

    def array(tensor: torch.Tensor) -> np.ndarray:
        value = tensor.detach().numpy()
        if channels_first and value.ndim == 4:
            value = value.transpose(2, 3, 1, 0)
        elif channels_first and value.ndim == 2:
            value = value.reshape(32, 7, 7, 10).transpose(1, 2, 0, 3).reshape(-1, 10)
        return value.copy()

    return {name: [array(tensor) for tensor in group] for name, group in weights.items()}


def mlp(x: torch.Tensor, variables: list[Any]) -> torch.Tensor:
    """Apply dense layers with relu between them."""
    *hidden, (last_kernel, last_bias) = zip(variables[::2], variables[1::2], strict=True)
    for kernel, bias in hidden:
        x = torch.relu(torch.addmm(bias, x, kernel))
    return torch.addmm(last_bias, x, last_kernel)


def descend(loss: torch.Tensor, variables: list[Any]) -> None:
    """Take one step of gradient descent."""
    gradients = torch.autograd.grad(loss, variables)
    with torch.no_grad():
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.sub_(gradient, alpha=LEARNING_RATE)


def chain(variables: Variables) -> Step:
    """Differentiate a sum behind a chain of sines; nothing is updated."""
    (x,) = variables["x"]

    def step() -> tuple[Any, ...]:
        y = x
        for _ in range(CHAIN_LENGTH):
            y = torch.sin(y)
        total = y.sum()
        return total, *torch.autograd.grad(total, x)

    return step


def scalar(variables: Variables) -> Step:
    """Differentiate a scalar expression with one stop; nothing is updated."""
    (x,), (y,) = variables["x"], variables["y"]

    def step() -> tuple[Any, ...]:
        z = x * x + y.detach() * x
        return z, *torch.autograd.grad(z, x)

    return step


def gan(variables: Variables) -> Step:
    """Train the discriminator on stopped fakes, then the generator through the discriminator."""
    generator, discriminator = variables["generator"], variables["discriminator"]
    cross_entropy = functional.binary_cross_entropy_with_logits

    def step(real: torch.Tensor, noise: torch.Tensor) -> tuple[Any, ...]:
        fake = torch.tanh(mlp(noise, generator)).detach()
        real_logits = mlp(real, discriminator)
        fake_logits = mlp(fake, discriminator)
        discriminator_loss = cross_entropy(
            real_logits, torch.ones_like(real_logits)
        ) + cross_entropy(fake_logits, torch.zeros_like(fake_logits))
        descend(discriminator_loss, discriminator)

        fake_logits = mlp(torch.tanh(mlp(noise, generator)), discriminator)
        generator_loss = cross_entropy(fake_logits, torch.ones_like(fake_logits))
        descend(generator_loss, generator)
        return discriminator_loss, generator_loss

    return step


def actor_critic(variables: Variables) -> Step:
    """Train the actor on a stopped advantage and the critic on its squared error."""
    actor, critic = variables["actor"], variables["critic"]

    def step(states: torch.Tensor, actions: torch.Tensor, returns: torch.Tensor) -> tuple[Any, ...]:
        advantage = returns - mlp(states, critic).squeeze(1)
        surprise = functional.cross_entropy(mlp(states, actor), actions, reduction="none")
        actor_loss = (advantage.detach() * surprise).mean()
        descend(actor_loss, actor)

        critic_loss = (returns - mlp(states, critic).squeeze(1)).square().mean()
        descend(critic_loss, critic)
        return actor_loss, critic_loss

    return step


def vae(variables: Variables) -> Step:
    """Minimise cross entropy and divergence from the prior, with the noise given."""
    encoder, decoder = variables["encoder"], variables["decoder"]

    def step(images: torch.Tensor, noise: torch.Tensor) -> tuple[Any, ...]:
        mean, log_variance = mlp(images, encoder).chunk(2, dim=1)
        code = mean + torch.exp(0.5 * log_variance) * noise
        cross_entropy = functional.binary_cross_entropy_with_logits(
            mlp(code, decoder), images, reduction="sum"
        )
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        loss = (cross_entropy + divergence) / images.shape[0]
        descend(loss, encoder + decoder)
        return (loss,)

    return step


def conv_net(variables: Variables) -> Step:
    """Classify images with two convolutions and a dense layer."""
    first, second, head = variables["first"], variables["second"], variables["head"]

    def layer(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return functional.max_pool2d(torch.relu(functional.conv2d(x, kernel, bias, padding=1)), 2)

    def step(images: torch.Tensor, labels: torch.Tensor) -> tuple[Any, ...]:
        x = layer(layer(images, *first), *second)
        loss = functional.cross_entropy(mlp(x.flatten(1), head), labels)
        descend(loss, first + second + head)
        return (loss,)

    return step


def lstm(variables: Variables) -> Step:
    """Fit the last hidden state of an LSTM written out step by step."""
    input_kernel, hidden_kernel, bias = variables["cell"]

    def step(sequence: torch.Tensor, target: torch.Tensor) -> tuple[Any, ...]:
        hidden = memory = torch.zeros_like(target)
        for inputs in sequence:
            gates = torch.addmm(torch.addmm(bias, inputs, input_kernel), hidden, hidden_kernel)
            write, keep, candidate, read = gates.chunk(4, dim=1)
            memory = keep.sigmoid() * memory + write.sigmoid() * candidate.tanh()
            hidden = read.sigmoid() * memory.tanh()
        loss = (hidden - target).square().mean()
        descend(loss, variables["cell"])
        return (loss,)

    return step
