"""The proof of a decision is verified offline; attacks on it are refused by name."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import pytest
from paper_ledger import ORIGIN, PaperLedger, uid
from paper_proof import MODEL, seal

from affidavit.core import canonical
from affidavit.evidence.trust import Trust, enrol, read_enrolled, read_trust
from affidavit.evidence.verify import verify_target
from affidavit.ledger.checkpoint import Checkpoint, sign_checkpoint
from affidavit.ledger.keys import Ed25519Signer
from affidavit.streams.kinds import OUTCOMES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sealed():
    """Five decisions sealed in a published log."""
    return seal(PaperLedger().opened())


@pytest.fixture
def check(tmp_path, sealed):
    """Verifies a proof, its bytes or a JSON value, with the log's key unless told otherwise."""

    def run(proof, **options):
        body = proof if isinstance(proof, bytes) else proof.encode()
        path = tmp_path / "d.proof"
        path.write_bytes(body)
        options.setdefault("vkeys", [sealed.ledger.signer.vkey])
        return verify_target(path, **options)

    return run


def kinds(report):
    return {p.kind for p in report.problems}


def test_a_proof_shows_the_decision_and_nothing_else(sealed, check):
    """Id, time, model, inputs and outputs in words, entry and checkpoint; other rows and salts are not in it."""
    report = check(sealed.proof(3), require="pinned")
    assert (report.ok, report.level, report.kind, report.origin, report.size) == (True, "pinned", "proof", ORIGIN, 4)
    facts = report.facts
    assert facts["state"] == "verified" and facts["decision"] == uid(4)
    assert facts["decided at"] == "2026-01-05T08:00:00.003Z"
    assert (facts["inputs"], facts["outputs"]) == ({"age": 33.5, "job": "nurse"}, {"out": 0.25, "label": 0})
    assert (facts["model artifact"], facts["deployment"]) == ("sha256:" + MODEL.hex(), uid(9))
    assert (facts["entry"], facts["checkpoint size"], facts["row"], facts["adverse"]) == (3, 4, 3, True)
    body = sealed.proof(3).encode()
    for other in (0, 1, 2, 4):
        assert base64.b64encode(sealed.salts[other]) not in body
        assert base64.b64encode(sealed.rows[other])[:-4] not in body
    text = "\n".join(report.lines())
    assert "pinned: verified" in text and "  age: 33.5" in text and "adverse: true" in text
    json.dumps(report.row(), allow_nan=False)


def test_an_erased_row_is_proven_erased(sealed, check):
    """Leaf and erasing entry stand in for the payload; an entry that names other rows does not."""
    entry = sealed.erase(2, 3)
    report = check(sealed.erased(3, entry))
    assert report.ok, report.lines()
    assert report.facts["state"] == "erased" and report.facts["erasing entry"] == entry and "inputs" not in report.facts
    assert check(sealed.proof(1)).facts["state"] == "verified"
    assert kinds(check(sealed.erased(1, entry))) == {"proof"}
    assert kinds(check(replace(sealed.erased(3, entry), erasure=sealed.anchored(0)))) == {"proof"}


def test_a_late_row_is_proven_like_a_decision(sealed, tmp_path):
    """An outcome shows its values by name."""
    late = seal(PaperLedger().opened(), schema=OUTCOMES, decision=bytes(16), value=float("nan"), label="default")
    (tmp_path / "o.proof").write_bytes(late.proof(0).encode())
    report = verify_target(tmp_path / "o.proof", vkeys=[late.ledger.signer.vkey])
    assert report.facts["row of"] == "outcomes" and report.facts["values"]["value"] == "NaN"


def test_a_proof_brings_no_key(sealed, check, tmp_path):
    """Without a key nothing is claimed; an enrolled key pins; another key is refused."""
    bare = check(sealed.proof(0), vkeys=[])
    assert (bare.level, kinds(bare), dict(bare.facts)) == ("none", {"key"}, {})
    other = Ed25519Signer(ORIGIN, bytes(32))
    assert check(sealed.proof(0), vkeys=[other.vkey]).level == "none"
    ledger = sealed.ledger
    enrol(ORIGIN, ledger.signer.vkey, ledger.notes[ledger.size], tmp_path / "enrolled.json")
    known = read_enrolled(tmp_path / "enrolled.json")
    assert check(sealed.proof(0), vkeys=[], enrolled=known, require="pinned").ok
    assert kinds(check(sealed.proof(0), require="anchored")) == {"level"}


