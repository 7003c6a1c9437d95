"""The record by itself: its ledgers, its masks, and what is asked of it."""

import re
import weakref
from pathlib import Path

import headgate as hg
from headgate.core.asked import all_asked, asked, question
from headgate.record.cuts import Cuts
from headgate.record.graph import Recording, Source, new_leaf, state
from headgate.record.site import caller
from headgate.record.verdict import explain

SOURCE = Path(hg.__file__).parent


class Tape:
    _bits = 0
    _watch_accessed = True

    def __init__(self):
        self._reference = weakref.ref(self)


def test_a_line_makes_the_same_cut_again_for_the_same_sources():
    cuts = Cuts()
    site = caller()
    first, again = (cuts.add("stop_gradient", 0b1, site=site) for _ in range(2))
    other = cuts.add("stop_gradient", 0b10, site=site)
    later = cuts.add("nondiff_op", 0, earlier=first | other, site=site)
    assert (first, again, other, later) == (0b1, 0b1, 0b10, 0b100)
    assert cuts[2].covers == 0b11
    assert cuts.reached(later) == [0, 1, 2]


def test_bits_belong_to_sources():
    sources = Recording().sources
    one, other = Source("one"), Source("other")
    bits = [sources.new_bit(one), sources.untaped_bit(other), sources.new_bit(one)]
    assert bits == [1, 2, 4]
    assert sources.untaped_bit(other) == 2
    assert (sources.masks[one], len(sources), sources.every) == (5, 3, 7)
    assert sources.of(0b111) == [one, other]


def test_a_recording_pauses_the_bits_of_tapes_that_do_not_record():
    recording, tape, other = Recording(), Tape(), Tape()
    leaf = new_leaf(recording, Source("x"))
    recording.tapes.append(tape._reference)
    tape._bits |= recording.give_bit(leaf, True)
    other._bits |= recording.give_bit(leaf, False)
    assert (recording.paused, recording.kept, leaf.own) == (0b10, 0b11, 0b11)
    before = recording.epoch
    recording.tapes, recording.suspended = [other._reference], [tape._reference]
    recording.refresh()
    assert (recording.paused, recording.stopped) == (0b01, 0b01)
    assert recording.epoch is not before
    recording.refresh(active=0b11)
    assert recording.paused == 0


def test_reads_are_collected_inside_and_out():
    v, w = hg.Variable(1.0), hg.Variable(2.0)
    with hg.GradientTape():
        recording = state.recording
        with recording.reads() as outer:
            _ = v * 1.0
            with recording.reads() as inner:
                _ = w * v
        assert recording.read_log is None
    assert [id(each) for each in inner] == [id(w), id(v)]
    assert [id(each) for each in outer] == [id(v), id(w), id(v)]


def test_only_the_recording_sets_its_masks():
    setting = re.compile(r"recording\.(paused|stopped|epoch)\s*[|&]?=[^=]")
    found = {path.name for path in SOURCE.rglob("*.py") if setting.search(path.read_text("utf-8"))}
    assert found == set()


def test_a_verdict_is_read_from_the_record_alone():
    w, x = hg.Variable(2.0, name="w"), hg.asarray([1.0, 2.0])
    with hg.GradientTape() as tape:
        tape.watch(x)
        h = x * w
        y = hg.sum(h) * hg.stop_gradient(w)
    watched, middle, variable = all_asked([x, h, w])
    assert (variable.name, variable.variable, variable.trainable) == ("w", True, True)
    assert variable.made is not None
    assert middle.made is None
    assert (watched.identity, middle.identity) == (x.node.source, None)
    assert (watched.name, watched.shape, watched.inexact) == ("x", (2,), True)
    assert (middle.name, asked(x).name) == ("h", "x")
    about = question(tape._recording, tape._bits, True, [y])
    assert [explain(about, each).verdict for each in (watched, middle, variable)] == [
        "connected"
    ] * 3
    assert [cut.kind for cut in explain(about, variable).cuts] == ["stop_gradient"]
