"""One line per attack: what was done to a package, and what the verifier says of it."""

from __future__ import annotations

import io
import struct
import zipfile
from datetime import timedelta

import pytest
from paper_ledger import NAME, PaperLedger, person, seeded, small, uid
from remake import files_of, remade, swap, zip_of

from affidavit.areas.access.events import GrantApproved
from affidavit.core import canonical
from affidavit.core.commitment import commit
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, NotFound
from affidavit.core.ledger_facts import LedgerOpened
from affidavit.evidence.verify import verify_package
from affidavit.evidence.zipform import END
from affidavit.ledger.keys import Ed25519Signer

KEY = Ed25519Signer("example.org/risk", seeded("log"))
THIEF = Ed25519Signer("example.org/risk", seeded("thief"))
OTHER = Ed25519Signer("example.org/other", seeded("other"))


@pytest.fixture(scope="module")
def package(request) -> bytes:
    from paper_ledger import PERIOD

    from affidavit.evidence.package import Options, write_package

    out = io.BytesIO()
    write_package(out, small().source(), Options(PERIOD, nonce="auditor-1", disclose=("access.*",)))
    return out.getvalue()


def check(body: bytes, **kw):
    return verify_package(io.BytesIO(body), **kw)


def drop(name):
    return lambda files: files.pop(name)


def put(name, body):
    return lambda files: files.__setitem__(name, body)


def text(name, old, new):
    return lambda files: swap(files, name, old, new)


def exchange(one, other):
    return lambda files: files.update({one: files[other], other: files[one]})


def disclosure(change):
    def edit(files):
        body = canonical.decode(files["disclosures.json"])
        change(body)
        files["disclosures.json"] = canonical.encode(body)

    return edit


def finding(change):
    def edit(files):
        body = canonical.decode(files["findings.json"])
        change(body["findings"][0])
        files["findings.json"] = canonical.encode(body)

    return edit


def forged_text(body):
    line = next(o for o in body["opened"] if o["text"] == NAME)
    line["text"] = "Somebody Else"


def clean(row):
    """Every deviation becomes a pass, consistently within findings.json."""
    for outcomes in row["grid"].values():
        for o in outcomes.values():
            o.update(outcome="pass", reason="")
    row.update(exceptions=[], untested={}, operating="pass", headline="pass")


