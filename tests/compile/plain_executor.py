"""An executor in plain NumPy: it keeps what a function does as a list, and goes through that.

It is written for the tests, to show what an executor must do and nothing more, and it notes in
`asked` what it is asked to do. A stand-in (`PlainTracer`) has an example of its value, which says
the forms of results: each operation is done on examples when it is traced. Its own arrays
(`PlainArray`) are NumPy's in a box, so that it is seen who looks in; one that was given away is
overwritten, so that it is seen who still does.
"""

import functools
import operator
import threading
from contextlib import contextmanager, nullcontext

import numpy as np
import optree

from headgate.compile.executor import Form
from headgate.core.namespace import NUMPY, Namespace, implementations, owner
from headgate.core.tensor import Tensor

asked = []
"""What was asked, in order: "trace", "run", and "give away" with the number of arrays."""


class PlainTracerError(TypeError):
    """Somebody asks a stand-in for its values."""


class UnexpectedPlainTracerError(PlainTracerError):
    """Somebody uses a stand-in of a trace that is over."""


class _Missing(Exception):
    """A value is not there, since what it depends on was not given."""


# -- arrays and stand-ins --------------------------------------------------------------------------

_UNKNOWN = {"item", "tolist", "tobytes"}


class _Like:
    """What arrays and stand-ins have in common: operators, and the attributes of NumPy's arrays."""

    @property
    def shape(self):
        return np.shape(self.known())

    @property
    def dtype(self):
        return np.asarray(self.known()).dtype

    @property
    def ndim(self):
        return np.ndim(self.known())

    @property
    def size(self):
        return np.size(self.known())

    device = "plain"
    __hash__ = object.__hash__

    def __getattr__(self, name):
        if name.startswith("_") or name in _UNKNOWN or not hasattr(np.ndarray, name):
            raise AttributeError(name)
        if callable(getattr(np.ndarray, name)):
            return functools.partial(apply, _method, name, self)
        return apply(_attribute, name, self)

    def __getitem__(self, key):
        return apply(operator.getitem, self, key)

    def __len__(self):
        return self.shape[0]

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return apply(getattr(ufunc, method), *inputs, **options)

    def __array_function__(self, function, types, args, options):
        return apply(function, *args, **options)


def _method(name, array, *args, **options):
    return getattr(np.asarray(array), name)(*args, **options)


def _attribute(name, array):
    return getattr(np.asarray(array), name)


def _unary(function):
    return lambda self: apply(function, self)


def _binary(function):
    return lambda self, other: apply(function, self, other)


def _reflected(function):
    return lambda self, other: apply(function, other, self)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or"):
    _function = getattr(operator, f"{_name}_" if _name in ("and", "or") else _name)
    setattr(_Like, f"__{_name}__", _binary(_function))
    setattr(_Like, f"__r{_name}__", _reflected(_function))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "xor"):
    setattr(_Like, f"__{_name}__", _binary(getattr(operator, _name)))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(_Like, f"__{_name}__", _unary(getattr(operator, _name)))


class PlainArray(_Like):
    """An array that the executor holds."""

    def __init__(self, held):
        self.held = held

    def known(self):
        if self.held is None:
            raise RuntimeError("this array was given away")
        return self.held

    def give_away(self):
        self.held.fill(77)
        self.held = None

    def is_deleted(self):
        return self.held is None

    def __array__(self, dtype=None, copy=None):
        return np.array(self.known(), dtype)

    def __float__(self):
        return float(self.known())

    def __bool__(self):
        return bool(self.known())


class PlainTracer(_Like):
    """A stand-in: `example` has the form of its values; it is a Python number for one."""

    def __init__(self, example):
        self.example = example
        self.trace = _thread.traces[-1].root

    def known(self):
        return self.example

    @property
    def weak_type(self):
        return type(self.example) in (int, float, complex)

    def _refuse(self, *_, **__):
        raise PlainTracerError("a stand-in has no values")

    __array__ = __bool__ = __float__ = __int__ = __complex__ = __index__ = _refuse
    item = tolist = _refuse


# -- what a function does --------------------------------------------------------------------------


class _Steps(list):
    """What is done one after the other: functions that take and change values by stand-in."""

    def __init__(self, root=None):
        self.root = root or self
        self.over = False

    def go(self, values):
        for step in self:
            try:
                step(values)
            except _Missing:  # a gradient that nobody asks for: its cotangents are not given
                continue


class _Thread(threading.local):
    def __init__(self):
        self.traces = []


_thread = _Thread()


@contextmanager
def _steps(root=None):
    """Note what is done in a block."""
    steps = _Steps(root)
    _thread.traces.append(steps)
    try:
        yield steps
    finally:
        _thread.traces.pop()


def _part():
    return _steps(_thread.traces[-1].root)


def _valued(values, x):
    if type(x) is PlainTracer:
        if id(x) not in values:
            raise _Missing
        return values[id(x)]
    return x.known() if type(x) is PlainArray else x


