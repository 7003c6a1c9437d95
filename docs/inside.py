# %% [markdown]
# # Inside Headgate
#
# This page is a program: Headgate's mechanism without its breadth, in some 230 lines and a
# table of ops. It needs only NumPy, and is for real numbers and one thread. It records what is
# computed, differentiates it to any order, and says why a gradient is missing. Names and ideas
# are those of the real library, and the tests run both on the same random programs and compare
# values, gradients, second derivatives and explanations. `python docs/inside.py` runs it; where
# code prints something, this page shows it below.
#
# You need to know Python, and the chain rule: if a value `z` depends on `y` and `y` on `x`,
# then `dz/dx = dz/dy * dy/dx`. The number `dz/dy`, for some final `z`, is called the
# *cotangent* of `y` and is written `g` here. Differentiating backward means to start at `z`
# with `g = 1` and to turn each result's cotangent into cotangents for the arguments it was
# computed from.

# %%
import heapq
import inspect
import itertools
import linecache
import sys
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# %% [markdown]
# ## Value and graph
#
# A **tensor** pairs an array with the **node** that says where it came from. They are two
# objects, because they live for different times: the graph must not keep every array alive, nor
# an array the graph.
#
# A node knows the op that made it and has one *edge* for each array argument: the argument's
# node, the rule that computes the argument's cotangent, what the rule needs, and the argument's
# shape. So results refer to what they came from and never the other way round. Nothing else
# holds a node: what nobody can reach any more is freed at once.
#
# Nodes are numbered (`seq`) in order of creation. `live` and `cuts` are sets, written as the
# bits of one integer each; they are the subject of the next section. A **leaf** is the node of
# a *source*, something that can be differentiated by.

# %%
sequence = itertools.count(1).__next__


class Node:
    __slots__ = ("cuts", "edges", "live", "op", "seq")

    def __init__(self, op=None, edges=(), live=0, cuts=0):
        self.seq = sequence()
        self.op, self.edges, self.live, self.cuts = op, edges, live, cuts


class Leaf(Node):
    __slots__ = ("name", "own", "untaped")

    def __init__(self, name):
        super().__init__()
        self.name = name
        self.untaped = recording.new_bit()  # the bit by which no tape watches this source
        self.own = self.untaped  # all bits of this source


class Tensor:
    __slots__ = ("node", "value")
    __array_ufunc__ = None  # `array * tensor` is ours to compute, not NumPy's

    def __init__(self, value, node=None):
        self.value, self.node = value, node  # no node: a constant

    def __repr__(self):
        return f"Tensor({self.value})"


# %% [markdown]
# ## The recording: two masks
#
# Each pair of a tape and a source that it watches gets a bit.
#
# * `node.live` has the bits whose gradient can flow back from this value. An op's result has
#   every bit that one of its arguments has: `live = x.live | y.live`.
# * `node.cuts` has the **cuts** that lie before this value, OR-ed in the same way. A cut is a
#   tombstone: it says what stopped the gradient, in which line of the user's program, which
#   sources it severed, and which cuts lay before it. It holds no arrays and no nodes.
#
# A value with cuts before it and nothing live, such as all that follows a stop, gets a
# **ghost**: a node that carries the cuts and has no edges. So a stopped branch is freed
# although it can still be explained.
#
# A tape sees only what runs while it records. `active` has the bits of the tapes that record
# now; a bit that is not among them is lost on the way into an op (`admit`), and that too is a
# cut.

# %%
Cut = namedtuple("Cut", "kind label file line severed earlier")


class Recording:
    def __init__(self):
        self.tapes = []  # those that record now
        self.active = 0  # the bits of those tapes
        self.kept = 0  # the bits of tapes that still need their graph
        self.walking = False  # rules are running: what they cut is nobody's mistake
        self.bits = itertools.count()
        self.cuts = {}  # cut -> its number; the same cut is noted once

    def new_bit(self):
        return 1 << next(self.bits)

    def cut(self, kind, label, severed, earlier=0):
        cut = Cut(kind, label, *where(), severed, earlier)
        return 1 << self.cuts.setdefault(cut, len(self.cuts))

    def cuts_of(self, mask):
        """Return the cuts of a mask, in the order in which they were made."""
        return [cut for cut, number in self.cuts.items() if mask >> number & 1]

    def admit(self, node):
        """Return the two masks of an argument as the tapes that record now see it."""
        if node is None:
            return 0, 0
        live, cuts = node.live & self.active, node.cuts
        if live != node.live and not self.walking:
            cuts |= self.cut("outside_tape", "", node.live & ~self.active, cuts)
        return live, cuts