# Without any key: the manifest is not touched, so a digest or a signature tells.
PLAIN = [
    ("a file is edited", text("README.txt", b"offline", b"online "), "digest", "README.txt"),
    ("a file is lengthened", put("report.html", b"<p>No exceptions noted.</p>"), "digest", "report.html"),
    ("two files are swapped", exchange("populations/AI-99.1.csv", "samples/AI-99.1.csv"), "digest", "samples/AI-99.1.csv"),
    ("an entry is edited", text("log/tile/entries/000.p/20", b"admin", b"adult"), "entry", "log/tile/entries/000.p/20"),
    ("a tile is edited", lambda f: put("log/tile/0/000.p/20", f["log/tile/0/000.p/20"][:-1] + b"x")(f), "tile", "log/tile/0/000.p/20"),
    ("a tile is missing", drop("log/tile/0/000.p/20"), "missing", "log/tile/0/000.p/20"),
    ("the checkpoint is missing", drop("log/checkpoint"), "missing", "log/checkpoint"),
    ("a population is missing", drop("populations/AI-99.1.csv"), "missing", "populations/AI-99.1.csv"),
    ("the manifest is missing", drop("manifest.json"), "manifest", "manifest.json"),
    ("the note is missing", drop("manifest.note"), "missing", "manifest.note"),
    ("the key is missing", drop("log.vkey"), "missing", "log.vkey"),
    ("the key is another", put("log.vkey", (THIEF.vkey + "\n").encode()), "manifest", "manifest.note"),
    ("the key has a second line", lambda f: put("log.vkey", f["log.vkey"] * 2)(f), "manifest", "log.vkey"),
    ("the manifest is edited", text("manifest.json", b"0.1.0", b"0.1.1"), "manifest", "manifest.json"),
    ("the manifest is no JSON", put("manifest.json", b"{"), "manifest", "manifest.json"),
    ("the manifest is deep JSON", put("manifest.json", b"[" * 100_000), "manifest", "manifest.json"),
    ("the manifest is a list", put("manifest.json", b"[]"), "manifest", "manifest.json"),
    ("the note is unsigned text", put("manifest.note", b"trust me\n"), "manifest", "manifest.note"),
    ("the note has a line by a stranger", lambda f: put("manifest.note", f["manifest.note"] + OTHER.sign(b"x\n"))(f), "manifest", "manifest.note"),
    ("the note has the same line twice", lambda f: put("manifest.note", f["manifest.note"] + f["manifest.note"].split(b"\n\n")[1])(f), "manifest", "manifest.note"),
    ("the checkpoint is of 10 MB", put("log/checkpoint", b"a" * 10_000_000), "checkpoint", "log/checkpoint"),
    ("a file nobody lists", put("manifest2.json", b"{}"), "unexpected", "'manifest2.json'"),
    ("a listed kind of file nobody lists", put("keys/0001.note", b"x"), "unexpected", "keys/0001.note"),
    ("a timestamp of a size with zeros", put("timestamps/007.tsr", b"x"), "archive", "'timestamps/007.tsr'"),
    ("a timestamp of 2 MB", put("timestamps/7.tsr", b"x" * 2_000_000), "timestamp", "timestamps"),
    ("a bundle of 20 MB", put("log/tile/entries/000.p/20", b"x" * 20_000_000), "log", "log"),
    ("a path out of the folder", put("../../etc/passwd", b"x"), "archive", "'../../etc/passwd'"),
    ("an absolute path", put("/etc/passwd", b"x"), "archive", "'/etc/passwd'"),
    ("a backslash path", put("log\\checkpoint", b"x"), "archive", "'log\\\\checkpoint'"),
    ("a tile path with dots", put("log/tile/../checkpoint", b"x"), "archive", "'log/tile/../checkpoint'"),
    ("the members in another order", lambda f: f.update({"README.txt": f.pop("README.txt")}), "archive", ""),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "kind", "place"), [a[1:] for a in PLAIN], ids=[a[0] for a in PLAIN])
def test_an_edit_without_the_key_is_found_and_named(package, edit, kind, place):
    """The level falls to none and the place is named."""
    report = check(remade(package, edit))
    assert (kind, place) in {(p.kind, p.path) for p in report.problems}, report.lines()
    assert report.level == "none"
    assert not report.ok


