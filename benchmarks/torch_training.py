"""The programs `gan`, `vae`, `dqn` and `actor-critic` of `headgate train`, in PyTorch eager.

Each is the program of the same name in `headgate.examples`, line for line: its constants, its data
and environments are imported from there, and the NumPy code that explores and replays; networks,
losses and optimizers are PyTorch's own. Kernels begin as Headgate's do. Of PyTorch's ways the
quickest one is taken: only the gradients that are asked for are computed, and Adam's update is one
fused kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import get_ema_multi_avg_fn

from headgate.data import Batches
from headgate.examples import actor_critic, digits, dqn, gan, vae
from headgate.examples.cartpole import ACTIONS, OBSERVATIONS, TEST, VALIDATION, Carts
from headgate.examples.training import Result, Run

SLOPE = 0.2
EPSILON = 1e-7


def dense(inputs: int, outputs: int) -> nn.Linear:
    """Make a layer that begins as Glorot and Bengio say, with a bias of zero."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def adam(parameters: Iterable[nn.Parameter], rate: float, beta_1: float = 0.9) -> torch.optim.Adam:
    """Make the optimizer, with Headgate's settings."""
    return torch.optim.Adam(parameters, rate, (beta_1, 0.999), EPSILON, fused=True)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take a step, with the gradients of the optimizer's parameters and no others."""
    (group,) = optimizer.param_groups
    optimizer.zero_grad()
    loss.backward(inputs=group["params"])
    optimizer.step()


# -- gan -------------------------------------------------------------------------------------------


def gan_networks() -> tuple[nn.Sequential, nn.Sequential]:
    """Make the generator and the discriminator."""
    generator = nn.Sequential(
        dense(gan.LATENT, gan.UNITS),
        nn.LeakyReLU(SLOPE),
        dense(gan.UNITS, gan.UNITS),
        nn.LeakyReLU(SLOPE),
        dense(gan.UNITS, digits.PIXELS),
        nn.Sigmoid(),
    )
    discriminator = nn.Sequential(
        dense(digits.PIXELS, gan.UNITS),
        nn.LeakyReLU(SLOPE),
        dense(gan.UNITS, gan.UNITS),
        nn.LeakyReLU(SLOPE),
        dense(gan.UNITS, 1),
    )
    return generator, discriminator


def called(answer: float, logits: Tensor) -> Tensor:
    """Return the loss of not giving this answer to each image."""
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, answer))


def train_gan(run: Run) -> Result:
    """Train both networks in turn; judge what the generator paints."""
    torch.manual_seed(run.seed)
    generator, discriminator = gan_networks()
    generator_optimizer = adam(generator.parameters(), gan.RATE, beta_1=0.5)
    discriminator_optimizer = adam(discriminator.parameters(), gan.RATE, beta_1=0.5)
    batches = Batches(digits.load().images, batch_size=gan.BATCH, seed=run.seed)

    def judged(images: Tensor) -> Tensor:
        blur = gan.BLUR * (1.0 - run.step / run.total)
        return discriminator(images + blur * torch.randn(*images.shape))

    for _ in run.steps():
        real = torch.from_numpy(next(batches)[0])
        for optimizer in (generator_optimizer, discriminator_optimizer):
            optimizer.param_groups[0]["lr"] = gan.RATE * max(0.05, 1.0 - (run.step - 1) / run.total)

        with torch.no_grad():
            fake = generator(torch.randn(gan.BATCH, gan.LATENT))
        discriminator_loss = called(gan.REAL, judged(real)) + called(0.0, judged(fake))
        descend(discriminator_optimizer, discriminator_loss)

        generator_loss = called(1.0, judged(generator(torch.randn(gan.BATCH, gan.LATENT))))
        descend(generator_optimizer, generator_loss)

        if run.every(100):
            run.log(
                discriminator_loss=discriminator_loss.detach(),
                generator_loss=generator_loss.detach(),
            )

    with torch.no_grad():
        images = generator(torch.randn(1000, gan.LATENT)).numpy()
    return Result(digits.appraise(images)[0])


