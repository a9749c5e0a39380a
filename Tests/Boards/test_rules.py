"""The alert rules: that they are sound, and fire when they should and only then."""

import re
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

import yaml

import project
from cases import CASES, SILENCE
from play import Play, backend, drain, migration

FILES = ["drover-recording.yml", "drover-alerts.yml", "drover-abort.yml"]
GROUPS = [group["name"] for name in FILES for group in project.rules(name)["groups"]]
FIRING = 'ALERTS{alertstate="firing"'


def promtool(tests, step=5):
    """Runs rule tests; returns what promtool says, empty where all is well."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump(
            {
                "rule_files": [str(project.ALERTS / name) for name in FILES],
                "evaluation_interval": f"{step}s",
                "group_eval_order": GROUPS,
                "tests": tests,
            },
            file,
        )
        file.flush()
        run = subprocess.run(["promtool", "test", "rules", file.name], capture_output=True, text=True)
        return "" if run.returncode == 0 else run.stdout + run.stderr


def in_two(tests):
    """The same, on two cores; long scenes are looked at each 15 s only."""
    fine = [test for test in tests if test["interval"] == "5s"]
    coarse = [test for test in tests if test["interval"] == "15s"]
    with ThreadPoolExecutor(2) as pool:
        return "".join(pool.map(promtool, (fine[::2], fine[1::2], coarse), (5, 5, 15)))


def scene(name, plays, until, expressions, alerts=(), step=5):
    return {
        "name": name,
        "interval": f"{step}s",
        "input_series": [line for play in plays for line in play.promtool(until, step)],
        "promql_expr_test": [
            {"expr": expr, "eval_time": f"{t}s", "exp_samples": samples} for t, expr, samples in expressions
        ],
        "alert_rule_test": list(alerts),
    }


def libvirt_host():
    play = Play()
    backend(play, "rack", up=lambda t: int(t < 30), age=lambda t: max(1, t - 30))
    return play


def one(value=1):
    return [{"labels": "{}", "value": value}]


class Rules(unittest.TestCase):
    maxDiff = None

    def test_promtool_takes_the_files(self):
        run = subprocess.run(
            ["promtool", "check", "rules", *(project.ALERTS / name for name in FILES)],
            capture_output=True,
            text=True,
        )
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_promtool_refuses_a_bad_one(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            file.write(
                (project.ALERTS / FILES[1]).read_text().replace("humanizePercentage", "humanizePercent")
            )
            file.flush()
            run = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True)
        self.assertNotEqual(run.returncode, 0)

    def test_every_alert_has_a_case(self):
        self.assertEqual({rule["alert"] for rule in project.alert_rules()}, set(CASES))

    def test_each_fires_when_it_should_and_says_so(self):
        """promtool prints what it got where nothing is expected: so the words are read."""
        tests = []
        for alert, number, case in self.cases():
            labels = "".join(f', {k}="{v}"' for k, v in case.labels.items())
            tests.append(
                scene(
                    f"{alert} {number}",
                    case.make(True),
                    case.until,
                    [
                        (case.fires - case.step, self.which(case), []),
                        (case.fires, f"count({self.which(case)})", one()),
                        (case.fires, f"count({self.which(case, labels)})", one()),
                        (case.until, self.which(case), []),
                    ],
                    [{"eval_time": f"{case.fires}s", "alertname": alert, "exp_alerts": []}],
                    case.step,
                )
            )
        got = in_two(tests)
        self.assertEqual(re.findall(r"expr:.*\n.*\n.*", got), [])
        words = {}
        for alert, text in re.findall(
            r"alertname: (\w+), time: \S+\s+exp:\[\s*\],?\s+got:\[(.*?)\n\s*\]", got, re.S
        ):
            words.setdefault(alert, []).append(re.sub(r"\s+", " ", text))
        self.assertEqual(
            [
                (alert, case.says, words.get(alert))
                for alert, _, case in self.cases()
                if not any(case.says in text for text in words.get(alert, []))
            ],
            [],
        )
        for alert, texts in words.items():
            for broken in ("<error", "<no value>", "{{", "NaN", "%!"):
                self.assertNotIn(broken, str(texts), alert)

    def test_each_is_quiet_beside_a_healthy_neighbour(self):
        self.assertEqual(
            in_two(
                [
                    scene(
                        f"{alert} {number} healthy",
                        case.make(False),
                        case.until,
                        [(case.until, f"max_over_time({self.which(case)}[{case.until}s])", [])],
                        step=case.step,
                    )
                    for alert, number, case in self.cases()
                ]
            ),
            "",
        )

    @staticmethod
    def cases():
        return [(alert, number, case) for alert, cases in CASES.items() for number, case in enumerate(cases)]

    @staticmethod
    def which(case, labels=""):
        return (
            f'{FIRING}, alertname="{case.alert}"'
            + (f', severity="{case.severity}"' if case.severity else "")
            + labels
            + "}"
        )

    def test_nothing_fires_in_a_healthy_fleet(self):
        migrations, inventory = Play("drover-migrations"), Play("drover-inventory")
        for name in ("prod", "rack"):
            backend(inventory, name)
        for number in range(5):
            migration(
                migrations,
                vm=f"web-{number}",
                begin=60 * number,
                over=60 * number + 160,
                running=lambda t, end=60 * number + 160: "source" if t < end else "target",
                downtime=0.2,
            )
        migration(
            migrations,
            vm="db",
            backend="rack",
            host="host-a",
            source="host-a",
            target="host-b",
            enforced_by="none",
            keepalive=lambda t: t - 5,
            over=500,
            running=lambda t: "source" if t < 500 else "target",
        )
        for number in range(20):
            migration(
                migrations, vm=f"wait-{number}", phase="pending", verdict=None, pending="queue_node", over=800
            )
        drain(inventory, done=lambda t: t // 60, pending=lambda t: max(0, 20 - t // 60), end=1200)
        inventory.add("drover_leader", {}, 1)
        inventory.add("drover_config_last_reload_successful", {}, 1)
        for play in (migrations, inventory):
            play.add("up", {}, 1)
        self.assertEqual(
            promtool(
                [
                    scene(
                        "healthy",
                        [migrations, inventory],
                        1300,
                        [
                            (1300, f"max_over_time({FIRING}}}[1300s])", []),
                            (105, 'count(migration:drover_verdict:current{verdict="converging"})', one(3)),
                        ],
                        step=15,
                    )
                ],
                15,
            ),
            "",
        )

    def test_a_guest_that_hangs_silences_no_neighbour(self):
        """Its back end's oldest answer is that of the guest that hangs; the neighbour's sample is fresh."""
        play = libvirt_host()
        for vm, age in (("hangs", lambda t: max(1, t - 30)), ("broken", 1)):
            migration(
                play,
                vm=vm,
                backend="rack",
                host="host-a",
                phase=lambda t: "precopy" if t < 200 else "postcopy_paused",
                verdict=None,
                age=age,
                over=600,
            )
        which = f'{FIRING}, alertname="DroverMigrationPostcopyBroken"'
        self.assertEqual(
            promtool(
                [
                    scene(
                        "hangs",
                        [play],
                        400,
                        [(300, f'count({which}, vm="broken"}})', one()), (300, f'{which}, vm="hangs"}}', [])],
                    )
                ]
            ),
            "",
        )

    def test_a_takeover_neither_doubles_nor_restarts_an_alert(self):
        """One replica goes at 200 s, the next tells of the same from 240 s on; both at once for a moment in the second scene."""
        for name, gone, there in (("gap", 200, 240), ("overlap", 240, 220)):
            plays = [
                Play(instance="drover-0:10950", pod="drover-0", end=gone),
                Play(instance="drover-1:10950", pod="drover-1", start=there),
            ]
            for play in plays:
                backend(play)
                migration(play, over=500, verdict="not_converging")
                migration(
                    play, vm="wait", phase="pending", verdict=None, pending="unschedulable", begin=5, over=500
                )
                play.add(
                    "drover_abort_decisions_total",
                    {"trigger": "alert", "decision": "acted"},
                    (lambda t: int(t >= 100)) if play.start == 0 else 0,
                )
            expressions = [
                (t, f'count({FIRING}, alertname="DroverMigrationWillNotFinish"}})', one())
                for t in range(40, 500, 5)
            ]
            expressions += [
                (t, f'count({FIRING}, alertname="DroverAbortActed"}})', one()) for t in range(100, 390, 5)
            ]
            # Waiting began at 5 s: the 2 m are counted once, over whatever replica tells of it.
            expressions += [
                (t, f'count({FIRING}, alertname="DroverMigrationPendingTooLong"}})', one())
                for t in range(130, 500, 5)
            ]
            expressions += [
                (t, f'count({FIRING}, alertname="DroverMigrationNotConverging"}})', one())
                for t in [*range(10, min(gone, there), 5), *range(max(gone, there), 500, 5)]
            ]
            self.assertEqual(promtool([scene(name, plays, 600, expressions)]), "", name)

    def test_a_counter_of_a_replica_that_goes_is_no_increase(self):
        """The increase of each replica, then the sum: the other way round a fall of the sum would look like a reset."""
        plays = [Play(instance="drover-0:10950", end=200), Play(instance="drover-1:10950")]
        for play, before in zip(plays, (5, 3)):
            backend(play)
            play.add("drover_abort_decisions_total", {"trigger": "alert", "decision": "acted"}, before)
            play.add("drover_aborts_total", {"trigger": "alert", "result": "error"}, before)
            play.add("drover_dropped_migrations_total", {}, before)
            play.add("up", {}, 1)
        self.assertEqual(
            promtool([scene("gone", plays, 500, [(500, f"max_over_time({FIRING}}}[500s])", [])])]), ""
        )

    def test_where_labels_are_not_honoured(self):
        """`namespace` is the pod's then, and the guest's arrives as exported_namespace; what has a host loses the pod's."""
        play = Play(
            namespace="monitoring", pod="drover-0", container="drover", endpoint="http", service="drover"
        )
        for name in ("prod", "rack"):
            backend(play, name)
        migration(play, over=200, verdict="not_converging")
        migration(play, vm="db", backend="rack", host="host-a", over=200, verdict="not_converging")
        which = f'{FIRING}, alertname=~"DroverMigrationNotConverging|DroverMigrationWillNotFinish"'
        self.assertEqual(
            promtool(
                [
                    scene(
                        "not honoured",
                        [play],
                        200,
                        [
                            (
                                100,
                                f'count({which}, namespace="shop", exported_namespace="shop", vm="web"}})',
                                one(2),
                            ),
                            (100, f'count({which}, namespace="", host="host-a", vm="db"}})', one(2)),
                            (100, f"count({which}}})", one(4)),
                        ],
                    )
                ]
            ),
            "",
        )

    def test_pending_by_queue_stays_quiet_while_a_migration_comes_to_its_end(self):
        play = Play()
        backend(play)
        migration(play, vm="large", completion=90000)
        migration(play, vm="wait", phase="pending", verdict=None, pending="queue_cluster")
        play.add("up", {}, 1)
        self.assertEqual(
            promtool(
                [scene("large", [play], 1400, [(1400, f"max_over_time({FIRING}}}[1400s])", [])], step=15)], 15
            ),
            "",
        )


if __name__ == "__main__":
    unittest.main()
