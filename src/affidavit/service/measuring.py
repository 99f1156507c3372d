"""Work outside any transaction: measures, which end in one command recording what was found, and streamed requests."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from affidavit.core import codec
from affidavit.core.area import Measure, Streamed, Who
from affidavit.core.errors import AffidavitError, Refused, StoreDown
from affidavit.service.desk import ServiceDesk
from affidavit.service.executor import Done, Executor
from affidavit.service.sealing import check_command_id, new_id, seal, seal_request


def measure(
    executor: Executor, request: Measure, who: Who, *, local: bool = True, command_id: str | None = None, **options: Any
) -> Any:
    """Check the permission, do the work, execute the command it ends in; then what its record still asks for (``rest``).

    The permission is looked up before the work, and again by ``execute``. A command id that was
    accepted before gives the earlier record without doing the work again; the rest is done then as well.
    """
    done = step = _measured(executor, request, who, local=local, command_id=command_id, **options)
    rest = request.rest(step.facts)
    while rest is not None:
        step = _measured(executor, rest, who, local=local)
        result, size = _joined(done.result, step.result), max(done.size, step.size)
        done = replace(done, records=(*done.records, *step.records), result=result, size=size)
        rest = rest.rest(step.facts)
    return done


def _joined(one: Any, other: Any) -> Any:
    return {**one, **other} if isinstance(one, dict) and isinstance(other, dict) else one if other is None else other


def _measured(
    executor: Executor, request: Measure, who: Who, *, local: bool = True, command_id: str | None = None, **options: Any
) -> Done:
    executor.authorise(request, who)
    stores, name = executor.stores, executor.catalog.name_of(type(request))
    command_id = check_command_id(command_id or new_id(stores, stores.clock.now()))
    sealed = seal(stores, name, request, command_id)
    earlier = executor.find(name, sealed, command_id, who)
    if earlier is not None:
        return earlier
    desk = ServiceDesk(executor, who, local=local)
    with desk.held:
        try:
            found = executor.catalog.measure_of(type(request))(sealed.command, desk)
        except BaseException as e:
            with suppress(AffidavitError):
                executor.discard(command_id)
            if isinstance(e, Refused):
                executor.refuse(name, sealed, command_id, who, e)
            raise
        command, result = found if isinstance(found, tuple) else (found, None)
        if command is None:
            executor.discard(command_id)
            return Done(command_id, (), result=result)
        done = executor.execute(command, who, command_id=command_id, digest=sealed.digest, **options)
    if isinstance(result, AffidavitError):
        raise result
    return done if result is None else replace(done, result=result)


def stream(executor: Executor, request: Streamed, who: Who, *, local: bool = True) -> Any:
    """Check the permission, do the work, give its result: the row it leaves in a stream is durable by then.

    A rule's refusal is a fact, as that of a command is.
    """
    checked = codec.checked(request)
    executor.authorise(checked, who)
    desk, name = ServiceDesk(executor, who, local=local), executor.catalog.name_of(type(request))
    try:
        result = executor.catalog.streamed_of(type(request))(checked, desk)
    except Refused as e:
        executor.refuse(name, seal_request(name, checked), new_id(executor.stores, desk.now), who, e)
        raise
    if not desk.rows_written:
        raise StoreDown(f"{name} left no row in its stream.", next_step="report this: an access leaves a row.")
    return result
