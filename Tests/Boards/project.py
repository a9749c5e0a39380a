"""What the project holds: rules, boards, and the metrics that docs/metrics.md declares."""

import functools
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "alerts"
DASHBOARDS = ROOT / "dashboards"
sys.path.insert(0, str(ALERTS))
sys.path.insert(0, str(DASHBOARDS))

#: The subcommands that a runbook may name.
COMMANDS = {
    "serve",
    "demo",
    "list",
    "show",
    "watch",
    "why",
    "history",
    "decisions",
    "preflight",
    "explain",
    "migrate",
    "abort",
    "stop-evacuation",
    "drain",
    "check-config",
}


class Family(NamedTuple):
    kind: str
    labels: set


@functools.cache
def declared():
    """The families of docs/metrics.md, which is generated from the declarations."""
    found = {}
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if len(cells) < 7 or not cells[1].startswith("`"):
            continue
        found[cells[1].strip("`")] = Family(cells[3].split(",")[0], set(re.findall(r"`([^`]+)`", cells[4])))
    return found


@functools.cache
def families():
    """Every series name that may be asked for: histograms have three."""
    found = {}
    for name, family in declared().items():
        if family.kind == "histogram":
            found[name + "_bucket"] = Family("counter", family.labels | {"le"})
            found[name + "_sum"] = found[name + "_count"] = Family("counter", family.labels)
        else:
            found[name] = family
    return found


def family_of(name):
    """The family that a series name belongs to."""
    stem = re.sub(r"_(bucket|sum|count)$", "", name)
    return stem if stem in declared() else name


def names(expr):
    """The metric names of an expression."""
    bare = re.sub(r'"[^"]*"|\'[^\']*\'', "", expr)
    return set(re.findall(r"(?<![\w:$])(?:[a-z]+:)?(?:drover|process|up)(?:[\w:]*)", bare)) - {
        "process",
        "drover",
    }


@functools.cache
def rules(name):
    return yaml.safe_load((ALERTS / name).read_text())


def _all():
    return [
        rule
        for path in sorted(ALERTS.glob("drover-*.yml"))
        for group in rules(path.name)["groups"]
        for rule in group["rules"]
    ]


def alert_rules():
    return [rule for rule in _all() if "alert" in rule]


def recording_rules():
    return [rule for rule in _all() if "record" in rule]


def prometheus_rules():
    """The Kubernetes objects that are made from the rules: path and text."""
    import wrap

    return wrap.objects()


def boards():
    return {path.name: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}
