"""The alerts and the dashboard name measurements that the service has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dicom_nodes import node

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_alerts_and_dashboard_name_what_there_is(tmp_path: Path, tiny_model: Path) -> None:
    yaml = pytest.importorskip("yaml")
    rules = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text())
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    panels = json.loads((DEPLOY / "grafana-dashboard.json").read_text())["panels"]
    expressions += [target["expr"] for panel in panels for target in panel["targets"]]
    names = set(re.findall(r"nanoray_\w+", " ".join(expressions)))
    assert len(names) > 15
    with node(tmp_path / "data", tiny_model) as client:
        families = re.findall(r"^# TYPE (\w+)", client.get("/metrics").text, re.MULTILINE)
    known = set(families) | {f"{family}_bucket" for family in families}
    assert names <= known | {f"{family}_total" for family in families}


def test_the_fail2ban_filter_finds_refused_attempts(tmp_path: Path) -> None:
    from nanoray.serving.audit import Audit, Entry, Event

    text = (DEPLOY / "fail2ban" / "nanoray.filter").read_text()
    match = re.search(r"^failregex = (.*)$", text, re.MULTILINE)
    assert match is not None
    pattern = re.compile(match[1].replace("<HOST>", r"(?P<host>[0-9a-fA-F.:]+)"))
    path = tmp_path / "audit.log"
    audit = Audit(path)
    audit.record(Entry(event=Event.AUTHENTICATION, action="E", failed=True, address="10.0.0.7"))
    audit.record(Entry(event=Event.QUERY, action="E", address="10.0.0.8"))
    found = pattern.findall(path.read_text())
    assert found == ["10.0.0.7"]
