"""Course: how a gradient went over all passes of a line, and from which one on it was missing.

A parameter that got a gradient once is not fine for ever. Whether one arrives is noted at every
pass, also where nobody looks closely (`looks_at`), as runs of equal passes. A gradient that was
there, and then is missing up to the last pass, was **lost**; one that comes and goes is not:
experts take turns, and the two halves of a step alternate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from headgate.flow.trace import Course

CLOSELY = 16
"""So many first passes of a line are looked at closely; later ones ever more rarely, half as many
in each doubling of their number."""

FEW, ENOUGH = 2, 10
"""A gradient must be missing in so many passes at least to be called lost; and if these are fewer
than half of those before, in so many."""


def looks_at(step: int, every: int | None = None) -> bool:
    """Tell whether a pass of a line, from 0, is to be looked at closely.

    The first ones are; later ones evenly within each doubling of their number, so that a long run
    costs little more than a short one. With `every` it is each pass of such a distance.

    >>> from headgate.flow.course import looks_at
    >>> [sum(looks_at(step) for step in range(passes)) for passes in (20, 60, 1000, 100_000)]
    [18, 31, 64, 117]
    >>> [step for step in range(40) if looks_at(step, every=15)]
    [0, 15, 30]
    """
    if every is not None:
        return step % every == 0
    return step < CLOSELY or step % ((1 << step.bit_length()) // CLOSELY) == 0


def lost(course: Course, others: Iterable[Course] = ()) -> int | None:
    """Return the pass from which on a gradient was missing, up to the end; None if it was not lost.

    One that is exactly zero counts as missing only after many passes: a loss may be as small as it
    gets. Other lines that still bring a gradient of the same source are given as `others`.

    >>> from headgate.flow.course import lost
    >>> from headgate.flow.trace import Course
    >>> lost(Course(0, 0, ((0, "some"), (30, "none")), 60, 20))
    30
    >>> lost(Course(0, 0, ((0, "some"), (1, "none"), (2, "some"), (3, "none")), 5, 5)) is None
    True
    """
    ends = [start for start, _ in course.runs[1:]] + [course.passes]
    lengths = [end - start for (start, _), end in zip(course.runs, ends, strict=True)]
    states = [state for _, state in course.runs]
    last = max((k for k, state in enumerate(states) if state == "some"), default=None)
    if last is None or last == len(states) - 1:
        return None
    missing = sum(lengths[last + 1 :])
    there = sum(length for length, state in zip(lengths, states) if state == "some")
    enough = missing >= ENOUGH or (missing >= FEW and 2 * missing >= there)
    if states[-1] == "zero":
        enough = missing >= max(ENOUGH, there)
    before = gap = 0
    for length, state in zip(lengths[:last], states):
        gap = 0 if state == "some" else gap + length
        before = max(before, gap)
    if not enough or missing <= 2 * before:
        return None
    if any(other.runs and other.runs[-1][1] == "some" for other in others):
        return None
    return course.runs[last + 1][0]


def losses(courses: Sequence[Course]) -> dict[int, tuple[Course, int]]:
    """Return the sources that lost their gradient: source -> the line's course, and the pass.

    Where all gradients of a line are exactly zero from some pass on, the loss has nothing more to
    say, and none of them is lost.
    """
    of_source: dict[int, list[Course]] = {}
    alive: set[int] = set()  # lines of which something still came in the last pass
    for course in courses:
        of_source.setdefault(course.source, []).append(course)
        if course.runs[-1][1] == "some":
            alive.add(course.place)
    found = {}
    for source, mine in of_source.items():
        for course in mine:
            step = lost(course, [other for other in mine if other is not course])
            if step is not None and (course.runs[-1][1] == "none" or course.place in alive):
                found[source] = course, step
                break
    return found


def coverage(courses: Iterable[Course]) -> tuple[int, int]:
    """Return how many passes of gradient calls were looked at, and how many there were."""
    looked: dict[int, int] = {}
    passes: dict[int, int] = {}
    for course in courses:
        looked[course.place] = max(looked.get(course.place, 0), course.looked)
        passes[course.place] = max(passes.get(course.place, 0), course.passes)
    return sum(looked.values()), sum(passes.values())