# With the log's own key: the operator lies consistently up to the manifest, and the entries contradict.
OPERATOR = [
    ("a disclosed text is forged", disclosure(forged_text), "disclosure", "disclosures.json"),
    ("a disclosure moves to another entry", disclosure(lambda b: b["opened"][0].update(entry=4)), "disclosure", "disclosures.json"),
    ("a disclosure names another field", disclosure(lambda b: b["opened"][0].update(field="motto")), "disclosure", "disclosures.json"),
    ("a key of the wrong length", disclosure(lambda b: b["opened"][0].update(key="AAAA")), "disclosure", "disclosures.json"),
    ("a disclosure is dropped", disclosure(lambda b: b["opened"].pop()), "disclosure", "disclosures.json"),
    ("the disclosures are off form", put("disclosures.json", b"{}"), "disclosure", "disclosures.json"),
    ("the disclosures are a number", put("disclosures.json", b"7"), "disclosure", "disclosures.json"),
    ("a population loses a line", lambda f: put("populations/AI-99.1.csv", b"\n".join(f["populations/AI-99.1.csv"].split(b"\n")[:-2]) + b"\n")(f), "population", "populations/AI-99.1.csv"),
    ("a population is re-spelled", text("populations/AI-99.1.csv", b"\n0000", b'\n"0000'), "population", "populations/AI-99.1.csv"),
    ("a planted item becomes real", text("populations/AI-99.1.csv", b",yes\n", b",no\n"), "population", "populations/AI-99.1.csv"),
    ("the query is another", text("populations/AI-99.1.json", b"Every grant", b"Some grants"), "population", "populations/AI-99.1.json"),
    ("the sample is another", text("samples/AI-99.1.csv", b"1,", b"2,"), "sample", "samples/AI-99.1.json"),
    ("the nonce is another", text("samples/AI-99.1.json", b"auditor-1", b"auditor-2"), "sample", "samples/AI-99.1.json"),
    ("the sample says nothing", put("samples/AI-99.1.json", b"{}"), "sample", "samples/AI-99.1.json"),
    ("a log seed is passed off", lambda f: put("samples/AI-99.2.json", f["samples/AI-99.2.json"].replace(b"auditor-1", b"a" * 64).replace(b'"method":"nonce"', b'"method":"log"').replace(b"seeded by the auditor's nonce", b"selectable by management: the seed comes from the log alone"))(f), "sample", "samples/AI-99.2.json"),
    ("a result is another", text("results/AI-99.1.csv", b",deviation,", b",pass,"), "results", "results/AI-99.1.csv"),
    ("an exception is dropped", finding(lambda r: r["exceptions"].pop()), "finding", "findings.json"),
    ("an exception is turned to pass", finding(lambda r: r.update(operating="pass", headline="pass")), "finding", "findings.json"),
    ("an untested attribute is hidden", finding(lambda r: r.update(untested={})), "finding", "findings.json"),
    ("the count is another", finding(lambda r: r["population"].update(n=7)), "finding", "findings.json"),
    ("the findings are of another control", finding(lambda r: r.update(control="AI-99.3")), "finding", "findings.json"),
    ("the findings are off form", put("findings.json", b'{"findings":[{}]}'), "finding", "findings.json"),
    ("the findings are null", put("findings.json", b"null"), "finding", "findings.json"),
    ("a finding has no grid", finding(lambda r: r.pop("grid")), "population", "populations/AI-99.1.csv"),
    ("another check is claimed", text("controls.json", b'"check_digest":"sha256:', b'"check_digest":"sha256:0'), "finding", "controls.json"),
    ("an attachment is replaced", lambda f: put(next(n for n in f if n.startswith("attachments")), b"version: 2\n")(f), "attachment", None),
    ("an attachment is left out", lambda f: f.pop(next(n for n in f if n.startswith("attachments"))), "missing", None),
    ("an attachment nobody names", put("attachments/sha256/" + "0" * 64, b"x"), "unexpected", "attachments/sha256/" + "0" * 64),
    ("an entry is edited", text("log/tile/entries/000.p/20", b"admin", b"adult"), "entry", "log/tile/entries/000.p/20"),
    ("a key change nobody recorded", put("keys/0001.note", b"x"), "succession", "keys"),
    ("a timestamp of no size of this log", put("timestamps/99.tsr", b"x"), None, None),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "kind", "place"), [a[1:] for a in OPERATOR], ids=[a[0] for a in OPERATOR])
def test_an_edit_with_the_key_is_contradicted_by_the_entries(package, edit, kind, place):
    """The signature holds; what the signed entries say does not."""
    report = check(remade(package, edit, KEY), vkeys=[KEY.vkey])
    if kind is None:
        assert any("not verified" in note for note in report.notes)
        return
    assert any(p.kind == kind and place in (p.path, None) for p in report.problems), report.lines()
    assert not report.ok


