"""Traces made by hand: small ones whose truth is plain to see, and large ones of every shape.

`Program` writes a trace as a watcher would. Source text comes from `linecache`, which is told the
lines of files that do not exist.
"""

from __future__ import annotations

import linecache
import random
from collections.abc import Sequence

from headgate.flow.trace import Death, Event, Gradient, Optimizer, Place, Source, Trace, Update

HOSTILE = '</script><img src=x onerror="alert(\'a\')"> \\"]}; {{data}} <!-- ]]> \\N é ✂ \x01 \ud800'


class Program:
    """Writes a trace, one op after the other; values are numbers."""

    def __init__(self, file: str = "train.py") -> None:
        self.trace = Trace()
        self.file = file
        self.values = 0
        self._places: dict[Place, int] = {}
        self._scopes: dict[tuple[str, ...], int] = {(): 0}
        self._lines: dict[int, str] = {}

    def value(self) -> int:
        """Return a new value; by itself it stands for data."""
        self.values += 1
        return self.values

    def place(self, line: int, text: str = "", function: str = "") -> int:
        """Return the number of a line, whose source text is remembered."""
        self._lines[line] = text or self._lines.get(line, "")
        if text:
            text_lines = [self._lines.get(n, "") + "\n" for n in range(1, max(self._lines) + 1)]
            linecache.cache[self.file] = (1, None, text_lines, self.file)
        place = Place(self.file, line, function)
        if place not in self._places:
            self._places[place] = len(self.trace.places)
            self.trace.places.append(place)
        return self._places[place]

    def scope(self, names: tuple[str, ...]) -> int:
        """Return the number of a scope."""
        if names not in self._scopes:
            self._scopes[names] = len(self.trace.scopes)
            self.trace.scopes.append(names)
        return self._scopes[names]

    def source(
        self, name: str, shape: tuple[int, ...] = (), owner: str = "", line: int | None = None
    ) -> int:
        """Return the number of a new source."""
        place = -1 if line is None else self.place(line)
        self.trace.sources.append(Source(name, self.value(), owner, shape, place=place))
        return len(self.trace.sources) - 1

    def op(
        self,
        name: str,
        *inputs: int,
        line: int,
        scope: tuple[str, ...] = (),
        text: str = "",
        kind: str = "",
        flows: Sequence[bool] | None = None,
        shape: tuple[int, ...] = (),
        size: float | None = None,
    ) -> int:
        """Record an op and return its output; a kind of cut lets no gradient through."""
        output = self.value()
        if size is not None:
            self.trace.sizes[output] = size
        given = tuple(flows) if flows is not None else (not kind,) * len(inputs)
        place, number = self.place(line, text), self.scope(scope)
        self.trace.events.append(
            Event(name, inputs, (output,), given, place, number, kind, "", shape, "float32")
        )
        return output

    def read(self, source: int, line: int, scope: tuple[str, ...] = (), text: str = "") -> int:
        """Record a read of a source that lets gradient through."""
        of = self.trace.sources[source]
        return self.op("read", of.value, line=line, scope=scope, text=text, shape=of.shape)

    def gradient(
        self,
        name: str,
        target: int,
        sources: Sequence[int],
        norms: Sequence[float | None],
        line: int,
        text: str = "",
        cotangents: dict[int, float] | None = None,
        step: int = 0,
        began: int = 0,
    ) -> tuple[int, ...]:
        """Record a call that asks for gradients; cotangents are kept where gradient arrives.

        Returns what came back; a value that means nothing for a gradient that is missing.
        """
        call = Gradient(
            self.place(line, text), (target,), (name,), tuple(sources), tuple(norms), step=step
        )
        outputs = tuple(self.value() for _ in norms)
        call.outputs = tuple(None if n is None else o for n, o in zip(norms, outputs))
        call.began = began
        for output, norm in zip(outputs, norms):
            if norm is not None:
                self.trace.sizes[output] = norm
        reached = {target}
        for event in reversed(self.trace.events):
            if not reached.isdisjoint(event.outputs):
                reached.update(v for v, flow in zip(event.inputs, event.flows) if flow)
        call.cotangents = {v: norm for v, norm in (cotangents or {}).items() if v in reached}
        self.trace.gradients.append(call)
        return outputs

    def steps(self, sources: Sequence[int], values: Sequence[int], line: int, rate: float = 0.1):
        """Record a step of an optimizer; there is one for each line."""
        place = self.place(line)
        known = [n for n, each in enumerate(self.trace.optimizers) if each.place == place]
        if not known:
            self.trace.optimizers.append(Optimizer(place, 0, 0.0, ()))
        number = known[0] if known else len(self.trace.optimizers) - 1
        optimizer = self.trace.optimizers[number]
        optimizer.steps += 1
        optimizer.rate = max(optimizer.rate, rate)
        optimizer.sources = tuple(dict.fromkeys((*optimizer.sources, *sources)))
        self._update("step", sources, values, place, number)

    def assign(self, source: int, value: int, line: int, how: str = "assign_sub") -> None:
        """Record an assignment."""
        self._update(how, [source], [value], self.place(line), -1)

    def _update(
        self, how: str, sources: Sequence[int], values: Sequence[int], place: int, optimizer: int
    ) -> None:
        sizes = tuple(self.trace.sizes.get(value) for value in values)
        self.trace.updates.append(
            Update(place, how, tuple(sources), tuple(values), sizes, optimizer)
        )
        for source in sources:
            self.trace.sources[source].updated = True


