"""The documentation is checked: examples run, commands exist, settings are told."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from affidavit.cli import main as cli
from affidavit.core.errors import AffidavitError

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    """The README's ten lines run as they stand."""
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(README, "python")
    exec(compile(code, "README.md", "exec"), {})
    assert "entries;" in capsys.readouterr().out


COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for page in PAGES
        for block in blocks(page.read_text(), "")
        for line in block.splitlines()
        if "affidavit " in line
    }
    | {c for page in PAGES for c in re.findall(r"`(affidavit [a-z][^`]*)`", page.read_text())}
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_named_in_the_docs_exists(command, capsys):
    """``affidavit AREA VERB`` of any page is known to the command line, and has a help text."""
    words = shlex.split(command.split("affidavit ", 1)[1].replace("…", "").replace("|", " "))
    first = words[0] if words else ""
    assert first in {**cli.COMMANDS, **cli.AREAS, "COMMAND": 1, "AREA": 1, "--help": 1, "--version": 1, "HTTP": 1}, (
        command
    )
    verb = words[1] if len(words) > 1 else ""
    if (first in cli.AREAS or first in ("log", "audit")) and re.fullmatch(r"[a-z][a-z-]+", verb):
        with pytest.raises(SystemExit) as stop:
            cli.main([first, verb, "--help"])
        assert stop.value.code == 0
    capsys.readouterr()


@pytest.mark.parametrize("name", [*cli.AREAS, "log", "audit", "init", "doctor", "verify", "demo", "serve"])
def test_every_command_explains_itself(name, capsys):
    """``--help`` of each command says what it is for."""
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    assert len(capsys.readouterr().out) > 80


def test_every_setting_is_documented():
    """What ``affidavit.toml`` may hold and what the environment may say stands in the reference."""
    page = (ROOT / "docs/reference/settings.md").read_text()
    for name in (
        "format",
        "origin",
        "head.folder",
        "timestamps.url",
        "timestamps.roots",
        "AFFIDAVIT_WORKSPACE",
        "AFFIDAVIT_KEY",
        "AFFIDAVIT_STATE",
    ):
        assert f"`{name}`" in page


WORDS = re.compile(r"\b(compliant|certified|auditor-ready)\b", re.IGNORECASE)


def test_no_page_claims_what_only_others_can_say():
    """The words of an opinion stand only where they are denied."""
    for page in [*PAGES, *(ROOT / "src").rglob("*.py"), *(ROOT / "src").rglob("*.yaml")]:
        assert not WORDS.search(page.read_text()), page


def test_links_between_pages_lead_somewhere():
    """Relative links of the documentation exist."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_errors_at_the_command_line_say_what_to_do_next(capsys):
    """A mistyped command is exit 2 with a next step; with --json it is one JSON document."""
    import json

    assert cli.main(["fly"]) == 2
    assert "next:" in capsys.readouterr().err
    assert cli.main(["access", "fly", "--json"]) == 2
    body = json.loads(capsys.readouterr().err)
    assert body["error"] == "Invalid" and body["next"]
    assert issubclass(AffidavitError, Exception)
