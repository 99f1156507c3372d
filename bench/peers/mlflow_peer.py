"""MLflow tracing behind a pipe: its asynchronous logging into SQLite; one JSON line per order and answer."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "true"}
_answers, sys.stdout = sys.stdout, sys.stderr  # what the library prints is no answer

import mlflow  # noqa: E402


@mlflow.trace
def predict(inputs: dict[str, Any]) -> float:
    """A model that costs nothing: what is timed is the tracing alone."""
    return 0.5


class Peer:
    """One experiment; ``run`` carries out an order."""

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out ``open``, ``record`` or ``count``."""
        return getattr(self, "do_" + order.pop("do"))(**order)

    def do_open(self, db: str) -> dict[str, Any]:
        """A fresh store."""
        mlflow.set_tracking_uri(f"sqlite:///{db}")
        self.experiment = mlflow.set_experiment("bench").experiment_id
        return {"version": mlflow.__version__}

    def do_record(self, row: dict[str, Any], count: int) -> dict[str, Any]:
        """Seconds of each traced call; what waits in the queue is written afterwards, untimed."""
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            predict(row)
            seconds.append(time.perf_counter() - start)
        mlflow.flush_trace_async_logging()
        return {"seconds": seconds}

    def do_count(self) -> dict[str, Any]:
        """Traces that arrived."""
        found, token, client = 0, None, mlflow.MlflowClient()
        while True:
            page = client.search_traces([self.experiment], max_results=500, page_token=token, include_spans=False)
            found, token = found + len(page), page.token
            if not token:
                return {"traces": found}


def main() -> None:
    """Answer orders until the pipe closes."""
    peer = Peer()
    for line in sys.stdin:
        print(json.dumps(peer.run(json.loads(line))), file=_answers, flush=True)


if __name__ == "__main__":
    main()