def test_another_history_of_an_enrolled_size_is_a_fork(check, sealed, tmp_path):
    """Both were signed by the log's key: the reader is told to keep them."""
    ledger = sealed.ledger
    forked = sign_checkpoint(Checkpoint(ORIGIN, ledger.size, bytes(32)), ledger.signer)
    enrol(ORIGIN, ledger.signer.vkey, forked, tmp_path / "enrolled.json")
    report = check(sealed.proof(0), vkeys=[], enrolled=read_enrolled(tmp_path / "enrolled.json"))
    assert (report.level, kinds(report)) == ("none", {"fork"})


def test_a_witness_line_is_listed_and_a_wanted_witness_is_missed(sealed, check):
    """Lines of unknown keys are named as not authenticated; a policy that asks for witnesses is not met."""
    note = sealed.ledger.notes[sealed.ledger.size]
    witness = Ed25519Signer("witness.example", bytes(range(32)))
    line = sign_checkpoint(Checkpoint("witness.example", 4, bytes(32)), witness).split(b"\n\n")[1]
    sealed.ledger.notes[sealed.ledger.size] = note + line
    report = check(sealed.proof(0))
    assert report.ok and "witness.example" in report.unauthenticated[0]
    key = b"\x04" + bytes(32)
    name = hashlib.sha256(b"witness.example\n" + key).hexdigest()[:8]
    vkey = f"witness.example+{name}+{base64.b64encode(key).decode()}"
    policy = f"log {sealed.ledger.signer.vkey}\nwitness w {vkey}\nquorum w\n".encode()
    assert kinds(check(sealed.proof(0), trust=read_trust(policy))) == {"witness"}


def _set(path, value):
    def change(proof):
        part = proof
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = value

    return change


def _swap(sealed, proof):
    """The row of another decision under this one's place."""
    other = json.loads(sealed.proof(1).encode())
    proof["row"], proof["salt"] = other["row"], other["salt"]


ATTACKS = [
    ("another row", _swap),
    ("another row with its leaf", lambda s, p: (_swap(s, p), p["leaf"].update(hash=json.loads(s.proof(1).encode())["leaf"]["hash"]))),
    ("another index", _set(("leaf", "index"), 0)),
    ("an index beyond the segment", _set(("leaf", "index"), 5)),
    ("a negative index", _set(("leaf", "index"), -1)),
    ("an index that is a truth value", _set(("leaf", "index"), True)),
    ("a path too long", lambda _, p: p["leaf"]["path"].append("A" * 43 + "=")),
    ("a path of 64", lambda _, p: p["leaf"].update(path=["A" * 43 + "="] * 64)),
    ("a path of numbers", _set(("leaf", "path"), [1])),
    ("another place in the batch", _set(("batch", "index"), 0)),
    ("a renamed input", lambda _, p: p["schema"]["columns"][6].__setitem__(0, "in.pay")),
    ("another schema kind", _set(("schema", "kind"), "outcomes")),
    ("a schema of no kind", _set(("schema", "kind"), ["decisions"])),
    ("a schema version that is true", _set(("schema", "v"), True)),
    ("a column of no type", lambda _, p: p["schema"]["columns"][0].__setitem__(1, "u8")),
    ("another deployment in the header", lambda _, p: p["segment"].update(deployment=uid(1))),
    ("another root", _set(("segment", "root"), "sha256:" + "2" * 64)),
    ("more rows than a segment", lambda _, p: p["segment"].update(n=1 << 40, last_seq=(1 << 40) - 1)),
    ("a header of a list", _set(("segment",), [])),
    ("an entry of another kind", lambda s, p: p["sealed"].update(json.loads(replace(s.proof(0), sealed=s.anchored(0)).encode())["sealed"])),
    ("an entry of no JSON", _set(("sealed", "entry"), base64.b64encode(b"\xff").decode())),
    ("no receipt", _set(("sealed", "receipt"), "")),
    ("seventeen timestamps", _set(("sealed", "timestamps"), ["AA=="] * 17)),
    ("a timestamp of a number", _set(("sealed", "timestamps"), [3])),
    ("row without salt", _set(("salt",), None)),
    ("erased without an entry", lambda _, p: p.update(row=None, salt=None)),
    ("erased and there", lambda _, p: p.update(erasure=p["sealed"])),
    ("erased by the sealing entry", lambda _, p: p.update(row=None, salt=None, erasure=p["sealed"])),
    ("text for a row", _set(("row",), "no base64!")),
    ("base64 of another spelling", lambda _, p: p.update(salt=p["salt"][:-2] + "B=")),
    ("a row of a number", _set(("row",), 7)),
    ("another format", _set(("format",), "affidavit.dev/decision-proof/v2")),
    ("a further part", lambda _, p: p.update(note="x")),
    ("a part less", lambda _, p: p.pop("batch")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "attack"), ATTACKS, ids=[a[0] for a in ATTACKS])
