"""What may be recorded of replays: a count that adds up, and an investigation of a mismatch by somebody else."""

from __future__ import annotations

from dataclasses import fields

from affidavit.areas.decisions import events_people as e
from affidavit.areas.decisions.replay import commands as c
from affidavit.core.area import Ctx, ViewTx
from affidavit.core.envelope import Draft
from affidavit.core.errors import Invalid, NotFound, Refused

CONTROLS = ("AI-08.5",)


def record_replay(cmd: c.RecordReplay, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Every decision that was drawn has one outcome."""
    if cmd.equal + cmd.differing + cmd.failed + cmd.erased != cmd.sampled:
        raise Invalid("the outcomes do not add up to the decisions drawn.", next_step="run the replay again.")
    fact = e.ReplayMeasured(ctx.ids[0], **{f.name: getattr(cmd, f.name) for f in fields(cmd)})
    versions = tuple(f"model:{cmd.model}/{v.number}" for v in cmd.versions if v.number)
    return [Draft(fact, (f"replay:{fact.replay}", f"model:{cmd.model}", *dict.fromkeys(versions)))]


def investigate(cmd: c.Investigate, state: ViewTx, ctx: Ctx) -> list[Draft]:
    """Refused: ``nothing-differed``, ``investigated-before``, ``own-replay`` for the person who ran it."""
    row = state.one("SELECT model, state, actor FROM {replay} WHERE replay = ?", cmd.replay)
    if row is None:
        raise NotFound(f"no replay {cmd.replay}.", next_step="`affidavit decisions replays` lists them.")
    model, found, actor = row
    if found != "mismatch":
        code, said = {
            "equal": ("nothing-differed", "gave every recorded output"),
            "investigated": ("investigated-before", "was investigated"),
        }[found]
        raise Refused(code, f"replay {cmd.replay} {said}.", next_step="nothing to do.", controls=CONTROLS)
    if actor == ctx.who.principal:
        raise Refused("own-replay", f"replay {cmd.replay} was run by you.", next_step="let another person look into it.",
                      controls=CONTROLS)  # fmt: skip
    fact = e.MismatchInvestigated(cmd.replay, cmd.cause, cmd.note)
    return [Draft(fact, (f"replay:{cmd.replay}", f"model:{model}"))]
