"""The pieces that the boards are built of: variables, panels, and the places where they stand."""

DATASOURCE = {"type": "prometheus", "uid": "$datasource"}
GREEN, YELLOW, ORANGE, RED, BLUE, PURPLE, GREY = "green", "yellow", "orange", "red", "blue", "purple", "#808080"

# Selectors. Every one names job and instance; `$namespace_label` is `namespace`, or `exported_namespace` where labels are not honoured.
SELF = 'job=~"$job", instance=~"$instance"'
BACKEND = SELF + ', backend=~"$backend"'
VM = BACKEND + ', $namespace_label=~"$namespace", host=~"$host", vm=~"$vm"'
ONE = BACKEND + ', migration=~"$migration"'
NODE = BACKEND + ', node=~"$node"'


def only(value, aggregation="max"):
    """Over a takeover: whichever replica tells it."""
    return f"{aggregation} without (instance, pod) ({value})"


def rate(selector, by=""):
    """A counter's rate; the rate first, the sum over replicas then."""
    return f"sum{f' by ({by})' if by else ''} (rate({selector}[$__rate_interval]))"


def quantile(part, family, matchers):
    return f"histogram_quantile({part}, {rate(f'{family}_bucket{{{matchers}}}', 'le')})"


def coded(family, label, words, matchers):
    """The state that holds as a number, 1 for the first word: one line of a timeline."""
    return "\n  or ".join(f'(max by (migration) ({family}{{{matchers}, {label}="{word}"}}) == 1) * {code}'
                          for code, word in enumerate(words, 1))


def mapping(words, colors):
    return [{"type": "value", "options": {str(code): {"text": word, "color": colors.get(word, GREY), "index": code - 1}
                                          for code, word in enumerate(words, 1)}}]


# Variables -----------------------------------------------------------------------------------------------------------

def variable(name, query, label=None, all_value=".*", multi=True, include_all=True):
    found = {"name": name, "label": label or name, "type": "query", "datasource": DATASOURCE, "hide": 0, "refresh": 2, "sort": 1,
             "query": {"query": query, "refId": f"{name}-variable"}, "definition": query, "regex": "", "skipUrlSync": False,
             "multi": multi, "includeAll": include_all, "options": [],
             "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if include_all else {}}
    return {**found, "allValue": all_value} if include_all else found


def variables(*more):
    anything = '__name__=~"drover_build_info|drover_migrations_started_total"'
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0, "refresh": 1,
         "regex": "", "multi": False, "includeAll": False, "options": [], "current": {}, "skipUrlSync": False},
        variable("job", f"label_values({{{anything}}}, job)", all_value=".+"),
        variable("instance", f'label_values({{{anything}, job=~"$job"}}, instance)', all_value=".+"),
        variable("backend", f'label_values({{__name__=~"drover_backend_info|drover_migrations_started_total", {SELF}}}, backend)'),
        *more]


NAMESPACE_LABEL = {
    "name": "namespace_label", "label": "namespace label", "type": "custom", "query": "namespace,exported_namespace", "hide": 0,
    "multi": False, "includeAll": False, "skipUrlSync": False, "description": "exported_namespace where honor_labels is off",
    "current": {"selected": True, "text": "namespace", "value": "namespace"},
    "options": [{"selected": word == "namespace", "text": word, "value": word} for word in ("namespace", "exported_namespace")]}
GUESTS = [
    NAMESPACE_LABEL,
    variable("namespace", f"label_values(drover_migration_info{{{BACKEND}}}, $namespace_label)"),
    variable("host", f"label_values(drover_migration_info{{{BACKEND}}}, host)"),
    variable("vm", f'label_values(drover_migration_info{{{BACKEND}, $namespace_label=~"$namespace", host=~"$host"}}, vm)'),
]
NODES = [variable("node", f"label_values(drover_node_vms{{{BACKEND}}}, node)")]


# Panels --------------------------------------------------------------------------------------------------------------

def target(expr, legend="", instant=False, table=False, ref="A"):
    return {"refId": ref, "datasource": DATASOURCE, "expr": expr, "legendFormat": legend or "__auto", "editorMode": "code",
            "instant": instant, "range": not instant, "format": "table" if table else "time_series"}


def targets(queries, **more):
    return [target(expr, legend, ref=chr(65 + index), **more) for index, (expr, legend) in enumerate(queries)]


def steps(*pairs, base=GREEN):
    """Thresholds: the colour from each value on."""
    return {"mode": "absolute", "steps": [{"color": base, "value": None}] + [{"color": c, "value": v} for v, c in pairs]}


def panel(kind, title, description, width, height, queries, defaults, options, overrides=(), **more):
    return {"type": kind, "title": title, "description": description, "datasource": DATASOURCE,
            "gridPos": {"w": width, "h": height, "x": 0, "y": 0}, "targets": queries,
            "fieldConfig": {"defaults": {"mappings": [], **defaults}, "overrides": list(overrides)}, "options": options, **more}


