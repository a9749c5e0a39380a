#!/usr/bin/env python3
"""Draws the boards into docs/pictures with matplotlib: their own panels and queries, on what a real Prometheus has scraped.

Not Grafana: it looks alike, no more. Fleet, Migration and Drover itself show `drover demo` (real QEMU guests); Drain shows the played
evacuation of test_live.py, since the demo has no cluster."""

import io
import re
import sys
import time
from datetime import datetime

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as dates
import matplotlib.pyplot as plt
from PIL import Image

import lint
import project
import servers
from test_live import evacuation, scrape

PICTURES = project.ROOT / "docs" / "pictures"
COLUMN, LINE = 0.62, 0.30  # inches for one cell of Grafana's grid
BACK, PANE, TEXT, DIM = "#111217", "#181b1f", "#d5d7dc", "#7b7f87"
CYCLE = [
    "#73bf69",
    "#f2cc0c",
    "#5794f2",
    "#ff780a",
    "#f2495c",
    "#b877d9",
    "#8ab8ff",
    "#fade2a",
    "#96d98d",
    "#ffb357",
]
NAMES = {
    "green": "#73bf69",
    "yellow": "#f2cc0c",
    "orange": "#ff780a",
    "red": "#f2495c",
    "blue": "#5794f2",
    "purple": "#b877d9",
    "light-blue": "#8ab8ff",
    "text": TEXT,
}


class Data:
    def __init__(self, url, job, begin, end, migration):
        self.url, self.job, self.begin, self.end, self.migration = url, job, begin, end, migration

    def expand(self, expr):
        expr = (
            expr.replace("$namespace_label", "namespace")
            .replace("$__rate_interval", "20s")
            .replace("$__interval", "15s")
        )
        for name, value in (("job", self.job), ("instance", ".+"), ("migration", self.migration)):
            expr = expr.replace(f'"${name}"', f'"{value}"')
        return re.sub(r"\$\w+", ".*", expr)

    def range(self, expr):
        step = max(1, round((self.end - self.begin) / 240))
        return servers.get(
            f"{self.url}/api/v1/query_range",
            query=self.expand(expr),
            start=self.begin,
            end=self.end,
            step=step,
        )["data"]["result"]

    def now(self, expr):
        return servers.get(f"{self.url}/api/v1/query", query=self.expand(expr), time=self.end)["data"][
            "result"
        ]


def legend(target, labels):
    if target["legendFormat"] == "__auto":
        return ",".join(f"{k}={v}" for k, v in labels.items() if k not in ("__name__", "job"))
    short = {**labels, "migration": f"…{labels.get('migration', '')[-6:]}"}
    return " ".join(
        re.sub(r"\{\{(\w+)\}\}", lambda m: short.get(m[1], ""), target["legendFormat"])
        .replace("( )", "")
        .split()
    )


def written(value, unit, now=0.0):
    if value != value:
        return "–"
    if unit in ("bytes", "Bps"):
        for word in ("B", "KiB", "MiB", "GiB"):
            if abs(value) < 1024 or word == "GiB":
                return f"{value:.3g} {word}{'/s' if unit == 'Bps' else ''}"
            value /= 1024
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "s":
        return f"{value:.3g} s" if abs(value) < 120 else f"{value / 60:.3g} min"
    if unit == "dateTimeFromNow":
        away = value / 1000 - now
        return f"in {away:.0f} s" if away > 0 else f"{-away:.0f} s ago"
    if unit == "dateTimeAsIso":
        return datetime.fromtimestamp(value / 1000).strftime("%H:%M:%S")
    return f"{value:.3g}{' /min' if unit == 'cpm' else ''}"


def colour(defaults, value):
    found = "text"
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            found = step["color"]
    return NAMES.get(found, found)


def mapped(defaults, value):
    for one in defaults.get("mappings", []):
        option = one["options"].get(f"{value:g}")
        if option:
            return option["text"], NAMES.get(option.get("color"), option.get("color") or TEXT)
    return None


def draw_stat(axis, panel, data):
    defaults, target = panel["fieldConfig"]["defaults"], panel["targets"][0]
    found = (
        data.now(target["expr"])
        or [{"metric": {}, "value": [0, s["values"][-1][1]]} for s in data.range(target["expr"])][-1:]
    )
    axis.axis("off")
    if not found:
        text, shade = "–", DIM
    elif panel["options"].get("textMode") == "name":
        text, shade = legend({**target, "legendFormat": target["legendFormat"]}, found[0]["metric"]), TEXT
    else:
        value = float(found[0]["value"][1])
        text, shade = mapped(defaults, value) or (
            written(value, defaults["unit"], data.end),
            colour(defaults, value),
        )
    size = 17 if len(text) < 12 else 11 if len(text) < 18 else 7
    axis.text(0.5, 0.42, text, ha="center", va="center", color=shade, size=size, transform=axis.transAxes)


