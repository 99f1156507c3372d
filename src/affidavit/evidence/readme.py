"""``README.txt`` of a package: what it is and how a stranger verifies it."""

from __future__ import annotations

from affidavit.core.fields import time_text
from affidavit.evidence.manifest import FORMAT, LEVELS, Manifest

_TEXT = """\
{title}
{rule}
Log:     {origin}
Period:  {start} to {end} (end excluded)
As of:   {as_of} entries
{label}
This is management's self-test - not the auditor's test.

WHAT IS IN IT
  report.html          read this first: gaps, exceptions, then each control
  findings.json        result of every control, with the grid of items and attributes
  populations/         every item a control was tested on, with query, source and completeness
  results/             one line per item and attribute
  samples/             a sample that anybody can draw again, and who could have chosen it
  controls.json        the controls as management stated them, with parameters in force
  log/                 every entry of the ledger up to the size above, with Merkle tree and signed checkpoint
  attachments/         what entries name by SHA-256; manifest.json lists what was withheld, and why
  disclosures.json     private texts opened for you, each with the key of its commitment
  keys/, timestamps/, later/   key changes, RFC 3161 timestamps, proof towards a later checkpoint; if any
  manifest.json        every file above by size and SHA-256
  manifest.note        the log key's signature over the digest of manifest.json
Not in this format version: PDF, OSCAL. Model artifacts are named by digest only.

HOW TO VERIFY IT (offline, Python 3.11 or later)
  pip install affidavit
  affidavit verify PACKAGE.zip                                  level: self-consistent
  affidavit verify PACKAGE.zip --vkey KEY --require pinned      level: pinned
  affidavit verify enrol PACKAGE.zip --vkey KEY                 keep key and checkpoint for the next package
Take KEY (one line, name+hash+base64) from its owner over another channel, never from this package.
{levels}
The verifier accounts for every byte of the zip and names each flaw with its place. With --reperform it also
recomputes the findings from the entries, by its own checks. No code is ever loaded from a package.

WITHOUT OUR SOFTWARE
  unzip PACKAGE.zip; sha256sum of any file is in manifest.json
  log/ is a C2SP tlog-tiles log: any tlog client checks it, checkpoint and manifest.note are C2SP signed notes
  an entry's hash is SHA-256(0x00 || entry); log/tile/entries/ holds entries behind 16-bit lengths
  draw a sample again: sort keys by sha256 of NONCE, newline, POPULATION_SHA256, newline, KEY

WHAT IT SHOWS, AND WHAT NOT
It shows that these entries were not changed, left out or put in since the log was signed, and, with
timestamps or a checkpoint that you hold, since then. It does not show that a recorded fact is true, nor
that something never recorded did not happen. Disclosed texts may be personal: treat the package so.
"""


def readme(manifest: Manifest) -> bytes:
    """The text for one package."""
    levels = "\n".join(f"  {name + ':':<17} {says}" for name, says in LEVELS.items())
    title = f"{'PACKAGE OF A SIMULATED LOG' if manifest.label else 'EVIDENCE PACKAGE'} ({FORMAT})"
    label = "CLOCK:   SIMULATED. Times are invented; nothing in here is evidence.\n" if manifest.label else ""
    text = _TEXT.format(
        title=title, rule="=" * len(title), origin=manifest.origin, start=time_text(manifest.period.start),
        end=time_text(manifest.period.end), as_of=manifest.as_of, label=label, levels=levels,
    )  # fmt: skip
    return text.encode()