def stat(title, description, expr, unit="short", thresholds=None, width=4, legend="", mappings=(), name=False, decimals=None):
    defaults = {"unit": unit, "color": {"mode": "thresholds"}, "thresholds": thresholds or steps(base=BLUE),
                "mappings": list(mappings), "noValue": "–"}
    if decimals is not None:
        defaults["decimals"] = decimals
    return panel("stat", title, description, width, 4, [target(expr, legend, instant=True)], defaults,
                 {"colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto",
                  "textMode": "name" if name else "auto",
                  "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}})


def gauge(title, description, expr, unit, thresholds, width=4, low=0, high=1):
    return panel("gauge", title, description, width, 4, [target(expr, instant=True)],
                 {"unit": unit, "min": low, "max": high, "color": {"mode": "thresholds"}, "thresholds": thresholds,
                  "noValue": "–"},
                 {"orientation": "auto", "showThresholdLabels": False, "showThresholdMarkers": True,
                  "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}})


def graph(title, description, unit, *queries, width=12, height=8, stack=False, low=None, high=None, thresholds=None, bars=False):
    custom = {"drawStyle": "bars" if bars else "line", "lineInterpolation": "linear", "lineWidth": 1, "showPoints": "never",
              "fillOpacity": 60 if bars else 25 if stack else 5, "spanNulls": False, "axisPlacement": "auto",
              "stacking": {"mode": "normal" if stack else "none", "group": "A"},
              "thresholdsStyle": {"mode": "line" if thresholds else "off"}}
    defaults = {"unit": unit, "color": {"mode": "palette-classic"}, "custom": custom, "thresholds": thresholds or steps()}
    defaults |= {key: value for key, value in (("min", low), ("max", high)) if value is not None}
    return panel("timeseries", title, description, width, height, targets(queries), defaults,
                 {"legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": True},
                  "tooltip": {"mode": "multi", "sort": "desc"}})


def timeline(title, description, *queries, mappings=(), width=24, height=6):
    return panel("state-timeline", title, description, width, height, targets(queries),
                 {"unit": "none", "color": {"mode": "thresholds"}, "thresholds": steps(), "mappings": list(mappings),
                  "custom": {"fillOpacity": 80, "lineWidth": 0, "spanNulls": False}},
                 {"mergeValues": True, "showValue": "auto", "alignValue": "left", "rowHeight": 0.8,
                  "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
                  "tooltip": {"mode": "single", "sort": "none"}})


def table(title, description, columns, names=None, links=None, width=24, height=8, units=None, mappings=None):
    """Instant queries joined by the labels that they share; `columns` are expressions by the name of their column.

    `names` renames labels, and hides those that it maps to nothing."""
    renamed, hidden = {}, {"Time": True}
    queries, overrides = [], []
    for index, (name, expr) in enumerate(columns.items()):
        ref = chr(65 + index)
        queries.append(target(expr, instant=True, table=True, ref=ref))
        value = f"Value #{ref}" if len(columns) > 1 else "Value"
        if name.startswith("-"):
            hidden[value] = True
        else:
            renamed[value] = name
            settings = [("unit", (units or {}).get(name, "short"))]
            if name in (mappings or {}):
                settings.append(("mappings", mappings[name]))
            overrides.append({"matcher": {"id": "byName", "options": name},
                              "properties": [{"id": key, "value": word} for key, word in settings]})
    for label, name in (names or {}).items():
        (renamed if name else hidden)[label] = name or True
    for name, (text, url) in (links or {}).items():
        overrides.append({"matcher": {"id": "byName", "options": name},
                          "properties": [{"id": "links", "value": [{"title": text, "url": url, "targetBlank": False}]}]})
    return panel("table", title, description, width, height, queries,
                 {"unit": "short", "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True},
                  "color": {"mode": "thresholds"}, "thresholds": steps(base="text")},
                 {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}},
                 overrides, transformations=[
                     {"id": "merge", "options": {}},
                     {"id": "organize", "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": renamed}}])


def row(title, *panels, collapsed=False):
    return {"title": title, "panels": panels, "collapsed": collapsed}


# Boards --------------------------------------------------------------------------------------------------------------

def annotation(name, expr, title, text, color, at_value=False):
    found = {"name": name, "datasource": DATASOURCE, "enable": True, "hide": False, "iconColor": color, "expr": expr, "step": "5s",
             "titleFormat": title, "textFormat": text, "tagKeys": ""}
    return {**found, "useValueForTime": "on"} if at_value else found


def link(title, uid):
    return {"title": title, "type": "link", "url": f"/d/{uid}", "icon": "dashboard", "includeVars": True, "keepTime": True,
            "targetBlank": False, "asDropdown": False, "tags": [], "tooltip": ""}


def placed(rows):
    """Panels from left to right, rows from top to bottom; a collapsed row holds its panels."""
    found, y, number = [], 0, 1
    for line in rows:
        head = {"type": "row", "title": line["title"], "collapsed": line["collapsed"], "id": number, "panels": [],
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}
        found.append(head)
        y, x, tall, number = y + 1, 0, 0, number + 1
        for piece in line["panels"]:
            width, height = piece["gridPos"]["w"], piece["gridPos"]["h"]
            if x + width > 24:
                x, y, tall = 0, y + tall, 0
            piece = {"id": number, **piece, "gridPos": {"x": x, "y": y, "w": width, "h": height}}
            (head["panels"] if line["collapsed"] else found).append(piece)
            x, tall, number = x + width, max(tall, height), number + 1
        y += tall
    return found


def board(uid, title, description, variables, rows, annotations=(), links=(), refresh="10s", since="now-1h"):
    return {
        "uid": uid, "title": title, "description": description, "tags": ["drover", "migration"], "id": None, "schemaVersion": 39,
        "version": 1, "editable": False, "graphTooltip": 1, "refresh": refresh, "time": {"from": since, "to": "now"},
        "timepicker": {}, "timezone": "browser", "weekStart": "", "fiscalYearStartMonth": 0, "liveNow": False,
        "annotations": {"list": list(annotations)}, "links": list(links), "templating": {"list": variables},
        "panels": placed(rows)}
