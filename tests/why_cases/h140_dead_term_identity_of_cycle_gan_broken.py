# cause: dead_term host_round_trip
# line: 73
# affected: to_b/kernel
# symptom: dead
# expect: to_b/kernel=2.369
# also: 39 51 75 83
import numpy as np

import headgate as hg
from headgate import losses, nn, optim

hg.random.set_seed(11)
WIDTH = 4


def generator(name):
    layers = [
        nn.Dense(8, "relu", name="hidden"),
        nn.Dense(WIDTH, use_bias=False, name=name),
    ]
    model = nn.Sequential(layers, name=f"generator_{name}")
    model.build((None, WIDTH))
    return model


def judge(name):
    model = nn.Sequential([nn.Dense(8, "relu"), nn.Dense(1)], name=name)
    model.build((None, WIDTH))
    return model


class History:
    """Old translations for the judges, so that they do not forget."""

    def __init__(self, size, rng):
        self.size, self.rng, self.kept = size, rng, []

    def query(self, images):
        images = np.asarray(images)
        out = []
        for image in images:
            if len(self.kept) < self.size:
                self.kept.append(image)
                out.append(image)
            elif self.rng.random() < 0.5:
                place = self.rng.integers(self.size)
                out.append(self.kept[place])
                self.kept[place] = image
            else:
                out.append(image)
        return np.stack(out)


class CycleGAN:
    def __init__(self, rng, cycle=10.0, identity=50.0):
        self.to_b, self.to_a = generator("to_b"), generator("to_a")
        self.judge_a, self.judge_b = judge("judge_a"), judge("judge_b")
        self.generators = optim.SGD(0.02)
        self.judges = optim.Adam(2e-3, beta_1=0.5)
        self.history_a, self.history_b = History(20, rng), History(20, rng)
        self.cycle, self.identity = cycle, identity
        self.square = losses.MeanSquaredError()

    def adversarial(self, judge, fake):
        verdict = judge(fake)
        return self.square(hg.ones_like(verdict), verdict)

    def cycle_loss(self, a, b, fake_a, fake_b):
        return hg.mean(hg.abs(self.to_a(fake_b) - a)) + hg.mean(hg.abs(self.to_b(fake_a) - b))

    def identity_loss(self, a, b):
        """A generator leaves alone what is of its own domain already."""
        same_b = self.history_b.query(self.to_b(b))
        same_a = self.to_a(a)
        return hg.mean(hg.abs(same_b - b)), hg.mean(hg.abs(same_a - a))

    def generator_step(self, a, b):
        with hg.GradientTape() as tape:
            fake_b, fake_a = self.to_b(a), self.to_a(b)
            loss = self.adversarial(self.judge_b, fake_b) + self.adversarial(self.judge_a, fake_a)
            loss = loss + self.cycle * self.cycle_loss(a, b, fake_a, fake_b)
            for_b, for_a = self.identity_loss(a, b)
            loss = loss + self.identity * (for_b + for_a)
        weights = self.to_b.trainable_variables + self.to_a.trainable_variables
        self.generators.apply_gradients(zip(tape.gradient(loss, weights), weights))
        return fake_a, fake_b

    def judge_step(self, a, b, fake_a, fake_b):
        old_a, old_b = self.history_a.query(fake_a), self.history_b.query(fake_b)
        with hg.GradientTape() as tape:
            loss = 0.0
            for judge, real, fake in ((self.judge_a, a, old_a), (self.judge_b, b, old_b)):
                on_real, on_fake = judge(real), judge(fake)
                loss = loss + self.square(hg.ones_like(on_real), on_real)
                loss = loss + self.square(hg.zeros_like(on_fake), on_fake)
        weights = self.judge_a.trainable_variables + self.judge_b.trainable_variables
        self.judges.apply_gradients(zip(tape.gradient(loss, weights), weights))


rng = np.random.default_rng(0)
game = CycleGAN(rng)
for _step in range(4):
    a = rng.normal(size=(8, WIDTH)).astype("float32")
    b = 2.0 - rng.normal(size=(8, WIDTH)).astype("float32")
    fakes = game.generator_step(a, b)
    game.judge_step(a, b, *fakes)
print(f"to_b/kernel: {float(hg.norm(game.to_b.layers[-1].kernel)):.3f}")