def where():
    """Return file and line of the innermost frame that is no function of this page."""
    frame = sys._getframe(1)
    while frame.f_globals is globals() and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def ghost(cuts):
    return Node(cuts=cuts) if cuts else None


recording = Recording()

# %% [markdown]
# ## Variables
#
# A variable is a named cell with a leaf. Using it in an op *reads* it: each tape that records
# now starts to watch it, if it is trainable. A read that no tape watches is a cut, too.
#
# `lift` turns whatever an op is given into an array and a node.


# %%
class Variable:
    __array_ufunc__ = None

    def __init__(self, value, trainable=True, name="variable"):
        self.value, self.trainable, self.name = np.array(value, float), trainable, name
        self.node = Leaf(name)

    def assign(self, value):
        self.value = np.array(value, float)


def read(variable):
    leaf = variable.node
    for tape in recording.tapes if variable.trainable else ():
        tape.watch(variable)
    if leaf.live & recording.active:
        return variable.value, leaf
    kind = "frozen" if recording.tapes else "outside_tape"
    return variable.value, ghost(recording.cut(kind, leaf.name, leaf.untaped))


def lift(x):
    if isinstance(x, Variable):
        return read(x)
    return (x.value, x.node) if isinstance(x, Tensor) else (np.asarray(x), None)


# %% [markdown]
# ## An op is a row
#
# An op is written as one row of a table: its signature and one rule for each array argument.
# NumPy's function of the same name computes it.
#
#     op("multiply(x, y)", lambda g, y: g * y, lambda g, x: g * x)
#
# A rule takes `g`, the cotangent of the result, and returns the argument's. Its other
# parameters are *what it saves*, by name: arguments, `ans` (the result), settings such as
# `axis`, an argument's shape (`x_shape`), or `xp`. The rule for `x` of `multiply` saves `y` and
# not `x`, so an array that no rule names is not kept. `None` in place of a rule says that no
# gradient flows to that argument, and using the op on a live value is recorded as a cut.
#
# `xp` is the **namespace** to compute with, and the reason why each rule is written only once.
# In `NUMPY`, `xp.cos` is `numpy.cos`, on arrays. In `TENSORS` it is our op `cos`, on tensors:
# it records itself, so the gradient can be differentiated again. Operators (`g * y`) make that
# choice by themselves.

# %%
NUMPY = SimpleNamespace()  # op name -> function of arrays
TENSORS = SimpleNamespace()  # op name -> function of tensors that records itself
hg = TENSORS  # so that the examples read as after `import headgate as hg`

Op = namedtuple("Op", "name arrays")