FIELDS = [
    ("another origin", {"origin": "example.org/other"}, "manifest"),
    ("another size", {"as_of": 19}, "checkpoint"),
    ("another clock", {"clock": "simulated"}, "manifest"),
    ("simulated label dropped or added", {"label": "simulated"}, "manifest"),
    ("a withheld attachment nobody names", {"withheld": [{"digest": "sha256:" + "0" * 64, "bytes": 1, "type": "a/b", "kind": "x", "entry": 0, "why": "class"}]}, "withheld"),
    ("a control without finding", {"controls": ["AI-99.1", "AI-99.2", "AI-99.3"]}, "finding"),
    ("another period", {"period": {"start": "2026-01-01T00:00:00.000Z", "end": "2026-03-01T00:00:00.000Z"}}, "finding"),
    ("an unknown field", {"opinion": "unmodified"}, "manifest"),
    ("the levels in other words", {"levels": {"self-consistent": "proof of everything"}}, "manifest"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "kind"), [f[1:] for f in FIELDS], ids=[f[0] for f in FIELDS])
def test_a_manifest_that_lies_is_contradicted(package, fields, kind):
    """Each field of the manifest that can be checked is."""
    report = check(remade(package, lambda files: None, KEY, **fields))
    assert kind in {p.kind for p in report.problems}, report.lines()


def test_an_unknown_version_is_said_clearly_and_once(package):
    """A later format is not called damaged."""
    report = check(remade(package, lambda files: None, KEY, format="affidavit.dev/package/v2"))
    assert [(p.kind, p.path) for p in report.problems] == [("version", "manifest.json")]
    assert "affidavit.dev/package/v1" in report.problems[0].detail


def test_findings_cleaned_consistently_are_left_to_reperformance(package):
    """Whoever holds the key can sign a lie that agrees with itself: the verdict says whose word findings are."""

    def edit(files):
        finding(clean)(files)
        from affidavit.evidence.tables import results_csv

        files["results/AI-99.1.csv"] = results_csv(canonical.decode(files["findings.json"])["findings"][0]["grid"])

    report = check(remade(package, edit, KEY))
    assert report.ok or {p.kind for p in report.problems} == {"finding"}
    assert any("reperform" in note for note in report.notes)


# The zip itself.


def raw(package: bytes, at: int, body: bytes) -> bytes:
    return package[:at] + body + package[at + len(body) :]


def inserted(package: bytes, at: int, body: bytes) -> bytes:
    return package[:at] + body + package[at:]


def end_of(package: bytes) -> int:
    return len(package) - END.size


def directory(package: bytes) -> int:
    return struct.unpack("<L", package[end_of(package) + 16 : end_of(package) + 20])[0]