def test_an_altered_proof_is_refused(name, attack, sealed, check):
    """Each alteration is named as a problem; nothing is claimed."""
    value = json.loads(sealed.proof(3).encode())
    attack(sealed, value) if attack.__code__.co_argcount == 2 else attack(value)
    report = check(canonical.encode(value) + b"\n")
    assert (report.level, kinds(report), dict(report.facts)) == ("none", {"proof"}, {}), report.lines()
    assert len(report.problems[0].detail) < 600


HOSTILE = [
    ("nothing but a brace", b"{"), ("deep lists", b'{"batch":' + b"[" * 100_000), ("deep maps", b'{"batch":' * 50_000),
    ("an empty map", b"{}"), ("a huge number", b'{"batch":' + b"9" * 10_000 + b"}"), ("NaN", b'{"batch":NaN}'),
    ("a repeated key", b'{"batch":1,"batch":2}'), ("no UTF-8", b'{"\xff\xfe'), ("a lone surrogate", b'{"a":"\\ud800"}'),
]  # fmt: skip


@pytest.mark.parametrize("body", [h[1] for h in HOSTILE], ids=[h[0] for h in HOSTILE])
def test_a_hostile_file_is_a_problem_and_no_crash(body, check):
    """Deep nesting, huge numbers, broken text: one named problem."""
    assert kinds(check(body)) == {"proof"}


def test_a_file_too_large_is_not_read(check, tmp_path, monkeypatch):
    """Beyond the limit nothing is parsed."""
    monkeypatch.setattr("affidavit.streams.proofs.MAX_PROOF", 1000)
    assert "more than 1000 bytes" in check(b"{" + b" " * 2000).problems[0].detail


@pytest.mark.parametrize("erased", [False, True], ids=["verified", "erased"])
def test_no_flipped_byte_changes_what_is_claimed(sealed, check, erased):
    """Every byte of the file, one bit at a time: refused, or the same facts at the same level."""
    proof = sealed.erased(3, sealed.erase(3, 3)) if erased else sealed.proof(3)
    body, held = proof.encode(), None
    held = dict(check(proof).facts)
    survived = 0
    for at in range(len(body)):
        flipped = bytearray(body)
        flipped[at] ^= 1 << (at % 8)
        report = check(bytes(flipped))
        if report.ok:
            survived += 1
            assert (report.level, dict(report.facts)) == ("pinned", held), at
    assert survived <= 2  # the newline at the end, and a receipt's own


def test_a_value_cannot_command_the_terminal(tmp_path):
    """Recorded text with control characters is escaped when a person reads it, and exact as data."""
    nasty = "\x1b[2Jpaid\u202e"
    sealed = seal(PaperLedger().opened(), **{"in.job": nasty, "caller": nasty})
    (tmp_path / "d.proof").write_bytes(sealed.proof(0).encode())
    report = verify_target(tmp_path / "d.proof", vkeys=[sealed.ledger.signer.vkey])
    assert report.facts["inputs"]["job"] == nasty
    assert all(line.isprintable() for line in report.lines())


