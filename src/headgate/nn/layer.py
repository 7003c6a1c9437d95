"""Layer: variables and layers in attributes, and a `call` that computes with them.

Nothing is registered: `variables` looks at the attributes when it is asked (also in lists, tuples
and dictionaries), in their order, a layer's own variables before those of the layers in it. Calling
a layer does what its `call` need not care about: arrays become tensors of the layer's dtype
(integers stay, a layer that needs floats converts them), the first call builds the weights from the
shape of the input, and `training` is handed down to all layers called inside.

**Names** are paths: `encoder/dense_1/kernel` is the kernel of the second dense layer in the layer
`encoder`. `headgate.nn.paths` says who gets which name, and when.
"""

from __future__ import annotations

import copy
import fnmatch
import functools
import inspect
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optree

from headgate.core.checks import extents, flag, optional, outline, whole
from headgate.core.lift import as_tensor
from headgate.core.namespace import is_array, is_foreign
from headgate.core.scope import stage, suspended
from headgate.core.settings import Settled, changed, noted
from headgate.core.tensor import Tensor
from headgate.core.variable import Variable, publish
from headgate.naming import default_dtype, unique_name
from headgate.nn.initializers import get_initializer
from headgate.nn.paths import is_held, name_members, paths, rename, sort_out
from headgate.nn.regularizers import get_regularizer
from headgate.nn.symbols import note, symbols
from headgate.ops.elementwise import astype
from headgate.record.graph import Source
from headgate.record.onlooker import onlookers
from headgate.record.site import Site, caller
from headgate.state import fitted, own, put, saved

Shape = tuple[int, ...]


class _Calls(threading.local):
    """The layers being called in a thread."""

    def __init__(self) -> None:
        self.stack: list[Layer] = []  # the layers being called, the outermost first
        self.added: list[tuple[Layer, Layer, Any]] = []  # the outermost layer, who added, the loss


calls = _Calls()


def forget_losses(outermost: Layer) -> None:
    """Drop what the last call of a layer has added to the losses."""
    calls.added = [each for each in calls.added if each[0] is not outermost]


every_layer: weakref.WeakSet[Layer] = weakref.WeakSet()
"""All layers there are, for who wants to know which variable belongs to which."""


