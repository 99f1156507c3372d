"""``affidavit audit``: controls over a period, drills, the evidence package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TextIO

from affidavit.bootstrap import open_workspace
from affidavit.cli import show
from affidavit.cli.parsing import Parser, common, subparsers
from affidavit.core.assessment import finding_row
from affidavit.core.fields import read_time
from affidavit.core.findings import Finding
from affidavit.service.workspace import Workspace


def _parser() -> Parser:
    parser = Parser(prog="affidavit audit", description="Controls as tests over the ledger: management's self-test.")
    verbs = subparsers(parser)
    assess = verbs.add_parser(
        "assess", parents=[common()], help="test the controls over a period; exit 1 on exceptions"
    )
    _period(assess)
    assess.add_argument(
        "--require", choices=["pass"], help="exit 1 unless every control passes (an empty ledger never does)"
    )
    assess.set_defaults(action=_assess)
    drill = verbs.add_parser("drill", parents=[common()], help="play known-bad cases: each must be caught")
    drill.add_argument("control", nargs="*", metavar="CONTROL", help="control ids (default: all)")
    drill.set_defaults(action=_drill)
    controls = verbs.add_parser("controls", parents=[common()], help="the control library with parameters in force")
    controls.set_defaults(action=_controls)
    package = verbs.add_parser("package", parents=[common()], help="write the evidence package of a period")
    package.add_argument("--force", action="store_true", help="replace an existing file")
    _period(package)
    package.add_argument("--out", required=True, metavar="FILE.zip")
    package.add_argument("--nonce", help="the auditor's nonce: samples are chosen with it")
    package.add_argument(
        "--against", metavar="CHECKPOINT", help="a checkpoint the reader holds: proof that it extends the package"
    )
    package.add_argument(
        "--disclose",
        action="append",
        metavar="AREA.FIELD",
        help="private fields to open (default: about systems, data, plans)",
    )
    package.set_defaults(action=_package)
    return parser


def _period(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="start", required=True, metavar="DAY")
    parser.add_argument("--to", dest="end", required=True, metavar="DAY", help="exclusive")
    parser.add_argument("--as-of", type=int, metavar="SIZE", help="the ledger as it stood at this size (default: now)")
    parser.add_argument("--control", action="append", default=[], metavar="ID", help="only this control; repeatable")


def run(_name: str, args: list[str]) -> int:
    """Run one verb; 1 when an assessment found exceptions or a drill was not caught."""
    given = _parser().parse_args(args)
    workspace = open_workspace(given.workspace, by=given.by)
    try:
        code: int = given.action(workspace, given)
        return code
    finally:
        workspace.close()


def _assess(workspace: Workspace, given: argparse.Namespace) -> int:
    workspace.executor.permit(workspace.known(None), "audit.read")
    start, end = read_time(given.start), read_time(given.end)
    findings = workspace.assess(start, end, given.as_of, tuple(given.control))
    if given.json:
        show.print_json([finding_row(f) for f in findings])
    else:
        print(
            f"{workspace.stores.origin}, {given.start} to {given.end}, as of entry {findings[0].as_of if findings else 0}"
        )
        print("management's self-test, not the auditor's test\n")
        for finding in findings:
            print_finding(finding)
    wanted = ("pass",) if given.require else ("pass", "not evaluated", "no population")
    return 0 if all(f.headline in wanted for f in findings) else 1


def print_finding(finding: Finding, out: TextIO | None = None) -> None:
    """One control in a few lines: the result, the population, each exception with its reasons."""
    print("\n".join(finding_lines(finding)), file=out)


def finding_lines(finding: Finding) -> list[str]:
    """What ``audit assess`` prints of a control."""
    lines: list[str] = []
    lines.append(f"{finding.control}  {finding.headline.upper():<14} {finding.title}")
    lines.append(f"    operating: {finding.operating}; design: {finding.design}")
    lines.append(f"    population {finding.n}: {finding.completeness.how}")
    for exception in finding.exceptions:
        lines.append(f"    Exception noted: {exception.item}")
        lines += [f"      {attribute}: {reason}" for attribute, reason in sorted(exception.attributes.items())]
        lines.append(f"      entries {', '.join(map(str, exception.entries))}")
    if finding.operating == "pass":
        lines.append("    No exceptions noted.")
    lines += [f"    not tested: {reason}" for reason in sorted(set(finding.untested.values()))]
    return lines


def _drill(workspace: Workspace, given: argparse.Namespace) -> int:
    records = [workspace.drill(c) for c in given.control or workspace.catalog.controls]
    workspace.publish()
    rows: list[dict[str, Any]] = [
        {"control": r.fact.control, "caught": r.fact.caught, "how": r.fact.how, "entry": r.index} for r in records
    ]
    (show.print_json if given.json else show.print_value)(rows)
    return 0 if all(r.fact.caught for r in records) else 1


def _controls(workspace: Workspace, given: argparse.Namespace) -> int:
    workspace.executor.permit(workspace.known(None), "audit.read")
    rows = [
        {"id": c.id, "area": c.area, "title": c.body["title"], "frequency": c.body["frequency"], "check": c.digest[:19]}
        for c in workspace.catalog.controls.values()
    ]
    (show.print_json if given.json else show.print_value)(rows)
    return 0


def _package(workspace: Workspace, given: argparse.Namespace) -> int:
    from affidavit.bootstrap.packaging import write_package

    workspace.executor.permit(workspace.known(None), "audit.package")
    row = write_package(
        workspace, given.out, read_time(given.start), read_time(given.end), as_of=given.as_of,
        only=tuple(given.control), force=given.force, nonce=given.nonce, timestamps=Path(given.workspace) / "timestamps",
        against=Path(given.against) if given.against else None, disclose=tuple(given.disclose) if given.disclose else None,
    )  # fmt: skip
    (show.print_json if given.json else show.print_value)(row)
    return 0
