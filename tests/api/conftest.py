"""A workspace behind the application, called in process: no socket is opened."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest

from affidavit.api import Options, create_app
from affidavit.bootstrap import Created

sys.path.insert(0, str(Path(__file__).parent))

from api_door import Client, Served


@pytest.fixture(scope="session")
def portal() -> Iterator[Any]:
    with anyio.from_thread.start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def serve(make: Callable[..., Created], portal: Any) -> Iterator[Callable[..., Served]]:
    """Serves workspaces with options; no publisher runs, so tests decide when to publish."""
    with ExitStack() as stack:

        def served(**options: Any) -> Served:
            made = make()
            stack.callback(made.workspace.close)
            return Served(made, Client(create_app(made.workspace, Options(**options)), portal, made.api_key))

        yield served


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()
