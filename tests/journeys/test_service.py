"""The single door: idempotency, refusals as facts, optimistic checks, clocks, reactions, keys."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from affidavit.bootstrap import memory_entries, next_log_key, open_workspace
from affidavit.core.area import Who
from affidavit.core.errors import Busy, Invalid, NotAllowed, NotFound, Refused, Tampered
from affidavit.service import key_change, upkeep
from affidavit.service.inspection import inspect
from affidavit.store.clock import SimulatedClock


def tags(ws) -> list[str]:
    return [ws.record(i).head.tag for i in range(ws.stores.entries.size())]


def flaws(ws) -> list[str]:
    return [str(p) for p in inspect(ws, memory_entries()).problems]


def person(ws, name: str, role: str, admin: Who, env: str = "*") -> Who:
    """A registered person who holds a role: requested by themselves, approved by the administrator."""
    principal = ws.access.register_principal("person", name, by=admin).facts[0].principal
    who = Who(principal, "os-user")
    grant = ws.access.request_grant(principal, role, env, "work", by=who).facts[0].grant
    ws.access.approve_grant(grant, by=admin)
    return who


def test_a_repeated_command_id_gives_the_same_entries(make):
    """A retry is safe: the earlier outcome comes back and nothing is appended."""
    made = make()
    ws, command_id = made.workspace, str(uuid.uuid4())
    first = ws.access.register_principal("person", "One Name", by=made.admin, command_id=command_id)
    size = ws.stores.entries.size()
    again = ws.access.register_principal("person", "One Name", by=made.admin, command_id=command_id)
    assert again.repeated and again.facts == first.facts
    assert ws.stores.entries.size() == size


@pytest.mark.parametrize("change", [{"name": "Other Name"}, {"kind": "service"}])
def test_a_command_id_used_for_another_command_is_invalid(make, change):
    """The id names one command: other private text or other fields under it are refused."""
    made = make()
    command_id = str(uuid.uuid4())
    given = {"kind": "person", "name": "One Name"}
    made.workspace.access.register_principal(**given, by=made.admin, command_id=command_id)
    with pytest.raises(Invalid, match="command id"):
        made.workspace.access.register_principal(**given | change, by=made.admin, command_id=command_id)
    assert flaws(made.workspace) == []


def test_refusals_are_facts_and_their_repeats_are_counted(make, clock):
    """The first denial in an hour is an entry; repeats become one counted fact; the text is nowhere."""
    made = make()
    ws = made.workspace
    nobody = Who(ws.access.register_principal("person", "No Role", by=made.admin).facts[0].principal, "os-user")
    for _ in range(3):
        with pytest.raises(NotAllowed, match="access.register is carried by admin"):
            ws.access.register_principal("person", "Secret Name", by=nobody)
    clock.advance(timedelta(hours=2))
    ws.publish()
    assert tags(ws).count("service.refused") == 1
    counted = [ws.record(i).fact for i in range(ws.stores.entries.size()) if tags(ws)[i] == "service.refusals_counted"]
    assert [f.repeats for f in counted] == [2]
    assert not any(b"Secret" in body for body in ws.stores.entries.entries(0, 99))
    assert flaws(ws) == []


def test_a_refused_command_id_stays_refused(make):
    """Sending a refused command again under its id gives the same refusal, not a second entry."""
    made = make()
    ws = made.workspace
    who = Who(ws.access.register_principal("person", "Asks", by=made.admin).facts[0].principal, "os-user")
    grant = ws.access.request_grant(who.principal, "admin", "*", "work", by=made.admin).facts[0].grant
    command_id = str(uuid.uuid4())
    for _ in range(2):
        with pytest.raises(Refused) as refusal:
            ws.access.approve_grant(grant, by=made.admin, command_id=command_id)
        assert refusal.value.code == "self_approval"
    assert tags(ws).count("service.refused") == 1


def test_rehearsing_leaves_nothing(make):
    """A dry run decides and writes nothing, not even to the vault."""
    from affidavit.areas.access.commands import RegisterPrincipal
    from affidavit.core.fields import VaultText

    made = make()
    before = (made.workspace.stores.entries.size(), len(list(made.workspace.stores.vault.all())))
    drafts = made.workspace.executor.rehearse(RegisterPrincipal("person", VaultText("Dry Run")), made.admin)
    assert drafts[0].fact.kind == "person"
    assert before == (made.workspace.stores.entries.size(), len(list(made.workspace.stores.vault.all())))


def test_an_optimistic_check_that_fails_is_busy(make):
    """A form filled in on old data is not carried out."""
    made = make()
    ws = made.workspace
    stream = f"principal:{made.admin.principal}"
    with pytest.raises(Busy, match="you saw 99"):
        ws.access.request_grant(made.admin.principal, "engineer", "*", "work", by=made.admin, expect={stream: 99})


def test_a_clock_behind_the_newest_entry_stops_the_log(make, clock):
    """Nothing is back-dated: the command is refused until the clock is right, or the correction recorded."""
    made = make()
    ws = made.workspace
    clock.step(timedelta(days=-1))
    with pytest.raises(Refused) as refusal:
        ws.access.register_principal("person", "Early", by=made.admin)
    assert refusal.value.code == "clock_behind"
    assert len([r for r in ws.stores.vault.all() if r[2] == "name"]) == 1
    upkeep.correct_clock(ws, "the clock ran a day ahead", made.admin)
    ws.access.register_principal("person", "On Time", by=made.admin)
    assert flaws(ws) == []


def test_a_clock_that_runs_ahead_of_monotonic_time_stops_the_log(make):
    """A system clock that jumps forward is noticed against the monotonic clock."""

    class Jumping(SimulatedClock):
        kind = "system"

    jumping = Jumping(datetime(2026, 1, 5, tzinfo=UTC))
    made = make("jump", clock=jumping)
    jumping.step(timedelta(minutes=5))
    with pytest.raises(Refused) as refusal:
        made.workspace.access.register_principal("person", "Late", by=made.admin)
    assert refusal.value.code == "clock_ahead"


def test_keys_are_bound_to_one_environment_and_expire(make, clock):
    """A development key on production is refused and recorded; an expired or revoked key opens nothing."""
    made = make()
    ws = made.workspace
    service = person(ws, "Batch", "admin", made.admin)
    issued = ws.access.issue_key(service.principal, "development", clock.now() + timedelta(days=2), by=service)
    secret = issued.result["key"]
    holder = ws.key_holder(secret)
    assert (holder.principal, holder.env) == (service.principal, "development")
    assert not any(secret.split("_", 3)[3].encode() in body for body in ws.stores.entries.entries(0, 99))
    with pytest.raises(NotAllowed):
        ws.key_holder(secret[:-1] + ("A" if secret[-1] != "A" else "B"))
    clock.advance(timedelta(days=3))
    with pytest.raises(NotAllowed, match="expired"):
        ws.key_holder(secret)


def test_nobody_sees_the_secret_of_another_persons_key(make, clock):
    """An administrator issues keys of services, not of people; others issue their own alone."""
    made = make()
    ws = made.workspace
    approver, day = person(ws, "Approver", "approver", made.admin), clock.now() + timedelta(days=2)
    with pytest.raises(Refused) as refusal:
        ws.access.issue_key(approver.principal, "production", day, by=made.admin)
    assert refusal.value.code == "key_of_another_person"
    batch = ws.access.register_principal("service", "batch", by=made.admin).facts[0].principal
    assert ws.access.issue_key(batch, "production", day, by=made.admin).result["key"]
    with pytest.raises(NotAllowed):
        ws.access.issue_key(batch, "production", day, by=approver)


def test_a_measure_repeated_under_its_command_id_is_not_done_again(make, clock):
    """A retry of a measure gives the earlier record; the secret, shown once, is not shown again."""
    made = make()
    ws, command_id, day = made.workspace, str(uuid.uuid4()), clock.now() + timedelta(days=2)
    first = ws.access.issue_key(made.admin.principal, "production", day, by=made.admin, command_id=command_id)
    again = ws.access.issue_key(made.admin.principal, "production", day, by=made.admin, command_id=command_id)
    assert again.repeated and again.facts == first.facts and again.result is None
    with pytest.raises(Invalid, match="another command"):
        ws.access.issue_key(made.admin.principal, "staging", day, by=made.admin, command_id=command_id)
    assert flaws(ws) == []


def test_the_last_administrator_cannot_leave(make):
    """Somebody must be able to grant."""
    made = make()
    ws = made.workspace
    (grant,) = [g for g in ws.access.grants(by=made.admin) if g["role"] == "admin"]
    with pytest.raises(Refused) as refusal:
        ws.access.revoke_grant(grant["id"], "leaving", by=made.admin)
    assert refusal.value.code == "last_administrator"
    person(ws, "Second", "admin", made.admin)
    ws.access.revoke_grant(grant["id"], "leaving", by=made.admin)
    with pytest.raises(NotAllowed):
        ws.access.register_principal("person", "After", by=made.admin)


def test_rules_are_adopted_by_another_and_asked_of_any_moment(make, clock):
    """The proposer cannot adopt; who-can answers by the rules and grants of the moment asked for."""
    made = make()
    ws = made.workspace
    second = person(ws, "Second", "admin", made.admin)
    before = clock.now()
    clock.advance(timedelta(days=1))
    text = b"version: 1\nenvironments: [development, production]\nroles: {admin: ['access.*', 'log.admin'], everyone: ['access.read']}\n"
    digest = ws.access.propose_rules(text, "fewer roles", by=made.admin).facts[0].text.digest
    with pytest.raises(Refused, match="proposer"):
        ws.access.adopt_rules(digest, by=made.admin)
    ws.access.adopt_rules(digest, by=second)
    assert ws.access.rules(by=second)["in_force"] == digest
    assert ws.access.who_can("audit.drill", at=before, by=second)
    assert ws.access.who_can("audit.drill", by=second) == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"version: [", "not YAML"),
        (b"version: 1\nroles: {}\n", "environments"),
        (b"version: 1\nenvironments: [a]\nroles: {}\nsurprise: 1\n", "surprise"),
        (b"version: 1\nenvironments: [a]\nroles: {}\ntransitions: {a: {from: b}}\n", "unknown environment"),
        (
            b"version: 1\nenvironments: [a, b]\nroles: {}\ntransitions: {b: {from: a, approvals: {n: 1, roles: [x], expires: P1D}}}\n",
            "role",
        ),
        (b"version: 1\nenvironments: [a]\nroles: {}\ncalendar: {time_zone: Mars/Base}\n", "calendar"),
        (b"\xff\xfe", "not YAML"),
    ],
)
def test_malformed_rules_are_refused_before_they_are_proposed(make, text, names):
    """A text that could not be in force cannot be proposed: the error names the key."""
    made = make()
    with pytest.raises(Invalid, match=names):
        made.workspace.access.propose_rules(text, "try", by=made.admin)


def test_rotation_needs_both_keys_and_the_log_goes_on(make, clock, tmp_path):
    """After a rotation the new key signs; the old file is gone; the workspace opens and verifies."""
    made = make()
    ws = made.workspace
    old = ws.stores.log_signer.vkey
    signer, install = next_log_key(tmp_path / "ws")
    key_change.rotate(ws, signer, install, made.admin)
    ws.close()
    again = open_workspace(tmp_path / "ws", clock=clock)
    assert again.stores.log_signer.vkey == signer.vkey != old
    again.access.register_principal("person", "After", by=made.admin)
    again.publish()
    assert flaws(again) == []


def test_a_lost_key_is_recovered_by_the_offline_key(make, clock, tmp_path):
    """The recovery key of entry 0, and no other, puts a new log key into place."""
    from affidavit.ledger.keys import Ed25519Signer

    made = make()
    made.workspace.close()
    (tmp_path / "ws" / "keys" / "log.key").unlink()
    ws = open_workspace(tmp_path / "ws", clock=clock)
    signer, install = next_log_key(tmp_path / "ws")
    wrong = Ed25519Signer(f"{ws.stores.origin}/recovery", b"x" * 32).secret_key()
    with pytest.raises(Refused, match="not the recovery key"):
        key_change.recover_key(ws, wrong, signer, "disk lost", install, made.admin)
    key_change.recover_key(ws, made.recovery_secret, signer, "disk lost", install, made.admin)
    ws.close()
    again = open_workspace(tmp_path / "ws", clock=clock)
    again.access.register_principal("person", "After", by=made.admin)
    again.publish()
    assert flaws(again) == []


def test_a_moved_workspace_is_adopted_once_its_log_verifies(make, clock, tmp_path, monkeypatch):
    """On another machine the head store is empty: opening is refused, adopting takes the verified checkpoint."""
    from affidavit.bootstrap import adopt_moved_head

    make(admin="Root").workspace.close()
    monkeypatch.setenv("AFFIDAVIT_STATE", str(tmp_path / "other-machine"))
    with pytest.raises(Tampered, match="adopt-head"):
        open_workspace(tmp_path / "ws", clock=clock)
    assert adopt_moved_head(tmp_path / "ws", "Root") > 0
    assert flaws(open_workspace(tmp_path / "ws", clock=clock)) == []


def test_a_swapped_log_key_is_noticed(make, clock, tmp_path):
    """A key file replaced without a rotation does not verify the head."""
    from affidavit.store.signer import create_key

    make().workspace.close()
    (tmp_path / "ws" / "keys" / "log.key").unlink()
    create_key(tmp_path / "ws" / "keys" / "log.key")
    (tmp_path / "ws" / "log.vkey").unlink()
    with pytest.raises(Tampered):
        open_workspace(tmp_path / "ws", clock=clock)


def test_periods_are_closed_with_balances(make, clock):
    """The closing balance names the size and a digest of every read table."""
    made = make()
    start = clock.now()
    clock.advance(timedelta(days=31))
    fact = upkeep.close_period(made.workspace, start, start + timedelta(days=30), made.admin).fact
    assert fact.size == 5 and "access.grant" in fact.tables
    with pytest.raises(Invalid, match="not over"):
        upkeep.close_period(made.workspace, start, clock.now() + timedelta(days=1), made.admin)


def test_threads_share_a_workspace(make):
    """Commands from many threads are sequenced; every one of them is in the log."""
    made = make()
    ws = made.workspace
    errors: list[Exception] = []

    def register(n: int) -> None:
        try:
            ws.access.register_principal("person", f"Person {n}", by=made.admin)
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=register, args=(n,)) for n in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    assert tags(ws).count("access.principal_registered") == 13
    ws.publish()
    assert flaws(ws) == []


def test_unknown_names_and_areas_are_told(make):
    """Mistakes name what exists."""
    made = make()
    with pytest.raises(NotFound, match="no principal is named"):
        made.workspace.access.grants(by="Nobody")
    with pytest.raises(AttributeError, match="it has"):
        made.workspace.access.fly
    made.workspace.who = None
    with pytest.raises(NotAllowed, match="nobody is signed in"):
        made.workspace.access.grants()


def test_an_administrator_of_one_environment_changes_no_other(make):
    """A role held for development approves, revokes and adopts nothing that reaches production."""
    made = make()
    ws = made.workspace
    local, friend = (
        person(ws, "Local", "admin", made.admin, env="development"),
        person(ws, "Friend", "engineer", made.admin),
    )
    grant = ws.access.request_grant(friend.principal, "admin", "*", "work", by=friend).facts[0].grant
    (root,) = [g["id"] for g in ws.access.grants(by=made.admin) if g["principal"] == made.admin.principal]
    for act in (
        lambda: ws.access.approve_grant(grant, by=local),
        lambda: ws.access.revoke_grant(root, "mine now", by=local),
        lambda: ws.access.register_principal("person", "Anyone", by=local),
        lambda: ws.access.propose_rules(b"version: 1\nenvironments: [a]\nroles: {}\n", "looser", by=local),
        lambda: ws.drill("AI-01.2", by=local),
    ):
        with pytest.raises(NotAllowed):
            act()
    small = ws.access.request_grant(friend.principal, "admin", "development", "work", by=friend).facts[0].grant
    assert ws.access.approve_grant(small, by=local).facts[0].env == "development"


@pytest.mark.parametrize(
    "command_id",
    ["nonsense", "refusal:0e6b00cf-6e4a-4665-ab39-8e98a54852f9", "", "0E6B00CF-6E4A-4665-AB39-8E98A54852F9"],
)
def test_a_command_id_is_a_uuid_and_nothing_else(make, command_id):
    """The id owns private texts: no other form reaches the vault."""
    made = make()
    if command_id:
        with pytest.raises(Invalid, match="no UUID"):
            made.workspace.access.register_principal("person", "Any", by=made.admin, command_id=command_id)


def test_denied_requests_with_invented_targets_do_not_grow_the_log(make):
    """A flood of denials is one entry and one counter, whatever ids it makes up."""
    made = make()
    ws = made.workspace
    nobody = person(ws, "Nobody", "auditor", made.admin)
    size = ws.stores.entries.size()
    for number in range(50):
        with pytest.raises(NotAllowed):
            ws.registry.retire(f"model/{number + 1}", "gone", by=nobody)
    assert ws.stores.entries.size() == size + 1


def test_an_altered_counter_stops_nothing_and_starts_again(make, clock, tmp_path):
    """A row that lost its MAC is dropped; denials and publication go on."""
    made = make()
    ws = made.workspace
    nobody = person(ws, "Nobody", "auditor", made.admin)
    for _ in range(2):
        with pytest.raises(NotAllowed):
            ws.registry.retire("model/1", "gone", by=nobody)
    with sqlite3.connect(tmp_path / "ws" / "operational.db") as db:
        db.execute("UPDATE item SET value = x'00'")
    db.close()
    with pytest.raises(NotAllowed):
        ws.registry.retire("model/1", "gone", by=nobody)
    clock.advance(timedelta(hours=2))
    assert ws.publish().grew >= 1


def test_a_twin_that_is_turned_down_takes_no_text_with_it(make):
    """Two principals send the same id and body: the denial of one leaves the accepted text in the vault."""
    made = make()
    ws, command_id = made.workspace, str(uuid.uuid4())
    nobody = person(ws, "Nobody", "auditor", made.admin)
    ws.access.register_principal("person", "Kept Name", by=made.admin, command_id=command_id)
    with pytest.raises((NotAllowed, Invalid)):
        ws.access.register_principal("person", "Kept Name", by=nobody, command_id=command_id)
    assert flaws(ws) == []


def test_a_denial_while_the_clock_is_wrong_leaves_no_entry(make):
    """The clock guard holds for refusals and drills too: nothing of the future gets into the log."""

    class Jumping(SimulatedClock):
        kind = "system"

    jumping = Jumping(datetime(2026, 1, 5, tzinfo=UTC))
    made = make("jump2", clock=jumping)
    ws = made.workspace
    nobody = person(ws, "Nobody", "auditor", made.admin)
    size = ws.stores.entries.size()
    jumping.step(timedelta(days=30))
    with pytest.raises((NotAllowed, Refused)):
        ws.registry.retire("model/1", "gone", by=nobody)
    with pytest.raises(Refused, match="wall clock"):
        ws.drill("AI-01.2", by=made.admin)
    assert ws.stores.entries.size() == size
