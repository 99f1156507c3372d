"""``affidavit demo``."""

from __future__ import annotations

from affidavit.cli.parsing import Parser


def run(_name: str, args: list[str]) -> int:
    """Play the demonstration into a folder; 1 if it did not end with exactly the planted exceptions."""
    from affidavit.demo import story

    parser = Parser(prog="affidavit demo", description="A real model on real data, through a simulated year.")
    parser.add_argument(
        "--dir", default="demo", metavar="DIR", help="folder of the new workspace (default: %(default)s)"
    )
    parser.add_argument("--keep", action="store_true", help="refuse to replace an earlier demonstration")
    given = parser.parse_args(args)
    stage = story.run(given.dir, replace=not given.keep)
    return 0 if len(stage.ids["exceptions"]) == story.PLANTED else 1