def dense(
    program: Program, x: int, weights: tuple[int, int], scope: tuple[str, ...], line: int, size: int
) -> int:
    """Record a layer: two reads and three ops on two lines."""
    kernel, bias = (program.read(source, line, scope) for source in weights)
    text = "y = x @ self.kernel + self.bias"
    y = program.op("matmul", x, kernel, line=line, scope=scope, text=text, shape=(32, size))
    y = program.op("add", y, bias, line=line, scope=scope, shape=(32, size))
    text = "return relu(y)"
    return program.op("relu", y, line=line + 1, scope=scope, text=text, shape=(32, size))


def gan(steps: int = 1) -> Trace:
    """Return the flow of a GAN whose generator loss is cut by a stop that belongs elsewhere.

    The truth: `d_loss` reaches D and not G, as it should. `g_loss` reaches D; it does not reach G,
    because line 12 stops the fake pictures for both losses. `temperature` is never used; `scale`
    is used by `g_loss`, but its gradient is exactly zero from the clip at line 30 on.
    """
    program = Program("gan.py")
    g = [program.source(f"generator/{n}", shape, "generator") for n, shape in GENERATOR.items()]
    d = [program.source(f"critic/{n}", shape, "critic") for n, shape in CRITIC.items()]
    scale = program.source("scale", ())
    unused = program.source("temperature", ())
    for step in range(steps):
        _gan_step(program, g, d, scale, unused, step)
    return program.trace


GENERATOR = {
    "dense/kernel": (16, 64),
    "dense/bias": (64,),
    "out/kernel": (64, 32),
    "out/bias": (32,),
}
CRITIC = {"dense/kernel": (32, 64), "dense/bias": (64,), "out/kernel": (64, 1), "out/bias": (1,)}


def _gan_step(
    program: Program, g: list[int], d: list[int], scale: int, unused: int, step: int
) -> None:
    train = ("train_step",)
    before = program.values

    def model(name: str, weights: list[int], x: int) -> int:
        for layer, pair in (("dense", weights[:2]), ("out", weights[2:])):
            scope = (*train, name, f"Dense {layer}")
            x = dense(program, x, (pair[0], pair[1]), scope, 40, 64)
        return x

    real, noise = program.value(), program.value()
    fake = model("Generator generator", g, noise)
    text = "fake = hg.stop_gradient(generator(noise))"
    fake = program.op(
        "stop_gradient",
        fake,
        line=12,
        scope=train,
        text=text,
        kind="stop_gradient",
        shape=(32, 32),
    )
    on_real = model("Critic critic", d, real)
    on_fake = model("Critic critic", d, fake)
    losses = (*train, "losses")
    text = "d_loss = mean(softplus(-on_real)) + mean(softplus(on_fake))"
    x = program.op("negative", on_real, line=20, scope=losses, text=text, shape=(32, 1))
    x = program.op("softplus", x, line=20, scope=losses, shape=(32, 1))
    x = program.op("mean", x, line=20, scope=losses)
    y = program.op("softplus", on_fake, line=20, scope=losses, shape=(32, 1))
    y = program.op("mean", y, line=20, scope=losses)
    d_loss = program.op("add", x, y, line=20, scope=losses)
    text = "g_loss = mean(softplus(-on_fake)) + penalty(scale)"
    x = program.op("negative", on_fake, line=25, scope=losses, text=text, shape=(32, 1))
    x = program.op("softplus", x, line=25, scope=losses, shape=(32, 1))
    x = program.op("mean", x, line=25, scope=losses)
    text = "return clip(scale, 0.0, 1.0)"
    s = program.read(scale, 30, losses)
    clipped = program.op("clip", s, line=30, scope=losses, text=text)
    g_loss = program.op("add", x, clipped, line=25, scope=losses)
    last = program.values
    norms = {
        v: 10.0 ** (-4 + 4 * (v - before) / (last - before)) for v in range(before + 1, last + 1)
    }
    text = "d_grads = tape.gradient(d_loss, critic.trainable_variables)"
    program.gradient(
        "d_loss", d_loss, d, [0.5, 0.25, 0.5, 0.125], 33, text, {**norms, d_loss: 1.0}, step
    )
    text = "g_grads = tape.gradient(g_loss, [*generator.trainable_variables, scale, temperature])"
    asked = [*g, scale, unused]
    zero = {**norms, g_loss: 1.0, clipped: 1.0, s: 0.0, program.trace.sources[scale].value: 0.0}
    program.gradient(
        "g_loss", g_loss, asked, [None, None, None, None, 0.0, None], 34, text, zero, step
    )
    event = next(n for n, e in enumerate(program.trace.events) if e.outputs == (clipped,))
    program.trace.gradients[-1].deaths[event, 0] = Death(0, 1)


