"""Model card and bill of materials, generated from a dossier. Pure: the same dossier gives the same bytes.

What the ledger does not know is written "unknown". Private texts stand in the vault; a caller who may
read them passes ``texts`` (vault id → text), else their vault id is shown.
"""

from __future__ import annotations

import html
import json
import uuid
from collections.abc import Mapping
from typing import Any

UNKNOWN = "unknown"
_LIBRARIES = {
    "lightgbm": "lightgbm", "xgboost": "xgboost", "skops": "sklearn", "onnx": "onnx", "safetensors": "safetensors",
}  # fmt: skip
Texts = Mapping[str, str]


def _said(value: Any) -> str:
    return UNKNOWN if value in (None, "", [], {}) else str(value)


def _private(vault: str | None, texts: Texts) -> str:
    if not vault:
        return UNKNOWN
    return texts.get(vault) or f"recorded privately (vault {vault})"


def sections(facts: Mapping[str, Any], texts: Texts) -> list[tuple[str, list[tuple[str, str]]]]:
    """The card's content: headings with lines of (term, words)."""
    v, system = facts["version"], facts["system"] or {}
    return [
        (
            "Model",
            [
                ("Version", v["name"]),
                ("Artifact (manifest digest)", v["artifact"]),
                ("Files, bytes, format", f"{v['files']}, {v['bytes']}, {v['format']}"),
                ("Author", v["author"]),
                ("Registered", f"{v['at']} (entry {v['entry']})"),
                ("Retired", v["retired"] or "no"),
            ],
        ),
        ("Intended use", _use(system, texts)),
        ("Training", _training(facts)),
        ("Evaluation", _evaluation(facts)),
        ("Fairness", _fairness(facts["fairness"])),
        ("Promotions and approvals", _approvals(facts)),
        ("Accepted risks", _waivers(facts)),
        ("Operation", _operation(facts)),
    ]


def _use(system: Mapping[str, Any], texts: Texts) -> list[tuple[str, str]]:
    return [
        ("System", _said(system.get("system"))),
        ("Purpose", _private(system.get("purpose"), texts)),
        ("Owner", _said(system.get("owner"))),
        ("Risk tier", _said(system.get("tier"))),
        ("Reason of the tier", _private(system.get("tier_reason"), texts)),
        ("Our role", _said(system.get("role"))),
        ("Jurisdictions", _said(", ".join(system.get("jurisdictions") or []))),
        ("People affected", _private(system.get("people"), texts)),
        ("Out-of-scope use", UNKNOWN),
    ]


