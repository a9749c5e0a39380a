"""The boards: that Grafana takes them, that they keep every rule of its linter, and that each check can fail."""

import copy
import json
import re
import unittest

import jsonschema
import yaml

import lint
import project

SCHEMA = json.loads((project.ROOT / "Tests" / "Boards" / "dashboard.schema.json").read_text())


def first(board, kind="timeseries"):
    return next(panel for panel in lint.panels(board) if panel["type"] == kind)


def broken(change):
    board = copy.deepcopy(project.boards()["drover-fleet.json"])
    change(board)
    return board


def named(board, name):
    return next(one for one in board["templating"]["list"] if one["name"] == name)


class Boards(unittest.TestCase):
    maxDiff = None

    def test_they_are_what_the_generator_writes(self):
        import generate

        for path, text in generate.files().items():
            self.assertEqual(path.read_text(), text, f"{path}: run dashboards/generate.py")
        self.assertEqual({path.name for path in generate.files()}, set(project.boards()))

    def test_they_fit_the_schema(self):
        for name, board in project.boards().items():
            jsonschema.validate(board, SCHEMA, cls=jsonschema.Draft202012Validator)

    def test_panels_stand_beside_each_other(self):
        for name, board in project.boards().items():
            ids = [panel["id"] for panel in board["panels"]] + [
                p["id"] for row in board["panels"] for p in row.get("panels", [])
            ]
            self.assertEqual(len(ids), len(set(ids)), name)
            for group in [board["panels"]] + [row["panels"] for row in board["panels"] if row.get("panels")]:
                taken = set()
                for panel in group:
                    place = panel["gridPos"]
                    cells = {
                        (x, y)
                        for x in range(place["x"], place["x"] + place["w"])
                        for y in range(place["y"], place["y"] + place["h"])
                    }
                    self.assertFalse(taken & cells, f"{name}: {panel['title']}")
                    taken |= cells

    def test_every_rule_of_the_linter(self):
        self.assertEqual(len(lint.RULES), 17)
        faults = {
            f"{name}: {rule}": check(board)
            for name, board in project.boards().items()
            for rule, check in lint.RULES.items()
            if check(board)
        }
        self.assertEqual(faults, {})

    def test_links_lead_to_boards(self):
        uids = {board["uid"] for board in project.boards().values()}
        for name, board in project.boards().items():
            self.assertEqual(
                {link["url"].removeprefix("/d/") for link in board["links"]}, uids - {board["uid"]}, name
            )

    def test_expressions_name_only_what_is_declared(self):
        known = set(project.families()) | {"up", "scrape_duration_seconds"}
        for name, board in project.boards().items():
            queries = [one["query"]["query"] for one in lint.variables(board, "query")]
            for expr in [expr for _, expr in lint.expressions(board)] + queries:
                self.assertLessEqual(project.names(expr), known, f"{name}: {expr}")

    def test_labels_are_those_of_the_family(self):
        """A matcher on a label that a family does not have would show nothing, or all of it."""
        targets = {"job", "instance", "$namespace_label"}
        for name, board in project.boards().items():
            for where, expr in lint.expressions(board):
                for metric, braces, _ in lint.selectors(expr):
                    if metric in project.families():
                        used = set(re.findall(r"[{,]\s*(\$?\w+)\s*(?:=~|!~|!=|=)", braces)) - targets
                        self.assertLessEqual(
                            used, project.families()[metric].labels, f"{name}: {where}: {metric}"
                        )

    def test_works_where_a_series_has_no_namespace(self):
        for name, board in project.boards().items():
            for one in lint.variables(board, "query"):
                if one["name"] in ("backend", "namespace", "host", "vm", "node"):
                    self.assertEqual(
                        (one["allValue"], one["includeAll"], one["multi"]), (".*", True, True), name
                    )


