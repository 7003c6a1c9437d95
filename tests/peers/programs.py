"""Programs such as users write, each written once for any namespace of arrays.

A program is a function of a namespace `xp` and of arrays; its result is a number. Given `headgate`
as `xp` it runs on tensors; the tests beside this file give it JAX's functions under the same names
as well. So both compute from the same text, and what differs is the library.

`program` enters a function into the table `PROGRAMS`, with what its arrays are like. Integer arrays
are labels, indices and the like, which have no gradient. `stopped` has the positions of the arrays
from which the program cuts the result off altogether: their gradient must be `None`, and zero in
JAX. `order` is 1 where products with the Hessian cannot be compared. The inputs stay away from
kinks and ties, where libraries may differ.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from headgate.testing import Maker, complexes, distinct, integers, positive, real, spd, unit


@dataclass(frozen=True, slots=True)
class Program:
    """A function `(xp, *arrays)`, the makers of its arrays, and what is known of its gradient."""

    function: Callable[..., Any]
    makers: tuple[Maker, ...]
    stopped: tuple[int, ...] = ()
    order: int = 2

    def arrays(self) -> list[np.ndarray[Any, Any]]:
        """Return the arrays, the same numbers each time."""
        rng = np.random.default_rng(7)
        return [maker(rng, "f") for maker in self.makers]


PROGRAMS: dict[str, Program] = {}


def program(*makers: Maker, stopped: tuple[int, ...] = (), order: int = 2) -> Callable[[Any], Any]:
    """Enter a function into `PROGRAMS`, under its name."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        assert function.__name__ not in PROGRAMS
        PROGRAMS[function.__name__] = Program(function, makers, stopped, order)
        return function

    return enter


# -- feed-forward networks ------------------------------------------------------------------------

ACTIVATIONS = (
    "elu",
    "erf",
    "gelu",
    "hard_sigmoid",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
)


def _mlp(activation: str) -> Callable[..., Any]:
    def mlp(xp, x, y, w1, b1, w2, b2, w3):
        act = getattr(xp, activation)
        hidden = act(3.0 * (x @ w1) + b1)
        hidden = act(hidden @ w2 + b2)
        return xp.mean((hidden @ w3 - y) ** 2)

    mlp.__name__ = f"mlp_{activation}"
    return mlp


for name in ACTIVATIONS:
    program(real(6, 4), real(6, 2), unit(4, 5), unit(5), unit(5, 5), unit(5), unit(5, 2))(
        _mlp(name)
    )


@program(real(6, 4), unit(4, 5), unit(5, 3))
def mlp_gelu_approximate(xp, x, w1, w2):
    return xp.sum(xp.gelu(xp.gelu(x @ w1, approximate=True) @ w2, approximate=True) ** 2)


@program(real(7, 4), integers(7, high=3), unit(4, 3), unit(3))
def softmax_regression(xp, x, labels, w, b):
    loss = xp.mean(xp.sparse_softmax_cross_entropy(x @ w + b, labels))
    return loss + 0.01 * xp.sum(w * w)


@program(real(7, 4), integers(7, high=3), unit(4, 3))
def softmax_regression_by_hand(xp, x, labels, w):
    logits = x @ w
    shifted = logits - xp.max(logits, axis=1, keepdims=True)
    powers = xp.exp(shifted)
    probabilities = powers / xp.sum(powers, axis=1, keepdims=True)
    chosen = probabilities[xp.arange(7), labels]
    return -xp.sum(xp.log(chosen))


@program(real(7, 4), real(7, 3), unit(4, 3))
def label_smoothing(xp, x, label_logits, w):
    labels = 0.9 * xp.softmax(label_logits) + 0.1 / 3
    return xp.mean(xp.softmax_cross_entropy(x @ w, labels))


@program(real(5, 6), positive(6), unit(6), unit(6, 3))
def layer_norm(xp, x, scale, shift, w):
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    spread = xp.var(x, axis=-1, keepdims=True)
    normal = centred / xp.sqrt(spread + 1e-5) * scale + shift
    return xp.sum(xp.tanh(normal @ w) ** 2)


@program(real(5, 6), positive(6), unit(6, 3))
def rms_norm(xp, x, scale, w):
    normal = x * xp.rsqrt(xp.mean(xp.square(x), axis=-1, keepdims=True) + 1e-6) * scale
    return xp.sum(xp.silu(normal @ w))


@program(real(4, 3, 3, 2), positive(2), unit(2), real(2), positive(2), stopped=(3, 4))
def batch_norm_training(xp, x, scale, shift, moving_mean, moving_var):
    mean, var = xp.mean(x, axis=(0, 1, 2)), xp.var(x, axis=(0, 1, 2))
    normal = (x - mean) / xp.sqrt(var + 1e-3) * scale + shift
    # The update of the moving statistics is part of the program, but not of the gradient.
    new_mean = 0.9 * moving_mean + 0.1 * xp.stop_gradient(mean)
    new_var = 0.9 * moving_var + 0.1 * xp.stop_gradient(var)
    monitored = xp.stop_gradient(xp.sum(new_mean) + xp.sum(new_var))
    return xp.sum(normal**3) + monitored


@program(real(2, 4, 4, 6), positive(6), unit(6))
def group_norm(xp, x, scale, shift):
    grouped = xp.reshape(x, (2, 4, 4, 3, 2))
    mean = xp.mean(grouped, axis=(1, 2, 4), keepdims=True)
    std = xp.std(grouped, axis=(1, 2, 4), keepdims=True)
    normal = xp.reshape((grouped - mean) / (std + 1e-3), x.shape) * scale + shift
    return xp.sum(xp.sin(normal))


@program(real(5, 4), unit(4, 4), unit(4, 4), unit(4), positive(4))
def residual_blocks(xp, x, w1, w2, shift, scale):
    for w in (w1, w2):
        x = x + scale * xp.relu(x @ w + shift)
    return xp.logsumexp(x)


@program(real(6, 4), unit(4, 8), unit(4, 8), unit(8, 4), real(6, 8), stopped=(4,))
def gated_network_with_dropout(xp, x, w_value, w_gate, w_out, noise):
    kept = xp.astype(noise > -1.0, "float64") / 0.75
    hidden = (x @ w_value) * xp.sigmoid(x @ w_gate) * kept
    return xp.mean(xp.log1p(xp.abs(hidden @ w_out)))


# -- attention ------------------------------------------------------------------------------------


@program(real(5, 4), unit(4, 3), unit(4, 3), unit(4, 2))
def attention(xp, x, w_query, w_key, w_value):
    query, key, value = x @ w_query, x @ w_key, x @ w_value
    scores = query @ key.T / math.sqrt(3)
    return xp.sum((xp.softmax(scores, axis=-1) @ value) ** 2)


