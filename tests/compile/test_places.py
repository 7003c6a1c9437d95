"""Places that are known when a program is traced need no gather, scatter or sort."""

import itertools
import re

import numpy as np
import pytest

import headgate as hg

pytestmark = [pytest.mark.peers, pytest.mark.light]

MOVES = re.compile(r"stablehlo\.(scatter|gather|sort|dynamic_slice|dynamic_gather)\b")

ROWS = {
    "integer": lambda x: x[1],
    "integer from the end": lambda x: x[-1],
    "integer array of no axes": lambda x: x[:, np.array(2)],
    "slice": lambda x: x[:, 1:3],
    "step": lambda x: x[::2],
    "reversed": lambda x: x[::-1],
    "backwards by steps": lambda x: x[:, 3:0:-2],
    "ellipsis": lambda x: x[..., 1],
    "new axis": lambda x: x[:, None, 1:3],
    "several axes": lambda x: x[1, :, 4::-2],
    "nothing": lambda x: x[:, 2:2],
    "steps of a sequence": lambda x: hg.stack([x[:, t] ** 2 for t in range(4)]),
    "differences": lambda x: x[:, 1:] - x[:, :-1],
    "every element": lambda x: hg.stack([x[i, j, 0] for i in range(3) for j in range(4)]),
    "diagonal by elements": lambda x: hg.stack([x[i, i, i] for i in range(3)]),
    "take one": lambda x: hg.take(x, 1, axis=1),
    "take some": lambda x: hg.take(x, [2, -1, 0], axis=1),
    "gather": lambda x: hg.gather(x, [[0, 1], [2, 3]], axis=1),
    "embedding": lambda x: hg.embedding(x[0], [1, 1, 2]),
    "stack": lambda x: hg.stack([x, x * x], axis=1),
    "concat": lambda x: hg.concat([x, x * x], axis=-1),
    "unstack": lambda x: hg.stack([part**2 for part in hg.unstack(x, axis=1)]),
    "split": lambda x: hg.concat([part**2 for part in hg.split(x, 2, axis=1)]),
    "one part": lambda x: hg.split(x, [1, 3], axis=1)[1],
    "roll": lambda x: hg.roll(x, 1, axis=1),
    "flip": lambda x: hg.flip(x, axis=(0, 2)),
    "tile": lambda x: hg.tile(x, (1, 2, 1)),
    "repeat": lambda x: hg.repeat(x, 2, axis=1),
    "repeat flat": lambda x: hg.repeat(x, 2),
    "repeat by a list": lambda x: hg.repeat(x, [1, 2, 0, 1], axis=1),
    **{
        f"pad {mode}": lambda x, mode=mode: hg.pad(x, [(0, 0), (1, 2), (2, 0)], mode=mode)
        for mode in ("constant", "edge", "reflect", "symmetric", "wrap")
    },
    "max_pool": lambda x: hg.max_pool(x, 2),
    "max_pool, overlapping": lambda x: hg.max_pool(x, 3, stride=1, padding="SAME"),
    "avg_pool": lambda x: hg.avg_pool(x, 3, stride=2, padding="SAME"),
    "cumulative_sum": lambda x: hg.cumulative_sum(x, axis=1),
    "cumulative_prod": lambda x: hg.cumulative_prod(x, axis=1),
    "prod": lambda x: hg.prod(x, axis=1),
    "diagonal": lambda x: hg.linalg.diagonal(x, offset=1),
    "trace": hg.linalg.trace,
    "tril": hg.tril,
    "triu": lambda x: hg.triu(x, k=1),
    "cross": lambda x: hg.linalg.cross(x[:, :3, 0], x[:, :3, 1]),
    "scatter_add": lambda x: hg.scatter_add(x, x[:, 1:2] ** 2, key=(slice(None), slice(0, 1))),
    "scatter_update": lambda x: hg.scatter_update(
        x, x[:, ::2] ** 2, key=(slice(None), slice(1, None, 2))
    ),
}


def slopes(f):
    """Return a function that computes the gradient of a function, and the gradient of that."""

    def second(x):
        with hg.GradientTape() as outer:
            outer.watch(x)
            with hg.GradientTape() as inner:
                inner.watch(x)
                y = hg.sum(f(x) ** 3)
            first = inner.gradient(y, x)
            z = hg.sum(first * first)
        return first, outer.gradient(z, x)

    return second


def cube():
    return hg.asarray(np.random.default_rng(0).uniform(0.5, 1.5, (3, 4, 5)))


@pytest.mark.parametrize("name", ROWS)
def test_no_place_is_looked_up(name):
    text = hg.function(slopes(ROWS[name])).lower_text(cube())
    assert set(MOVES.findall(text)) == set()


