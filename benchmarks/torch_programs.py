"""The same training steps in PyTorch eager, written the way that is fastest there.

Bias and product are one `addmm`; normalisation, attention and Adam are PyTorch's fused ones. Only
the wanted gradients are computed, and the update is in place. Convolutions run in PyTorch's own
layout; `to_torch` and `from_torch` translate.
"""

from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.optim.adam import adam

from benchmarks.programs import (
    ADAM_BETAS,
    ADAM_EPSILON,
    LEARNING_RATE,
    NORM_EPSILON,
    Step,
    Variables,
)
from benchmarks.workloads import (
    CHAIN_LENGTH,
    HEADS,
    WISHART_DEGREES,
    WISHART_SCALE,
    Workload,
    mixture_constant,
)


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
        return torch.tensor(np.asarray(array, order="C"), requires_grad=True)

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


def layer_norm(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Give each row mean 0 and variance 1, then scale and shift it."""
    return functional.layer_norm(x, scale.shape, scale, shift, NORM_EPSILON)


def attention(x: torch.Tensor, shape: tuple[int, int], variables: list[Any]) -> torch.Tensor:
    """Let each row attend to the rows of its sequence; `shape` is sequences and length."""
    kernel, bias, out_kernel, out_bias = variables
    heads = torch.addmm(bias, x, kernel).view(*shape, 3, HEADS, -1)
    query, key, value = heads.permute(2, 0, 3, 1, 4).unbind()
    attended = functional.scaled_dot_product_attention(query, key, value)
    return torch.addmm(out_bias, attended.transpose(1, 2).reshape(x.shape), out_kernel)


def encoder_layer(x: torch.Tensor, shape: tuple[int, int], variables: list[Any]) -> torch.Tensor:
    """Add attention and then a feed-forward network to x, each on normalised rows."""
    x = x + attention(layer_norm(x, *variables[:2]), shape, variables[2:6])
    kernel, bias, out_kernel, out_bias = variables[8:]
    inner = torch.addmm(bias, layer_norm(x, *variables[6:8]), kernel)
    return x + torch.addmm(out_bias, functional.gelu(inner, approximate="tanh"), out_kernel)


def transformer(variables: Variables) -> Step:
    """Classify each token; tokens are the rows of one matrix outside of the attention."""
    first, second, head = variables["first"], variables["second"], variables["head"]

    def step(tokens: torch.Tensor, labels: torch.Tensor) -> tuple[Any, ...]:
        sequences, length, _ = tokens.shape
        x = tokens.flatten(0, 1)
        for layer in (first, second):
            x = encoder_layer(x, (sequences, length), layer)
        logits = mlp(layer_norm(x, *head[:2]), head[2:])
        loss = functional.cross_entropy(logits, labels.flatten())
        descend(loss, first + second + head)
        return (loss,)

    return step


def mlp_adam(variables: Variables) -> Step:
    """Classify with dense layers and take a step of PyTorch's own Adam, fused."""
    network, means, squares = variables["network"], variables["means"], variables["squares"]
    (count,) = variables["count"]
    # PyTorch's Adam counts the steps of each tensor by itself.
    counts = [count, *(count.detach().clone() for _ in network[1:])]
    beta1, beta2 = ADAM_BETAS
    settings = {"amsgrad": False, "weight_decay": 0.0, "maximize": False}

    def step(x: torch.Tensor, labels: torch.Tensor) -> tuple[Any, ...]:
        loss = functional.cross_entropy(mlp(x, network), labels)
        gradients = list(torch.autograd.grad(loss, network))
        with torch.no_grad():
            adam(
                *(network, gradients, means, squares, [], counts),
                **settings,
                fused=True,
                beta1=beta1,
                beta2=beta2,
                lr=LEARNING_RATE,
                eps=ADAM_EPSILON,
            )
        return (loss,)

    return step


def gmm(variables: Variables) -> Step:
    """Differentiate the log likelihood of a mixture with its Wishart prior, per point."""
    alphas, means, factors = variables["mixture"]

    def step(points: torch.Tensor, places: torch.Tensor) -> tuple[Any, ...]:
        count, size = points.shape
        diagonal, below = factors[:, :size].exp(), factors[:, size:]
        log_determinants = factors[:, :size].sum(1)
        entries = torch.cat([diagonal, below, torch.zeros_like(diagonal[:, :1])], 1)
        centred = points - means[:, None]
        whitened = torch.bmm(centred, entries[:, places].mT)
        exponents = (alphas + log_determinants)[:, None] - 0.5 * whitened.square().sum(2)
        log_likelihood = exponents.logsumexp(0).sum() - count * alphas.logsumexp(0)
        prior = (
            0.5 * WISHART_SCALE**2 * (diagonal.square().sum() + below.square().sum())
            - WISHART_DEGREES * log_determinants.sum()
        )
        constant = mixture_constant(count, len(alphas), size)
        objective = (log_likelihood + prior + constant) / count
        return objective, *torch.autograd.grad(objective, [alphas, means, factors])

    return step


def project(cameras: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Return where each camera sees its point: Rodrigues' rotation, perspective, distortion."""
    rotation, centre, focal, principal, radial = cameras.split([3, 3, 1, 2, 2], 1)
    from_centre = points - centre
    angle = torch.linalg.vector_norm(rotation, dim=1, keepdim=True)
    axis = rotation / angle
    cosine = angle.cos()
    along = torch.linalg.vecdot(axis, from_centre)[:, None]
    turned = (
        from_centre * cosine
        + torch.linalg.cross(axis, from_centre) * angle.sin()
        + axis * along * (1 - cosine)
    )
    plane = turned[:, :2] / turned[:, 2:]
    squared = plane.square().sum(1, keepdim=True)
    distortion = 1 + radial[:, :1] * squared + radial[:, 1:] * squared.square()
    return plane * distortion * focal + principal


def ba(variables: Variables) -> Step:
    """Differentiate the sum of squared residuals of a scene, in place of their sparse Jacobian."""
    cameras, points, weights = variables["scene"]

    def step(seen_by: torch.Tensor, seen: torch.Tensor, features: torch.Tensor) -> tuple[Any, ...]:
        projected = project(cameras[seen_by], points[seen])
        residuals = weights[:, None] * (projected - features)
        loss = residuals.square().sum() + (1 - weights.square()).square().sum()
        return loss, *torch.autograd.grad(loss, [cameras, points, weights])

    return step


def adbench_lstm(variables: Variables) -> Step:
    """Differentiate the loss of predicting each next row with ADBench's LSTM."""
    main, extra = variables["main"], variables["extra"]
    scale_in, scale_out, shift_out = extra
    layers = list(zip(main[::2], main[1::2], strict=True))

    def step(sequence: torch.Tensor, state: torch.Tensor) -> tuple[Any, ...]:
        hidden, memory = list(state[::2].unbind()), list(state[1::2].unbind())
        tops = []
        for x in (sequence[:-1] * scale_in).unbind():
            for index, (weight, bias) in enumerate(layers):
                last = hidden[index]
                gates = torch.addcmul(bias, torch.stack((x, last, x, last)), weight)
                keep, write, read = gates[:3].sigmoid().unbind()
                memory[index] = keep * memory[index] + write * gates[3].tanh()
                x = hidden[index] = read * memory[index].tanh()
            tops.append(x)
        predicted = torch.addcmul(shift_out, torch.stack(tops), scale_out)
        log_sums = (2 + predicted.exp().sum(1, keepdim=True)).log()
        loss = -(sequence[1:] * (predicted - log_sums)).mean()
        return loss, *torch.autograd.grad(loss, main + extra)

    return step


def distance(table: torch.Tensor, ids: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean squared distance of rows of a table from a target; its gradient is sparse."""
    rows = functional.embedding(ids, table, sparse=True)
    return (rows - target).square().sum() / len(ids)


def embedding(variables: Variables) -> Step:
    """Move some rows of a table by gradient descent."""

    def step(ids: torch.Tensor, target: torch.Tensor) -> tuple[Any, ...]:
        loss = distance(variables["table"][0], ids, target)
        descend(loss, variables["table"])
        return (loss,)

    return step


def embedding_adam(variables: Variables) -> Step:
    """Move some rows of a table and their moments by PyTorch's SparseAdam."""
    (table,) = variables["table"]
    optimizer = torch.optim.SparseAdam([table], LEARNING_RATE, ADAM_BETAS, ADAM_EPSILON)
    (means,), (squares,), (count,) = (variables[name] for name in ("means", "squares", "count"))
    optimizer.state[table] = {
        "step": count.detach(),
        "exp_avg": means.detach(),
        "exp_avg_sq": squares.detach(),
    }

    def step(ids: torch.Tensor, target: torch.Tensor) -> tuple[Any, ...]:
        loss = distance(table, ids, target)
        (table.grad,) = torch.autograd.grad(loss, [table])
        optimizer.step()
        return (loss,)

    return step


def jacobian(variables: Variables) -> Step:
    """Differentiate each output of a network by its input; nothing is updated."""
    (x,), network = variables["x"], variables["network"]

    def step() -> tuple[Any, ...]:
        return (torch.func.jacrev(lambda x: mlp(x, network))(x),)

    return step


def tall_jacobian(variables: Variables) -> Step:
    """Differentiate each value of a curve by its parameters; nothing is updated."""
    (parameters,) = variables["curve"]

    def step(times: torch.Tensor) -> tuple[Any, ...]:
        def curve(parameters: torch.Tensor) -> torch.Tensor:
            heights, centres, widths = parameters.view(2, 3).unbind(1)
            return torch.exp(-((times[:, None] - centres) / widths).square()) @ heights

        return (torch.func.jacfwd(curve)(parameters),)

    return step


def lstm_unrolled(variables: Variables) -> Step:
    """Fit the last hidden state of an LSTM written out step by step."""
    return lstm(variables)