def compressed(package: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, body in files_of(package).items():
            z.writestr(name, body)
    return out.getvalue()


def rewritten(package: bytes, **kw) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, body in files_of(package).items():
            info = zipfile.ZipInfo(name)
            for key, value in kw.items():
                setattr(info, key, value)
            z.writestr(info, body)
    return out.getvalue()


def bomb(_package: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("manifest.json", b"0" * 50_000_000)
    return out.getvalue()


def twice(package: bytes) -> bytes:
    files = list(files_of(package).items())
    from affidavit.evidence.archive import ZipWriter

    out = io.BytesIO()
    writer = ZipWriter(out)
    for name, body in [*files, ("findings.json", b"{}")]:
        writer._names.discard(name)
        writer.add(name, body)
    writer.close()
    return out.getvalue()


def zip64(package: bytes) -> bytes:
    """Sizes moved into a zip64 extra field of the first member."""
    extra = struct.pack("<HHQQ", 1, 16, 5, 5)
    body = raw(package, 18, b"\xff\xff\xff\xff\xff\xff\xff\xff")
    body = raw(body, 28, struct.pack("<H", len(extra)))
    name = struct.unpack("<H", package[26:28])[0]
    return inserted(body, 30 + name, extra)


def overlapping(package: bytes) -> bytes:
    """Every record of the directory points at the first member, whose chain is cut."""
    body = bytearray(package)
    body[0] = 0
    place = directory(package)
    while body[place : place + 4] == b"PK\x01\x02":
        name = struct.unpack("<H", body[place + 28 : place + 30])[0]
        body[place + 24 : place + 28] = struct.pack("<L", len(package) - 100)
        body[place + 42 : place + 46] = struct.pack("<L", 0)
        place += 46 + name
    return bytes(body)


ZIPS = [
    ("trailing garbage", lambda p: p + b"x"),
    ("leading garbage", lambda p: b"x" + p),
    ("a second zip behind it", lambda p: p + p),
    ("a comment", lambda p: raw(p, len(p) - 2, b"\x01\x00") + b"c"),
    ("garbage before the directory", lambda p: inserted(p, directory(p), b"x")),
    ("garbage after the directory", lambda p: inserted(p, end_of(p), b"x")),
    ("garbage between two members", lambda p: inserted(p, 30 + 10 + len(files_of(p)["README.txt"]), b"x")),
    ("a truncated end", lambda p: p[:-1]),
    ("half of it", lambda p: p[: len(p) // 2]),
    ("only the end record", lambda p: p[-22:]),
    ("an empty zip", lambda p: END.pack(b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0)),
    ("nothing", lambda p: b""),
    ("no zip", lambda p: b"\x00" * 5000),
    ("a duplicate name", twice),
    ("compressed members", compressed),
    ("a bomb", bomb),
    ("other times", lambda p: rewritten(p, date_time=(2026, 1, 1, 0, 0, 0))),
    ("a symlink", lambda p: rewritten(p, external_attr=0o120777 << 16, date_time=(1980, 1, 1, 0, 0, 0))),
    ("an encryption flag", lambda p: raw(p, 6, b"\x01")),
    ("a data descriptor flag", lambda p: raw(p, 6, b"\x08")),
    ("extra fields", lambda p: rewritten(p, extra=b"\x01\x00\x00\x00")),
    ("zip64 sizes", zip64),
    ("a zip64 locator before the end", lambda p: inserted(p, end_of(p), b"PK\x06\x07" + b"\0" * 16)),
    ("another disk", lambda p: raw(p, end_of(p) + 4, b"\x01\x00")),
    ("a wrong count", lambda p: raw(p, end_of(p) + 8, b"\x01\x00\x01\x00")),
    ("names differ between header and directory", lambda p: raw(p, 30, b"README.md_")),
    ("a name with NUL", lambda p: raw(p, 30, b"README\x00txt")),
    ("overlapping members", overlapping),
]  # fmt: skip


@pytest.mark.parametrize("attack", [z[1] for z in ZIPS], ids=[z[0] for z in ZIPS])
def test_a_zip_of_another_form_is_found(package, attack):
    """Whatever is not the one form of a package is a problem of the archive, without a traceback."""
    report = check(attack(package))
    assert report.level == "none"
    assert any(p.kind == "archive" for p in report.problems), report.lines()


def test_no_such_file_is_not_found(tmp_path):
    """An error of our own tree."""
    with pytest.raises(NotFound):
        verify_package(tmp_path / "none.zip")


def test_a_bad_key_or_level_is_bad_input(package):
    """The caller's mistakes are no problem of the package."""
    with pytest.raises(Invalid):
        check(package, vkeys=["nonsense"])
    with pytest.raises(Invalid):
        check(package, require="certain")


# What the entries of a log may not do, whoever signs it.


def grant(ledger: PaperLedger, number: int, **overrides) -> None:
    refs = (f"principal:{person(number)}", f"grant:{uid(number)}")
    ledger.command(Draft(GrantApproved(uid(number), person(number), "admin", "production"), refs), **overrides)


def opening(ledger: PaperLedger) -> None:
    fact = LedgerOpened("system", "0.1.0", ledger.signer.vkey, ledger.recovery.vkey, ledger.signer.vkey)
    ledger.command(Draft(fact, ("ledger:log",)))


def two(ledger: PaperLedger, **change) -> None:
    """A command of two parts whose second differs from the first."""
    from dataclasses import replace

    from affidavit.core import envelope

    refs = (f"principal:{person(30)}",)
    first = len(ledger.bodies)
    ledger.command(*(Draft(GrantApproved(uid(n), person(30), "admin", "production"), refs) for n in (30, 31)))
    raw = envelope.split(ledger.bodies[first + 1])
    cmd = replace(raw.head.cmd, **change)
    ledger.bodies[first + 1] = envelope.encode(
        replace(raw.head, cmd=cmd), envelope.decode(0, ledger.bodies[first + 1]).fact
    )
    grant(ledger, 32)


CONTENT = [
    ("a number of a stream is left out", lambda g: grant(g, 20, seq=2), "sequence"),
    ("a number of a stream is used twice", lambda g: (grant(g, 20), grant(g, 21, stream=f"principal:{person(20)}", seq=0)), "sequence"),
    ("an entry of another log", lambda g: grant(g, 20, log="example.org/other"), "entry"),
    ("a cause in the future", lambda g: grant(g, 20, cause=99), "cause"),
    ("its own cause", lambda g: grant(g, 20, cause=3), "cause"),
    ("a step back in time", lambda g: (grant(g, 20), grant(g, 21, at=g.at - timedelta(minutes=1))), "time"),
    ("a command that occurs twice", lambda g: (grant(g, 20), setattr(g, "commands", g.commands - 1), grant(g, 21)), "command"),
    ("a second opening", opening, "entry"),
    ("a part with another digest", lambda g: two(g, digest="sha256:" + "0" * 64), "command"),
    ("a part with another id", lambda g: two(g, id=uid(777)), "command"),
    ("a part that is out of order", lambda g: two(g, part=1), "command"),
    ("an entry off form", lambda g: g.bodies.append(b'{"data": {}}'), None),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "kind"), [c[1:] for c in CONTENT], ids=[c[0] for c in CONTENT])
def test_an_entry_that_breaks_the_rules_of_a_log_is_named(pack, plant, kind):
    """The log is signed by the right key, and still its entry is a flaw with its index."""
    ledger = PaperLedger().opened()
    plant(ledger)
    ledger.publish()
    if kind is None:
        with pytest.raises(Invalid):
            pack(ledger)
        return
    report = check(pack(ledger), vkeys=[ledger.signer.vkey])
    assert any(p.kind == kind and p.index is not None and p.index >= 3 for p in report.problems), report.lines()
    assert report.level == "none"


def test_a_forged_key_does_not_open_a_commitment(package):
    """Another text with another key of the right length."""

    def forge(body):
        line = body["opened"][0]
        line.update(text="other", key="A" * 43 + "=")

    report = check(remade(package, disclosure(forge), KEY))
    assert {p.kind for p in report.problems} == {"disclosure"}
    assert commit(bytes(32), "name", "other")


def test_zip_of_is_the_writers_form(package):
    """The tests' own tool changes nothing by itself."""
    assert zip_of(files_of(package)) == package


def test_values_of_any_other_kind_leak_no_foreign_error(package):
    """Four hundred JSON values replaced by others, signed by the key holder: always a report."""
    import random

    draw = random.Random(11)
    names = [
        "manifest.json",
        "findings.json",
        "disclosures.json",
        "controls.json",
        "populations/AI-99.1.json",
        "samples/AI-99.1.json",
    ]
    others = [None, 7, -1, "x", [], {}, True, [1, "a"], {"a": 1}, 2**52]

    def places(value, path=()):
        yield path
        for key, item in (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        ):
            yield from places(item, (*path, key))

    for _ in range(400):
        name = draw.choice(names)
        fields = {}

        def edit(files, name=name, fields=fields):
            value = canonical.decode(files[name])
            path = draw.choice([p for p in places(value) if p])
            node = value
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = draw.choice(others)
            if name == "manifest.json":
                fields.update({k: v for k, v in value.items() if k != "files"})
            else:
                files[name] = canonical.encode(value)

        remade(package, edit)
        fields.pop("log_key", None)
        body = remade(package, (lambda files: None) if name == "manifest.json" else edit, KEY, **fields)
        check(body, vkeys=[KEY.vkey]).lines()
