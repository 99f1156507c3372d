"""The files of the demonstration: dataset versions, artifacts, extracts of the acting systems' own logs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from affidavit.core.fields import dec6, time_text
from affidavit.demo import model as science

PARTS = {"train": "training", "validation": "validation", "test": "test"}
"""Split names of the science, and the roles they have in lineage."""


def write_dataset(folder: Path, people: science.Rows, year: int) -> Path:
    """One survey year as Parquet: features, protected attributes, label, the row number and the split it falls into."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    chosen = people.where(people.columns["year"] == year)
    drawn = science.hundredth(chosen.row)
    split = np.where(drawn < 60, "training", np.where(drawn < 75, "validation", "test"))
    columns = {"row": chosen.row.astype(np.int32), **{k: v for k, v in chosen.columns.items() if k != "year"}}
    table = pa.table({**columns, "split": pa.array(split.tolist(), pa.string())})
    path = folder / f"acs-{year}.parquet"
    pq.write_table(table, path, compression="zstd", use_dictionary=["split"], store_schema=False)
    return path


def write_model(folder: Path, name: str, trained: science.Trained) -> Path:
    """LightGBM's own text, the artifact to register."""
    path = folder / f"{name}.txt"
    path.write_text(trained.text, "utf-8")
    return path


def code_revision() -> str:
    """The training code, by the digest of its source."""
    return "source:" + file_digest(Path(science.__file__)).removeprefix("sha256:")[:16]


def environment_digest() -> str:
    """``sha256:<hex>`` over the installed versions that training depends on."""
    lines = "".join(f"{name}=={metadata.version(name)}\n" for name in ("lightgbm", "numpy", "pyarrow"))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """``sha256:<hex>`` of a file's bytes."""
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def metrics_on(people: science.Rows, trained: science.Trained) -> Mapping[str, str]:
    """Accuracy on the validation split, as the author claims it at registration."""
    rows = science.split(people, "validation")
    decided = science.decide(trained, science.score(trained, rows))
    return {"accuracy": dec6(float((decided == rows.label).mean()))}


def precision_on(people: science.Rows, trained: science.Trained) -> str:
    """Precision on the test split: the number a retrain is advertised with."""
    rows = science.split(people, "test")
    decided = science.decide(trained, science.score(trained, rows))
    return dec6(float(rows.label[decided == 1].mean()))


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """An extract as JSON lines, one row a line."""
    path.write_text("".join(json.dumps(dict(row), sort_keys=True) + "\n" for row in rows), "utf-8")
    return path


def deployment_row(external: str, model: str, artifact: str, at: Any, deployer: str) -> dict[str, str]:
    """A line of the serving platform's deployment log."""
    return {
        "external": external, "model": model, "env": "production", "artifact": artifact,
        "deployed_at": time_text(at), "deployer": deployer,
    }  # fmt: skip


def read_row(run: str, content: str, at: Any) -> dict[str, str]:
    """A line of the storage access log."""
    return {"run": run, "content": content, "read_at": time_text(at)}
