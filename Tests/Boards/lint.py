"""The seventeen rules of Grafana's dashboard-linter, as they are documented, and what its escapes would let through.

Each takes a board and returns its faults. PromQL is parsed by promtool: see `unparsable`."""

import re
import subprocess
import tempfile

import yaml

LINTED = {"stat", "singlestat", "graph", "table", "timeseries", "gauge"}
#: Units of Grafana that the boards may use.
UNITS = {
    "short",
    "none",
    "bytes",
    "Bps",
    "s",
    "percentunit",
    "cpm",
    "cps",
    "reqps",
    "dateTimeFromNow",
    "dateTimeAsIso",
}
DATASOURCE = ("$datasource", "${datasource}")


def panels(board):
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def targets(board):
    for panel in panels(board):
        for target in panel.get("targets", []):
            yield f"{panel.get('title')} {target['refId']}", target


def variables(board, kind=None):
    return [v for v in board["templating"]["list"] if kind in (None, v["type"])]


def expanded(expr, board):
    """Variables replaced by what "All" or the first choice is."""
    values = {"__rate_interval": "1m", "__interval": "15s", "__range": "1h", "__auto": "1m"}
    for one in variables(board):
        current = one.get("current", {}).get("value")
        values[one["name"]] = current if isinstance(current, str) else one.get("allValue", "x")
    return re.sub(r"\$\{?(\w+)\}?", lambda match: values.get(match[1], match[0]), expr)


def expressions(board):
    """Every expression of panels and annotations, with where it is."""
    yield from ((where, target["expr"]) for where, target in targets(board))
    yield from ((f"annotation {one['name']}", one["expr"]) for one in board["annotations"]["list"])


def label_values(query):
    """The selector and the label of a label_values query."""
    match = re.fullmatch(r"label_values\((?:(.*),)?\s*(\$?\w+)\s*\)", query, re.S)
    return match and (match[1], match[2])


def selectors(expr):
    """Every vector selector: name, matchers, and the expression before it."""
    text = re.sub(
        r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", lambda m: " " * len(m[0]), expr
    )
    quoted = re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: '"' + "x" * (len(m[0]) - 2) + '"', text)
    for match in re.finditer(
        r"(?<![\w:$\"])([a-zA-Z_:][\w:]*)?(\{[^}]*\})|(?<![\w:$\"])([a-zA-Z_:][\w:]*)(?![\w:])(?!\s*[({\"])",
        quoted,
    ):
        name = match[1] or match[3]
        inside = quoted[: match.start()].rfind("{") > quoted[: match.start()].rfind("}")
        if inside or (
            match[3]
            and (
                name in {"or", "and", "unless", "bool", "offset", "inf", "by", "without", "on", "group_left"}
                or quoted[max(0, match.start() - 1)] == "["
            )
        ):
            continue
        yield name or "", expr[match.start(2) : match.end(2)] if match[2] else "", expr[: match.start()]


# The rules ------------------------------------------------------------------------------------------------------------


def template_datasource(board):
    good = {("datasource", "Data source"), ("prometheus_datasource", "Prometheus data source")}
    found = variables(board, "datasource")
    return (
        []
        if len(found) == 1
        and (found[0]["name"], found[0]["label"]) in good
        and found[0]["query"] in ("prometheus", "loki")
        else ["no variable for the data source as it should be"]
    )


def _template(board, name):
    for one in variables(board):
        if one["name"] == name:
            wanted = {"label": name, "type": "query", "multi": True, "allValue": ".+"}
            faults = [
                f"{name}: {key} is {one.get(key)}" for key, value in wanted.items() if one.get(key) != value
            ]
            if one.get("datasource", {}).get("uid") not in DATASOURCE:
                faults.append(f"{name}: its data source")
            return faults + ([] if label_values(one.get("definition", "")) else [f"{name}: no label_values"])
    return [f"no variable {name}"]


def template_job(board):
    return _template(board, "job")


def template_instance(board):
    return _template(board, "instance")


def template_label_promql(board):
    faults = []
    for one in variables(board, "query"):
        parts = label_values(one["query"]["query"])
        if not parts:
            faults.append(f"{one['name']}: no label_values")
        elif parts[0] and unparsable([expanded(parts[0], board)]):
            faults.append(f"{one['name']}: {parts[0]}")
    return faults


def template_on_time_change_reload(board):
    return [one["name"] for one in variables(board, "query") if one["refresh"] != 2]


def panel_datasource(board):
    return [
        p.get("title")
        for p in panels(board)
        if (p.get("datasource") or {}).get("uid") not in DATASOURCE
        or any(t.get("datasource", {}).get("uid") not in DATASOURCE for t in p.get("targets", []))
    ]


def panel_title_description(board):
    return [p.get("title", p["id"]) for p in panels(board) if not p.get("title") or not p.get("description")]


def panel_units(board):
    faults = []
    for panel in panels(board):
        defaults = panel["fieldConfig"]["defaults"]
        units = [defaults.get("unit")] + [
            p["value"]
            for o in panel["fieldConfig"]["overrides"]
            for p in o["properties"]
            if p["id"] == "unit"
        ]
        if panel["type"] in LINTED and not all(unit in UNITS for unit in units):
            faults.append(panel["title"])
    return faults


def panel_no_targets(board):
    return [p["title"] for p in panels(board) if not p.get("targets")]


def target_promql(board):
    return [expr for expr in unparsable([expanded(expr, board) for _, expr in expressions(board)])]


def _loki(board):
    return [
        where for where, target in targets(board) if (target.get("datasource") or {}).get("type") == "loki"
    ]


def target_logql(board):
    return _loki(board)  # there is none that could be wrong


def target_logql_auto(board):
    return _loki(board)


def target_rate_interval(board):
    faults = []
    for where, expr in expressions(board):
        for call in re.finditer(r"\b(rate|irate|increase)\s*\(", expr):
            window = re.search(r"\[([^\]]*)\]", expr[call.end() :])
            if not window or window[1] != "$__rate_interval":
                faults.append(where)
    return faults


def _matcher(board, name):
    return [
        f"{where}: {metric}{braces}"
        for where, expr in expressions(board)
        for metric, braces, _ in selectors(expr)
        if not re.search(rf'[{{,]\s*{name}=~"\$(\{{)?{name}(\}})?"', braces)
    ]


def target_job(board):
    return _matcher(board, "job")


def target_instance(board):
    return _matcher(board, "instance")


def target_counter_agg(board):
    """Any selector of a counter, also one with matchers, and histograms' parts too."""
    return [
        f"{where}: {metric}"
        for where, expr in expressions(board)
        for metric, _, before in selectors(expr)
        if metric.endswith(("_total", "_bucket", "_sum", "_count"))
        and not re.search(r"\b(rate|irate|increase)\s*\(\s*$", before)
    ]


def uneditable(board):
    return [] if board.get("editable") is False else ["editable"]


RULES = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": template_job,
    "template-instance-rule": template_instance,
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-promql-rule": target_promql,
    "target-logql-rule": target_logql,
    "target-logql-auto-rule": target_logql_auto,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": target_job,
    "target-instance-rule": target_instance,
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard": uneditable,
}


def unparsable(exprs):
    """Those that promtool cannot parse."""
    rules = [{"record": f"expression:{index}", "expr": expr} for index, expr in enumerate(exprs)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}, file)
        file.flush()
        run = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True)
    if run.returncode == 0:
        return []
    bad = {int(number) for number in re.findall(r'rule (\d+), "expression:', run.stdout + run.stderr)}
    return [exprs[number - 1] for number in sorted(bad)] or [run.stdout + run.stderr]
