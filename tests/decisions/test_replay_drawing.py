"""The draw can be made again from the ledger, and one row's comparison is exact about what it compared."""

from __future__ import annotations

import hashlib
import math

import pytest

from affidavit.areas.decisions.replay.comparing import Given, compare
from affidavit.areas.decisions.replay.drawing import Range, drawn, joined, population_digest, within

ONE, TWO = "00000000-0000-8000-8000-000000000001", "00000000-0000-8000-8000-000000000002"
RANGES = joined([Range(TWO, 5, 14), Range(ONE, 0, 9), Range(ONE, 10, 19)])


def test_a_population_is_its_rows_however_they_were_sealed():
    """Ranges in any order and cut anywhere are the same population."""
    assert RANGES == (Range(ONE, 0, 19), Range(TWO, 5, 14))
    cut = joined([Range(ONE, 3, 19), Range(TWO, 5, 5), Range(ONE, 0, 2), Range(TWO, 6, 14)])
    assert population_digest(cut) == population_digest(RANGES)
    assert population_digest(joined([Range(ONE, 0, 19), Range(TWO, 5, 13)])) != population_digest(RANGES)


def test_the_draw_follows_its_stated_method():
    """Written out: the k-th number is SHA-256 of seed, population and k, modulo the population."""
    places = [(ONE, n) for n in range(20)] + [(TWO, n) for n in range(5, 15)]
    digest = hashlib.sha256(f"{ONE} 0 19\n{TWO} 5 14\n".encode()).hexdigest()
    numbers = []
    for k in range(100):
        n = int(hashlib.sha256(f"s\nsha256:{digest}\n{k}".encode()).hexdigest(), 16) % 30
        if n not in numbers:
            numbers.append(n)
    assert drawn("s", RANGES, 12) == [places[n] for n in numbers[:12]]
    assert drawn("t", RANGES, 12) != drawn("s", RANGES, 12)


@pytest.mark.parametrize("size", [30, 31, 1000])
def test_a_sample_as_large_as_the_population_is_all_of_it(size):
    """Each place once, in order."""
    assert drawn("s", RANGES, size) == [(ONE, n) for n in range(20)] + [(TWO, n) for n in range(5, 15)]


def test_nothing_is_drawn_from_nothing():
    """Zero rows give zero places."""
    assert drawn("s", (), 5) == []


def test_every_place_is_drawn_about_as_often():
    """Over many seeds no place is favoured: 3,000 draws of 3 among 30, each within five standard deviations of 300."""
    counts: dict = {}
    for n in range(3000):
        for place in drawn(str(n), RANGES, 3):
            counts[place] = counts.get(place, 0) + 1
    assert len(counts) == 30
    assert all(abs(c - 300) < 5 * math.sqrt(300 * 0.9) for c in counts.values())


@pytest.mark.parametrize(
    ("times", "found"),
    [
        ([10, 20, 30, 40], [(101, 102)]),
        ([10, None, 30, None], [(102, 103)]),
        ([None, 20, None, 40], [(100, 102)]),
        ([20, 50, 20, 30], [(100, 100), (102, 103)]),
        ([None, None], []),
    ],
    ids=[
        "in the middle",
        "an erased row goes with the one before",
        "at the head with the next",
        "a clock that steps",
        "all erased",
    ],
)
def test_rows_of_a_period_within_a_segment(times, found):
    """From 20 to before 40; row numbers begin at 100."""
    assert within(100, times, 20, 40) == found


NAN, INF = math.nan, math.inf
BINARY = Given({"score": 0.7})
SEVERAL = Given({"0": 0.2, "1": 0.5, "2": 0.3})


@pytest.mark.parametrize(
    ("recorded", "given", "outcome", "output", "left_out"),
    [
        ({"out": 0.7}, BINARY, "equal", None, ()),
        ({"out": 0.7000009}, BINARY, "equal", None, ()),
        ({"out": 0.7000011}, BINARY, "differs", "out", ()),
        ({"out": NAN}, BINARY, "differs", "out", ()),
        ({"out": NAN}, Given({"score": NAN}), "equal", None, ()),
        ({"out": INF}, Given({"score": INF}), "equal", None, ()),
        ({"out": -INF}, Given({"score": INF}), "differs", "out", ()),
        ({"out": 1}, BINARY, "equal", None, ()),
        ({"out": False}, BINARY, "differs", "out", ()),
        ({"out.label": 0}, BINARY, "differs", "out.label", ()),
        ({"out.0": 0.3, "out.1": 0.7}, BINARY, "equal", None, ()),
        ({"out.1": 0.3}, BINARY, "differs", "out.1", ()),
        ({"out.score": 0.7, "out.reason": "income"}, BINARY, "equal", None, ("out.reason",)),
        ({"out.reason": "income"}, BINARY, "failed", None, ("out.reason",)),
        ({"out": None}, BINARY, "failed", None, ()),
        ({"out": "yes", "out.no": 0.1}, Given({"no": 0.1, "yes": 0.9, "score": 0.9}, "yes"), "equal", None, ()),
        ({"out": "no"}, Given({"no": 0.1, "yes": 0.9, "score": 0.9}, "yes"), "differs", "out", ()),
        ({"out": "yes"}, BINARY, "failed", None, ("out",)),
        ({"out.2": 0.3, "out.label": 1}, SEVERAL, "equal", None, ()),
        ({"out.label": 2}, SEVERAL, "differs", "out.label", ()),
        ({"out": 0.5}, SEVERAL, "failed", None, ("out",)),
    ],
)  # fmt: skip
def test_an_output_is_compared_by_its_name(recorded, given, outcome, output, left_out):
    """Numbers within the tolerance, labels by the cutoff or the model's own; what the model does not give is named."""
    found = compare(recorded, given, 1e-6, 0.5)
    assert (found.outcome, found.output, found.left_out) == (outcome, output, left_out)


def test_a_score_at_the_cutoff_may_have_either_label():
    """Within the tolerance of the cutoff both labels are the record's; without a cutoff no label is compared."""
    for label in (0, 1):
        assert compare({"out.label": label}, Given({"score": 0.5000004}), 1e-6, 0.5).outcome == "equal"
    assert compare({"out.label": 1}, BINARY, 1e-6, None).left_out == ("out.label",)
