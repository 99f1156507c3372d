"""Argument parsing shared by the commands: options everybody takes, errors of our own tree."""

from __future__ import annotations

import argparse
import os
from typing import Any, NoReturn

from affidavit.core.errors import Invalid


class _Formatter(argparse.HelpFormatter):
    """Help at a fixed width: asking for the terminal's would load ``shutil`` and its compressors at every start."""

    def __init__(self, prog: str) -> None:
        columns = os.environ.get("COLUMNS", "")
        super().__init__(prog, width=int(columns) if columns.isdecimal() and len(columns) < 4 else 100)


class Parser(argparse.ArgumentParser):
    """An ``argparse`` parser whose errors are ``Invalid`` (exit code 2, one form for all)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("formatter_class", _Formatter)
        super().__init__(*args, **options)

    def error(self, message: str) -> NoReturn:
        raise Invalid(f"{self.prog}: {message}.", next_step=f"`{self.prog} --help` shows the options.")


def common(*, acting: bool = True) -> Parser:
    """``--workspace``, ``--json`` and, for commands that act, ``--as``."""
    parent = Parser(add_help=False)
    default = os.environ.get("AFFIDAVIT_WORKSPACE", ".")
    parent.add_argument(
        "--workspace", metavar="DIR", default=default, help="folder of the workspace (default: %(default)s)"
    )
    parent.add_argument("--json", action="store_true", help="print one JSON document")
    if acting:
        parent.add_argument(
            "--as", dest="by", metavar="NAME", help="act as this principal (embedded workspace, unproven)"
        )
    return parent


def subparsers(parser: Parser) -> argparse._SubParsersAction[Parser]:
    """The required second word of a command."""
    return parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
