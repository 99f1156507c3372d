"""Samples: sizes, order, labels, and drawing again with a shell."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from paper_ledger import START

from affidavit.core import assessment
from affidavit.core.errors import Invalid, NotFound
from affidavit.core.findings import Item
from affidavit.evidence import tables
from affidavit.evidence.sample import check_nonce, default_size, draw, order_key, pick, redraw, sample_csv, sample_row


def population(n: int, drills: int = 0) -> list[tables.Row]:
    return [assessment.item_row(Item(f"item/{i}", START, ("x:y",), (i,), i >= n)) for i in range(n + drills)]


def test_a_population_hashes_alike_from_items_and_from_its_file():
    """The verifier's digest is the assessment's."""
    items = [Item(f"item/{i}", START, ("x:y", "z:1"), (i, 7), i == 2) for i in range(4)]
    rows = tables.population_rows(tables.population_csv([assessment.item_row(i) for i in items]), "t")
    assert tables.population_digest(rows) == assessment.population_digest(items)


SIZES = [
    ("annual", 1, 1), ("quarterly", 4, 2), ("monthly", 12, 2), ("weekly", 52, 5), ("daily", 250, 25), ("daily", 10, 10),
    ("per_event", 0, 0), ("per_event", 4, 4), ("per_event", 5, 5), ("per_event", 50, 5), ("per_event", 120, 12),
    ("per_event", 250, 25), ("per_event", 365, 25), ("per_event", 366, 40), ("continuous", 10_000, 40),
]  # fmt: skip


@pytest.mark.parametrize(("frequency", "n", "size"), SIZES)
def test_customary_sizes(frequency, n, size):
    """The table of the control library's method."""
    assert default_size(frequency, n) == size


def test_a_sample_is_the_first_of_a_public_order():
    """SHA-256 of nonce, newline, digest, newline, key: anybody can sort again."""
    items = population(60, drills=5)
    digest = tables.population_digest(items)
    sample = draw("nonce", "auditor-1", items, digest, 7)
    by_hand = sorted((hashlib.sha256(f"auditor-1\n{digest}\nitem/{i}".encode()).hexdigest(), i) for i in range(60))
    assert [i["key"] for i in sample.rows] == [f"item/{i}" for _, i in by_hand[:7]]
    assert order_key("n", "d", "k") == hashlib.sha256(b"n\nd\nk").hexdigest()


def test_every_item_is_equally_likely():
    """Over 3,000 nonces each of 20 items is drawn about 25 % of the time (5 of 20): within 5 standard errors."""
    items = population(20)
    digest = tables.population_digest(items)
    counts = Counter(i["key"] for n in range(3000) for i in draw("nonce", f"nonce-{n:05d}", items, digest, 5).rows)
    spread = 5 * (3000 * 0.25 * 0.75) ** 0.5
    assert all(abs(counts[i["key"]] - 750) < spread for i in items)


def test_labels_say_who_could_choose():
    """The log's own seed can be tried out by management."""
    items = population(3)
    assert draw("log", "ab", items, "sha256:0", 1).label.startswith("selectable by management")
    assert "auditor" in draw("nonce", "auditor-1", items, "sha256:0", 1).label
    assert "auditor" in pick(["item/1"], items, "sha256:0").label


def test_the_auditor_may_name_items():
    """In the auditor's order, each once; an unknown or planted key is refused."""
    items = population(3, drills=1)
    assert [i["key"] for i in pick(["item/2", "item/0", "item/2"], items, "d").rows] == ["item/2", "item/0"]
    for key in ("item/9", "item/3"):
        with pytest.raises(NotFound):
            pick([key], items, "d")


def test_an_empty_population_gives_an_empty_sample():
    """Zero items, zero drawn, and a file with a header."""
    sample = draw("nonce", "auditor-1", [], tables.population_digest([]), 0)
    assert sample_csv(sample) == b"rank,order,key,at,refs,entries,drill\n"
    assert sample_row(sample)["n"] == 0


@pytest.mark.parametrize("method", ["nonce", "log", "picked"])
def test_drawing_again_gives_the_same(method):
    """From sidecar and population alone."""
    items = population(30)
    digest = tables.population_digest(items)
    sample = pick(["item/4"], items, digest) if method == "picked" else draw(method, "auditor-1", items, digest, 4)
    assert redraw(sample_row(sample), items, digest, sample_csv(sample), "s") == sample


@pytest.mark.parametrize("nonce", ["", "short", "ä" * 9, "a" * 201, "tab\tinside"])
def test_bad_nonces_are_refused(nonce):
    """Too short to be unguessable, or not one printable line."""
    with pytest.raises(Invalid):
        check_nonce(nonce)


RISKY = ["=1+1", "+1", "-1", "@x", "'quoted", "plain", "", 'with "quotes"', "comma, and\nnewline", "é", "\tx", "\rx"]


def test_tables_have_one_spelling_and_no_formula():
    """Every cell comes back; none begins like a formula."""
    rows = [[cell, "x"] for cell in RISKY]
    body = tables.encode(("a", "b"), rows)
    assert tables.decode(body, ("a", "b"), "t") == rows
    assert not any(line.startswith(("=", "+", "-", "@")) for line in body.decode().split("\n"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"a\n",
        b"a,b",
        b"a,b\n'plain,x\n",
        b'a,b\n"x",y\n',
        b"a,b\r\nx,y\r\n",
        b"a,b\nx\n=1,2\n",
        b"\xff",
        b'a,b\n"x',
    ],
)
def test_other_spellings_of_a_table_are_refused(body):
    """Missing header, needless quotes or apostrophes, other line ends, short lines."""
    with pytest.raises(Invalid):
        tables.population_rows(body, "t") if b"\nx\n" in body else tables.decode(body, ("a", "b"), "t")


CELLS = [
    ["k", "2026-01-01T00:00:00.000Z", "a:b", "1 2", "yes"],
    ["k", "2026-01-01", "a:b", "1", "no"],
    ["k", "2026-01-01T00:00:00.000Z", "a:b", "01", "no"],
    ["k", "2026-01-01T00:00:00.000Z", "a:b", "x", "no"],
    ["k", "2026-01-01T00:00:00.000Z", "a:b", "1", "maybe"],
    ["k"],
]


@pytest.mark.parametrize("cells", CELLS[1:])
def test_items_off_form_are_refused(cells):
    """Times, indexes and marks have one spelling."""
    assert tables.cells(tables.row_of(CELLS[0], "t")) == CELLS[0]
    with pytest.raises(Invalid):
        tables.row_of(cells, "t")