class Coverage(unittest.TestCase):
    def test_every_metric_is_shown_or_left_out_for_a_reason(self):
        """`unused.yml` names what no panel and no alert uses, and why; nothing else, and nothing that is used."""
        exprs = [expr for board in project.boards().values() for _, expr in lint.expressions(board)]
        exprs += [rule["expr"] for rule in project.alert_rules() + project.recording_rules()]
        used = {project.family_of(name) for expr in exprs for name in project.names(expr)}
        reasons = yaml.safe_load((project.ROOT / "Tests" / "Boards" / "unused.yml").read_text()) or {}
        self.assertEqual(set(project.declared()) - used, set(reasons))
        self.assertTrue(all(reasons.values()))


class Checks(unittest.TestCase):
    """Each check, broken once."""

    def test_the_schema_refuses_a_bad_board(self):
        for change in (
            lambda b: b.pop("uid"),
            lambda b: b.update(uid="x" * 41),
            lambda b: b.update(id=7),
            lambda b: b.update(schemaVersion="39"),
            lambda b: b.update(__inputs=[]),
            lambda b: b.update(editable=True),
            lambda b: first(b).update(type="graph2"),
            lambda b: first(b)["gridPos"].update(w=25),
            lambda b: first(b)["targets"][0].pop("expr"),
            lambda b: b["templating"]["list"][1].update(refresh="2"),
            lambda b: first(b)["fieldConfig"]["defaults"]["thresholds"]["steps"][0].update(value="0"),
        ):
            with self.assertRaises(jsonschema.ValidationError):
                jsonschema.validate(broken(change), SCHEMA, cls=jsonschema.Draft202012Validator)

    def test_each_rule_of_the_linter_can_fail(self):
        def expr(text):
            return lambda b: first(b)["targets"][0].update(expr=text)

        ours = '{job=~"$job", instance=~"$instance"}'
        changes = {
            "template-datasource-rule": lambda b: named(b, "datasource").update(label="Data Source"),
            "template-job-rule": lambda b: named(b, "job").update(allValue=".*"),
            "template-instance-rule": lambda b: named(b, "instance").update(multi=False),
            "template-label-promql-rule": lambda b: named(b, "vm")["query"].update(
                query="label_values(drover_x{, vm)"
            ),
            "template-on-time-change-reload-rule": lambda b: named(b, "vm").update(refresh=1),
            "panel-datasource-rule": lambda b: first(b).update(
                datasource={"type": "prometheus", "uid": "abc"}
            ),
            "panel-title-description-rule": lambda b: first(b).update(description=""),
            "panel-units-rule": lambda b: first(b)["fieldConfig"]["defaults"].update(unit="parsecs"),
            "panel-no-targets-rule": lambda b: first(b).update(targets=[]),
            "target-promql-rule": expr(f"sum(drover_node_vms{ours}"),
            "target-logql-rule": lambda b: first(b)["targets"][0].update(
                datasource={"type": "loki", "uid": "$datasource"}
            ),
            "target-logql-auto-rule": lambda b: first(b)["targets"][0].update(
                datasource={"type": "loki", "uid": "$datasource"}
            ),
            "target-rate-interval-rule": expr(f"sum(rate(drover_migrations_failed_total{ours}[5m]))"),
            "target-job-rule": expr('drover_node_vms{instance=~"$instance"}'),
            "target-instance-rule": expr('drover_node_vms{job=~"$job"}'),
            "target-counter-agg-rule": expr(f"sum(drover_migrations_failed_total{ours})"),
            "uneditable-dashboard": lambda b: b.update(editable=True),
        }
        self.assertEqual(set(changes), set(lint.RULES))
        for rule, change in changes.items():
            self.assertTrue(lint.RULES[rule](broken(change)), rule)

    def test_selectors_are_all_found(self):
        found = lint.selectors(
            'sum by (job) (rate(a_total{x="}y",job=~"$job"}[5m])) / on (b) group_left (c) max(d) or e and f{g="h"} - time()'
        )
        self.assertEqual(
            [(name, braces) for name, braces, _ in found],
            [("a_total", '{x="}y",job=~"$job"}'), ("d", ""), ("e", ""), ("f", '{g="h"}')],
        )


if __name__ == "__main__":
    unittest.main()
