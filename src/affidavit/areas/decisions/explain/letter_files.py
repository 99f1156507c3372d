"""A letter as a file: HTML that needs nothing else, PDF set by Typst (PDF/A-2a and PDF/UA-1, the same bytes each time)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from html import escape
from importlib import resources
from typing import Any

from affidavit.areas.decisions.explain.letter import Letter, Reason
from affidavit.core.errors import Invalid

_STYLE = """
body{font:17px/1.6 Georgia,"Times New Roman",serif;color:#1a1a1a;background:#fff;max-width:40rem;margin:3rem auto;padding:0 1.2rem}
h1{font-size:1.6rem;line-height:1.3;margin:1.6rem 0 1rem}h2{font-size:1.12rem;margin:2rem 0 .6rem}p{margin:.6rem 0}
header{display:flex;justify-content:space-between;flex-wrap:wrap;gap:.3rem 2rem}.soft,footer{color:#555}.soft{font-size:.85rem}
ol,ul{list-style:none;padding:0;margin:0}li{display:flex;justify-content:space-between;gap:1.5rem;padding:.35rem 0}
li em{color:#555;white-space:nowrap}
table{border-collapse:collapse;width:100%}td,th{padding:.35rem 0;border-bottom:1px solid #ccc;text-align:left;font-weight:normal;vertical-align:top}
thead th{font-weight:bold}td,thead th:last-child{text-align:right}.box{background:#eef3f6;border-radius:.2rem;padding:.8rem 1rem;white-space:pre-line}
.bar{background:#f4f1e8;border-left:4px solid #8f1d14;color:#8f1d14;font-weight:bold;padding:.6rem 1rem}
footer{font-size:.75rem;border-top:1px solid #ccc;margin-top:2rem;padding-top:.6rem;overflow-wrap:anywhere}footer p{margin:.2rem 0}
@media print{body{margin:0;max-width:none;font-size:12pt}h2{break-after:avoid}li,tr{break-inside:avoid}}
"""


def html(letter: Letter) -> bytes:
    """One page; every word is escaped, no script, nothing from elsewhere."""
    e = escape
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{e(letter.title)}</title>'
        f"<style>{_STYLE}</style>"
    )
    rows = "".join(f'<tr><th scope="row">{e(name)}</th><td>{e(value)}</td></tr>' for name, value in letter.data)
    none = "<p>The details together led to the outcome; none of them alone did.</p>"
    parts = [
        f'<p class="bar">{e(letter.simulated)}</p>' if letter.simulated else "",
        f"<p><strong>{e(letter.sender)}</strong></p>" if letter.sender else "",
        f'<header><span>{e(letter.date)}</span><span class="soft">Reference {e(letter.reference)}</span></header>',
        f"<h1>{e(letter.title)}</h1>", _paragraphs(letter.opening),
        f"<h2>{e(letter.reasons_title)}</h2>", _reasons("ol", letter.reasons) if letter.reasons else none,
        f"<h2>{e(letter.others_title)}</h2>{_reasons('ul', letter.others)}" if letter.others else "",
        "<h2>If you disagree</h2>", _paragraphs(letter.contest), f'<p class="box">{e(letter.contact)}</p>',
        "<h2>The details that were used</h2>", _paragraphs((letter.data_intro,)),
        f'<table><thead><tr><th scope="col">Detail</th><th scope="col">Value</th></tr></thead><tbody>{rows}</tbody></table>',
        "<h2>How the decision was made</h2>", _paragraphs((*letter.made, letter.responsible)),
        f"<footer>{_paragraphs(f'{name}: {value}' for name, value in letter.small)}</footer>",
    ]  # fmt: skip
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'.encode()


def _paragraphs(lines: Iterable[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _reasons(kind: str, reasons: tuple[Reason, ...]) -> str:
    lines = "".join(
        f"<li><span><strong>{escape(r.detail)}:</strong> {escape(r.value)}</span><em>{escape(r.weight)}</em></li>"
        for r in reasons
    )
    return f"<{kind}>{lines}</{kind}>"


def pdf(letter: Letter, written: datetime) -> bytes:
    """The letter on A4. ``written`` is the date in the file; no clock and no font of the machine enters."""
    try:
        import typst
    except ImportError:
        raise Invalid(
            "a PDF needs typst, which is not installed.", next_step="pip install affidavit[reports], or ask for html."
        ) from None
    template = resources.files(__package__).joinpath("letter.typ").read_bytes()
    inputs: dict[str, Any] = {"letter": json.dumps(letter.value()), "year": str(written.year), "month": str(written.month),
                              "day": str(written.day)}  # fmt: skip
    made: bytes = typst.compile(
        template, format="pdf", sys_inputs=inputs, pdf_standards=["a-2a", "ua-1"], ignore_system_fonts=True,
        timestamp=int(written.timestamp()),
    )  # fmt: skip
    return made
