"""The boards' own queries, asked of a Prometheus as a panel asks."""

import re

import yaml

import lint
import project
import servers

RULES = [project.ALERTS / name for name in ("drover-recording.yml", "drover-alerts.yml", "drover-abort.yml")]
EMPTY = yaml.safe_load((project.ROOT / "Tests" / "Boards" / "empty.yml").read_text())


def scrape(job, address, parts=()):
    return {
        "job_name": job,
        "scrape_interval": "5s",
        "honor_labels": True,
        "params": {"collect[]": list(parts)} if parts else {},
        "static_configs": [{"targets": [address]}],
    }


def scrapes(address):
    """The two jobs that the documentation gives."""
    return [
        scrape("drover-migrations", address, ["migrations"]),
        scrape("drover-inventory", address, ["vms", "nodes", "self"]),
    ]


def data(url, expr, job, start, end):
    """What an expression returns over that time, with every choice of a variable."""
    expr = (
        expr.replace('$job"', f'{job}"')
        .replace('$instance"', '.+"')
        .replace("$namespace_label", "namespace")
    )
    expr = expr.replace("$__rate_interval", "20s").replace("$__interval", "20s")
    expr = re.sub(
        r"\$migration", ".+", re.sub(r"\$(\w+)", lambda m: m[0] if m[1] == "migration" else ".*", expr)
    )
    answer = servers.get(f"{url}/api/v1/query_range", query=expr, start=start, end=end, step=5)
    return [point for series in answer["data"]["result"] for point in series["values"] if point[1] != "NaN"]


def queries():
    """Every expression of every panel, annotation and variable, with where it is."""
    for name, board in project.boards().items():
        for where, expr in lint.expressions(board):
            yield f"{name} {where}", expr
        for one in lint.variables(board, "query"):
            selector, _ = lint.label_values(one["query"]["query"])
            yield f"{name} variable {one['name']}", selector