def apply(function, *args, **options):
    """Do something to arrays, or note that it is to be done if one of them is a stand-in."""
    flat, structure = optree.tree_flatten((args, options), none_is_leaf=True)
    traced = any(type(leaf) is PlainTracer for leaf in flat)
    if any(type(leaf) is Tensor for leaf in flat):  # an option whose values are wanted
        raise PlainTracerError("a stand-in has no values")

    def done(known):
        args, options = optree.tree_unflatten(structure, known)
        return function(*args, **options)

    with np.errstate(all="ignore"):
        result = done([x.known() if isinstance(x, _Like) else x for x in flat])
    if not traced:
        boxed = any(type(leaf) is PlainArray for leaf in flat)
        return PlainArray(np.array(result)) if boxed and isinstance(result, np.ndarray) else result
    if any(x.trace.over for x in flat if type(x) is PlainTracer):
        raise UnexpectedPlainTracerError("a stand-in of a trace that is over")
    many = isinstance(result, tuple | list)
    results = list(result) if many else [result]
    if not all(isinstance(x, np.ndarray | np.generic | int | float | complex) for x in results):
        return result  # a dtype, say
    found = [PlainTracer(x) for x in results]
    flat = [x.known() if type(x) is PlainArray else x for x in flat]

    def step(values):
        result = done([_valued(values, x) for x in flat])
        values.update(zip(map(id, found), result if many else [result]))

    _note(step, flat, found)
    return (found if type(result) is list else tuple(found)) if many else found[0]


def _note(step, *alive):
    step.alive = alive  # stand-ins are known by their identity
    _thread.traces[-1].append(step)


def _noted(examples, compute):
    """Note that `compute(values)` gives values like these; return stand-ins for them."""
    found = [PlainTracer(x) for x in examples]

    def step(values):
        values.update(zip(map(id, found), compute(values), strict=True))

    _note(step, found)
    return found


def _example(form):
    if form.weak:
        return form.dtype.type(0).item()
    return (np.zeros if form.dtype.kind in "biu" else np.ones)(form.shape, form.dtype)


def _examples(values):
    return [x.known() if isinstance(x, _Like) else x for x in values]


# -- the namespace ---------------------------------------------------------------------------------


class _Namespace(Namespace):
    def __getattr__(self, name):
        found = getattr(NUMPY, name)
        if name == "for_units":  # calls back: a step for each thing that is computed there
            found = functools.partial(implementations[name]["any"], self)
        elif callable(found) and not isinstance(found, type):
            found = functools.partial(apply, found)
        self.__dict__[name] = found
        return found


class _Draws:
    """Draws as NumPy does from the state that is there when the program runs."""

    def __init__(self, words):
        self.words = words

    def __getattr__(self, name):
        return functools.partial(apply, _draw, name, self.words)


def _draw(name, words, *args, **options):
    return getattr(NUMPY.draws(words)[0], name)(*args, **options)


def _draws(words):
    return _Draws(words), apply(lambda known: NUMPY.draws(known)[1], words)


PLAIN = _Namespace("plain", np, {"block_gradient": lambda x: x, "draws": _draws})
owner[PlainArray] = owner[PlainTracer] = PLAIN


# -- programs --------------------------------------------------------------------------------------


class PlainProgram:
    risky = True

    def __init__(self, function, used, kept, donates, precision):
        self.donates = donates
        self.precision = precision
        with _steps() as self.steps:
            self.inputs = [PlainTracer(_example(form_of(x))) for x in (*used, *kept)]
            self.results = function(self.inputs[: len(used)], self.inputs[len(used) :])
        self.steps.over = True

    def compile(self):
        return self.run

    def run(self, used, kept):
        asked.append("run")
        values = dict(zip(map(id, self.inputs), _examples([*used, *kept]), strict=True))
        with np.errstate(all="ignore"):
            self.steps.go(values)
        *new, results = self.results
        new, results = (
            [PlainArray(np.array(_valued(values, x))) for x in row] for row in (new, results)
        )
        if used and self.donates:
            asked.append(f"give away {len(used)}")
            for array in used:
                if type(array) is PlainArray:
                    array.give_away()
        return [*new, results]

    def offered(self, used):
        return used

    def moved(self, error, used, kept):
        raise error

    def text(self):
        return f"{len(self.steps)} steps"


def trace(function, used, kept, renewed, donate, precision):
    asked.append("trace")
    return PlainProgram(function, used, kept, donate is True, precision)


def precise(precision):
    asked.append(f"multiply with {precision} precision")
    return nullcontext()


def set_precision(precision):
    asked.append(f"multiply with {precision} precision from now on")


@contextmanager
def at_once():
    """Without steps being noted nothing is traced."""
    yield


def runs_ahead(array):
    return False


def wait(array):
    assert not array.is_deleted()


def stand_in(array):
    form = form_of(array)
    return _noted([_example(form)], lambda values: [np.zeros(*form[:2])])[0]


def fitted(value, like):
    return value if getattr(value, "dtype", None) == like.dtype else cast(value, like.dtype)


def native(array):
    return PlainArray(np.array(array))