SORTED = {
    "sort": hg.sort,
    "sort along an axis": lambda x: hg.sort(x, axis=1),
    "sort, descending": lambda x: hg.sort(x, axis=0, descending=True),
    "top_k": lambda x: hg.top_k(x, 2).values,
    "top_k along an axis": lambda x: hg.top_k(x, 2, axis=0).values,
}
"""What is put in another order: each place is read once, and none is added to."""


@pytest.mark.parametrize("name", SORTED)
def test_what_is_sorted_is_put_back_by_gathers(name):
    text = hg.function(slopes(SORTED[name])).lower_text(cube())
    assert "stablehlo.scatter" not in text


def test_slopes_of_what_is_sorted_are_eager():
    x = cube()

    def everything(x):
        return [slopes(f)(x) for f in SORTED.values()]

    for name, ours, theirs in zip(SORTED, hg.function(everything)(x), everything(x), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9, err_msg=name)


def test_all_rows_compiled_are_eager():
    x = cube()

    def everything(x):
        return [hg.grad(lambda x, f=f: hg.sum(f(x) ** 3))(x) for f in ROWS.values()]

    for name, one, other in zip(ROWS, hg.function(everything)(x), everything(x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9, err_msg=name)


KEYS = [
    slice(None, None, -1),
    slice(4, None, -3),
    slice(-2, -6, -2),
    slice(3, 1),
    slice(-100, 100, 4),
    slice(100, -100, -4),
    (..., 0),
    (None, 1, None, slice(1, None)),
    (slice(2, None), ..., None, -1),
    (slice(None, None, 3), slice(None, None, -2)),
    (1, 2),
    (),
    None,
    ...,
]


def test_parts_are_put_where_they_were_taken_from():
    """A sum over many keys of one array, which overlap, each with a cotangent of its own."""
    x = hg.asarray(np.arange(35.0).reshape(5, 7))
    random = np.random.default_rng(1)
    weights = [hg.asarray(random.normal(size=x[key].shape)) for key in KEYS]

    def gradients(x, weights):
        def each(x):
            return [hg.sum(w * x[key]) for key, w in zip(KEYS, weights, strict=True)]

        alone = [hg.grad(lambda x, k=k: each(x)[k])(x) for k in range(len(KEYS))]
        return alone, hg.grad(lambda x: sum(each(x)) * hg.sum(x[1]))(x)

    expected = np.zeros((len(KEYS), 5, 7))
    for made, key, w in zip(expected, KEYS, weights, strict=True):
        made[key] = w
    for run in (gradients, hg.function(gradients)):
        alone, together = run(x, weights)
        np.testing.assert_allclose(hg.stack(alone), expected)
        row = float(np.sum(x[1].numpy()))
        total = sum(np.sum(made * x.numpy()) for made in expected)
        also = expected.sum(0) * row
        also[1] += total
        np.testing.assert_allclose(together, also)


@pytest.mark.parametrize("compiled", [False, True])
def test_updates_at_known_places(compiled):
    def update(x, u):
        return (
            hg.scatter_update(x, u, key=(slice(4, None, -2), slice(None, 2))),
            hg.scatter_add(x, u, key=(slice(1, 4), slice(3, 5))),
            hg.scatter_update(x, 7.0, key=(..., -1)),
            hg.scatter_add(x, 7.0, key=slice(3, 3)),
        )

    x, u = np.arange(35.0).reshape(5, 7), np.ones((3, 2)) * [[1.0], [2.0], [3.0]]
    expected = [x.copy() for _ in range(4)]
    expected[0][4::-2, :2] = u
    expected[1][1:4, 3:5] += u
    expected[2][..., -1] = 7.0
    for mine, other in zip((hg.function(update) if compiled else update)(x, u), expected):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize(
    "f",
    [lambda x: x[5], lambda x: x[0, -8], lambda x: hg.take(x, 5, axis=0)],
)
def test_known_places_out_of_range_are_refused(f):
    x = hg.asarray(np.zeros((5, 7)))
    with pytest.raises(IndexError):
        f(x)
    with pytest.raises(IndexError):
        hg.function(f)(x)


def test_pieces_meet_other_cotangents():
    """What is gathered from parts is added to whole cotangents and to products, in any order."""
    x = hg.asarray(np.arange(12.0).reshape(3, 4))
    terms = [
        lambda x: x[0] @ x[1],
        lambda x: hg.sum(x * x),
        lambda x: hg.sum(x[1:] * 2.0),
        lambda x: hg.sum(hg.matrix_transpose(x) @ x),
        lambda x: hg.sum(x[[0, 0, 2]] * x[0]),
    ]
    alone = [hg.grad(f)(x).numpy() for f in terms]
    for order in itertools.permutations(range(len(terms)), 3):
        whole = hg.grad(lambda x, order=order: sum(terms[k](x) for k in order))(x)
        np.testing.assert_allclose(whole, sum(alone[k] for k in order))
