"""The import contracts, the purity of pure files and the size caps; each contract is shown to bite."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "affidavit"
PURE_NAMES = {"events.py", "commands.py", "rules.py", "view.py", "maths.py"}
PURE = sorted(
    [
        p
        for p in SRC.rglob("*.py")
        if p.name in PURE_NAMES or p.name.startswith(("rules_", "view_")) or p.parent.name == "checks"
    ]
    + list((SRC / "core").glob("*.py"))
    + list((SRC / "ledger").glob("*.py"))
)
IO_MODULES = {
    "os",
    "io",
    "pathlib",
    "sqlite3",
    "socket",
    "subprocess",
    "shutil",
    "tempfile",
    "urllib",
    "http",
    "random",
    "secrets",
    "time",
    "uuid",
}
IO_ALLOWED = {"core/ports.py": {"pathlib"}, "core/area.py": {"pathlib"}}
BANNED_CALLS = {"now", "utcnow", "today", "time", "monotonic", "uuid4", "uuid7", "urandom", "token_bytes", "open"}


def impurities(source: str, allowed: frozenset[str] = frozenset()) -> list[str]:
    """Imports of IO modules, and calls of clocks, draws and ``open``, in a file's source."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in IO_MODULES - allowed]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in IO_MODULES - allowed:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            owner = getattr(getattr(node.func, "value", None), "id", "")
            if (
                name in BANNED_CALLS
                and owner in ("", "datetime", "date", "time", "uuid", "os", "secrets")
                and not (name == "time" and not owner)
            ):
                found.append(f"{owner}.{name}()")
    return found


@pytest.mark.parametrize("path", PURE, ids=lambda p: str(p.relative_to(SRC)))
def test_pure_files_know_no_clock_no_draw_and_no_io(path):
    """Facts, commands, rules, views, checks, core and ledger formats are functions of their arguments."""
    allowed = frozenset(IO_ALLOWED.get(path.relative_to(SRC).as_posix(), set()))
    assert impurities(path.read_text(), allowed) == []


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from random import random",
        "x = datetime.now()",
        "x = open('f')",
        "import sqlite3",
        "x = uuid.uuid4()",
    ],
)
def test_the_purity_test_bites(line):
    """Each impure line is found."""
    assert impurities(line)


OFFENDERS = [
    ("core/offender.py", "import affidavit.ledger.merkle", "layers"),
    ("areas/offender.py", "import affidavit.service.views", "layers"),
    ("service/offender.py", "import affidavit.cli.show", "layers"),
    ("evidence/offender.py", "import affidavit.service.views", "layers"),
    ("api/offender.py", "import affidavit.store.sqlite", "concrete stores"),
    ("areas/access/offender.py", "import affidavit.areas.lineage.events", "declared order"),
    ("areas/registry/offender.py", "import affidavit.areas.lineage.rules", "of lineage others read"),
    ("areas/incidents/offender.py", "import affidavit.areas.access.view", "of access others read"),
    ("ledger/offender.py", "import yaml", "cryptography alone"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("file", "line", "contract"), OFFENDERS, ids=[o[0] + " " + o[2] for o in OFFENDERS])
def test_each_import_contract_bites(tmp_path, file, line, contract):
    """A copy of the project with one offending import breaks exactly that contract."""
    shutil.copytree(SRC, tmp_path / "src" / "affidavit", ignore=shutil.ignore_patterns("__pycache__", "data"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "src" / "affidavit" / file).write_text(line + "\n")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "src"), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    broken = [text for text in done.stdout.splitlines() if "BROKEN" in text]
    assert done.returncode != 0, done.stdout
    assert any(contract in text for text in broken), done.stdout


def test_the_contracts_hold():
    """The project keeps its own import contracts."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_files_and_functions_keep_their_size():
    """Files have at most 400 lines (tests 600), functions 60."""
    long = []
    for path in [
        *SRC.rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
        *(ROOT / "bench").rglob("*.py"),
        *(ROOT / "scripts").rglob("*.py"),
    ]:
        text = path.read_text()
        cap = 600 if "tests" in path.parts else 400
        if text.count("\n") > cap:
            long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
                and (node.end_lineno or 0) - node.lineno + 1 > 60
            ):
                long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert long == []


def code_lines(path: Path) -> int:
    """Lines that hold code: no blanks, comments or docstrings."""
    text = path.read_text()
    prose = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = text.splitlines()
    return sum(
        1 for n, line in enumerate(lines, 1) if n not in prose and line.strip() and not line.strip().startswith("#")
    )


def test_core_stays_small():
    """The words all areas share fit in 1,500 lines of code."""
    assert sum(code_lines(p) for p in (SRC / "core").glob("*.py")) <= 1500


def test_importing_an_area_loads_no_numpy():
    """An AREA declares; it computes nothing."""
    code = "import sys; from affidavit.areas.catalog import catalog; catalog(); assert not {'numpy', 'pyarrow', 'lightgbm'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_and_verify_load_next_to_nothing():
    """``--help`` and ``verify`` import no areas, no YAML, no analytics, no SQLite."""
    code = (
        "import sys; from affidavit.cli.main import main; main(['--help']);"
        "assert not [m for m in sys.modules if m.startswith(('affidavit.areas.', 'yaml', 'numpy', 'sqlite3'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
