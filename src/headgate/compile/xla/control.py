"""Control flow in XLA's programs: branches and loops of functions that were traced to equations.

A branch or body is run once on stand-ins for arrays (`headgate.compile.construct`). What it does
becomes a list of equations (JAX's jaxpr), those of its gradient among them if that is wanted: its
cotangents are inputs of the same list. So it is known of each equation what it depends on, and each
is put where it is computed as seldom as can be (`Scan`):

* what depends neither on a step nor on cotangents is computed once, before the loops;
* what depends on the step is computed in the loop that goes forward, which also stacks whatever the
  gradient will need of it;
* what depends on cotangents is computed in the loop that goes back. The gradient of what all steps
  share is summed up there. If it is a product of matrices, both factors are stacked instead and
  multiplied afterwards, over all steps at once: one long product instead of many short ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from headgate.compile.executor import Form, Traced
from headgate.core.namespace import Array


def form_of(value: Any) -> Form:
    """Return the form of an array, a number, or a variable of equations."""
    import jax

    like = getattr(value, "aval", value)
    if hasattr(like, "dtype"):
        dtype = np.dtype(jax.dtypes.canonicalize_dtype(like.dtype))  # of 32 bits, if JAX is set so
        return Form(like.shape, dtype, bool(getattr(like, "weak_type", False)))
    return Form((), np.dtype(jax.numpy.result_type(like)), type(like) is not bool)


def cast(value: Array, dtype: Any) -> Array:
    """Return a value as an array of a dtype, and no longer weakly typed."""
    import jax

    return jax.lax.convert_element_type(jax.numpy.asarray(value), dtype)


def array(value: Array) -> Array:
    """Return an array as one of JAX's."""
    import jax

    return jax.numpy.asarray(value)


def zeros(form: Form) -> Array:
    """Return an array of zeros that takes no room in the program."""
    import jax

    return jax.lax.full(form.shape, 0, form.dtype)


# -- equations -------------------------------------------------------------------------------------


def _variables(atoms: Iterable[Any]) -> list[Any]:
    """Return the variables among the atoms of equations; the others are literals."""
    return [atom for atom in atoms if not hasattr(atom, "val")]


class Equations:
    """A function of arrays as equations."""

    def __init__(
        self, function: Traced, inputs: Sequence[Form], cotangents: Sequence[Form] = ()
    ) -> None:
        import jax

        counts: list[int] = []

        def flat(given: list[Array], pulled: list[Array]) -> list[Array]:
            outputs, gradients = function(given, pulled)
            counts.append(len(outputs))
            return [*outputs, *gradients]

        closed = jax.make_jaxpr(flat)(
            [jax.ShapeDtypeStruct(like.shape, like.dtype, weak_type=like.weak) for like in inputs],
            [jax.ShapeDtypeStruct(like.shape, like.dtype) for like in cotangents],
        )
        self.jaxpr = jaxpr = closed.jaxpr
        self.equations = jaxpr.eqns
        self.constants: dict[Any, Array] = dict(zip(jaxpr.constvars, closed.consts))
        self.inputs = jaxpr.invars[: len(inputs)]
        self.cotangents = jaxpr.invars[len(inputs) :]
        self.outputs = jaxpr.outvars[: counts[0]]
        self.gradients = jaxpr.outvars[counts[0] :]

    def run(self, inputs: Sequence[Array] = (), effects: bool = True) -> list[Array]:
        """Return the outputs for these inputs; print what the function prints, if `effects`."""
        known = {**self.constants, **dict(zip(self.inputs, inputs))}
        return self.evaluate(self.outputs, known, effects)

    def pull(self, inputs: Sequence[Array], cotangents: Sequence[Array]) -> list[Array]:
        """Return the gradients for these inputs and cotangents."""
        variables = [*self.inputs, *self.cotangents]
        known = dict(zip(variables, [*inputs, *cotangents]))
        return self.evaluate(self.gradients, {**self.constants, **known})

    def evaluate(
        self, wanted: Sequence[Any], known: dict[Any, Array], effects: bool = False
    ) -> list[Array]:
        """Compute some variables of the equations from others."""
        import jax

        inputs = self.used(wanted, set(known), effects)
        equations = self._leading(wanted, known, effects)
        part = self.jaxpr.replace(constvars=[], invars=inputs, outvars=list(wanted), eqns=equations)
        found: list[Array] = jax.core.eval_jaxpr(part, [], *(known[var] for var in inputs))
        return found

    def _leading(self, wanted: Iterable[Any], known: Iterable[Any], effects: bool) -> list[Any]:
        """Return the equations that lead from what is known to what is wanted, in their order."""
        known = set(known)
        missing = set(_variables(wanted)) - known
        found = []
        for each in reversed(self.equations):
            if not missing.isdisjoint(each.outvars) or (effects and each.effects):
                found.append(each)
                missing.update(var for var in _variables(each.invars) if var not in known)
        return found[::-1]

    def used(self, wanted: Sequence[Any], known: set[Any], effects: bool = False) -> list[Any]:
        """Return those of the known variables that are read to compute the wanted ones."""
        read = dict.fromkeys(_variables(wanted))
        for each in self._leading(wanted, known, effects):
            read.update(dict.fromkeys(_variables(each.invars)))
        return [var for var in read if var in known]

    def following(self, roots: Sequence[Any]) -> set[Any]:
        """Return the variables that depend on one of these, themselves included."""
        found = set(roots)
        for each in self.equations:
            if not found.isdisjoint(_variables(each.invars)):
                found.update(each.outvars)
        return found


