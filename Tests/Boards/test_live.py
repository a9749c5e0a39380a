"""Real servers: every expression of the boards on real data, and how often an evacuation calls a person."""

import json
import re
import subprocess
import time
import unittest

import lint
import people
import project
import servers
from asking import EMPTY, RULES, data, queries, scrape, scrapes
from everything import fleet
from play import Play, backend, drain, migration


class Expressions(unittest.TestCase):
    """A demo and a played fleet with every family, seventy seconds of each, in one Prometheus with the shipped rules.

    One migration of the demo is aborted by hand, so that there is a decision to see."""

    SECONDS = 70
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        demo, cls.socket = cls.enterClassContext(servers.demo())
        played = cls.enterClassContext(servers.playing(fleet()))
        cls.url = cls.enterClassContext(
            servers.prometheus(
                [
                    *scrapes(demo),
                    scrape("played", played),
                    {
                        **scrape("strict", played),
                        "honor_labels": False,
                        "static_configs": [{"targets": [played], "labels": {"namespace": "monitoring"}}],
                    },
                ],
                RULES,
            )
        )
        until = time.monotonic() + cls.SECONDS
        time.sleep(cls.SECONDS / 2)
        servers.wait("an abort", 30, cls.abort_one)
        time.sleep(max(0, until - time.monotonic()))
        cls.end = time.time()

    @classmethod
    def abort_one(cls):
        def drover(*words):
            return subprocess.run(
                [servers.drover(), *words, "--server", cls.socket], capture_output=True, text=True, timeout=30
            )

        items = json.loads(drover("list", "--output", "json").stdout)["items"]
        return any(
            drover("abort", item["id"]).returncode == 0 for item in items if item["phase"] == "precopy"
        )

    def data(self, expr, job):
        """Over the time of the demo."""
        return data(self.url, expr, job, self.end - self.SECONDS + 10, self.end)

    def test_every_expression_returns_data_from_the_demo_or_rightly_none(self):
        nothing = {where: expr for where, expr in queries() if not self.data(expr, "drover-.+")}
        rightly = set(EMPTY["families"])
        unexplained = {
            where: " ".join(sorted(project.names(expr)))
            for where, expr in nothing.items()
            if where not in EMPTY["expressions"] and not project.names(expr) & rightly
        }
        self.assertEqual(unexplained, {})

    def test_what_is_said_to_be_empty_is(self):
        for family in EMPTY["families"]:
            self.assertEqual(self.data(f'{family}{{job=~"$job"}}', "drover-.+"), [], family)
        where = {where for where, _ in queries()}
        self.assertLessEqual(set(EMPTY["expressions"]), where)

    def test_every_expression_returns_data_from_a_fleet_that_shows_everything(self):
        nothing = [where for where, expr in queries() if not self.data(expr, "played")]
        self.assertEqual([where for where in nothing if where not in EMPTY["played"]], [])

    def test_where_labels_are_not_honoured_the_boards_take_the_other_label(self):
        for name, board in project.boards().items():
            for where, expr in lint.expressions(board):
                if "$namespace_label" in expr:
                    strict = expr.replace("$namespace_label", "exported_namespace").replace(
                        '"$namespace"', '"shop|"'
                    )
                    self.assertTrue(self.data(strict, "strict"), f"{name} {where}")

    def test_every_choice_of_a_variable_is_one(self):
        """`label_values` through the interface that Grafana asks."""
        for name, board in project.boards().items():
            for one in lint.variables(board, "query"):
                selector, label = lint.label_values(one["query"]["query"])
                selector = re.sub(r"\$\w+", ".*", selector.replace("$namespace_label", "namespace"))
                label = label.replace("$namespace_label", "namespace")
                answer = servers.get(f"{self.url}/api/v1/label/{label}/values", **{"match[]": selector})
                self.assertTrue(answer["data"], f"{name}: {one['name']}")

    def test_the_rules_are_evaluated_without_an_error(self):
        groups = servers.get(f"{self.url}/api/v1/rules")["data"]["groups"]
        faults = {
            rule["name"]: rule.get("lastError")
            for group in groups
            for rule in group["rules"]
            if rule["health"] != "ok"
        }
        self.assertEqual(faults, {})
        recorded = [
            rule["name"] for group in groups for rule in group["rules"] if rule["type"] == "recording"
        ]
        self.assertEqual([name for name in recorded if not self.data(name, "")], [])