# -- vae -------------------------------------------------------------------------------------------

WAYS = torch.from_numpy(vae.WAYS)


def vae_networks() -> tuple[nn.Sequential, nn.Sequential]:
    """Make the encoder and the decoder."""
    encoder = nn.Sequential(
        dense(digits.PIXELS, vae.HIDDEN), nn.ReLU(), dense(vae.HIDDEN, 2 * vae.LATENT)
    )
    decoder = nn.Sequential(
        dense(vae.LATENT, vae.HIDDEN), nn.ReLU(), dense(vae.HIDDEN, digits.PIXELS)
    )
    return encoder, decoder


def bound(
    encoder: nn.Sequential, decoder: nn.Sequential, x: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the means of log p(x|z) and of the divergence."""
    mean, log_variance = encoder(x).chunk(2, dim=-1)
    z = mean + torch.exp(0.5 * log_variance) * noise
    cross_entropy = functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="none")
    likelihood = (WAYS[(vae.DOTS * x).round().long()] - vae.DOTS * cross_entropy).sum(-1)
    divergence = 0.5 * (torch.exp(log_variance) + mean**2 - 1.0 - log_variance).sum(-1)
    return likelihood.mean(), divergence.mean()


def train_vae(run: Run) -> Result:
    """Raise the ELBO of the training images; measure that of the held-out ones."""
    torch.manual_seed(run.seed)
    encoder, decoder = vae_networks()
    optimizer = adam([*encoder.parameters(), *decoder.parameters()], vae.RATE)
    batches = Batches(digits.load().images, batch_size=vae.BATCH, seed=run.seed)

    def test() -> dict[str, float]:
        with torch.no_grad():
            pair = bound(encoder, decoder, *map(torch.from_numpy, vae.held_out()))
        likelihood, divergence = map(float, pair)
        return {"elbo": likelihood - divergence, "divergence": divergence}

    for _ in run.steps():
        x = torch.from_numpy(next(batches)[0])
        noise = torch.randn(vae.BATCH, vae.LATENT)
        likelihood, divergence = bound(encoder, decoder, x, noise)
        loss = divergence - likelihood
        descend(optimizer, loss)
        if run.every(50):
            run.log(loss=loss.detach(), **test())
    return Result(test())


# -- dqn -------------------------------------------------------------------------------------------


def q_network() -> nn.Sequential:
    """Make a network that tells the value of each action in a state."""
    return nn.Sequential(
        dense(OBSERVATIONS, dqn.UNITS),
        nn.ReLU(),
        dense(dqn.UNITS, dqn.UNITS),
        nn.ReLU(),
        dense(dqn.UNITS, ACTIONS),
    )


def acting(network: nn.Module) -> Callable[[Any], Tensor]:
    """Return a network as a function of NumPy arrays, of which no gradient is asked."""

    @torch.no_grad()
    def values(states: Any) -> Tensor:
        return network(torch.from_numpy(states))

    return values


def train_dqn(run: Run) -> Result:
    """Learn to balance from replayed experience; judge the greedy policy."""
    torch.manual_seed(run.seed)
    online, target_network = q_network(), q_network()
    target_network.load_state_dict(online.state_dict())
    followed, following = list(online.parameters()), list(target_network.parameters())
    follow = get_ema_multi_avg_fn(1.0 - dqn.FOLLOW)
    optimizer = adam(followed, dqn.RATE)
    carts, replay = Carts(dqn.CARTS, run.seed), dqn.Replay(dqn.CAPACITY)
    values = acting(online)
    for _ in range(dqn.RANDOM_STEPS):
        replay.add(carts.step(dqn.explore(values, carts.states, chance=1.0)))
    for number in run.steps():
        chance = max(dqn.LEAST_CHANCE, 1.0 - number / (dqn.EXPLORATION * run.total))
        replay.add(carts.step(dqn.explore(values, carts.states, chance)))
        states, actions, after, fallen = map(torch.from_numpy, replay.draw(dqn.BATCH))
        with torch.no_grad():
            values_after = online(after)
            best = values_after.argmax(dim=1, keepdim=True)
            lower = torch.minimum(
                values_after.gather(1, best), target_network(after).gather(1, best)
            )
            fall = fallen[:, None]
            target = -fall + dqn.DISCOUNT * (1.0 - fall) * lower
        loss = functional.huber_loss(online(states).gather(1, actions[:, None]), target)
        optimizer.param_groups[0]["lr"] = dqn.RATE * (1.0 - (number - 1) / run.total)
        descend(optimizer, loss)
        follow(following, followed, None)
        if run.every(40):
            judged = dqn.judge(acting(target_network), VALIDATION, episodes=20)
            run.log(loss=loss.detach(), **judged)
    return Result(dqn.judge(acting(target_network), TEST))


# -- actor-critic ----------------------------------------------------------------------------------


class ActorCritic(nn.Module):
    """A trunk with two heads: the actor's logits, and the critic's value."""

    def __init__(self) -> None:
        super().__init__()
        units = actor_critic.UNITS
        self.trunk = nn.Sequential(
            dense(OBSERVATIONS, units), nn.Tanh(), dense(units, units), nn.Tanh()
        )
        self.actor = dense(units, ACTIONS)
        self.critic = dense(units, 1)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of shape (..., actions) and values of shape (...)."""
        features = self.trunk(states)
        return self.actor(features), self.critic(features)[..., 0]


def train_actor_critic(run: Run) -> Result:
    """Learn to balance from what the carts have just done; judge the greedy policy."""
    torch.manual_seed(run.seed)
    model = ActorCritic()
    optimizer = adam(model.parameters(), actor_critic.RATE)
    carts = Carts(actor_critic.CARTS, run.seed)
    act = acting(model)

    def sample(states: Any) -> Any:
        return torch.multinomial(torch.softmax(act(states)[0], dim=-1), 1).numpy()[:, 0]

    for number in run.steps():
        done = actor_critic.columns(
            [carts.step(sample(carts.states)) for _ in range(actor_critic.HORIZON)]
        )
        weight = torch.from_numpy(done["real"] / np.sum(done["real"])).float()
        counts = torch.from_numpy(actor_critic.traces(done["over"]))
        rewards = (1.0 - actor_critic.DISCOUNT) * torch.from_numpy(done["rewards"])
        going = torch.from_numpy(~done["fallen"])
        actions = torch.from_numpy(done["actions"])
        logits, values = model(torch.from_numpy(done["before"]))
        with torch.no_grad():
            later = model(torch.from_numpy(done["after"][-1:]))[1]
            following = torch.concat([values[1:], later])
            errors = rewards + actor_critic.DISCOUNT * going * following - values
            advantage = torch.einsum("ntk,kn->tn", counts, errors)
            returns = advantage + values
        log_probabilities = functional.log_softmax(logits, dim=-1)
        taken = log_probabilities.gather(-1, actions[..., None])[..., 0]
        policy_loss = -(weight * taken * advantage).sum()
        value_loss = (weight * (returns - values).square()).sum()
        surprise = -(log_probabilities.exp() * log_probabilities).sum(-1)
        entropy = (weight * surprise).sum()
        loss = (
            policy_loss
            + actor_critic.VALUE_WEIGHT * value_loss
            - actor_critic.ENTROPY_WEIGHT * entropy
        )
        if run.every(40):
            run.log(**actor_critic.judge(act, VALIDATION, episodes=20))
        optimizer.param_groups[0]["lr"] = actor_critic.RATE * (1.0 - (number - 1) / run.total)
        descend(optimizer, loss)
    return Result(actor_critic.judge(act, TEST))


PROGRAMS: dict[str, Callable[[Run], Result]] = {
    "gan": train_gan,
    "vae": train_vae,
    "dqn": train_dqn,
    "actor-critic": train_actor_critic,
}