def _training(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    v = facts["version"]
    lines = [
        ("Run", v["run"] if facts["run"] else UNKNOWN),
        ("Started, ended", f"{v['started']}, {v['ended']}"),
        ("Code revision", v["code"]),
        ("Environment lock", v["environment"]),
        ("Hyperparameters", ", ".join(f"{k}={x}" for k, x in sorted(v["hyperparameters"].items()))),
    ]
    for ref, given in sorted(facts["datasets"].items()):
        d = given or {}
        words = f"licence {_said(d.get('licence'))}, rows {_said(d.get('rows'))}, content {_said(d.get('content'))}"
        lines.append((f"Dataset {ref.removeprefix('dataset:')}", words))
    stated = ", ".join(f"{k}={x}" for k, x in sorted(v["metrics"].items()))
    return [*lines, (f"Metrics stated by the author, split {v['split']}", stated)]


def _evaluation(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = facts["evaluation"]
    if not found:
        return [("Evaluation by the service", UNKNOWN)]
    lines = [
        ("Data", f"{found['dataset']}, split {found['split']}, {found['row_count']} rows"),
        ("Plan, seed, measuring code", f"{found['plan']}, {found['seed']}, {found['code']}"),
    ]
    for x in found["verdicts"]:
        interval = f" (95 % interval {x['low']} to {x['high']})" if x.get("low") and x.get("high") else ""
        bound = f"{_bound(x)}: {'met' if x['met'] else 'not met'}"
        lines.append((x["metric"], f"{x['value']}{interval}, {bound}"))
    judged = {x["metric"] for x in found["verdicts"]}
    return lines + [(k, x) for k, x in sorted(found["results"].items()) if k not in judged]


def _fairness(found: Any) -> list[tuple[str, str]]:
    verdicts = found.get("verdicts") if isinstance(found, Mapping) else None
    if not verdicts:
        return [("Assessment by group", UNKNOWN)]
    return [
        (
            f"{x.get('metric')} by {', '.join(x.get('groups') or [])} ({x.get('aggregate')})",
            f"{_said(x.get('value'))}, {_bound(x)}: {x.get('verdict')}",
        )
        for x in verdicts
    ]


def _bound(x: Mapping[str, Any]) -> str:
    return f"{str(x.get('direction')).replace('-', ' ')} {x.get('bound')}"


def _approvals(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [
        (f"Into {a['to']}, requested {a['requested']} by {a['requester']}", _approval(a)) for a in facts["approvals"]
    ]
    return lines or [("Requests", "none")]


def _approval(a: Mapping[str, Any]) -> str:
    if a["approver"] is None:
        return f"no approval ({a['state']})"
    return f"approved {a['approved']} by {a['approver']} as {a['role']}, until {a['expires']} ({a['state']})"


def _waivers(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (
            f"{w['control']} {w['attribute']}",
            f"owner {w['owner']}, approved by {_said(w['approver'])}, until {w['expires']}",
        )
        for w in facts["waivers"]
    ] or [("Waivers", "none")]


def _operation(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [
        (f"Deployed into {d['env']} {d['at']}", f"by {d['via']}, until {d['until'] or 'now'}")
        for d in facts["deployments"]
    ]
    drills = [(f"Rollback drill {x['at']}", _drill(x)) for x in facts["drills"]]
    return [*(lines or [("Deployments", "none")]), *drills, ("Verified loads", str(facts["loads"]))]


def _drill(x: Mapping[str, Any]) -> str:
    took = f"{x['took_ms']} ms" if x["took_ms"] else "not timed by a clock that stood still, objective"
    return f"{took} of {x['objective_ms']} ms: {'passed' if x['passed'] else 'failed'}"


def card_markdown(facts: Mapping[str, Any], texts: Texts | None = None, *, simulated: bool = False) -> str:
    """A Markdown card with Hugging Face front matter (``model-index`` holds the service's own measurements)."""
    lines = [*_front_matter(facts), "", f"# {facts['version']['name']}", "", _ORIGIN]
    lines += ["", f"**{_SIMULATED}**"] if simulated else []
    for title, terms in sections(facts, texts or {}):
        lines += ["", f"## {title}", ""]
        lines += [f"- **{_plain(term)}**: {_plain(words)}" for term, words in terms]
    return "\n".join(lines) + "\n"


_ORIGIN = "Generated from the ledger; what it does not hold is unknown."
_SIMULATED = "Simulated clock: times are invented, and nothing here is evidence of operation."
_STYLE = """
body{font:15px/1.5 Georgia,serif;color:#1a1a1a;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1,h2{font-family:Helvetica,Arial,sans-serif}h2{border-bottom:2px solid #1a1a1a;margin-top:2rem}
dl{display:grid;grid-template-columns:14rem 1fr;gap:.3rem 1rem}dt{color:#555}dd{margin:0;overflow-wrap:anywhere}
.bar{background:#f4f1e8;border-left:4px solid #6b4e00;padding:.6rem 1rem;color:#8f1d14;font-weight:bold}
"""
_MARKDOWN = str.maketrans({c: "\\" + c for c in "\\`*_[]<>#|"})


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return " ".join(text.split()).translate(_MARKDOWN)


def _front_matter(facts: Mapping[str, Any]) -> list[str]:
    """YAML by way of JSON strings, which YAML reads alike."""
    v, found = facts["version"], facts["evaluation"]
    licences = sorted({str(d["licence"]) for d in facts["datasets"].values() if d and d.get("licence")})
    lines = ["---", f"license: {UNKNOWN}", f"library_name: {_LIBRARIES.get(v['format'], UNKNOWN)}"]
    lines += ["datasets:", *(f"- {json.dumps(r.removeprefix('dataset:'))}" for r in v["datasets"])]
    lines += ["tags:", *(f"- {json.dumps(f'dataset-licence:{x}')}" for x in licences or [UNKNOWN])]
    if found:
        data = json.dumps(found["dataset"].removeprefix("dataset:"))
        lines += ["model-index:", f"- name: {json.dumps(v['name'])}", "  results:", "  - task:"]
        lines += ["      type: tabular-classification", "    dataset:", f"      name: {data}", f"      type: {data}"]
        lines += [f"      split: {json.dumps(found['split'])}", "    metrics:"]
        for name, value in sorted(found["results"].items()):
            lines += [f"    - type: {json.dumps(name)}", f"      value: {value}"]
    return [*lines, "---"]


def card_html(facts: Mapping[str, Any], texts: Texts | None = None, *, simulated: bool = False) -> str:
    """The same card as one HTML page; every word is escaped, no script, no outside reference."""
    e = html.escape
    name = e(facts["version"]["name"])
    head = f'<meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
    parts = [f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{name}</h1><p>{e(_ORIGIN)}</p>']
    parts += [f'<p class="bar">{e(_SIMULATED)}</p>'] if simulated else []
    for title, terms in sections(facts, texts or {}):
        rows = "".join(f"<dt>{e(term)}</dt><dd>{e(words)}</dd>" for term, words in terms)
        parts.append(f"<h2>{e(title)}</h2><dl>{rows}</dl>")
    return "".join([*parts, "</body></html>\n"])


# ---------------------------------------------------------------- CycloneDX 1.6


def bom(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A CycloneDX 1.6 document: the model as component with its card, its datasets as data components.

    Its serial number is derived from the artifact digest. Source: ECMA-424 (CycloneDX 1.6), modelCard.
    """
    v = facts["version"]
    name = f"model:{v['name']}"
    datasets = [_data_component(ref, facts["datasets"].get(ref)) for ref in v["datasets"]]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name + '@' + v['artifact'])}",
        "version": 1,
        "metadata": {"timestamp": v["at"], "component": _model_component(facts, name)},
        "components": datasets,
        "dependencies": [{"ref": name, "dependsOn": list(v["datasets"])}, *({"ref": r} for r in v["datasets"])],
    }


def _hash(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]


def _model_component(facts: Mapping[str, Any], ref: str) -> dict[str, Any]:
    v = facts["version"]
    known = {
        "code": v["code"], "environment": v["environment"], "format": v["format"], "run": v["run"], "split": v["split"],
        "entry": v["entry"], **{f"hyperparameter:{k}": x for k, x in v["hyperparameters"].items()},
    }  # fmt: skip
    return {
        "type": "machine-learning-model",
        "bom-ref": ref,
        "name": v["model"],
        "version": str(v["number"]),
        "hashes": _hash(v["artifact"]),
        "modelCard": _model_card(facts),
        "properties": [{"name": f"affidavit:{k}", "value": str(x)} for k, x in sorted(known.items())],
    }


def _model_card(facts: Mapping[str, Any]) -> dict[str, Any]:
    v, found, system = facts["version"], facts["evaluation"], facts["system"] or {}
    metrics = [
        {"type": f"{k} (stated by the author)", "value": x, "slice": v["split"]}
        for k, x in sorted(v["metrics"].items())
    ]
    if found:
        bounds = {x["metric"]: x for x in found["verdicts"]}
        metrics += [_metric(k, x, found["split"], bounds.get(k)) for k, x in sorted(found["results"].items())]
    return {
        "bom-ref": f"card:{v['name']}",
        "modelParameters": {"task": UNKNOWN, "datasets": [{"ref": r} for r in v["datasets"]]},
        "quantitativeAnalysis": {"performanceMetrics": metrics},
        "properties": [{"name": f"affidavit:{k}", "value": _said(system.get(k))} for k in ("system", "tier", "role")],
    }


def _metric(name: str, value: str, part: str, verdict: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"type": name, "value": value, "slice": part}
    if verdict and verdict.get("low") and verdict.get("high"):
        found["confidenceInterval"] = {"lowerBound": verdict["low"], "upperBound": verdict["high"]}
    return found


def _data_component(ref: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    name, _, version = ref.removeprefix("dataset:").partition("/")
    d = given or {}
    component: dict[str, Any] = {"type": "data", "bom-ref": ref, "name": name, "version": version or UNKNOWN}
    if d.get("content"):
        component["hashes"] = _hash(str(d["content"]))
    component["licenses"] = [{"license": {"name": _said(d.get("licence"))}}]
    component["data"] = [
        {"type": "dataset", "name": ref.removeprefix("dataset:"), "classification": _said(d.get("sensitivity"))}
    ]
    return component