# -- branches and loops ----------------------------------------------------------------------------


def choose(
    pred: Array, true: Callable[[], list[Array]], false: Callable[[], list[Array]]
) -> list[Array]:
    """Compute one of two lists of arrays."""
    import jax

    condition = jax.numpy.reshape(pred, ()).astype(bool)
    found: list[Array] = jax.lax.cond(condition, true, false)
    return found


def repeat(
    condition: Equations, body: Equations, first: Sequence[Array], most: int | None
) -> list[Array]:
    """Compute the last of a sequence of lists of arrays; return its number, then its arrays."""
    import jax

    dtypes = [form_of(var).dtype for var in body.inputs]

    def holds(at: Any) -> Array:
        number, carry = at
        found = jax.numpy.reshape(condition.run(carry)[0], ()).astype(bool)
        return found if most is None else found & (number < most)

    def step(at: Any) -> Any:
        number, carry = at
        return number + 1, list(map(cast, body.run(carry), dtypes))

    start = jax.numpy.int32(0), list(map(cast, first, dtypes))
    number, last = jax.lax.while_loop(holds, step, start)
    return [number, *last]


_CHEAP = {"add", "convert_element_type", "mul", "neg", "reshape", "select_n", "slice", "sub"}
"""What takes less time than to write its result to memory and to read it back."""