def loop(iterations: int) -> Trace:
    """Return a loop of a line with a multiplication, a sine and an addition."""
    program = Program("loop.py")
    rate = program.source("rate")
    x = program.value()
    text = "x = x + rate * sin(x)"
    for _ in range(iterations):
        step = program.op("sin", x, line=5, scope=("run",), text=text)
        step = program.op("multiply", program.read(rate, 5, ("run",)), step, line=5, scope=("run",))
        x = program.op("add", x, step, line=5, scope=("run",))
    program.gradient("x", x, [rate], [2.0], 7, "tape.gradient(x, rate)")
    return program.trace


def tower(blocks: int, ops: int) -> Trace:
    """Return a deep model: blocks of layers of ops on lines of their own; the middle one is cut."""
    program = Program("tower.py")
    x = program.value()
    sources = []
    per_layer = 20
    for block in range(blocks):
        for layer in range(ops // per_layer):
            scope = ("train_step", f"Block block_{block}", f"Layer layer_{layer}")
            sources.append(program.source(f"block_{block}/layer_{layer}/w", (8, 8)))
            w = program.read(sources[-1], 10 + layer, scope)
            x = program.op("matmul", x, w, line=10 + layer, scope=scope, shape=(8, 8))
            for number in range(per_layer - 3):
                line = 100 + per_layer * layer + number
                x = program.op(("tanh", "exp", "add")[number % 3], x, line=line, scope=scope)
            if (block, layer) == (blocks // 2, 0):
                text = "h = hg.stop_gradient(h)"
                x = program.op(
                    "stop_gradient", x, line=99, scope=scope, text=text, kind="stop_gradient"
                )
            else:
                x = program.op("identity", x, line=99, scope=scope)
    alive = [n > len(sources) // 2 for n in range(len(sources))]
    norms = [0.5 if lives else None for lives in alive]
    values = {v: 10.0 ** (-6 * v / program.values) for v in range(program.values)}
    program.gradient("loss", x, sources, norms, 90, "tape.gradient(loss, model.weights)", values)
    return program.trace


def flat(lines: int) -> Trace:
    """Return a generated program: every op on a line of its own, all in one scope."""
    program = Program("flat.py")
    source = program.source("w")
    x = program.read(source, 1)
    for number in range(lines):
        x = program.op("tanh", x, line=2 + number)
    program.gradient("y", x, [source], [1.0], lines + 2)
    return program.trace


def scrambled(seed: int, ops: int = 40) -> Trace:
    """Return ops that take, cut and forget values as dice decide; nothing about it makes sense."""
    dice = random.Random(seed)
    program = Program("dice.py")
    sources = [program.source(f"w{number}") for number in range(5)]
    values = [source.value for source in program.trace.sources] + [program.value()]
    for number in range(ops):
        taken = dice.sample(values[-12:], dice.randint(1, 3))
        flows = [dice.random() < 0.8 for _ in taken]
        kind = dice.choice(["", "stop_gradient", "nondiff_op"]) if not all(flows) else ""
        values.append(program.op(f"op{number}", *taken, line=number, kind=kind, flows=flows))
    for line in (900, 901):
        target = dice.choice(values[-8:])
        asked = dice.sample(sources, 3)
        norms = [dice.choice([None, 0.0, 1.0]) for _ in asked]
        sizes = {value: dice.choice([0.0, 0.5]) for value in values if dice.random() < 0.7}
        program.gradient(f"loss{line}", target, asked, norms, line, cotangents=sizes)
        event = dice.randrange(ops)
        program.trace.gradients[-1].deaths[event, 0] = Death(0, 4)
    return program.trace


def hostile() -> Trace:
    """Return a trace in which every text tries to break out of where it is put."""
    program = Program(HOSTILE)
    source = program.source(HOSTILE, (), HOSTILE)
    x = program.read(source, 1, (HOSTILE,), HOSTILE)
    x = program.op(HOSTILE, x, line=2, scope=(HOSTILE,), text=HOSTILE)
    y = program.op(HOSTILE, x, line=3, scope=(HOSTILE,), text=HOSTILE, kind=HOSTILE)
    program.trace.events[-1].label = HOSTILE
    program.gradient(HOSTILE, y, [source], [None], 4, HOSTILE)
    return program.trace