class Layer(Settled):
    """Base of all layers: variables and layers in attributes, and a `call` that uses them.

    Args:
        name: if not given, that of the attribute it is in, else "dense", "dense_1" and so on.
        trainable: whether `trainable_variables` has its variables; can be set later as well.
        dtype: of its weights, and what floats given to it are cast to; `floatx()` if not given.
        input_shape: shape of one sample; a `Sequential` that begins with this layer is built at
            once.
        input_dim: in place of `input_shape`, its only size.
        activity_regularizer: what the result adds to `losses` (`headgate.nn.regularizers`).
        regularizers: `kernel_regularizer=` and so on, for each weight that has an initializer among
            the layer's arguments: what the weight adds to `losses`.

    A subclass makes its sublayers in `__init__`, makes in `build(input_shape)` what depends on the
    shape of its input, by `add_weight`, and computes in `call`. If `call` has an argument
    `training` it gets what was given to the outermost layer, `layer(x, training=True)`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> class Scale(nn.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")
    ...
    ...     def call(self, x):
    ...         return x * self.factor
    >>> layer = Scale(name="scale")
    >>> layer([[1.0, 2.0]]).shape, [v.name for v in layer.variables]
    ((1, 2), ['scale/factor'])
    """

    name: str
    dtype: Any = None
    built = False
    output_shape: Any = None
    _trainable = True
    _no_settings = frozenset(
        {
            *("name", "built", "output_shape", "_name_given", "_holder", "_names", "_weights"),
            *("_sample_shape", "_frozen", "_frozen_at", "_penalties"),
        }
    )
    _mode: bool | None = None  # what `train` or `eval` has set
    _takes_training: tuple[int, Any] | None = None  # position and default of `training` in call

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        input_shape: Sequence[int | None] | None = None,
        input_dim: int | None = None,
        activity_regularizer: Any = None,
        **regularizers: Any,
    ) -> None:
        self.name = unique_name(type(self).__name__) if name is None else name
        self._name_given = name is not None
        self._holder: weakref.ref[Layer] | None = None  # the layer that named it
        self._names: Counter[str] = Counter()  # of the layers that this one has named
        self.dtype = default_dtype() if dtype is None else np.dtype(dtype)
        self._trainable = flag(type(self).__name__, "trainable", trainable)
        input_dim = optional(whole, type(self).__name__, "input_dim", input_dim, 1)
        if input_shape is not None:
            input_shape = outline(type(self).__name__, "input_shape", input_shape)
        self._sample_shape = (input_dim,) if input_dim is not None else input_shape
        self._weights: list[Variable] = []
        self._penalties: list[Any] = []  # the regularizer of each weight, or None
        self.activity_regularizer = get_regularizer(activity_regularizer)
        self.regularizers = _regularizers(type(self), regularizers)
        self._frozen_at: Site | None = None
        self._frozen: dict[Source, Site] = {}  # single variables that `freeze` has frozen, where
        every_layer.add(self)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        parameters = list(inspect.signature(cls.call).parameters.values())[1:]
        cls._takes_training = None
        for position, parameter in enumerate(parameters):
            if parameter.name == "training":
                default = parameter.default
                cls._takes_training = position, None if default is parameter.empty else default
        if "build" in vars(cls):
            # A class's own method is replaced by itself with more around it.
            cls.build = _marking_built(cls.build)  # type: ignore[method-assign]

    # -- what subclasses define -------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights that depend on the shape of the input; called once, before `call`."""
        self.built = True

    def call(self, *args: Any, **options: Any) -> Any:
        """Compute the layer's result."""
        raise NotImplementedError(f"{type(self).__name__} must define call(self, x)")

    # -- weights ----------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = "glorot_uniform",
        dtype: Any = None,
        trainable: bool = True,
        name: str | None = None,
        regularizer: Any = None,
    ) -> Variable:
        """Make a variable of this layer, named `<path of the layer>/<name>`.

        Args:
            shape: () if left out.
            initializer: a function of shape and dtype, or its name.
            dtype: the layer's if left out.
            trainable: whether it is one of `trainable_variables`.
            name: "weight", "weight_1" and so on if left out.
            regularizer: what it adds to `losses`; the one that the layer was given for a weight of
                this name if left out.
        """
        shape = () if shape is None else extents(self.name, "shape", shape)
        dtype = self.dtype if dtype is None else dtype
        if name is None:
            name = f"weight_{len(self._weights)}" if self._weights else "weight"
        with suspended():  # a weight is made once, also while a function is traced
            value = get_initializer(initializer)(shape, dtype)
        made = Variable(value, trainable, f"{self.path}/{name}", dtype, shape)
        if regularizer is None:
            fitting = [each for each in self.regularizers if f"{name}_".startswith(f"{each}_")]
            regularizer = self.regularizers[fitting[0]] if fitting else None
        self._weights.append(made)
        self._penalties.append(get_regularizer(regularizer))
        return made

    def add_loss(self, loss: Any) -> None:
        """Add a number to `losses`, in `call`; it is there until the next call.

        Args:
            loss: a tensor of one number, or a list of these.
        """
        outermost = calls.stack[0] if calls.stack else self
        given = loss if isinstance(loss, list | tuple) else [loss]
        calls.added += [(outermost, self, as_tensor(each)) for each in given]

    @property
    def losses(self) -> list[Tensor]:
        """What is to be added to the loss: of the last call (`add_loss`), and of the weights.

        The weights that are not trained add nothing. `fit` adds all of it; a loop of one's own
        adds `sum(model.losses)`.
        """
        layers = self._all_layers({})
        mine = {id(layer) for layer in layers}
        found = [loss for _, layer, loss in calls.added if id(layer) in mine]
        for layer in layers:
            if layer._trainable:
                found += [
                    as_tensor(penalty(variable))
                    for variable, penalty in zip(layer._weights, layer._penalties)
                    if penalty is not None and layer._trains(variable)
                ]
        return found

    @property
    def variables(self) -> list[Variable]:
        """All variables of this layer and of the layers in it, each once."""
        return self._collect(False)

    @property
    def trainable_variables(self) -> list[Variable]:
        """Those of `variables` that are to be trained; none of a layer that is not `trainable`."""
        return self._collect(True)

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """Those of `variables` that are not to be trained."""
        chosen = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.variables if id(variable) not in chosen]

    weights, trainable_weights = variables, trainable_variables
    non_trainable_weights = non_trainable_variables

    def _collect(self, trainable_only: bool) -> list[Variable]:
        found: dict[int, Variable] = {}
        self._collect_into(found, set(), trainable_only)
        return list(found.values())

    def _collect_into(
        self, found: dict[int, Variable], seen: set[int], trainable_only: bool
    ) -> None:
        if id(self) in seen or (trainable_only and not self._trainable):
            return
        seen.add(id(self))
        variables, layers = self._members()
        for variable in variables:
            if not trainable_only or self._trains(variable):
                found[id(variable)] = variable
        for layer in layers:
            layer._collect_into(found, seen, trainable_only)

    def _trains(self, variable: Variable) -> bool:
        """Tell whether a variable of this layer, which itself is trainable, is to be trained."""
        return variable.trainable and variable._source not in self._frozen

    def _members(self) -> tuple[list[Variable], list[Layer]]:
        """Return the variables and layers that this one holds itself, in order."""
        if stage.log is not None:
            noted(self, "", self._membership)
        return self._sorted_out()

    def _sorted_out(self) -> tuple[list[Variable], list[Layer]]:
        variables: list[Variable] = []
        layers: list[Layer] = []
        sort_out(vars(self).values(), variables, layers)
        return variables, layers

    def _membership(self) -> Any:
        """Return what stands for the variables and layers that this one holds, and for freezing."""
        variables, layers = self._sorted_out()
        sources = tuple(variable._source for variable in variables)
        return sources, tuple(map(id, layers)), self._trainable, frozenset(self._frozen)

    def unbuilt(self) -> list[str]:
        """Return the paths of this layer and those in it that are still to make their weights.

        >>> from headgate import nn
        >>> model = nn.Sequential([nn.Dense(4), nn.Dropout(0.1)], name="model")
        >>> model.unbuilt()
        ['model', 'model/dense']
        """
        name_members(self)
        layers = self._all_layers({})
        return [
            layer.path
            for layer in layers
            if not layer.built and (type(layer).build is not Layer.build or layer._members()[1])
        ]

    # -- copies -----------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes; of layers inside, the holder says that it holds them."""
        state = vars(self) | {"_held": [x for x in self._members()[1] if is_held(x, self)]}
        state.pop("_holder", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        held = state.pop("_held")
        vars(self).update(state)
        vars(self).setdefault("_holder", None)
        for layer in held:
            layer._holder = weakref.ref(self)
        every_layer.add(self)

    def __copy__(self) -> Layer:
        """Return a layer with the same variables and layers: what is shared stays shared."""
        made = object.__new__(type(self))
        vars(made).update(_attributes(self))
        every_layer.add(made)
        return made

    # -- names ------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The names of the layers that lead to this one, from the outermost, joined by slashes."""
        holder = None if self._holder is None else self._holder()
        return self.name if holder is None else f"{holder.path}/{self.name}"

    def named_variables(self) -> dict[str, Variable]:
        """Return all variables by their paths within this layer, in the order of `variables`.

        >>> import headgate as hg
        >>> from headgate import nn
        >>> model = nn.Sequential([nn.Dense(4), nn.Dense(1)], name="model")
        >>> model.build((None, 3))
        >>> list(model.named_variables())
        ['dense/kernel', 'dense/bias', 'dense_1/kernel', 'dense_1/bias']
        """
        return {path: variable for path, _, variable in paths(self)}

    # -- freezing ---------------------------------------------------------------------------------

    def freeze(self, *patterns: str) -> None:
        """Take variables out of `trainable_variables`.

        Args:
            patterns: of paths as `named_variables` has them; `*` matches anything, `?` a character.

        Raises:
            ValueError: a pattern that matches no path.

        >>> from headgate import nn
        >>> model = nn.Sequential([nn.Dense(4), nn.Dense(1)])
        >>> model.build((None, 3))
        >>> model.freeze("dense/*")
        >>> [v.shape for v in model.trainable_variables]
        [(4, 1), (1,)]
        """
        site = caller()
        for layer, variable in self._matching(patterns):
            layer._frozen[variable._source] = site
        changed()
        for onlooker in onlookers:
            for pattern in patterns:
                known = paths(self)
                took = {p: v for p, _, v in known if fnmatch.fnmatchcase(p, pattern)}
                onlooker.froze(pattern, took)

    def unfreeze(self, *patterns: str) -> None:
        """Put variables that `freeze` took out back; arguments and errors are those of `freeze`."""
        for layer, variable in self._matching(patterns):
            layer._frozen.pop(variable._source, None)
        changed()
        for onlooker in onlookers:
            onlooker.unfroze([variable for _, variable in self._matching(patterns)])

    def _matching(self, patterns: Sequence[str]) -> list[tuple[Layer, Variable]]:
        known = paths(self)
        found = []
        for pattern in patterns:
            matching = [
                (layer, variable)
                for path, layer, variable in known
                if fnmatch.fnmatchcase(path, pattern)
            ]
            if not matching:
                names = ", ".join(path for path, _, _ in known[:20]) or "none"
                raise ValueError(
                    f"{self.name} has no variable that matches {pattern!r}; "
                    + (f"its variables are: {names}" if known or self.built else _UNBUILT)
                )
            found += matching
        return found

    def _frozen_variables(self) -> Iterator[tuple[Variable, Site]]:
        """Yield the frozen variables of this layer itself, each with the line that froze it."""
        for variable in self._members()[0]:
            site = self._frozen.get(variable._source, self._frozen_at)
            if site is not None:
                yield variable, site

    # -- training mode ----------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Layer:
        """Set the `training` of calls that do not say it themselves, here and in layers inside.

        Returns:
            The layer itself.

        >>> import headgate as hg
        >>> from headgate import nn
        >>> layer = nn.Dropout(1.0).train()
        >>> layer(hg.ones((2,))).tolist(), layer.eval()(hg.ones((2,))).tolist()
        ([0.0, 0.0], [1.0, 1.0])
        """
        for layer in self._all_layers({}):
            layer._mode = None
        self._mode = bool(mode)
        return self

    def eval(self) -> Layer:
        """Set `training` to False, as `train(False)` does; return the layer itself."""
        return self.train(False)

    # -- state ------------------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """Return copies of the values of all variables by path, as NumPy arrays."""
        return {path: saved(variable) for path, variable in self.named_variables().items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Assign to all variables, by path.

        Raises:
            ValueError: a path that is missing or unknown, or a value of another shape or dtype.
                Nothing is changed then.
        """
        mine = self.named_variables()
        values = fitted(f"layer {self.name!r}", state, mine, "" if self.built else _UNBUILT)
        put([(v, own(values[path], v._value)) for path, v in mine.items()], anew=True)

    # -- as Keras has it --------------------------------------------------------------------------

    @property
    def trainable(self) -> bool:
        """Whether the variables are to be trained; setting it sets it for all layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        site = None if value else caller()
        for layer in self._all_layers({}):
            layer._trainable = bool(value)
            layer._frozen_at = site
        for onlooker in onlookers:
            if value:
                onlooker.unfroze(self.variables)
            else:
                onlooker.froze("", {variable.name: variable for variable in self.variables})

    def _all_layers(self, seen: dict[int, Layer]) -> list[Layer]:
        """Return this layer and all layers in it, each once."""
        if id(self) not in seen:
            seen[id(self)] = self
            for layer in self._members()[1]:
                layer._all_layers(seen)
        return list(seen.values())

    def get_weights(self) -> list[Any]:
        """Return copies of the values of all variables, as NumPy arrays."""
        return [np.array(variable._value) for variable in self.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign to all variables, in the order of `variables`.

        Raises:
            ValueError: another number of values than of variables, or a value of another shape.
                Nothing is changed then.
        """
        variables = self.variables
        if len(weights) != len(variables):
            raise ValueError(
                f"{self.name} has {len(variables)} weights and was given {len(weights)}"
                + ("" if self.built else f"; {_UNBUILT}")
            )
        before = [(variable, variable._value) for variable in variables]
        try:
            for variable, value in zip(variables, weights, strict=True):
                variable.assign(value)
        except BaseException:
            publish(before)
            raise

    def count_params(self) -> int:
        """Return the number of elements of all variables.

        Raises:
            ValueError: the layer has no variables yet.
        """
        if not self.built:
            raise ValueError(f"{self.name}: {_UNBUILT}")
        return sum(variable.size for variable in self.variables)

    # -- calling ----------------------------------------------------------------------------------

    def __call__(self, *args: Any, **options: Any) -> Any:
        x = args[0] if args else None
        if type(x) is not Tensor or len(args) > 1 or x.value.dtype is not self.dtype:
            if not hasattr(self, "name"):
                raise RuntimeError(f"{type(self).__name__}.__init__ must call super().__init__()")
            if symbols((args, options)):
                return note(self, args, options, training=False)  # nothing is learnt from examples
            args = tuple(self._admit(argument) for argument in args)
        if not self.built:
            if calls.stack and self._holder is None:
                name_members(calls.stack[-1])
            rename(self)
            self._build(optree.tree_map(_shape_of, args[0]) if args else None)
        result = self._run(args, options)
        if self.output_shape is None:
            self.output_shape = optree.tree_map(lambda y: (None, *_shape_of(y)[1:]), result)
        return result

    def _build(self, input_shape: Any) -> None:
        self.build(input_shape)

    def _run(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Call `call` with the `training` that holds here, also for all layers inside."""
        training = options.pop("training", None)
        outer = stage.training if self._mode is None else self._mode
        if self._takes_training is not None:
            position, default = self._takes_training
            if len(args) > position:
                training = args[position]
            else:
                if training is None:
                    training = default if outer is None else outer
                options["training"] = training
        stack, before = calls.stack, stage.training
        if calls.added and not stack:
            forget_losses(self)
        try:
            calls.stack, stage.training = [*stack, self], outer if training is None else training
            result = self.call(*args, **options)
            if self.activity_regularizer is not None:
                self.add_loss([self.activity_regularizer(y) for y in optree.tree_leaves(result)])
            return result
        finally:  # nothing is called here, so that no interrupt comes in between
            calls.stack, stage.training = stack, before

    def _admit(self, value: Any) -> Any:
        """Return an argument with all arrays in it as tensors, floats in the layer's dtype."""
        kind = type(value)
        if kind is Tensor or kind is Variable or is_array(value) or is_foreign(kind):
            x = as_tensor(value)
            return astype(x, self.dtype) if self._casts(x.dtype) else x
        if isinstance(value, list | tuple | dict):
            tree: Any = value
            leaves = optree.tree_leaves(tree)
            if any(is_array(x) or is_foreign(type(x)) for x in leaves):
                return optree.tree_map(self._admit, tree)
            if isinstance(value, list) and value:
                return self._admit(np.asarray(value))
        return value

    def _casts(self, dtype: Any) -> bool:
        return dtype != self.dtype and dtype.kind in "fV"

    def _floats(self, x: Tensor) -> Tensor:
        """Return integers and booleans as floats of the layer's dtype."""
        return x if x.dtype.kind in "fcV" else astype(x, self.dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _marking_built(build: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(build)
    def marking(self: Layer, input_shape: Any) -> None:
        rename(self)
        before = _attributes(self)
        try:
            build(self, input_shape)
            self.built = True
        except BaseException:  # the next call builds again, and not on what was left half done
            self.__dict__ = before
            raise

    return marking


def _attributes(layer: Layer) -> dict[str, Any]:
    """Return the attributes of a layer so that they stay what they are when more is appended."""
    return {
        name: copy.copy(value) if type(value) in (list, dict, Counter) else value
        for name, value in vars(layer).items()
    }


_UNBUILT = "it is not built yet: call it, or build(input_shape)"


def _shape_of(x: Any) -> Shape:
    return getattr(x, "shape", ())


def _regularizers(kind: type[Layer], given: dict[str, Any]) -> dict[str, Any]:
    """Return the regularizers of weights by the beginnings of their names.

    Raises:
        TypeError: an argument that the layer does not have.
    """
    bases = [base for base in kind.__mro__ if given and "__init__" in vars(base)]
    known = {
        name for base in bases for name in inspect.signature(vars(base)["__init__"]).parameters
    }
    found = {}
    for name, regularizer in given.items():
        weight = name.removesuffix("_regularizer")
        if weight == name or f"{weight}_initializer" not in known:
            raise TypeError(
                f"{kind.__name__}.__init__() got an unexpected keyword argument {name!r}"
            )
        if regularizer is not None:
            found[weight] = get_regularizer(regularizer)
    return found
