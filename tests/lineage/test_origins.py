"""An origin is a place somebody else can go to; anything vaguer is refused with an example."""

from __future__ import annotations

import pytest

from affidavit.areas.lineage.rules import check_origin
from affidavit.core.errors import Invalid


@pytest.mark.parametrize(
    "origin",
    [
        "https://www2.census.gov/programs-surveys/acs/data/pums/2015/1-Year/csv_pma.zip",
        "https://www.census.gov/programs-surveys/acs/microdata.html#pums-1-year",
        "http://archive.ics.uci.edu/ml/machine-learning-databases/adult/",
        "https://example.org/api?table=claims",
        "s3://claims-raw/2026/03/export.parquet",
        "gs://bucket-1/claims/part-0001",
        "abfss://raw@lake.dfs.core.windows.net/claims/2026",
        "postgresql://db.internal/claims/public.policy",
        "sftp://files.example.org/outgoing/claims.csv",
        "file:///mnt/archive/claims-2026.csv",
        "urn:isbn:0451450523",
        "urn:li:dataset:claims",
        "doi:10.5281/zenodo.7654321",
        "  doi:10.24432/C5XW20  ",
    ],
)
def test_a_specific_place_is_taken(origin):
    """A URI with a host and a path in it, or a catalogue's own id."""
    check_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "", "   ", "publicly available data", "Public data", "internet", "the internet", "various", "various sources", "web",
        "n/a", "census.gov", "www.census.gov/acs", "https://", "https://www.census.gov", "https://www.census.gov/", "https:///acs",
        "https://internet/acs", "https://example.org/data", "https://example.org/various/", "https://example.org/../..",
        "https://exa mple.org/acs", "https://example.org/a b", "s3://bucket", "s3://bucket/", "s3:///key", "file:///",
        "file://server/share/x", "file:///data", "doi:", "doi:10.5281", "doi:zenodo", "urn:", "urn:isbn:", "urn:isbn",
        "mailto:someone@example.org", "data:text/csv,1", "c:\\data\\claims.csv", "/mnt/archive/claims.csv",
        "https://example.org/a\nhttps://example.org/b",
    ],
)  # fmt: skip
def test_a_vague_one_is_refused_with_an_example(origin):
    """Words, a host alone, a path of nothing but common words: the error shows a good origin."""
    with pytest.raises(Invalid) as error:
        check_origin(origin)
    assert "https://www2.census.gov/" in error.value.next_step or "file:///" in error.value.next_step


def test_a_password_is_refused_and_not_repeated():
    """A URI that carries a password is refused; the error does not show it."""
    with pytest.raises(Invalid, match="password") as error:
        check_origin("https://anna:s3cret@example.org/acs/2015.zip")
    assert "s3cret" not in str(error.value)
