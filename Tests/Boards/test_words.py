"""What alerts are called and say, which names they use, and what is made from them."""

import re
import unittest

import project
from cases import CASES


class Words(unittest.TestCase):
    """What each alert must have besides an expression."""

    CRITICAL = {
        "DroverMigrationPostcopyBroken",
        "DroverMigrationGuestSuspended",
        "DroverVMRunsNowhere",
        "DroverVMRunsTwice",
        "DroverDrainStuck",
        "DroverNodeManagementNetworkLost",
        "DroverMigrationNetworkLost",
    }
    ABORT = {"DroverMigrationNotConverging", "DroverMigrationStalled"}

    def test_severity(self):
        rules = project.alert_rules()
        self.assertEqual(
            {rule["alert"] for rule in rules if rule["labels"]["severity"] == "critical"}, self.CRITICAL
        )
        self.assertLessEqual({rule["labels"]["severity"] for rule in rules}, {"critical", "warning", "info"})

    def test_only_two_alerts_may_abort_and_stand_apart(self):
        may = {
            rule["alert"] for rule in project.alert_rules() if rule["labels"].get("drover_action") == "abort"
        }
        self.assertEqual(may, self.ABORT)
        apart = {
            rule["alert"] for group in project.rules("drover-abort.yml")["groups"] for rule in group["rules"]
        }
        self.assertEqual(apart, self.ABORT)
        for rule in project.alert_rules():
            if rule["alert"] in self.ABORT:
                self.assertEqual(rule["for"], "0s")
                self.assertNotIn("keep_firing_for", rule)

    def test_annotations(self):
        for rule in project.alert_rules():
            name, words = rule["alert"], rule["annotations"]
            self.assertEqual(set(words), {"summary", "description", "runbook_url"}, name)
            self.assertNotIn("{{", words["summary"], name)
            self.assertTrue(words["runbook_url"].endswith(f"/{name}.md"), name)

    def test_every_alert_has_a_runbook_and_every_runbook_an_alert(self):
        names = {rule["alert"] for rule in project.alert_rules()}
        self.assertEqual(
            {path.stem for path in (project.ALERTS / "runbooks").glob("*.md")} - {"README"}, names
        )
        for name in names:
            text = (project.ALERTS / "runbooks" / f"{name}.md").read_text()
            headings = re.findall(r"^## (.*)$", text, re.M)
            self.assertEqual(headings, ["Meaning", "Impact", "Diagnosis", "Mitigation", "Do not"], name)
            self.assertTrue(text.startswith(f"# {name}\n"), name)
            for command in re.findall(r"(?:^|`)drover ([a-z-]+)", text, re.M):
                self.assertIn(command, project.COMMANDS, name)

    def test_every_number_comes_from_the_limits(self):
        """An alert compares with 0, 1, or a limit; so does what it is made of."""
        limits = {rule["record"] for rule in project.recording_rules() if rule["record"].endswith(":limit")}
        used = set()
        for rule in project.alert_rules() + project.recording_rules():
            if rule.get("record") in limits:
                continue
            used |= set(re.findall(r"drover:\w+:limit", rule["expr"]))
            for number in re.findall(r"[<>]=?\s*(\d[\d.]*)", rule["expr"]):
                self.assertIn(number, ("0", "1"), rule.get("alert") or rule["record"])
        self.assertEqual(used, limits)

    def test_every_expression_needs_a_fresh_sample(self):
        """Each alert about migrations, VMs and nodes is made of recordings that count old data out, or counts it out itself."""
        text = {rule["record"]: rule["expr"] for rule in project.recording_rules()}
        gates = (
            "drover:sample_age_seconds:limit",
            "drover:backend_age_seconds:limit",
            "migration:drover_migration:fresh",
        )
        free = {"DroverMigrationDataTooOld", "DroverMigrationQueueStuck", "DroverMigrationsDropped"}
        for rule in project.alert_rules():
            if (
                not re.match(r"Drover(Migration|VM|Drain|Node|Evacuation)", rule["alert"])
                or rule["alert"] in free
            ):
                continue
            sources = [rule["expr"]] + [text[name] for name in project.names(rule["expr"]) if name in text]
            self.assertTrue(any(gate in expr for gate in gates for expr in sources), rule["alert"])


class Names(unittest.TestCase):
    def test_rules_name_only_what_is_declared_or_recorded(self):
        families, recorded = project.families(), {rule["record"] for rule in project.recording_rules()}
        for rule in project.alert_rules() + project.recording_rules():
            for name in project.names(rule["expr"]):
                if name != "up" and name not in recorded:
                    self.assertIn(name, families, rule.get("alert") or rule["record"])

    def test_a_name_that_is_not_declared_is_found(self):
        self.assertEqual(
            project.names(
                'sum by (vm) (rate(drover_remainig_bytes{vm="drover_x"}[5m])) / on (vm) a:drover_b:c'
            ),
            {"drover_remainig_bytes", "a:drover_b:c"},
        )
        self.assertNotIn("drover_remainig_bytes", project.families())

    def test_plays_use_only_declared_names_and_labels(self):
        families = project.families()
        for cases in CASES.values():
            for case in cases:
                for play in case.make(True) + case.make(False):
                    for name, labels, _ in play.series:
                        if name != "up":
                            self.assertLessEqual(set(labels), families[name].labels, name)


class Kubernetes(unittest.TestCase):
    def test_the_prometheus_rule_is_in_step(self):
        for path, text in project.prometheus_rules().items():
            self.assertEqual(path.read_text(), text, f"{path}: run alerts/wrap.py")


if __name__ == "__main__":
    unittest.main()