def is_native(kind):
    return kind is PlainArray or kind is PlainTracer


def host(array):
    return np.array(array)[()]


wide = nullcontext


def settle():
    """Do nothing: NumPy has raised what there was to report."""


def mover(backend):
    return native if isinstance(backend, str) and backend == "plain" else None


def keeps(array):
    return True


# -- control flow ----------------------------------------------------------------------------------


def form_of(value):
    known = value.known() if isinstance(value, _Like) else value
    weak = type(known) in (int, float, complex)
    return Form(np.shape(known), np.asarray(known).dtype, weak)


def array(value):
    return value


def _cast(value, dtype):
    return np.asarray(value).astype(dtype)


def cast(value, dtype):
    return apply(_cast, value, np.dtype(dtype))


def zeros(form):
    return np.zeros(form.shape, form.dtype)


class equations:
    """A part of a program; noted once, and done wherever it is run."""

    def __init__(self, function, inputs, cotangents=()):
        self.inputs = [PlainTracer(_example(form)) for form in inputs]
        self.cotangents = [PlainTracer(_example(form)) for form in cotangents]
        with _part() as self.steps:
            self.outputs, self.gradients = function(list(self.inputs), list(self.cotangents))

    def run(self, inputs=(), effects=True):
        return _noted(
            _examples(self.outputs),
            lambda values: self.done(self.outputs, values, [_valued(values, x) for x in inputs]),
        )

    def pull(self, inputs, cotangents):
        given = [*inputs, *cotangents]
        return _noted(
            _examples(self.gradients),
            lambda values: self.done(self.gradients, values, [_valued(values, x) for x in given]),
        )

    def done(self, wanted, values, given):
        """Return the values of some variables, given those of the inputs, and of cotangents."""
        values = dict(values)
        values.update(zip(map(id, [*self.inputs, *self.cotangents]), given))
        self.steps.go(values)
        return [_valued(values, x) for x in wanted]


def choose(pred, true, false):
    ways = []
    for function in (true, false):
        with _part() as steps:
            ways.append((function(), steps))

    def compute(values):
        results, steps = ways[not np.reshape(_valued(values, pred), ())]
        values = dict(values)
        steps.go(values)
        return [_valued(values, x) for x in results]

    return _noted(_examples(ways[0][0]), compute)


def _all_cast(values, like):
    return [_cast(value, form_of(x).dtype) for value, x in zip(values, like)]


def repeat(condition, body, first, most):
    def compute(values):
        carry, number = _all_cast([_valued(values, x) for x in first], body.inputs), 0
        while most is None or number < most:
            if not np.reshape(condition.done(condition.outputs, values, carry)[0], ()):
                break
            carry = _all_cast(body.done(body.outputs, values, carry), body.inputs)
            number += 1
        return [np.int32(number), *carry]

    return _noted([np.int32(0), *_all_cast(_examples(first), body.inputs)], compute)


class scan:
    """A loop over steps that keeps what went into each of them for the loop back."""

    def __init__(self, program, carried, returned, shared):
        self.program = program
        self.carried, self.returned, self.shared = carried, returned, shared

    def forward(self, first, xs, length, reverse):
        program, carried = self.program, self.carried
        self.order = range(length)[:: -1 if reverse else 1]

        def compute(values):
            carry = _all_cast([_valued(values, x) for x in first], program.inputs)
            rows = [_valued(values, x) for x in xs]
            went_in, ys = [None] * length, [None] * length
            for k in self.order:
                went_in[k] = [*carry, *(row[k] for row in rows)]
                found = program.done(program.outputs, values, went_in[k])
                carry, ys[k] = _all_cast(found[:carried], program.inputs), found[carried:]
            values[id(self)] = went_in
            return [*carry, *map(np.stack, zip(*ys))]

        last = _all_cast(_examples(first), program.inputs)
        ys = _examples(program.outputs[carried:])
        return _noted([*last, *(np.stack([y] * length) for y in ys)], compute)

    def backward(self, last, stacks):
        program, shared, returned = self.program, self.shared, self.returned
        length = len(self.order)

        def compute(values):
            if id(self) not in values:
                raise _Missing
            went_in = values[id(self)]
            carry = _all_cast([_valued(values, x) for x in last], program.cotangents)
            rows = [_valued(values, x) for x in stacks]
            sums, of_steps = [0] * (len(program.gradients) - shared), [None] * length
            for k in reversed(self.order):
                given = [*went_in[k], *carry, *(row[k] for row in rows)]
                found = program.done(program.gradients, values, given)
                carry, of_steps[k] = found[:returned], found[returned:shared]
                sums = [total + part for total, part in zip(sums, found[shared:])]
                carry = _all_cast(carry, program.cotangents)
            return [*carry, *map(np.stack, zip(*of_steps)), *sums]

        examples = _examples(program.gradients)
        carry = _all_cast(_examples(last), program.cotangents)
        of_steps = [np.stack([x] * length) for x in examples[returned:shared]]
        return _noted([*carry, *of_steps, *examples[shared:]], compute)