def op(row, *rules):
    name, parameters = row.removesuffix(")").split("(", 1)
    signature = inspect.signature(eval(f"lambda {parameters}: None"))
    arrays = [p.name for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    needs = [list(inspect.signature(rule).parameters)[1:] if rule else [] for rule in rules]
    made, impl = Op(name, arrays), getattr(np, name)

    def apply(*args, **settings):
        call = signature.bind(*args, **settings)
        call.apply_defaults()
        nodes = {}
        for array in arrays:
            call.arguments[array], nodes[array] = lift(call.arguments[array])
        ans = impl(*call.args, **call.kwargs)
        known = {**call.arguments, "ans": ans, "xp": NUMPY}
        known |= {f"{array}_shape": known[array].shape for array in arrays}
        live, cuts, edges = 0, 0, []
        for array, rule, names in zip(arrays, rules, needs):
            its_live, its_cuts = recording.admit(nodes[array])
            cuts |= its_cuts
            edge = None
            if rule and its_live:
                live |= its_live
                saved = {name: known[name] for name in names}
                edge = nodes[array], rule, saved, known[array].shape
            elif rule is None and (its_live or its_cuts) and not recording.walking:
                cuts |= recording.cut("nondiff_op", name, its_live, its_cuts)
            edges.append(edge)
        return Tensor(ans, Node(made, edges, live, cuts) if live else ghost(cuts))

    setattr(NUMPY, name, impl)
    setattr(TENSORS, name, apply)


# %% [markdown]
# Now the table. The real one has 190 rows; these are enough for a small network. Two of them
# are surprisingly short: an argument that was broadcast has had its value copied, so its
# cotangent is the sum of those of the copies, but `add` and `broadcast_to` hand on `g` as it
# is. Summing over broadcast axes is the same for every op, so the walk does it, below.

# %%
op("add(x, y)", lambda g: g, lambda g: g)
op("subtract(x, y)", lambda g: g, lambda g: -g)
op("multiply(x, y)", lambda g, y: g * y, lambda g, x: g * x)
op("divide(x, y)", lambda g, y: g / y, lambda g, y, ans: -g * (ans / y))
op("negative(x)", lambda g: -g)
op("exp(x)", lambda g, ans: g * ans)
op("log(x)", lambda g, x: g / x)
op("sin(x)", lambda g, xp, x: g * xp.cos(x))
op("cos(x)", lambda g, xp, x: -g * xp.sin(x))
op("tanh(x)", lambda g, ans: g * (1 - ans * ans))
op("maximum(x, y)", lambda g, x, y: g * (x >= y), lambda g, x, y: g * (x < y))
op(
    "matmul(x, y)",  # of two matrices
    lambda g, xp, y: g @ xp.matrix_transpose(y),
    lambda g, xp, x: xp.matrix_transpose(x) @ g,
)
op("matrix_transpose(x)", lambda g, xp: xp.matrix_transpose(g))
op("reshape(x, *, shape)", lambda g, xp, x_shape: xp.reshape(g, shape=x_shape))
op("expand_dims(x, *, axis)", lambda g, xp, x_shape: xp.reshape(g, shape=x_shape))
op("broadcast_to(x, *, shape)", lambda g: g)


def sum_rule(g, xp, x_shape, axis, keepdims):
    if axis is not None and not keepdims:
        g = xp.expand_dims(g, axis=axis)
    return xp.broadcast_to(g, shape=x_shape)


op("sum(x, *, axis=None, keepdims=False)", sum_rule)
op("round(x)", None)
op("argmax(x, *, axis=None)", None)
for comparison in ("greater", "greater_equal", "less"):
    op(f"{comparison}(x, y)", None, None)

operators = {"add": hg.add, "sub": hg.subtract, "mul": hg.multiply, "truediv": hg.divide}
for kind in (Tensor, Variable):
    for symbol, function in {**operators, "matmul": hg.matmul}.items():
        setattr(kind, f"__{symbol}__", function)
        setattr(kind, f"__r{symbol}__", lambda x, y, function=function: function(y, x))
    kind.__neg__, kind.__gt__, kind.__ge__ = hg.negative, hg.greater, hg.greater_equal
    kind.__lt__ = hg.less

# %% [markdown]
# Ops compute right away, with or without a tape. A variable that is read outside of every tape
# is marked with the line that did it: the ghost here has one cut.

# %%
w = Variable([1.0, 2.0], name="w")
doubled = hg.multiply(w, 2.0)
print(doubled, recording.cuts_of(doubled.node.cuts)[0].kind)

# %% [markdown]
# ## A stop
#
# A stop is an identity in the forward direction, and a cut. It does not even read a variable,
# so no tape starts to watch it here. The result has a ghost and so does not refer to what lies
# before it.


# %%
def stop_gradient(x):
    if isinstance(x, Variable):
        value, live, cuts = x.value, x.node.own, 0
    else:
        value, node = lift(x)
        live, cuts = recording.admit(node)
    if live or cuts:
        cuts |= recording.cut("stop_gradient", "", live, cuts)
    return Tensor(value, ghost(cuts))


# %% [markdown]
# ## The walk
#
# Backward, nodes are taken from a heap, the youngest first. Arguments are older than results,
# so when a node's turn comes, everything that depends on it has had its turn, and its cotangent
# is complete. There is no recursion, however long the chain. An edge is followed only if its
# mask says that a source that is `wanted` lies there: one bit test spares all the rest of the
# graph.
#
# `fit` sums a cotangent over the axes along which the argument was broadcast: those that it
# does not have, and those where its size is 1.
#
# If a tape records while the gradient is computed (`lifted`), rules get tensors instead of
# arrays: what they saved is put back on the nodes it came from, and `xp` is `TENSORS`.


# %%
def fit(g, shape, xp):
    """Sum a cotangent over the axes along which the argument was broadcast."""
    g_shape = getattr(g, "value", g).shape
    extra = len(g_shape) - len(shape)
    axes = [k for k, size in enumerate(g_shape) if k < extra or size != shape[k - extra]]
    if axes:
        g = xp.sum(g, axis=tuple(axes), keepdims=True)
    return xp.reshape(g, shape=shape) if extra else g


def on_tensors(node, saved):
    """Put what a rule saved back on its nodes, so that what the rule does is recorded."""
    nodes = {name: edge and edge[0] for name, edge in zip(node.op.arrays, node.edges)}
    nodes["ans"] = node
    return {
        name: TENSORS if name == "xp" else Tensor(value, nodes[name]) if name in nodes else value
        for name, value in saved.items()
    }


def walk(target, g, wanted, lifted, free):
    """Return the cotangents of all leaves that have a wanted bit, by their number."""
    found, pending, heap = {}, {target.seq: (target, g)}, [-target.seq]
    while heap:
        node, g = pending.pop(-heapq.heappop(heap))
        if isinstance(node, Leaf):
            found[node.seq] = g
            continue
        if node.edges is None:
            raise RuntimeError("the graph is freed; make the tape with persistent=True")
        for edge in node.edges:
            if edge is None or not edge[0].live & wanted:
                continue
            parent, rule, saved, shape = edge
            c = rule(g, **(on_tensors(node, saved) if lifted else saved))
            c = fit(c, shape, TENSORS if lifted else NUMPY)
            if parent.seq in pending:
                c = pending[parent.seq][1] + c
            else:
                heapq.heappush(heap, -parent.seq)
            pending[parent.seq] = parent, c
        if free and not node.live & recording.kept:
            node.edges = None
    return found


# %% [markdown]
# ## The tape
#
# A tape holds no list of ops. It owns bits, and by them it says what it wants to know.
# `gradient` starts a walk. `why` walks nowhere: it compares bits, so it also works when the
# graph is freed.
#
# For `why`, a source is *connected* if the target has a live bit of it. If not, a cut before
# the target that severed the source is to blame. Of several cuts on different paths, a stop is
# blamed rather than an op without a rule, because nobody expects a gradient through an
# `argmax`. Cuts that lie behind a severing one are on the same path and are listed too. What no
# cut severed is *unused* if the tape watches it, or else *not watched*.


# %%
@dataclass
class Verdict:
    source: str
    verdict: str
    kind: str | None
    cuts: list

    def __str__(self):
        tail = "; other paths are cut:" if self.verdict == "connected" and self.cuts else ""
        lines = [f"{self.source}: {self.verdict}{tail}"]
        for cut in self.cuts:
            label, text = cut.label and f" [{cut.label}]", linecache.getline(cut.file, cut.line)
            place = f"{Path(cut.file).name}:{cut.line}"
            lines.append(f"  {cut.kind}{label} at {place}: {text.strip()}")
        return "\n".join(lines)


class GradientTape:
    def __init__(self, persistent=False):
        self.persistent, self.bits = persistent, 0

    def __enter__(self):
        recording.tapes.append(self)
        recording.active |= self.bits
        return self

    def __exit__(self, *exception):
        if self in recording.tapes:
            recording.tapes.remove(self)
            recording.active &= ~self.bits

    def watch(self, x):
        """Watch a variable or a constant; what is computed from it from now on is recorded."""
        if not isinstance(x.node, Leaf):
            x.node = Leaf(f"tensor of shape {x.value.shape}")
        if not x.node.own & self.bits:
            bit = recording.new_bit()
            x.node.own |= bit
            x.node.live |= bit
            self.bits |= bit
            recording.active |= bit
            recording.kept |= bit

    def gradient(self, target, sources):
        """Return the gradient of a target, summed over its elements, by each source, or None."""
        if not self.persistent:
            self.__exit__()
            recording.kept &= ~self.bits
        leaves = [source.node for source in (sources if isinstance(sources, list) else [sources])]
        wanted, found, node = 0, {}, target.node
        for leaf in leaves:
            wanted |= leaf.own & self.bits if isinstance(leaf, Leaf) else 0
        if node is not None and node.live & wanted:
            lifted = bool(node.live & recording.active)
            ones = np.ones_like(target.value)
            g = Tensor(ones) if lifted else ones
            recording.walking = True
            try:
                found = walk(node, g, wanted, lifted, free=not self.persistent)
            finally:
                recording.walking = False
        gradients = [leaf and found.get(leaf.seq) for leaf in leaves]
        gradients = [g if g is None or isinstance(g, Tensor) else Tensor(g) for g in gradients]
        return gradients if isinstance(sources, list) else gradients[0]

    def why(self, target, source):
        """Explain whether gradient reaches a source from a target, and if not, why."""
        leaf = source.node if isinstance(source.node, Leaf) else Leaf("a constant")
        node = target.node or Node()
        connected = node.live & leaf.own & self.bits
        asked = leaf.own & (self.bits | leaf.untaped) if connected else leaf.own
        way = recording.cuts_of(node.cuts)
        severing = [cut for cut in way if cut.severed & asked]
        cuts = [
            cut
            for cut in way
            if cut in severing
            or any(before in severing for before in recording.cuts_of(cut.earlier))
        ]
        if connected:
            return Verdict(leaf.name, "connected", None, cuts)
        if cuts:
            blamed = min(severing, key=lambda cut: cut.kind == "nondiff_op")
            return Verdict(leaf.name, "cut", blamed.kind, cuts)
        if leaf.own & self.bits or getattr(source, "trainable", False):
            return Verdict(leaf.name, "unused", "unused_parameter", [])
        kind = "frozen" if isinstance(source, Variable) else "not_watched"
        return Verdict(leaf.name, "not watched", kind, [])


# %% [markdown]
# That is all. Now as a user sees it: `y` takes part in the value of `z`, but only behind a
# stop. So `dz/dx = 2 x + y = 7`, and there is no `dz/dy`.

# %%
x = Variable(2.0, name="x")
y = Variable(3.0, name="y")
with GradientTape() as tape:
    z = x * x + stop_gradient(y) * x
print(tape.gradient(z, [x, y]))

# %% [markdown]
# Why None? The tape was not persistent, so the walk has freed the graph. The masks are still
# there.

# %%
print(tape.why(z, y))
print(tape.why(z, x))

# %% [markdown]
# `round` is an op without a rule. Below, gradient reaches `x` on one path and not on the other,
# and nothing at all reaches `y`: what it gave was rounded, then stopped.

# %%
with GradientTape() as tape:
    whole = hg.round(x * y)
    z = stop_gradient(whole) + x
print(tape.why(z, x))
print(tape.why(z, y))

# %% [markdown]
# A variable that is not trainable, one that was never used, and a constant that nobody watches:

# %%
frozen = Variable(1.0, trainable=False, name="frozen")
constant = Tensor(np.array(2.0))
with GradientTape() as tape:
    z = x * frozen + constant
for source in (frozen, y, constant):
    print(tape.why(z, source))

# %% [markdown]
# Second order: while the inner tape's walk runs, the outer tape still records. So the rules run
# on tensors, and the gradient is one more thing that was computed. The printed numbers are ours
# and those of the formulas: for `f = x sin(x)`, `f' = x cos(x) + sin(x)` and `f'' = 2 cos(x) -
# x sin(x)`.

# %%
with GradientTape() as outer:
    with GradientTape() as inner:
        f = x * hg.sin(x)
    first = inner.gradient(f, x)
second = outer.gradient(first, x)
print(f"{first.value:.6f} {2 * np.cos(2.0) + np.sin(2.0):.6f}")
print(f"{second.value:.6f} {2 * np.cos(2.0) - 2 * np.sin(2.0):.6f}")

# %% [markdown]
# And a network learns. `b` is added to each of the four rows, so `fit` sums its cotangent over
# them.

# %%
rng = np.random.default_rng(0)
inputs = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
answers = np.array([[0.0], [1.0], [1.0], [0.0]])
a, b = Variable(rng.normal(size=(2, 8)), name="a"), Variable(np.zeros((1, 8)), name="b")
c = Variable(rng.normal(size=(8, 1)), name="c")
for _ in range(500):
    with GradientTape() as tape:
        guess = hg.tanh(inputs @ a + b) @ c
        loss = hg.sum((guess - answers) * (guess - answers))
    for v, g in zip([a, b, c], tape.gradient(loss, [a, b, c])):
        v.assign(v.value - 0.1 * g.value)
print(f"loss {loss.value:.2f}, answers {np.abs(guess.value.round()).ravel()}")

# %% [markdown]
# ## What the real library does beyond this
#
# The files are in `src/headgate`; each tells its mechanism at its head. In the order of this
# page:
#
# * **The user's line.** Nodes keep the code and the instruction of a call, and file and line
#   are looked up when somebody asks: [record/site.py](../src/headgate/record/site.py).
# * **Cuts.** One for each line and set of sources, not for each execution, so a loop adds none:
#   [record/cuts.py](../src/headgate/record/cuts.py).
# * **Several recordings.** Here one recording serves the whole program and its masks only grow.
#   The real library starts one with each outermost tape, in each thread, and translates the
#   cuts of a value that comes from another when it is first used. A tape can also be paused in
#   the middle of its block: [record/graph.py](../src/headgate/record/graph.py).
# * **Namespaces.** JAX's arrays are one more namespace, and with them every rule:
#   [core/namespace.py](../src/headgate/core/namespace.py).
# * **Escapes.** A value that leaves for the host (`float(x)`, `x.numpy()`) or for another
#   variable is noted as a cut, too: [core/host.py](../src/headgate/core/host.py),
#   [core/variable.py](../src/headgate/core/variable.py).
# * **Generated functions.** From a row the real library writes the text of a Python function,
#   with the loop over arguments unrolled, which takes a third of the time of `apply` above:
#   [core/lift.py](../src/headgate/core/lift.py), [core/row.py](../src/headgate/core/row.py),
#   [core/op.py](../src/headgate/core/op.py).
# * **Other gates.** Scaled, reversed, clipped and routed gradients are rows like all others:
#   [core/gates.py](../src/headgate/core/gates.py).
# * **Complex numbers, products that are not multiplied out yet, ops with several outputs.**
#   This page is for real numbers and one output:
#   [core/cotangent.py](../src/headgate/core/cotangent.py),
#   [core/walk.py](../src/headgate/core/walk.py).
# * **The tape's other questions.** Results in the middle of the graph as sources, Jacobians,
#   Hessians: [core/asked.py](../src/headgate/core/asked.py),
#   [core/tape.py](../src/headgate/core/tape.py).
# * **Verdicts.** More kinds, what a variable was replaced by, where a gradient became zero:
#   [record/verdict.py](../src/headgate/record/verdict.py).
# * **Errors.** They name the op, shapes, dtypes, the user's line and a cure:
#   [record/errors.py](../src/headgate/record/errors.py).
# * **Rules of your own, forward mode and functions of functions** (`grad`, `jvp`, `hessian`):
#   [core/custom.py](../src/headgate/core/custom.py),
#   [core/transforms.py](../src/headgate/core/transforms.py).
# * **Compiling.** The same program runs on JAX's tracers, and XLA compiles it:
#   [compile/function.py](../src/headgate/compile/function.py).