def test_times_beyond_the_calendar_are_shown_as_milliseconds(tmp_path):
    """A row may hold any 64-bit time."""
    sealed = seal(PaperLedger().opened(), at=2**62)
    (tmp_path / "d.proof").write_bytes(sealed.proof(0).encode())
    assert verify_target(tmp_path / "d.proof", vkeys=[sealed.ledger.signer.vkey]).facts["decided at"] == f"{2**62} ms"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the test authority")
def test_a_timestamp_of_a_trusted_authority_anchors(sealed, check, tmp_path):
    """Anchored under the trusted root; a stamp of another root or another checkpoint is a problem; without roots a note."""
    pytest.importorskip("rfc3161_client")
    spec = importlib.util.spec_from_file_location("authority", ROOT / "tests/ledger/test_timestamps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "house").mkdir()
    (tmp_path / "rival").mkdir()
    house, rival = module.Authority(tmp_path / "house", "House"), module.Authority(tmp_path / "rival", "Rival")
    ledger = sealed.ledger
    stamp = house.stamp(module.make_request(Checkpoint(ORIGIN, ledger.size, ledger.root).body(), 7))
    trusted, other = Trust(tsa_roots=(house.root,)), Trust(tsa_roots=(rival.root,))
    report = check(sealed.proof(0, stamp), trust=trusted, require="anchored")
    assert report.ok and report.level == "anchored" and "saw the checkpoint at" in report.notes[0]
    assert kinds(check(sealed.proof(0, stamp), trust=other)) == {"timestamp"}
    assert check(sealed.proof(0), trust=trusted).level == "pinned"
    bare = check(sealed.proof(0, stamp))
    assert bare.level == "pinned" and "not verified" in bare.notes[0]
    entry = sealed.erase(0, 0)
    half = replace(sealed.erased(0, entry), sealed=sealed.anchored(sealed.entry))
    assert check(half, trust=trusted).level == "pinned"
    assert kinds(check(replace(half, erasure=sealed.anchored(entry, stamp)), trust=trusted)) == {"timestamp"}


BLOCKED = ("numpy", "pyarrow", "yaml", "lightgbm", "sqlite3", "fastapi", "sklearn", "scipy", "pandas")
HOOK = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {BLOCKED} or name.startswith(('affidavit.areas', 'affidavit.service', 'affidavit.store', 'affidavit.bootstrap')):
            raise ImportError('blocked: ' + name)
sys.meta_path.insert(0, Block())
from affidavit.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_the_command_line_verifies_with_the_core_install(sealed, tmp_path):
    """``affidavit verify FILE.proof``: exit codes, ``--json``, the level asked for; no area, no numpy, no YAML."""
    proof = tmp_path / "decision.proof"
    proof.write_bytes(sealed.proof(3).encode())

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", HOOK, "verify", str(proof), *args], capture_output=True, text=True, check=False)  # fmt: skip

    key = ("--vkey", sealed.ledger.signer.vkey)
    plain = run(*key)
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.startswith("pinned: verified") and uid(4) in plain.stdout
    assert json.loads(run(*key, "--json").stdout)["facts"]["inputs"] == {"age": 33.5, "job": "nurse"}
    assert (run().returncode, run(*key, "--require", "anchored").returncode) == (3, 3)


@pytest.mark.slow
@pytest.mark.net
def test_a_fresh_environment_verifies(sealed, tmp_path):
    """Only the package and cryptography are there."""
    proof = tmp_path / "decision.proof"
    proof.write_bytes(sealed.proof(3).encode())
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    packages = tmp_path / "packages"
    shutil.copytree(
        ROOT / "src" / "affidavit",
        packages / "affidavit",
        ignore=shutil.ignore_patterns("areas", "service", "demo", "api"),
    )
    for name in ("cryptography", "cffi", "pycparser", "_cffi_backend"):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin) if spec and spec.origin else None
        if origin is None:
            continue
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, packages / name)
        else:
            shutil.copy(origin, packages)
    done = subprocess.run(
        [str(python), "-m", "affidavit.cli.main", "verify", str(proof), "--vkey", sealed.ledger.signer.vkey],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": str(packages), "AFFIDAVIT_STATE": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pinned: verified")