def evacuation(network="migration"):
    """Ten nodes with twenty VMs each are emptied, two of each at a time; the wire of one node is cut from 20 s on.

    A migration takes 10 s. The two that leave node-3 stand still from 20 s on, and the others of that node wait for them. With the
    migration network they are past their progress deadline (40 s here) at 60 s, and end at 85 s; with the management network
    libvirt ends them at 50 s."""
    data = network == "migration"
    end = 85 if data else 50
    play = Play()
    play.add(
        "drover_migrations_succeeded_total",
        {"backend": "prod", "origin": "evacuation"},
        lambda t: max(0, int(t / 10) * 18),
    )
    play.add(
        "drover_migrations_failed_total",
        {"backend": "prod", "origin": "evacuation", "cause": "progress_timeout" if data else "keepalive"},
        lambda t: 2 if t >= end else 0,
    )
    backend(play)
    for node in range(10):
        for turn in range(10):
            for lane in range(2):
                struck = node == 3 and turn == 2
                begin = 10 * turn + (end - 20 if node == 3 and turn > 2 else 0)
                over = end if struck else begin + 10
                migration(
                    play,
                    vm=f"vm-{node}-{turn}-{lane}",
                    source=f"node-{node}",
                    target="node-x",
                    progress=40,
                    over=over,
                    phase=lambda t, begin=begin: "pending" if t < begin else "precopy",
                    pending=lambda t, begin=begin: "queue_node" if t < begin else None,
                    enforced_by="none",
                    lost=network if struck else None,
                    entered=begin,
                    keepalive=20 if struck and not data else lambda t: t - t % 5,
                    verdict="network_lost" if struck else "converging",
                    stuck_since=20 if struck else None,
                    running=lambda t, over=over, struck=struck: "source" if t < over or struck else "target",
                )
        drain(
            play,
            f"node-{node}",
            done=lambda t, node=node: min(20, 2 * int(t / 10)) if node != 3 else 4,
            pending=lambda t, node=node: max(0, 18 - 2 * int(t / 10)) if node != 3 else 14,
            migrating=lambda t, node=node: 2 if node == 3 or t < 90 else 0,
        )
    for lane in range(2):
        play.add(
            "drover_vm_consecutive_failed_migrations",
            {"backend": "prod", "namespace": "shop", "vm": f"vm-3-2-{lane}"},
            lambda t: 1 if t >= end else None,
        )
    return play


class Noise(unittest.TestCase):
    SECONDS = 105

    def watch(self, play, expected):
        """Plays it; people are told at most thrice, also counting what would be sent later, while all that is expected fires."""
        with people.listening() as manager, servers.playing(play) as played, servers.prometheus(
            [scrape("drover-migrations", played)], RULES, manager.manager
        ) as url:
            time.sleep(self.SECONDS)
            told, groups, fired = manager.told(url, self.SECONDS)
        self.posts = manager.posts
        self.assertEqual(fired, expected)
        self.assertTrue(told)
        self.assertLessEqual(len(told), 3, told)
        self.assertLessEqual(len(groups), 3, groups)
        return {name for _, name, _ in told}

    def test_200_vms_and_the_migration_network_of_a_node(self):
        told = self.watch(
            evacuation(),
            {"DroverMigrationNetworkLost", "DroverMigrationNoProgress", "DroverMigrationStalled"},
        )
        self.assertEqual(told, {"DroverMigrationNetworkLost"}, "a dead wire is why there is no progress")
        self.asked_to_abort(
            [(authorization, body) for path, authorization, body in self.posts if path == "/api/v1/alerts"]
        )

    def test_200_vms_and_the_management_network_of_a_node(self):
        told = self.watch(
            evacuation("management"),
            {
                "DroverNodeManagementNetworkLost",
                "DroverMigrationKeepaliveDeadlineNear",
                "DroverMigrationNoProgress",
            },
        )
        self.assertEqual(told, {"DroverNodeManagementNetworkLost"}, "one node, not each of its migrations")
        self.assertEqual({path for path, _, _ in self.posts}, {"/people"})

    def asked_to_abort(self, posts):
        """Drover is told of each migration by itself, with its credential, and of firing alerts only."""
        self.assertEqual(
            {body["alerts"][0]["labels"]["migration"] for _, body in posts}, {"vm-3-2-0-1", "vm-3-2-1-1"}
        )
        for authorization, body in posts:
            self.assertEqual(authorization, "Bearer secret")
            self.assertEqual(len(body["alerts"]), 1)
            labels = body["alerts"][0]["labels"]
            self.assertEqual(
                (
                    body["status"],
                    labels["alertname"],
                    labels["drover_action"],
                    labels["backend"],
                    labels["namespace"],
                ),
                ("firing", "DroverMigrationStalled", "abort", "prod", "shop"),
            )
            self.assertNotIn("instance", labels)


if __name__ == "__main__":
    unittest.main()
