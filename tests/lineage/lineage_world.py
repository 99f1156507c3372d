"""Lineage in domain words: a dataset, its splits, a run, an extract, each with what a scenario changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from area_world import ANNA, HOUR, START, World, digest, ident, words

from affidavit.areas.lineage import AREA
from affidavit.areas.lineage import commands as c
from affidavit.areas.lineage import events as e
from affidavit.core.fields import Attachment

ACS = "dataset:acs/2015"
CONTENT, TRAINING, TEST, OUTPUT = digest(0xA), digest(0xB), digest(0xC), digest(0xD)
RUN = ident(1)
CENSUS = "https://www.census.gov/programs-surveys/acs/microdata/2015.zip"
SCHEMA = Attachment(digest(9), 10, "application/json", "schema")


def dataset(**changes: Any) -> c.RecordDataset:
    """Version 2015 of acs as it should be, with changes."""
    good = c.RecordDataset(
        "acs", "2015", words(CENSUS), "2015-1yr", "US-public-domain", "public-domain", "personal", ANNA,
        START - 900 * HOUR, START - 400 * HOUR, "P3Y", CONTENT, 1000, 100, digest(8), words("00" * 32), SCHEMA,
    )  # fmt: skip
    return replace(good, **changes)


def measured_splits(**changes: Any) -> c.RecordSplits:
    """Training and test of it."""
    parts = (e.Split("training", 60, TRAINING, digest(6)), e.Split("test", 40, TEST, digest(7)))
    return replace(c.RecordSplits(ACS, CONTENT, parts, (e.Overlap("training", "test", 0, 3),), digest(5)), **changes)


def run(world: World, *inputs: e.Input, **changes: Any) -> c.RecordRun:
    """A run of the last hour on the training split, with changes."""
    given = inputs or (e.Input(ACS, "training", TRAINING, 60),)
    good = c.RecordRun(
        RUN, world.now - HOUR / 2, world.now - HOUR / 4, "git:abc", digest(4), given, OUTPUT, {"leaves": "31"}, 7
    )
    return replace(good, **changes)


def reads(world: World, *rows: tuple[str, str], **changes: Any) -> c.RecordReads:
    """An extract of the store's log over everything so far: (run, digest) rows, read while the last run lasted."""
    found = tuple(c.Read(run_id, content, world.now - 1.4 * HOUR) for run_id, content in rows)
    good = c.RecordReads(
        "store", words("reader"), words("all reads"), START - 2 * HOUR, world.now, Attachment(digest(3), 1, "text/csv", "extract"),
        "affidavit/test", found,
    )  # fmt: skip
    return replace(good, **changes)


def world(*, splits: bool = True) -> World:
    """A workspace with the dataset registered and its splits measured."""
    made = World(AREA)
    made.do(dataset())
    if splits:
        made.do(measured_splits())
    return made