class Scan:
    """A loop over steps, and the loop back for its gradient.

    The program takes `carried` arrays, then those of a step; it returns as many carried ones, then
    those to stack. Its cotangents are of some carried ones, then of some stacked ones. Its
    gradients are for the same carried ones, then some of the step's own, from `shared` on for what
    all steps have in common.
    """

    def __init__(self, program: Equations, carried: int, returned: int, shared: int) -> None:
        self.program = program
        self.carried = carried
        self.returned = returned
        steps = program.following(program.inputs)
        self.late = program.following(program.cotangents)
        self.early = steps - self.late
        self.origins = {var: each for each in program.equations for var in each.outvars}
        self.gradients, self.shared = program.gradients[:shared], program.gradients[shared:]
        self.products = [self._products(var) for var in self.shared]
        self.summed = [var for var, found in zip(self.shared, self.products) if not found]
        factors = [atom for found in self.products for each in found for atom in each.factors]
        self.factors = list(dict.fromkeys(var for var in factors if var in self.late))
        self.pulled = [*self.gradients, *self.summed, *self.factors]
        fixed = {*self.origins, *program.constants} - steps - self.late
        back = program.used(self.pulled, fixed | self.early)
        self.saved = self._fewest(
            list(dict.fromkeys(var for var in [*back, *factors] if var in self.early)), factors
        )
        wanted = [*program.outputs, *self.saved, *self.pulled]
        self.fixed = program.used(wanted, fixed, effects=True)
        self.length, self.reverse = 0, False
        self.known: dict[Any, Array] = {}
        self.stacks: dict[Any, Array] = {}

    def _fewest(self, saved: list[Any], needed: Sequence[Any]) -> list[Any]:
        """Leave out what the loop back can compute from the rest by a few cheap operations.

        To stack an array takes longer than to multiply it again.
        """
        kept = set(saved)
        for var in reversed(saved):
            if var in needed:
                continue
            kept.remove(var)
            if not self._follows(var, kept):
                kept.add(var)
        return [var for var in saved if var in kept]

    def _follows(self, var: Any, kept: set[Any]) -> bool:
        """Tell whether a variable comes from those that are kept by cheap operations alone."""
        if var in kept or var not in self.early:
            return True
        each = self.origins.get(var)
        if each is None or each.primitive.name not in _CHEAP:
            return False
        return all(self._follows(given, kept) for given in _variables(each.invars))

    # -- forward ----------------------------------------------------------------------------------

    def forward(
        self, first: Sequence[Array], xs: Sequence[Array], length: int, reverse: bool
    ) -> list[Array]:
        """Return the last of what is carried, and what is stacked."""
        import jax

        program, carried = self.program, self.carried
        dtypes = [form_of(var).dtype for var in program.inputs]
        constants = program.evaluate(self.fixed, program.constants)
        self.known = dict(zip(self.fixed, constants))
        of_steps = dict(zip(program.inputs[carried:], xs))
        saved = [var for var in self.saved if var not in of_steps]

        def step(carry: list[Array], x: list[Array]) -> tuple[list[Array], list[Array]]:
            known = {**self.known, **dict(zip(program.inputs, [*carry, *x]))}
            found = program.evaluate([*program.outputs, *saved], known, effects=True)
            return list(map(cast, found[:carried], dtypes)), found[carried:]

        last, stacks = jax.lax.scan(
            step, list(map(cast, first, dtypes)), list(xs), length, reverse=reverse
        )
        count = len(program.outputs) - carried
        self.length, self.reverse = length, reverse
        self.stacks = {**of_steps, **dict(zip(saved, stacks[count:]))}
        return [*last, *stacks[:count]]

    # -- back -------------------------------------------------------------------------------------

    def backward(self, last: Sequence[Array], stacks: Sequence[Array]) -> list[Array]:
        """Return the gradients, given the cotangents of the last carried arrays and of stacks."""
        import jax

        program, returned = self.program, self.returned
        dtypes = [form_of(var).dtype for var in program.cotangents]
        sums = [zeros(form_of(var)) for var in self.summed]
        saved = [self.stacks[var] for var in self.saved]

        def step(carry: Any, x: Any) -> Any:
            (cotangents, sums), (saved, stacks) = carry, x
            known = {
                **self.known,
                **dict(zip(self.saved, saved)),
                **dict(zip(program.cotangents, [*cotangents, *stacks])),
            }
            found = program.evaluate(self.pulled, known)
            gradients, found = found[: len(self.gradients)], found[len(self.gradients) :]
            sums = [total + part for total, part in zip(sums, found)]
            carried = list(map(cast, gradients[:returned], dtypes))
            return (carried, sums), (gradients[returned:], found[len(sums) :])

        first = list(map(cast, last, dtypes))
        (first, sums), (of_steps, factors) = jax.lax.scan(
            step, (first, sums), (saved, list(stacks)), self.length, reverse=not self.reverse
        )
        held = {**self.stacks, **dict(zip(self.factors, factors))}
        totals = iter(sums)
        shared = [
            sum(each.over_steps(held) for each in found) if found else next(totals)
            for found in self.products
        ]
        return [*first, *of_steps, *shared]

    def _products(self, var: Any) -> list[_Product]:
        """Return the products that a gradient is the sum of; none if it is something else."""
        each = self.origins.get(var) if not hasattr(var, "val") else None
        if each is None or var not in self.late:
            return []
        name = each.primitive.name
        if name in ("add", "add_any"):
            left, right = map(self._products, each.invars)
            return left + right if left and right else []
        if name == "transpose":
            order = each.params["permutation"]
            return [product.transposed(order) for product in self._products(each.invars[0])]
        if name == "dot_general" and all(
            factor in self.late or factor in self.early for factor in _variables(each.invars)
        ):
            return [_Product.of(each, self.origins)]
        return []


class _Product(NamedTuple):
    """A product of matrices, one for each step, of which the sum over all steps is wanted."""

    factors: tuple[Any, Any]
    contracted: tuple[Sequence[int], Sequence[int]]
    batched: tuple[Sequence[int], Sequence[int]]
    options: dict[str, Any]
    order: Sequence[int] | None

    @staticmethod
    def of(equation: Any, origins: dict[Any, Any]) -> _Product:
        options = dict(equation.params)
        contracted, batched = options.pop("dimension_numbers")
        return _Product(tuple(equation.invars), contracted, batched, options, None)

    def transposed(self, order: Sequence[int]) -> _Product:
        """Return the product with its axes in another order."""
        before = self.order
        return self._replace(order=[before[k] for k in order] if before else order)

    def over_steps(self, stacks: dict[Any, Array]) -> Array:
        """Return the sum, given the factors of all steps."""
        import jax

        left, right = (stacks[factor] for factor in self.factors)
        contracted = tuple([0, *(axis + 1 for axis in axes)] for axes in self.contracted)
        batched = tuple([axis + 1 for axis in axes] for axes in self.batched)
        total = jax.lax.dot_general(left, right, (contracted, batched), **self.options)
        return total if self.order is None else jax.lax.transpose(total, self.order)