def draw_graph(axis, panel, data):
    custom, unit = panel["fieldConfig"]["defaults"]["custom"], panel["fieldConfig"]["defaults"]["unit"]
    lines = [
        (
            legend(target, series["metric"]),
            [(datetime.fromtimestamp(t), float(v)) for t, v in series["values"]],
        )
        for target in panel["targets"]
        for series in data.range(target["expr"])
    ]
    if custom["stacking"]["mode"] == "normal" and lines:
        moments = sorted({t for _, points in lines for t, _ in points})
        rows = [[dict(points).get(t, 0) for t in moments] for _, points in lines]
        axis.stackplot(moments, rows, labels=[name for name, _ in lines], colors=CYCLE, alpha=0.7)
    else:
        for name, points in lines:
            axis.plot(*zip(*points), label=name, lw=1)
    low, high = (panel["fieldConfig"]["defaults"].get(key) for key in ("min", "max"))
    axis.set_ylim(bottom=low, top=high)
    axis.set_xlim(datetime.fromtimestamp(data.begin), datetime.fromtimestamp(data.end))
    axis.xaxis.set_major_locator(plt.MaxNLocator(4))
    axis.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
    axis.yaxis.set_major_formatter(lambda value, _: written(value, unit))
    axis.tick_params(labelsize=5, colors=DIM, length=2)
    axis.grid(color="#2c3035", lw=0.4)
    if lines:
        handles, names = axis.get_legend_handles_labels()
        axis.legend(
            handles[:10],
            names[:10],
            fontsize=5,
            loc="upper left",
            frameon=False,
            labelcolor=TEXT,
            ncols=2 if len(lines) > 5 else 1,
        )
    else:
        axis.text(0.5, 0.5, "no data", ha="center", va="center", color=DIM, size=7, transform=axis.transAxes)


def draw_timeline(axis, panel, data):
    defaults, labels = panel["fieldConfig"]["defaults"], []
    for target in panel["targets"]:
        for series in data.range(target["expr"]):
            row = len(labels)
            labels.append(legend(target, series["metric"]))
            points = [(t, float(v)) for t, v in series["values"]] + [(None, None)]
            begun = 0
            for index in range(1, len(points)):
                if points[index][1] != points[begun][1]:
                    word, shade = mapped(defaults, points[begun][1]) or (f"{points[begun][1]:g}", DIM)
                    left, right = (
                        dates.date2num(datetime.fromtimestamp(points[i][0]))
                        for i in (begun, index - 1 if points[index][0] is None else index)
                    )
                    axis.barh(row, right - left, left=left, color=shade, height=0.8)
                    if (
                        right - left > (data.end - data.begin) / 86400 * 0.05
                        and panel["targets"][0]["legendFormat"][0] != "{"
                    ):
                        axis.text(
                            (left + right) / 2, row, word, ha="center", va="center", size=5.5, color="black"
                        )
                    begun = index
    axis.set_yticks(range(len(labels)), labels)
    axis.set_xlim(datetime.fromtimestamp(data.begin), datetime.fromtimestamp(data.end))
    axis.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
    axis.tick_params(labelsize=4.5, colors=DIM, length=2)
    axis.invert_yaxis()


def draw_table(axis, panel, data):
    options = panel["transformations"][1]["options"]
    units = {
        o["matcher"]["options"]: next((p["value"] for p in o["properties"] if p["id"] == "unit"), None)
        for o in panel["fieldConfig"]["overrides"]
    }
    texts = {
        o["matcher"]["options"]: next((p["value"] for p in o["properties"] if p["id"] == "mappings"), [])
        for o in panel["fieldConfig"]["overrides"]
    }
    rows = []
    for target in panel["targets"]:
        name = f"Value #{target['refId']}" if len(panel["targets"]) > 1 else "Value"
        for series in data.now(target["expr"]):
            cells = dict(series["metric"])
            if name not in options["excludeByName"]:
                name_shown, value = options["renameByName"].get(name, name), float(series["value"][1])
                text = mapped({"mappings": texts.get(name_shown, [])}, value)
                cells[name_shown] = text[0] if text else written(value, units.get(name_shown) or "short")
            match = next(
                (
                    row
                    for row in rows
                    if all(row.get(k) == v for k, v in series["metric"].items() if k in row)
                    and set(series["metric"]) & set(row)
                ),
                None,
            )
            match.update(cells) if match is not None and target["refId"] != "A" else rows.append(cells)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    axis.axis("off")
    if not rows:
        axis.text(0.5, 0.5, "none", ha="center", va="center", color=DIM, size=7, transform=axis.transAxes)
        return
    shown = [[str(row.get(column, ""))[-18:] for column in columns] for row in rows[:10]]
    drawn = axis.table(shown, colLabels=columns, loc="upper left", cellLoc="left", edges="horizontal")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(6)
    drawn.auto_set_column_width(range(len(columns)))
    for (row, _), cell in drawn.get_celld().items():
        cell.set_edgecolor("#2c3035")
        cell.get_text().set_color(DIM if row == 0 else TEXT)