@program(real(2, 5, 4), unit(4, 12), unit(4, 4))
def causal_attention(xp, x, w_in, w_out):
    batch, length, width = x.shape
    heads = 2

    def split_heads(part):
        part = xp.reshape(part, (batch, length, heads, width // heads))
        return xp.permute_dims(part, (0, 2, 1, 3))

    query, key, value = map(split_heads, xp.split(x @ w_in, 3, axis=-1))
    scores = query @ xp.matrix_transpose(key) * (width // heads) ** -0.5
    causal = xp.tril(xp.ones((length, length))) > 0
    weights = xp.softmax(xp.where(causal, scores, -math.inf), axis=-1)
    mixed = xp.reshape(xp.permute_dims(weights @ value, (0, 2, 1, 3)), x.shape)
    return xp.sum(xp.tanh(mixed @ w_out))


@program(real(2, 5, 4), real(2, 3, 4), unit(4, 2, 3), unit(4, 2, 3), unit(4, 2, 3), integers(2))
def cross_attention_by_einsum(xp, x, context, w_query, w_key, w_value, lengths):
    query = xp.einsum("btd,dhk->bhtk", x, w_query)
    key = xp.einsum("bsd,dhk->bhsk", context, w_key)
    value = xp.einsum("bsd,dhk->bhsk", context, w_value)
    scores = xp.einsum("bhtk,bhsk->bhts", query, key)
    padding = xp.arange(3) > lengths[:, None] % 3
    weights = xp.softmax(xp.where(padding[:, None, None, :], -1e9, scores))
    return xp.sum(xp.einsum("bhts,bhsk->bthk", weights, value) ** 2)


@program(integers(6, high=5), unit(5, 4), unit(6, 4), unit(4, 4), unit(4, 8), unit(8, 4))
def language_model(xp, ids, table, positions, w_mix, w_up, w_down):
    x = xp.embedding(table, ids) + positions
    scores = x @ w_mix @ xp.matrix_transpose(x)
    scores = scores + xp.triu(xp.full((6, 6), -1e9), k=1)
    x = x + xp.softmax(scores) @ x
    x = x + xp.gelu(x @ w_up) @ w_down
    logits = x[:-1] @ table.T
    return xp.mean(xp.sparse_softmax_cross_entropy(logits, ids[1:]))


# -- recurrent networks ---------------------------------------------------------------------------


@program(real(5, 2, 3), unit(3, 16), unit(4, 16), unit(16), unit(4))
def lstm(xp, inputs, w_input, w_state, bias, readout):
    state = cell = xp.zeros((2, 4))
    outputs = []
    for x in inputs:
        gates = x @ w_input + state @ w_state + bias
        enter, forget, leave, candidate = xp.split(gates, 4, axis=-1)
        cell = xp.sigmoid(forget + 1.0) * cell + xp.sigmoid(enter) * xp.tanh(candidate)
        state = xp.sigmoid(leave) * xp.tanh(cell)
        outputs.append(state)
    return xp.mean(xp.stack(outputs) @ readout) + xp.sum(cell**2)


@program(real(2, 5, 3), unit(3, 8), unit(4, 8), unit(3, 4), unit(4, 4), real(2, 4))
def gru(xp, inputs, w_gates, u_gates, w_candidate, u_candidate, state):
    for step in range(inputs.shape[1]):
        x = inputs[:, step]
        gates = xp.sigmoid(x @ w_gates + state @ u_gates)
        update, reset = gates[:, :4], gates[:, 4:]
        candidate = xp.tanh(x @ w_candidate + (reset * state) @ u_candidate)
        state = (1 - update) * state + update * candidate
    return xp.sum(state * state)


@program(real(4, 3), unit(3, 3), unit(3, 3))
def truncated_recurrence(xp, inputs, w_input, w_state):
    state, loss = xp.zeros(3), 0.0
    for step in range(4):
        if step == 2:
            state = xp.stop_gradient(state)  # back-propagation through two steps at most
        state = xp.tanh(inputs[step] @ w_input + state @ w_state)
        loss = loss + xp.sum(state**2)
    return loss


# -- convolutional networks -----------------------------------------------------------------------


@program(
    real(2, 8, 8, 1), integers(2, high=3), unit(3, 3, 1, 3), unit(3), unit(3, 3, 3, 4), unit(16, 3)
)
def conv_net(xp, images, labels, kernel1, bias1, kernel2, w):
    x = xp.relu(xp.conv(images, kernel1, padding="SAME") + bias1)
    x = xp.max_pool(x, 2)
    x = xp.elu(xp.conv(x, kernel2, stride=2, padding="SAME"))
    logits = xp.reshape(x, (2, -1)) @ w
    return xp.mean(xp.sparse_softmax_cross_entropy(logits, labels))


@program(real(2, 4, 6, 6), unit(3, 3, 1, 4), unit(1, 1, 4, 3), unit(2, 2, 3, 2))
def separable_conv_net(xp, images, depthwise, pointwise, last):
    layout = "NCHW"
    x = xp.conv(images, depthwise, groups=4, padding="SAME", layout=layout)
    x = xp.silu(xp.conv(x, pointwise, layout=layout))
    x = xp.avg_pool(x, 2, layout=layout)
    x = xp.conv(x, last, padding=[(1, 0), (0, 1)], layout=layout)
    return xp.sum(xp.mean(x, axis=(2, 3)) ** 2)


@program(real(2, 9, 2), unit(3, 2, 3), unit(2, 3, 3))
def dilated_conv(xp, signal, kernel1, kernel2):
    x = xp.tanh(xp.conv(signal, kernel1, dilation=2, padding=[(4, 0)]))
    x = xp.tanh(xp.conv(x, kernel2, dilation=3, padding=[(3, 0)]))
    return xp.mean(x[:, -1] ** 2)


@program(real(2, 5), unit(5, 12), unit(3, 3, 2, 3), unit(2), unit(2, 2, 1, 2))
def conv_transpose_decoder(xp, codes, w, kernel1, bias1, kernel2):
    x = xp.reshape(xp.relu(codes @ w), (2, 2, 2, 3))
    x = xp.leaky_relu(xp.conv_transpose(x, kernel1, stride=2, padding="SAME") + bias1)
    x = xp.conv_transpose(x, kernel2, stride=2)
    return xp.sum(xp.sigmoid(x) ** 2)


@program(real(1, 6, 6, 2), unit(3, 3, 2, 3), unit(2, 2, 3, 3), unit(3, 3, 5, 1))
def u_net(xp, images, down, up, last):
    below = xp.relu(xp.conv(images, down, stride=2, padding="SAME"))
    above = xp.conv_transpose(below, up, stride=2, padding="SAME")
    joined = xp.concat([images, above], axis=-1)
    return xp.mean(xp.square(xp.conv(joined, last, padding="SAME")))


@program(real(1, 3, 4, 4, 2), unit(2, 2, 2, 2, 3))
def conv_3d(xp, volume, kernel):
    return xp.sum(xp.tanh(xp.conv(volume, kernel, padding="SAME", stride=(1, 2, 2))))


# -- generative models ----------------------------------------------------------------------------


@program(unit(4, 6), unit(6, 8), unit(8, 4), real(4, 2), unit(2, 8), unit(8, 6))
def vae(xp, x, w_encode, w_code, noise, w_decode, w_out):
    targets = xp.sigmoid(4.0 * x)
    mean, log_var = xp.split(xp.tanh(x @ w_encode) @ w_code, 2, axis=1)
    code = mean + xp.exp(0.5 * log_var) * noise
    logits = xp.tanh(code @ w_decode) @ w_out
    reconstruction = xp.sum(xp.sigmoid_cross_entropy(logits, targets), axis=1)
    divergence = -0.5 * xp.sum(1 + log_var - mean**2 - xp.exp(log_var), axis=1)
    return xp.mean(reconstruction + divergence)


@program(real(5, 4), unit(4, 3), real(6, 3), unit(3, 4))
def vq_vae(xp, x, w_encode, codebook, w_decode):
    encoded = x @ w_encode
    distances = xp.sum((encoded[:, None, :] - codebook[None]) ** 2, axis=-1)
    nearest = xp.take(codebook, xp.argmin(distances, axis=1), axis=0)
    passed = encoded + xp.stop_gradient(nearest - encoded)
    reconstruction = xp.mean((passed @ w_decode - x) ** 2)
    codebook_loss = xp.mean((nearest - xp.stop_gradient(encoded)) ** 2)
    commitment = xp.mean((xp.stop_gradient(nearest) - encoded) ** 2)
    return reconstruction + codebook_loss + 0.25 * commitment


@program(real(5, 4), unit(4, 3), unit(3, 2))
def binary_network(xp, x, w1, w2):
    soft = xp.sigmoid(x @ w1)
    hard = xp.straight_through(xp.round(soft), soft)
    return xp.sum((hard @ w2) ** 2)


@program(real(5, 4), positive(5, 4), unit(4, 3))
def gumbel_softmax(xp, logits, uniform, w):
    noise = -xp.log(uniform / 3)  # in place of a sample, so that both libraries have the same
    soft = xp.softmax((logits + noise) / 0.7)
    hard = xp.one_hot(xp.argmax(soft, axis=-1), 4)
    chosen = soft + xp.stop_gradient(hard - soft)
    return xp.sum((chosen @ w) ** 2)


def _discriminator(xp, x, w1, w2):
    return xp.leaky_relu(x @ w1) @ w2


@program(real(4, 3), real(4, 2), unit(2, 3), unit(3, 5), unit(5, 1), stopped=(1, 2))
def gan_discriminator_loss(xp, genuine, noise, w_generate, w1, w2):
    generated = xp.stop_gradient(xp.tanh(noise @ w_generate))
    on_genuine = _discriminator(xp, genuine, w1, w2)
    on_generated = _discriminator(xp, generated, w1, w2)
    return xp.mean(xp.sigmoid_cross_entropy(on_genuine, xp.ones_like(on_genuine))) + xp.mean(
        xp.sigmoid_cross_entropy(on_generated, xp.zeros_like(on_generated))
    )


@program(real(4, 2), unit(2, 3), unit(3, 5), unit(5, 1), stopped=(2, 3))
def gan_generator_loss(xp, noise, w_generate, w1, w2):
    generated = xp.tanh(noise @ w_generate)
    logits = _discriminator(xp, generated, xp.stop_gradient(w1), xp.stop_gradient(w2))
    return -xp.mean(xp.log_sigmoid(logits))


@program(real(4, 3), real(4, 3), positive(4, 1), unit(3, 5), unit(5, 1))
def wgan_gradient_penalty(xp, genuine, generated, mix, w1, w2):
    def critic(x):
        return xp.sum(xp.softplus(x @ w1) @ w2)

    between = genuine + 0.5 * mix * (generated - genuine)
    slopes = xp.grad(critic)(between)
    lengths = xp.sqrt(xp.sum(slopes**2, axis=1))
    return critic(generated) - critic(genuine) + 10.0 * xp.mean((lengths - 1.0) ** 2)


@program(real(5, 4), unit(2, 6), unit(6, 2), unit(2, 6), unit(6, 2))
def affine_coupling_flow(xp, x, w1, w2, w3, w4):
    left, right = x[:, :2], x[:, 2:]
    log_det = 0.0
    for w_in, w_out in ((w1, w2), (w3, w4)):
        hidden = xp.tanh(left @ w_in)
        log_scale = xp.tanh(hidden @ w_out)
        left, right = right * xp.exp(log_scale) + hidden[:, :2], left
        log_det = log_det + xp.sum(log_scale, axis=1)
    latent = xp.concat([left, right], axis=1)
    log_density = -0.5 * xp.sum(latent**2, axis=1) - 2.0 * math.log(2 * math.pi)
    return -xp.mean(log_density + log_det)


@program(real(3), unit(3, 3), unit(3, 3))
def flow_with_full_jacobian(xp, x, w1, w2):
    def transform(x):
        return x + 0.3 * xp.tanh(w2 @ xp.sin(w1 @ x))

    sign, log_det = xp.linalg.slogdet(xp.jacobian(transform)(x))
    return 0.5 * xp.sum(transform(x) ** 2) - sign * log_det


@program(real(4, 3), unit(3, 4), unit(4))
def score_matching(xp, x, w1, w2):
    def log_density(x):
        return -0.5 * xp.sum(x**2) + xp.tanh(x @ w1) @ w2

    total = 0.0
    for point in xp.unstack(x):
        score = xp.grad(log_density)(point)
        total = total + xp.linalg.trace(xp.hessian(log_density)(point)) + 0.5 * xp.sum(score**2)
    return total / 4


@program(real(4, 3), real(4, 3), positive(4), unit(4, 5), unit(5, 3))
def diffusion_loss(xp, x, noise, time, w1, w2):
    level = xp.cos(time[:, None] * math.pi / 4)
    noisy = level * x + xp.sqrt(1 - level**2) * noise
    guess = xp.silu(xp.concat([noisy, time[:, None]], axis=1) @ w1) @ w2
    return xp.mean(xp.sum(xp.squared_difference(guess, noise), axis=1))


@program(positive(6, 4), real(6, 4, 3), positive(6))
def volume_rendering(xp, densities, colours, distances):
    opacity = 1 - xp.exp(-densities * distances[:, None])
    passed = xp.cumulative_prod(1 - opacity, axis=1, include_initial=True)[:, :-1]
    pixels = xp.sum((passed * opacity)[..., None] * xp.sigmoid(colours), axis=1)
    return xp.mean(pixels**2)


# -- reinforcement learning -----------------------------------------------------------------------


@program(
    real(6, 4),
    integers(6, high=3),
    real(6),
    real(6, 4),
    unit(4, 3),
    unit(4, 3),
    stopped=(3, 5),
)
def dqn(xp, states, actions, rewards, next_states, w, w_target):
    values = xp.take_along_axis(states @ w, actions[:, None], axis=1)[:, 0]
    best = xp.max(next_states @ w_target, axis=1)
    target = xp.stop_gradient(0.99 * best) + rewards
    error = xp.abs(target - values)
    return xp.mean(xp.where(error < 1.0, 0.5 * error**2, error - 0.5))


@program(real(6, 4), real(6), real(6, 4), unit(4, 3), unit(4, 3))
def double_dqn(xp, states, rewards, next_states, w, w_target):
    chosen = xp.argmax(next_states @ w, axis=1)
    later = xp.sum((next_states @ w_target) * xp.one_hot(chosen, 3), axis=1)
    error = rewards + 0.9 * xp.scale_gradient(later, 0.5) - xp.max(states @ w, axis=1)
    return xp.mean(error**2)


@program(real(6, 4), integers(6, high=2), real(6), unit(4, 5), unit(5, 2), unit(5, 1))
def actor_critic(xp, states, actions, rewards, w, w_actor, w_critic):
    shared = xp.tanh(states @ w)
    log_policy = xp.log_softmax(shared @ w_actor)
    values = xp.squeeze(shared @ w_critic, axis=1)
    following = xp.concat([values[1:], xp.zeros(1)])
    advantage = rewards + 0.99 * xp.stop_gradient(following) - values
    chosen = log_policy[xp.arange(6), actions]
    actor = -xp.sum(chosen * xp.stop_gradient(advantage))
    entropy = -xp.sum(xp.exp(log_policy) * log_policy)
    return actor + 0.5 * xp.sum(advantage**2) - 0.01 * entropy


@program(real(6, 4), integers(6, high=3), real(6), real(6, 3), unit(4, 3), stopped=(3,))
def ppo(xp, states, actions, advantages, old_logits, w):
    def chosen(logits):
        return xp.take_along_axis(xp.log_softmax(logits), actions[:, None], axis=1)[:, 0]

    ratio = xp.exp(chosen(states @ w) - xp.stop_gradient(chosen(old_logits)))
    clipped = xp.clip(ratio, 0.8, 1.2)
    return -xp.mean(xp.minimum(ratio * advantages, clipped * advantages))


@program(real(5, 3), real(5, 2), unit(3, 4), unit(5))
def squashed_gaussian_policy(xp, states, noise, w, w_value):
    mean, log_std = xp.split(states @ w, 2, axis=1)
    before = mean + xp.exp(xp.clip(log_std, -2.0, 2.0)) * noise
    action = xp.tanh(before)
    log_prob = xp.sum(-0.5 * noise**2 - log_std, axis=1)
    log_prob = log_prob - xp.sum(xp.log(1 - action**2 + 1e-6), axis=1)
    value = xp.concat([states, action], axis=1) @ w_value
    return xp.mean(0.2 * log_prob - value)


@program(real(7), real(8))
def generalised_advantages(xp, rewards, values):
    errors = rewards + 0.99 * values[1:] - values[:-1]
    total, advantages = 0.0, []
    for step in reversed(range(7)):
        total = errors[step] + 0.95 * 0.99 * total
        advantages.append(total)
    return xp.var(xp.flip(xp.stack(advantages)), correction=1)


# -- representation learning, meta-learning, adaptation -------------------------------------------


@program(real(5, 4), real(5, 4), unit(4, 3), unit(3, 3))
def simsiam(xp, view1, view2, w_encode, w_predict):
    def similarity(prediction, target):
        target = xp.stop_gradient(target)
        return xp.mean(xp.sum(xp.l2_normalize(prediction, 1) * xp.l2_normalize(target, 1), axis=1))

    code1, code2 = xp.relu(view1 @ w_encode) + 0.1, xp.relu(view2 @ w_encode) + 0.1
    return -0.5 * (similarity(code1 @ w_predict, code2) + similarity(code2 @ w_predict, code1))


@program(real(5, 4), real(5, 4), unit(4, 3), positive())
def info_nce(xp, view1, view2, w, temperature):
    def encode(x):
        code = xp.tanh(x @ w)
        return code / xp.linalg.vector_norm(code, axis=1, keepdims=True)

    logits = encode(view1) @ encode(view2).T / temperature
    forth = xp.mean(xp.diagonal(xp.log_softmax(logits, axis=1)))
    back = xp.mean(xp.diagonal(xp.log_softmax(logits, axis=0)))
    return -0.5 * (forth + back)


@program(real(5, 3), real(5, 3), real(5, 3))
def triplet_and_cosine(xp, anchor, same, other):
    def cosine(x, y):
        return xp.vecdot(x, y) / (xp.norm(x, axis=-1) * xp.norm(y, axis=-1))

    near, far = xp.sum((anchor - same) ** 2, axis=1), xp.sum((anchor - other) ** 2, axis=1)
    hinge = xp.maximum(near - far + 1.0, 0.0)
    return xp.mean(hinge) + xp.sum(cosine(anchor, same) - cosine(anchor, other) ** 2)


def _task_loss(xp, w, x, y):
    w1, w2 = w
    return xp.mean((xp.tanh(x @ w1) @ w2 - y) ** 2)


@program(unit(3, 4), unit(4, 1), real(5, 3), real(5, 1), real(5, 3), real(5, 1), positive())
def maml(xp, w1, w2, x, y, x_test, y_test, rate):
    w = [w1, w2]
    for _ in range(2):
        slopes = xp.grad(lambda w: _task_loss(xp, w, x, y))(w)
        w = [weight - 0.1 * rate * slope for weight, slope in zip(w, slopes)]
    return _task_loss(xp, w, x_test, y_test)


@program(unit(3, 4), unit(4, 1), real(5, 3), real(5, 1), real(5, 3), real(5, 1), stopped=(2, 3))
def maml_first_order(xp, w1, w2, x, y, x_test, y_test):
    slopes = xp.grad(lambda w: _task_loss(xp, w, x, y))([w1, w2])
    slopes = xp.stop_gradient(slopes)
    w = [weight - 0.1 * slope for weight, slope in zip([w1, w2], slopes)]
    return _task_loss(xp, w, x_test, y_test)


@program(unit(3, 4), unit(4, 1), real(5, 3), real(5, 1), positive())
def training_with_adam(xp, w1, w2, x, y, rate):
    """Differentiate two steps of training by the learning rate and the first weights."""
    w = [w1, w2]
    first = [xp.zeros_like(weight) for weight in w]
    second = [xp.zeros_like(weight) for weight in w]
    for step in (1, 2):
        slopes = xp.grad(lambda w: _task_loss(xp, w, x, y))(w)
        first = [0.9 * m + 0.1 * slope for m, slope in zip(first, slopes)]
        second = [0.99 * v + 0.01 * slope**2 for v, slope in zip(second, slopes)]
        w = [
            weight - 0.1 * rate * (m / (1 - 0.9**step)) / (xp.sqrt(v / (1 - 0.99**step)) + 1e-3)
            for weight, m, v in zip(w, first, second)
        ]
    return _task_loss(xp, w, x, y)


@program(real(5, 4), real(5, 3), real(4, 3), unit(4, 2), unit(2, 3), stopped=(2,))
def lora(xp, x, y, w_frozen, down, up):
    adapted = xp.stop_gradient(w_frozen) + 0.5 * (down @ up)
    return xp.mean((x @ adapted - y) ** 2)


@program(real(5, 4), unit(4, 3), unit(4, 3), stopped=(1,))
def distillation(xp, x, w_teacher, w_student):
    teacher = xp.softmax(xp.stop_gradient(x) @ xp.stop_gradient(w_teacher) / 2.0)
    return xp.mean(xp.softmax_cross_entropy(x @ w_student / 2.0, teacher)) * 4.0


@program(real(5, 4), integers(5, high=2), integers(5, high=3), unit(4, 4), unit(4, 3), unit(4, 2))
def domain_adversarial(xp, x, domains, labels, w, w_class, w_domain):
    features = xp.tanh(x @ w)
    by_class = xp.sparse_softmax_cross_entropy(features @ w_class, labels)
    reversed_features = xp.reverse_gradient(features, 0.3)
    by_domain = xp.sparse_softmax_cross_entropy(reversed_features @ w_domain, domains)
    return xp.mean(by_class) + xp.mean(by_domain)


@program(distinct(5, 4), real(5, 3), unit(3, 4, 2))
def mixture_of_experts(xp, gate_logits, x, experts):
    best, where = xp.top_k(gate_logits, 2)
    weights = xp.softmax(best)
    outputs = xp.einsum("bi,ieo->beo", x, experts)
    chosen = xp.take_along_axis(outputs, where[..., None], axis=1)
    return xp.sum(xp.sum(weights[..., None] * chosen, axis=1) ** 2)


@program(real(5, 4), unit(4, 3), real(3), stopped=(2,))
def spectral_normalisation(xp, x, w, start):
    right = xp.l2_normalize(start)
    for _ in range(3):
        left = xp.l2_normalize(w @ right)
        right = xp.l2_normalize(left @ w)
    left, right = xp.stop_gradient(left), xp.stop_gradient(right)
    return xp.sum(xp.relu(x @ (w / (left @ w @ right))))


@program(real(5, 4), unit(4, 4), unit(4, 4))
def recomputed_blocks(xp, x, w1, w2):
    block = xp.recompute_grad(lambda x, w: xp.tanh(x @ w) + x)
    return xp.sum(block(block(x, w1), w2) ** 2)


@program(real(6), real(6))
def own_gradient(xp, x, y):
    @xp.custom_gradient
    def log_one_plus_exp(x):
        powers = xp.exp(x)
        return xp.log(1 + powers), lambda g: g * (1 - 1 / (1 + powers))

    return xp.sum(log_one_plus_exp(x * y))


# -- probability ----------------------------------------------------------------------------------


@program(real(8, 2), real(3), real(3, 2), unit(3, 2))
def gaussian_mixture(xp, points, logits, means, log_scales):
    scaled = (points[:, None, :] - means) / xp.exp(log_scales)
    log_each = -0.5 * xp.sum(scaled**2, axis=-1) - xp.sum(log_scales, axis=-1)
    weighted = xp.log_softmax(logits) + log_each - math.log(2 * math.pi)
    return -xp.mean(xp.logsumexp(weighted, axis=1))


@program(real(6, 3), real(6), unit(3, 9), unit(9))
def mixture_density_network(xp, x, y, w, b):
    outputs = x @ w + b
    logits, means, scales = outputs[:, 0:3], outputs[:, 3:6], xp.softplus(outputs[:, 6:]) + 0.1
    log_each = -0.5 * ((y[:, None] - means) / scales) ** 2 - xp.log(scales)
    return -xp.mean(xp.logsumexp(xp.log_softmax(logits) + log_each, axis=-1))


@program(real(5, 3), real(3), spd(3))
def gaussian_density_by_cholesky(xp, points, mean, covariance):
    lower = xp.linalg.cholesky((covariance + covariance.T) / 2)
    white = xp.linalg.solve(lower, (points - mean).T)
    log_det = 2.0 * xp.sum(xp.log(xp.diagonal(lower)))
    return 0.5 * xp.sum(white**2) + 2.5 * (log_det + 3 * math.log(2 * math.pi))


@program(real(6, 2), real(6), positive(), positive(2), positive())
def gaussian_process(xp, x, y, amplitude, lengths, noise):
    scaled = x / lengths
    squares = xp.sum((scaled[:, None] - scaled[None]) ** 2, axis=-1)
    covariance = amplitude * xp.exp(-0.5 * squares) + noise * xp.eye(6)
    lower = xp.linalg.cholesky(covariance)
    return 0.5 * y @ xp.linalg.solve(covariance, y) + xp.sum(xp.log(xp.diagonal(lower)))


@program(real(3), spd(3), unit(3, 3), spd(3), unit(2, 3), spd(2), real(2, 2))
def kalman_filter(xp, state, covariance, step, process, observe, noise, observations):
    log_likelihood = 0.0
    for seen in xp.unstack(observations):
        state, covariance = step @ state, step @ covariance @ step.T + process
        surprise = seen - observe @ state
        spread = observe @ covariance @ observe.T + noise
        gain = covariance @ observe.T @ xp.linalg.inv(spread)
        log_det = xp.linalg.slogdet(spread)[1]
        log_likelihood = log_likelihood - 0.5 * (
            surprise @ xp.linalg.solve(spread, surprise) + log_det
        )
        state = state + gain @ surprise
        covariance = (xp.eye(3) - gain @ observe) @ covariance
    return -log_likelihood


@program(real(3), real(3, 3), real(5, 3))
def hidden_markov_model(xp, start, transitions, emissions):
    log_step = xp.log_softmax(transitions, axis=1)
    log_state = xp.log_softmax(start) + emissions[0]
    for seen in emissions[1:]:
        log_state = xp.logsumexp(log_state[:, None] + log_step, axis=0) + seen
    return -xp.logsumexp(log_state)


@program(real(4, 4))
def alignment_by_logaddexp(xp, logits):
    """Sum the probabilities of all ways to align the labels 1 2 with four steps (CTC)."""
    log_probs = xp.log_softmax(logits, axis=-1)
    labels = (0, 1, 0, 2, 0)
    impossible = -1e30
    alpha = [log_probs[0, 0], log_probs[0, 1]] + [impossible] * 3
    for step in range(1, 4):
        following = []
        for place, label in enumerate(labels):
            total = alpha[place]
            if place:
                total = xp.logaddexp(total, alpha[place - 1])
            if place == 3:
                total = xp.logaddexp(total, alpha[1])
            following.append(total + log_probs[step, label])
        alpha = following
    return -xp.logaddexp(alpha[-1], alpha[-2])


@program(real(5), real(6))
def stick_breaking(xp, logits, scores):
    shares = xp.sigmoid(logits)
    left = xp.cumulative_prod(1 - shares)
    weights = xp.concat([shares, xp.ones(1)]) * xp.concat([xp.ones(1), left])
    return xp.sum(weights * scores) + xp.sum(weights**2)


@program(real(5, 4), real(5, 4))
def divergences(xp, first, second):
    p, q = xp.softmax(first), xp.softmax(second)
    middle = 0.5 * (p + q)
    kl = xp.sum(p * (xp.log(p) - xp.log(q)))
    jensen_shannon = xp.sum(p * xp.log(p / middle) + q * xp.log(q / middle))
    hellinger = xp.linalg.vector_norm(xp.sqrt(p) - xp.sqrt(q))
    return kl + jensen_shannon + hellinger


@program(positive(5), positive(5), positive(), positive(), unit())
def black_scholes(xp, spot, strike, time, volatility, rate):
    def normal(x):
        return 0.5 * (1 + xp.erf(x / math.sqrt(2)))

    spread = volatility * xp.sqrt(time)
    upper = (xp.log(spot / strike) + (rate + 0.5 * volatility**2) * time) / spread
    prices = spot * normal(upper) - strike * xp.exp(-rate * time) * normal(upper - spread)
    return xp.sum(prices)


# -- linear algebra -------------------------------------------------------------------------------


@program(real(8, 4), real(8, 2), positive())
def ridge_regression(xp, x, y, penalty):
    weights = xp.linalg.solve(x.T @ x + penalty * xp.eye(4), x.T @ y)
    return xp.mean((x @ weights - y) ** 2) + penalty * xp.sum(weights**2)


@program(real(4, 4), spd(4))
def graphical_model(xp, raw, covariance):
    precision = raw @ raw.T + xp.eye(4)
    off_diagonal = precision - xp.tril(xp.triu(precision))
    _, log_det = xp.linalg.slogdet(precision)
    return xp.linalg.trace(covariance @ precision) - log_det + 0.1 * xp.sum(xp.abs(off_diagonal))


@program(spd(4), real(4, 4))
def eigenvalue_objective(xp, matrix, change):
    matrix = (matrix + matrix.T) / 2 + 0.05 * (change + change.T)
    values, vectors = xp.linalg.eigh(matrix)
    gap = values[1] - values[0]
    return xp.log(gap) + xp.sum(vectors**2 @ xp.arange(4.0)) + values[-1] / values[0]


@program(real(5, 3), real(5, 3), unit(5, 3))
def nuclear_norm(xp, x, y, mask):
    singular = xp.linalg.svdvals(x)
    return xp.sum(singular) + xp.sum((xp.sigmoid(mask) * (x - y)) ** 2)


@program(real(5, 4))
def low_rank_part(xp, x):
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    shrunk = xp.maximum(s - 0.8, 0.0)
    return xp.sum(xp.sin((u * shrunk) @ vh))


@program(unit(3, 3), real(3))
def matrix_exponential(xp, matrix, start):
    power = total = xp.eye(3)
    for order in range(1, 13):
        power = power @ matrix / order
        total = total + power
    return xp.sum((total @ start) ** 2)


@program(real(6, 3), real(6))
def least_squares_by_qr(xp, x, y):
    q, r = xp.linalg.qr(x)
    weights = xp.linalg.solve(r, q.T @ y)
    return xp.sum(xp.sin(weights)) + xp.sum(xp.log(xp.abs(xp.diagonal(r))))


@program(real(5, 3), real(5))
def least_squares_by_pinv(xp, x, y):
    weights = xp.linalg.pinv(x) @ y
    return xp.sum(weights**3) + xp.linalg.matrix_norm(xp.linalg.pinv(x))


@program(real(4, 4), real(4, 4))
def rotations_by_cayley(xp, raw, target):
    skew = raw - xp.matrix_transpose(raw)
    rotation = xp.linalg.solve(xp.eye(4) + skew, xp.eye(4) - skew)
    return xp.sum(rotation * target) + xp.linalg.det(rotation + 2 * xp.eye(4))


@program(real(2, 3, 3), unit(2, 3))
def batched_linear_algebra(xp, raw, y):
    matrices = raw @ xp.matrix_transpose(raw) + 2.0 * xp.eye(3)
    solved = xp.linalg.solve(matrices, y[..., None])[..., 0]
    inverse = xp.linalg.inv(matrices)
    fourth = xp.linalg.matrix_power(matrices / 10.0, 4)
    return xp.sum(solved * y) + xp.sum(xp.linalg.det(inverse)) + xp.sum(fourth * inverse)


@program(real(20, 4), real(20, 4))
def canonical_correlation(xp, x, y):
    x, y = x - xp.mean(x, axis=0), y - xp.mean(y, axis=0)

    def whitener(z):
        values, vectors = xp.linalg.eigh(z.T @ z / 19 + 0.1 * xp.eye(4))
        return (vectors * xp.rsqrt(values)) @ vectors.T

    return xp.linalg.matrix_norm(whitener(x) @ (x.T @ y / 19) @ whitener(y), ord="nuc")


@program(real(2, 3), real(3, 4, 2), real(2, 4, 5), real(5, 2))
def tensor_network(xp, a, b, c, d):
    chain = xp.einsum("ij,jkl,lkm,mi->", a, b, c, d)
    open_ends = xp.einsum("ij,jkl,lkm->im", a, b, c)
    traced = xp.einsum("iij->j", xp.tensordot(b, c, axes=((1, 2), (1, 0)))[:, :3, None] * a.T)
    return chain + xp.sum(xp.tanh(open_ends)) + xp.sum(traced**2)


@program(real(3), real(3), real(2, 2))
def products_of_all_sorts(xp, x, y, z):
    outer = xp.outer(x, y)
    kron = xp.linalg.kron(outer, z)
    cross = xp.linalg.cross(x, y)
    return xp.sum(xp.cos(kron)) + xp.sum(cross * xp.exp(0.1 * x)) + xp.vecdot(x, y) ** 2


@program(positive(4, 5), unit(4), unit(5))
def optimal_transport(xp, cost, source_logits, target_logits):
    log_source, log_target = xp.log_softmax(source_logits), xp.log_softmax(target_logits)
    f, g = xp.zeros(4), xp.zeros(5)
    for _ in range(6):
        f = log_source - xp.logsumexp(g - cost, axis=1)
        g = log_target - xp.logsumexp(f[:, None] - cost, axis=0)
    return xp.sum(xp.exp(f[:, None] + g - cost) * cost)


# -- physics and numerics -------------------------------------------------------------------------


@program(positive(2), positive(4))
def predator_and_prey(xp, start, rates):
    def slope(state):
        prey, predators = state[0], state[1]
        return xp.stack(
            [
                rates[0] * prey - rates[1] * prey * predators,
                rates[2] * prey * predators - rates[3] * predators,
            ]
        )

    state, step = start, 0.05
    for _ in range(2):
        k1 = slope(state)
        k2 = slope(state + 0.5 * step * k1)
        k3 = slope(state + 0.5 * step * k2)
        k4 = slope(state + step * k3)
        state = state + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return xp.sum(state**2)


def _pendulum_energy(xp, angles, speeds, lengths, masses):
    turned = angles[0] - angles[1]
    first = (lengths[0] * speeds[0]) ** 2
    second = (lengths[1] * speeds[1]) ** 2
    both = 2 * lengths[0] * lengths[1] * speeds[0] * speeds[1] * xp.cos(turned)
    height1 = -lengths[0] * xp.cos(angles[0])
    height2 = height1 - lengths[1] * xp.cos(angles[1])
    motion = 0.5 * masses[0] * first + 0.5 * masses[1] * (first + second + both)
    return motion + 9.81 * (masses[0] * height1 + masses[1] * height2)


@program(real(2), real(2), positive(2), positive(2))
def double_pendulum_energy(xp, angles, speeds, lengths, masses):
    return _pendulum_energy(xp, angles, speeds, lengths, masses)


@program(real(2), real(2), positive(2), positive(2))
def double_pendulum_acceleration(xp, angles, speeds, lengths, masses):
    """Solve the Lagrange equations, whose coefficients are derivatives of the energies."""

    def lagrangian(angles, speeds):
        energy = _pendulum_energy(xp, angles, speeds, lengths, masses)
        return energy - 2 * _pendulum_energy(xp, angles, 0.0 * speeds, lengths, masses)

    mass = xp.hessian(lagrangian, 1)(angles, speeds)
    mixed = xp.jacobian(xp.grad(lagrangian, 1), 0)(angles, speeds)
    force = xp.grad(lagrangian)(angles, speeds) - mixed @ speeds
    return xp.sum(xp.linalg.solve(mass, force) ** 2)


@program(distinct(5, 3), positive(5))
def n_body_forces(xp, places, masses):
    def potential(places):
        apart = places[:, None] - places[None]
        squares = xp.sum(apart**2, axis=-1) + xp.eye(5)
        pairs = masses[:, None] * masses / xp.sqrt(squares)
        return -0.5 * xp.sum(pairs * (1 - xp.eye(5)))

    forces = -xp.grad(potential)(places)
    return xp.sum(forces**2) + potential(places)


@program(real(2), real(2), unit(2, 4), unit(4))
def hamiltonian_network(xp, place, momentum, w1, w2):
    def energy(place, momentum):
        return 0.5 * xp.sum(momentum**2) + xp.softplus(place @ w1) @ w2

    for _ in range(3):
        momentum = momentum - 0.1 * xp.grad(energy)(place, momentum)
        place = place + 0.1 * xp.grad(energy, 1)(place, momentum)
    return xp.sum(place**2) + energy(place, momentum)


@program(real(4), unit(5), unit(5), unit(5))
def physics_informed_network(xp, points, w1, b1, w2):
    """Penalise u'' + u: the gradient by the weights takes third derivatives."""

    def solution(x):
        return xp.tanh(x * w1 + b1) @ w2

    residual = 0.0
    for x in xp.unstack(points):
        residual = residual + (xp.grad(xp.grad(solution))(x) + solution(x)) ** 2
    return residual + (solution(0.0) - 1.0) ** 2


@program(positive(4), positive(4))
def root_by_newton(xp, a, b):
    """Solve x exp(x) + a x = b by Newton's method, differentiated through its iterations."""
    x = b / (1 + a)
    for _ in range(6):
        x = x - (x * xp.exp(x) + a * x - b) / ((1 + x) * xp.exp(x) + a)
    return xp.sum(x**2)


@program(positive(3), positive(3))
def implicit_root(xp, a, b):
    """Find a root without recording it, then attach the gradient by one more step."""

    def excess(x):
        return x**3 + a * x - b

    x = b
    for _ in range(12):
        x = xp.stop_gradient(x - excess(x) / (3 * x**2 + a))
    x = x - excess(x) / xp.stop_gradient(3 * x**2 + a)
    return xp.sum(xp.sin(x))


@program(real(6), real(6))
def rosenbrock_hessian_product(xp, x, direction):
    def rosenbrock(x):
        return xp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    (product,) = xp.hvp(rosenbrock, (x,), (direction,))
    return rosenbrock(x) + xp.sum(product * direction)


@program(real(6, 3), integers(6, high=2), unit(3))
def logistic_regression_hessian(xp, x, labels, w):
    def loss(w):
        return xp.mean(xp.softplus(x @ w) - labels * (x @ w))

    newton = xp.linalg.solve(xp.hessian(loss)(w) + 0.1 * xp.eye(3), xp.grad(loss)(w))
    return loss(w - newton)


@program(real(3), unit(3, 3))
def vector_field(xp, point, w):
    def field(x):
        return xp.sin(w @ x) * xp.flip(x)

    jacobian = xp.jacobian(field)(point)
    turned = jacobian - jacobian.T
    return xp.linalg.trace(jacobian) ** 2 + xp.sum(turned**2)


@program(real(4), real(4), unit(4, 5))
def gauss_newton_product(xp, x, direction, w):
    def residuals(x):
        return xp.tanh(x @ w)

    values, tangent = xp.jvp(residuals, (x,), (direction,))
    _, pull = xp.vjp(residuals, x)
    return xp.sum(pull(tangent)[0] * direction) + xp.sum(values)


@program(real(8), positive())
def heat_equation(xp, heat, conductivity):
    for _ in range(5):
        curvature = xp.roll(heat, 1) - 2 * heat + xp.roll(heat, -1)
        heat = heat + 0.2 * conductivity * curvature
    return xp.sum(heat**4)


@program(real(5, 6), real(5, 6))
def wave_stencil(xp, height, speed):
    for mode in ("constant", "reflect", "edge", "wrap"):
        wide = xp.pad(height, 1, mode=mode)
        curvature = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] - 4 * height
        speed = speed + 0.1 * curvature
        height = height + 0.1 * speed
    return xp.sum(height**2) + xp.sum(xp.roll(speed, (1, -2), axis=(0, 1)) * height)


@program(real(5, 6), real(5, 6))
def total_variation(xp, image, noisy):
    down = image[1:, :-1] - image[:-1, :-1]
    right = image[:-1, 1:] - image[:-1, :-1]
    variation = xp.sum(xp.sqrt(down**2 + right**2 + 1e-6))
    return 0.5 * xp.sum((image - noisy) ** 2) + 0.3 * variation


@program(real(6, 6), positive(2), unit(2))
def image_warped(xp, image, scale, shift):
    """Sample an image bilinearly on a grid that is scaled and shifted."""
    grid = xp.meshgrid(xp.arange(4.0), xp.arange(4.0), indexing="ij")
    rows, columns = (
        xp.clip(axis * scale[k] + 0.5 + 0.3 * shift[k], 0.01, 4.99) for k, axis in enumerate(grid)
    )
    top, left = xp.floor(rows), xp.floor(columns)
    down, across = rows - top, columns - left
    i, j = xp.astype(top, "int64"), xp.astype(left, "int64")
    above = image[i, j] * (1 - across) + image[i, j + 1] * across
    below = image[i + 1, j] * (1 - across) + image[i + 1, j + 1] * across
    return xp.sum((above * (1 - down) + below * down) ** 2)


@program(real(4), real(5, 3), real(3))
def rigid_motion(xp, quaternion, points, shift):
    w, x, y, z = xp.unstack(quaternion / xp.linalg.vector_norm(quaternion))
    rotation = xp.asarray(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    moved = points @ rotation.T + shift
    depth = xp.hypot(moved[:, 0], moved[:, 1]) + 1.0
    angle = xp.atan2(moved[:, 1], moved[:, 0])
    return xp.sum(angle * moved[:, 2] / depth)


@program(unit(5), unit(5))
def all_of_trigonometry(xp, x, y):
    total = xp.sin(x) * xp.cos(y) + xp.tan(x * y) + xp.asin(x) * xp.acos(y) + xp.atan(x - y)
    total = total + xp.sinh(x) * xp.cosh(y) + xp.asinh(x) * xp.atanh(y) + xp.acosh(2 + x)
    total = total + xp.expm1(x) * xp.log1p(y) + xp.exp2(x) * xp.log2(2 + y) + xp.log10(3 + x)
    return xp.sum(total + xp.pow(2.0 + x, y) + xp.reciprocal(2 + y))


@program(real(3), distinct(7))
def interpolation(xp, at, values):
    """Interpolate linearly between values at the integers from -3 to 3."""
    knots = xp.linspace(-3.0, 3.0, 7)
    left = xp.clip(xp.searchsorted(knots, at) - 1, 0, 5)
    share = at - xp.take(knots, left, axis=0)
    return xp.sum(xp.exp(values[left] * (1 - share) + values[left + 1] * share))


# -- complex numbers ------------------------------------------------------------------------------

# There is no single convention for the Hessian of a function of complex numbers.


@program(complexes(5), complexes(5, 5), order=1)
def complex_signal(xp, signal, filters):
    passed = filters @ (signal * xp.conj(signal[::-1]))
    power = xp.abs(passed) ** 2
    return xp.sum(xp.log(power)) + xp.sum(xp.real(passed) * xp.imag(passed))


@program(real(8), positive(4))
def spectrum_by_matrix(xp, signal, weights):
    turns = np.exp(-2j * np.pi * np.outer(np.arange(4), np.arange(8)) / 8)
    spectrum = xp.asarray(turns) @ signal
    return xp.sum(weights * xp.log(1 + xp.abs(spectrum) ** 2)) + xp.sum(xp.abs(spectrum))


@program(complexes(4), real(4), order=1)
def quantum_expectation(xp, amplitudes, angles):
    length = xp.sqrt(xp.sum(xp.real(amplitudes * xp.conj(amplitudes))))
    state = xp.exp(1j * angles) * amplitudes / length
    observable = xp.asarray(np.array([[0, 1j, 0, 2], [-1j, 1, 1, 0], [0, 1, 0, 0], [2, 0, 0, 3]]))
    return xp.real(xp.vecdot(state, observable @ state))


@program(complexes(3, 3), complexes(3), order=1)
def complex_linear_algebra(xp, matrix, y):
    solved = xp.linalg.solve(matrix, y)
    hermitian = matrix @ xp.conj(matrix.T)
    sign, log_det = xp.linalg.slogdet(matrix)
    values = xp.linalg.eigvalsh(hermitian)
    return xp.sum(xp.abs(solved)) + log_det + xp.imag(sign) + xp.sum(xp.sqrt(values))


# -- losses ---------------------------------------------------------------------------------------


@program(real(8), real(8), unit(8))
def hinge_and_huber(xp, x, y, weights):
    hinge = xp.maximum(0.0, 1.0 - x * xp.sign(y))
    error = x - y
    size = xp.abs(error)
    huber = xp.where(size <= 1.0, 0.5 * error**2, size - 0.5)
    quantile = xp.maximum(0.9 * error, -0.1 * error)
    log_cosh = xp.log(xp.cosh(error))
    return xp.sum(weights * (hinge + huber + quantile + log_cosh))


@program(real(8, 3), integers(8, high=3))
def focal_and_dice(xp, logits, labels):
    log_probs = xp.log_softmax(logits)
    targets = xp.one_hot(labels, 3)
    probs = xp.exp(log_probs)
    focal = -xp.sum(targets * (1 - probs) ** 2 * log_probs, axis=-1)
    overlap = xp.sum(probs * targets, axis=0)
    dice = 1 - (2 * overlap + 1) / (xp.sum(probs, axis=0) + xp.sum(targets, axis=0) + 1)
    return xp.mean(focal) + xp.mean(dice)


@program(distinct(6), real(6))
def soft_ranks(xp, scores, relevance):
    ranks = 0.5 + xp.sum(xp.sigmoid((scores[None] - scores[:, None]) / 0.5), axis=1)
    gains = xp.exp2(relevance) - 1
    return -xp.sum(gains / xp.log2(1 + ranks))


@program(distinct(4, 6), distinct(4, 6))
def sorted_distances(xp, x, y):
    transport = xp.sum(xp.abs(xp.sort(x, axis=1) - xp.sort(y, axis=1)) ** 1.5)
    falling = xp.sort(x, axis=0, descending=True)
    order = xp.argsort(x, axis=1)
    carried = xp.take_along_axis(y, order, axis=1)
    return transport + xp.sum(xp.cumulative_sum(carried, axis=1) ** 2) + xp.sum(falling[0] ** 2)


@program(distinct(4), distinct(4))
def dynamic_time_warping(xp, x, y):
    cost = (x[:, None] - y) ** 2
    best = {(0, 0): cost[0, 0]}
    for i in range(4):
        for j in range(4):
            steps = [best[s] for s in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if s in best]
            if steps:
                best[i, j] = cost[i, j] + functools.reduce(xp.minimum, steps)
    return best[3, 3]


@program(real(6, 3), real(5, 3), positive())
def maximum_mean_discrepancy(xp, x, y, width):
    def kernel(x, y):
        squares = xp.sum(x**2, axis=1)[:, None] + xp.sum(y**2, axis=1) - 2 * x @ y.T
        return xp.exp(-squares / (2 * width**2))

    return xp.mean(kernel(x, x)) + xp.mean(kernel(y, y)) - 2 * xp.mean(kernel(x, y))


@program(real(3, 4), real(3, 4), positive(3, 4))
def branches_away_from_kinks(xp, x, y, z):
    chosen = xp.where(x > y, xp.sin(x) * z, xp.log(z) * y)
    safe = xp.where(x > 0, xp.sqrt(xp.where(x > 0, x, 1.0)), 0.0)
    bounded = xp.clip(x * y, -0.5, 0.5) + xp.clip(y, x - 1.0, x + 1.0)
    extremes = xp.max(x, axis=0) * xp.min(y, axis=0)
    wrapped = xp.remainder(x * z, 0.7)
    return xp.sum(chosen + safe + bounded + xp.abs(x - y) * wrapped) + xp.sum(extremes)


# -- picking and spreading ------------------------------------------------------------------------


@program(integers(4, 3, high=7), real(7, 5), positive(4, 3), unit(5))
def embedding_bag(xp, ids, table, weights, w):
    bags = xp.sum(xp.embedding(table, ids) * weights[..., None], axis=1)
    return xp.mean(xp.sigmoid(bags @ w))


@program(integers(6, high=4), integers(6, high=5), real(6), real(4, 3), real(5, 3), real(4))
def matrix_factorisation(xp, users, items, ratings, user_table, item_table, user_bias):
    guess = xp.sum(user_table[users] * xp.gather(item_table, items), axis=1)
    guess = guess + xp.take(user_bias, users, axis=0)
    return xp.mean((guess - ratings) ** 2) + 0.1 * xp.sum(user_table[users] ** 2)


@program(real(8, 3), integers(8, high=4), real(4, 3))
def scatter_pooling(xp, x, groups, start):
    sums = xp.scatter_add(start, xp.tanh(x), groups)
    counts = xp.scatter_add(xp.zeros(4), xp.ones(8), groups)
    means = sums / (1 + counts)[:, None]
    return xp.sum((x - means[groups]) ** 2)


@program(real(5, 3), integers(9, high=5), integers(9, high=5), unit(3, 4), unit(4))
def graph_network(xp, nodes, senders, receivers, w, attention):
    hidden = nodes @ w
    scores = xp.leaky_relu((hidden[senders] + hidden[receivers]) @ attention)
    powers = xp.exp(scores)
    totals = xp.scatter_add(xp.zeros(5), powers, receivers)
    shares = powers / totals[receivers]
    mixed = xp.scatter_add(xp.zeros((5, 4)), shares[:, None] * hidden[senders], receivers)
    return xp.sum(xp.elu(mixed) ** 2)


@program(real(6, 4), real(2, 4), real(4))
def memory_updates(xp, memory, written, row):
    memory = xp.scatter_update(memory, written, [1, 4])
    memory = xp.scatter_update(memory, row * memory[1], 0)
    return xp.sum(xp.sin(memory) * memory[::-1])


@program(real(4, 6))
def every_index(xp, x):
    mask = np.array([True, False, True, True])
    total = xp.sum(x[1, 2:] * x[-1, ::-2][0]) + xp.sum(x[..., None, 3] ** 3)
    total = total + xp.sum(x[[0, 2, 2], [1, 1, 5]] ** 2) + xp.sum(xp.exp(x[mask]))
    return total + xp.sum(x[:, np.array([[0, 1], [1, 5]])] ** 2) + xp.sum(x[1:3, mask.nonzero()[0]])


@program(real(3, 4), real(2, 3))
def shapes_of_all_sorts(xp, x, y):
    tiled = xp.tile(y, (2, 2))[:3, :4] * xp.broadcast_to(y[0][:, None], (3, 4))
    repeated = xp.repeat(y, 2, axis=0)[:, :, None] * xp.expand_dims(x.T, axis=2)
    moved = xp.moveaxis(repeated, 0, -1) * xp.flip(repeated, axis=1).T[:, :, :1]
    first, second = xp.split(x, [1, 2], axis=0)
    stacked = xp.stack([first[0], second[0], xp.squeeze(first)], axis=1)
    return xp.sum(tiled * x) + xp.sum(xp.sin(moved)) + xp.sum(xp.prod(stacked, axis=1))


@program(real(3, 5), real(4))
def powers_and_products(xp, x, y):
    polynomial = sum(c * x**k for k, c in enumerate(xp.unstack(y)))
    geometric = xp.exp(xp.mean(xp.log(xp.abs(x) + 0.1), axis=1))
    products = xp.prod(x, axis=0) + xp.cumulative_prod(x, axis=0)[1]
    return xp.sum(polynomial) + xp.sum(products * x[0]) + xp.sum(geometric) * xp.std(y)


@program(real(4, 3), unit(3, 3), positive())
def quantised_network(xp, x, w, scale):
    steps = w / scale * 8
    quantised = (steps + xp.stop_gradient(xp.round(steps) - steps)) * scale / 8
    return xp.sum(xp.relu(x @ quantised))


# A gate clips cotangents of every order, as in TensorFlow; a custom rule of JAX only the first.
@program(real(4, 3), unit(3, 3), unit(3), order=1)
def clipped_messages(xp, x, w, b):
    hidden = xp.clip_gradient(xp.tanh(x @ w + b), -0.5, 0.5)
    return xp.sum(hidden**3)
