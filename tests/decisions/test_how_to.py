"""The recorder's lines in docs/how-to/decisions.md run as they stand."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "decisions.md"


def test_the_recorders_lines_run(house, tmp_path, monkeypatch, capsys):
    """The decision that the page records is found after a seal."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    house.ws.close()
    (house.folder / "ws").rename(tmp_path / "risk")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, PAGE.name, "exec"), {})
    decision = capsys.readouterr().out.split()[0]
    from affidavit.bootstrap import open_workspace

    ws = open_workspace("risk")
    ws.decisions.seal(by=house.who["sealer"])
    found = ws.decisions.trace(decision, by=house.who["auditor"])
    assert (found["caller"], found["output"]["label"], found["sources"][0]["check"]) == ("portal", 1, "not checked")