DRAW = {
    "stat": draw_stat,
    "gauge": draw_stat,
    "timeseries": draw_graph,
    "state-timeline": draw_timeline,
    "table": draw_table,
}


def draw(board, data, path, *titles):
    """These rows of a board, one below the other: more would not be read on a page."""
    panels, y, top, shown = [], 0, 0, False
    for panel in board["panels"]:
        if panel["type"] == "row":
            y, top, shown = (
                max([y] + [p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels]),
                panel["gridPos"]["y"],
                panel["title"] in titles,
            )
        if shown:
            panels.append({**panel, "gridPos": {**panel["gridPos"], "y": y + panel["gridPos"]["y"] - top}})
    height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels)
    figure = plt.figure(figsize=(24 * COLUMN, height * LINE + 0.3), facecolor=BACK, dpi=80)
    figure.text(
        0.01,
        1 - 0.16 / (height * LINE + 0.3),
        f"{board['title']}",
        color=TEXT,
        size=10,
        va="center",
        weight="bold",
    )
    whole = height * LINE + 0.3
    for panel in panels:
        place = panel["gridPos"]
        x, y = place["x"] / 24, 1 - (0.3 + (place["y"] + place["h"]) * LINE) / whole
        w, h = place["w"] / 24, place["h"] * LINE / whole
        if panel["type"] == "row":
            figure.text(x + 0.006, y + h / 2, f"⌄ {panel['title']}", color=TEXT, size=7.5, va="center")
            continue
        figure.patches.append(
            plt.Rectangle(
                (x + 0.002, y + 0.03 * h),
                w - 0.004,
                0.94 * h,
                color=PANE,
                transform=figure.transFigure,
                zorder=-1,
            )
        )
        figure.text(x + 0.006, y + h - 0.13 / whole, panel["title"], color=TEXT, size=6.5, va="center")
        plain = panel["type"] in ("stat", "gauge", "table")
        wide = 0.09 if panel["type"] == "state-timeline" else 0.035
        axis = figure.add_axes(
            [
                x + (0.006 if plain else wide),
                y + (0.05 * h if plain else 0.2 / whole + 0.02 * h),
                w - (0.012 if plain else wide + 0.01),
                h - (0.3 / whole if plain else 0.46 / whole),
            ],
            facecolor=PANE,
        )
        axis.set_prop_cycle(color=CYCLE)
        for edge in axis.spines.values():
            edge.set_visible(False)
        DRAW[panel["type"]](axis, panel, data)
    picture = io.BytesIO()
    figure.savefig(picture, facecolor=BACK)
    Image.open(picture).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
    plt.close(figure)
    print(path.name, path.stat().st_size // 1024, "KB")


def main(seconds=170):
    PICTURES.mkdir(parents=True, exist_ok=True)
    boards = project.boards()
    with servers.demo() as (demo, _), servers.playing(evacuation()) as played, servers.prometheus(
        [scrape("drover", demo), scrape("played", played)]
    ) as url:
        began = time.time()
        time.sleep(75)
        drain = Data(url, "played", began, time.time(), ".+")
        draw(boards["drover-drain.json"], drain, PICTURES / "drain.png", "Now", "Progress")
        time.sleep(max(0, seconds - (time.time() - began)))
        end = time.time()
        draw(
            boards["drover-fleet.json"],
            Data(url, "drover", began, end, ".+"),
            PICTURES / "fleet.png",
            "Now",
            "What is moving",
            "How they end",
        )
        draw(
            boards["drover-itself.json"],
            Data(url, "drover", began, end, ".+"),
            PICTURES / "itself.png",
            "Now",
            "Whether it sees",
        )
        over = servers.get(
            f"{url}/api/v1/query",
            time=end,
            query='topk(1, drover_migration_end_timestamp_seconds{job="drover", ' 'vm="cache-1"})',
        )["data"]["result"][0]
        begin, over = int(over["metric"]["migration"].split("-")[-1]) / 1000, over["metric"]["migration"]
        draw(
            boards["drover-migration.json"],
            Data(url, "drover", begin - 3, begin + 27, over),
            PICTURES / "migration.png",
            "Now",
            "Life",
            "Copy",
            "Budgets",
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
