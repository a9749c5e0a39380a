"""The shipped Alertmanager configuration: sound, routed as meant, and silent where another alert says the same."""

import json
import re
import subprocess
import tempfile
import time
import unittest
import urllib.request

import yaml

import project
import servers

FILE = project.ALERTS / "alertmanager.yml"
WEB = {"backend": "prod", "namespace": "shop", "vm": "web", "migration": "web-1", "node": "node-a"}
ABORT = {"drover_action": "abort", "severity": "warning"}


def amtool(*words):
    return subprocess.run(["amtool", *map(str, words)], capture_output=True, text=True)


class Configuration(unittest.TestCase):
    def test_amtool_takes_it(self):
        self.assertEqual(amtool("check-config", FILE).returncode, 0)

    def test_amtool_refuses_a_bad_one(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            file.write(FILE.read_text().replace("receiver: drover-abort", "receiver: drover-aborts"))
            file.flush()
            self.assertNotEqual(amtool("check-config", file.name).returncode, 0)

    def test_routes(self):
        def route(**labels):
            return amtool(
                "config",
                "routes",
                "test",
                f"--config.file={FILE}",
                *(f"{key}={value}" for key, value in labels.items()),
            ).stdout.strip()

        for rule in project.alert_rules():
            labels = {"alertname": rule["alert"], **rule["labels"]}
            self.assertEqual(
                route(**labels), "drover-abort" if "drover_action" in labels else "people", rule["alert"]
            )

    def test_the_settings_of_the_loop(self):
        config = yaml.safe_load(FILE.read_text())
        route = next(one for one in config["route"]["routes"] if one["receiver"] == "drover-abort")
        self.assertEqual(
            (route["group_by"], route["group_wait"], route["group_interval"], route["repeat_interval"]),
            (["..."], "0s", "5s", "1m"),
        )
        hook = next(one for one in config["receivers"] if one["name"] == "drover-abort")["webhook_configs"][0]
        self.assertEqual(hook["url"], "http://localhost:10950/api/v1/alerts")
        self.assertFalse(hook["send_resolved"])
        self.assertIn("credentials_file", hook["http_config"]["authorization"])

    def test_inhibitions_name_alerts_that_exist_and_never_one_that_may_abort(self):
        names = {rule["alert"] for rule in project.alert_rules()}
        for rule in yaml.safe_load(FILE.read_text())["inhibit_rules"]:
            for matcher in rule["source_matchers"] + rule["target_matchers"]:
                match = re.fullmatch(r'alertname(=~|=)"([^"]*)"', matcher)
                for name in match[2].split("|") if match else []:
                    self.assertTrue(any(re.fullmatch(name, one) for one in names), name)


class Inhibitions(unittest.TestCase):
    """A real Alertmanager is told of two alerts, and asked what it holds back."""

    def setUp(self):
        config = yaml.safe_load(FILE.read_text())
        config["receivers"] = [{"name": receiver["name"]} for receiver in config["receivers"]]
        self.manager = self.enterContext(servers.alertmanager(config))

    def held(self, *alerts):
        """The names of the alerts that are held back, of these."""
        body = [
            {"labels": labels, "startsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
            for labels in alerts
        ]
        urllib.request.urlopen(
            urllib.request.Request(
                f"http://{self.manager}/api/v2/alerts",
                json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )
        )

        def seen():
            got = servers.get(f"http://{self.manager}/api/v2/alerts")
            return (
                got
                if {a["labels"]["alertname"] for a in got} >= {labels["alertname"] for labels in alerts}
                else None
            )

        servers.wait("the alerts", 10, seen)
        time.sleep(0.3)
        return {alert["labels"]["alertname"] for alert in seen() if alert["status"]["inhibitedBy"]}

    def test_a_back_end_that_is_down_silences_its_migrations(self):
        self.assertEqual(
            self.held(
                {"alertname": "DroverBackendDown", "backend": "prod"},
                {"alertname": "DroverMigrationNoProgress", **WEB},
                {"alertname": "DroverVMRunsNowhere", "severity": "critical", **WEB},
                {"alertname": "DroverMigrationStalled", **WEB, **ABORT},
                {"alertname": "DroverMigrationNotConverging", **WEB, **ABORT},
                {"alertname": "DroverMigrationWillNotFinish", **WEB, "backend": "other"},
            ),
            {"DroverMigrationNoProgress"},
        )

    def test_a_lost_network_silences_no_progress_of_its_migration_and_no_abort(self):
        self.assertEqual(
            self.held(
                {"alertname": "DroverMigrationNetworkLost", "severity": "warning", **WEB},
                {"alertname": "DroverMigrationNoProgress", **WEB},
                {"alertname": "DroverMigrationStalled", **WEB, **ABORT},
                {"alertname": "DroverMigrationNotConverging", **WEB, **ABORT},
                {"alertname": "DroverMigrationWillNotFinish", **WEB, "migration": "other"},
            ),
            {"DroverMigrationNoProgress"},
        )

    def test_a_node_that_lost_its_management_network_speaks_for_its_migrations(self):
        self.assertEqual(
            self.held(
                {"alertname": "DroverNodeManagementNetworkLost", "backend": "prod", "node": "node-a"},
                {"alertname": "DroverMigrationKeepaliveDeadlineNear", **WEB},
                {"alertname": "DroverMigrationStalled", **WEB, **ABORT},
                {"alertname": "DroverMigrationNoProgress", **WEB, "node": "node-b"},
            ),
            {"DroverMigrationKeepaliveDeadlineNear"},
        )


if __name__ == "__main__":
    unittest.main()
