"""Fleet: what moves now, what is at risk, how migrations end and how long they take."""

from kit import (BACKEND, BLUE, GREEN, GUESTS, ORANGE, PURPLE, RED, SELF, VM, YELLOW, annotation, board, graph, link, only, quantile,
                 rate, row, stat, steps, table, variables)

OVER = "succeeded|failed|aborted"
WAITING = "pending|scheduling"
CLUSTER = BACKEND + ', scope="cluster"'
ACTED = SELF + ', decision="acted"'
IDENTITY = "backend, namespace, exported_namespace, host, vm, migration"


def count(expr):
    return f"count({expr}) or vector(0)"


def holds(family, label, words, operator="=~"):
    return only(f'{family}{{{VM}, {label}{operator}"{words}"}}') + " == 1"


def left(deadline):
    return f"{only(f'drover_migration_{deadline}_deadline_timestamp_seconds{{{VM}}}')} - time()"


NOW = row(
    "Now",
    stat("Moving", "Migrations that copy or switch over.",
         count(holds("drover_migration_phase", "phase", f"{WAITING}|{OVER}", "!~"))),
    stat("Waiting", "Migrations that wait for a slot, a node or a pod.",
         count(holds("drover_migration_phase", "phase", WAITING)), thresholds=steps((50, YELLOW), base=BLUE)),
    stat("Will not end", "Migrations whose network is lost, that stall, or that do not converge.",
         count(holds("drover_migration_verdict", "verdict", "network_lost|stalled|not_converging")),
         thresholds=steps((1, ORANGE))),
    stat("Guests in danger", "Guests that run nowhere or twice, or stand in a broken post-copy.",
         f'count({holds("drover_migration_vm_running", "on", "none|both")} or '
         f'{holds("drover_migration_phase", "phase", "postcopy_paused")}) or vector(0)', thresholds=steps((1, RED))),
    stat("Next deadline", "Seconds until the first time-out of any migration: completion, progress or keepalive.",
         "min(\n  " + "\n  or ".join(f'label_replace({left(deadline)}, "deadline", "{deadline}", "", "")'
                                     for deadline in ("completion", "progress", "keepalive")) + "\n)",
         unit="s", thresholds=steps((0, ORANGE), (60, YELLOW), (120, GREEN), base=RED), decimals=0),
    stat("Back ends down", "Back ends that do not answer: their migrations are not seen.",
         count(f"min without (instance, pod) (drover_backend_up{{{BACKEND}}}) == 0"), thresholds=steps((1, RED))),
    table(
        "Running and waiting", "Each migration that is not over. Its VM leads to its own board.",
        {
            "-what": f"max by ({IDENTITY}, source, target, origin) (drover_migration_info{{{VM}}})\n  unless on (migration) "
                     f'(drover_migration_phase{{{VM}, phase=~"{OVER}"}} == 1)',
            "-phase": f'max by (migration, phase) (drover_migration_phase{{{VM}, phase!~"{OVER}"}} == 1)',
            "-verdict": f"max by (migration, verdict) (drover_migration_verdict{{{VM}}} == 1)",
            "progress": f"max by (migration) (drover_migration_progress_ratio{{{VM}}})",
            "remaining": f"max by (migration) (drover_migration_remaining_bytes{{{VM}}})",
            "completion left": f"max by (migration) (drover_migration_completion_deadline_timestamp_seconds{{{VM}}}) - time()",
            "progress left": f"max by (migration) (drover_migration_progress_deadline_timestamp_seconds{{{VM}}}) - time()",
            "queue": f"max by (migration) (drover_migration_queue_position{{{VM}}})",
            "age of data": f"time() - max by (migration) (drover_migration_sample_timestamp_seconds{{{VM}}})",
        },
        links={"vm": ("This migration", "/d/drover-migration?${datasource:queryparam}&${backend:queryparam}"
                                        "&var-migration=${__data.fields.migration}")},
        units={"progress": "percentunit", "remaining": "bytes", "completion left": "s", "progress left": "s", "age of data": "s"},
        height=9))

MOVING = row(
    "What is moving",
    graph("Remaining", "Bytes that each migration has still to send.", "bytes",
          (only(f"drover_migration_remaining_bytes{{{VM}}}"), "{{vm}} {{migration}}"), low=0),
    graph("Sent and dirtied", "Throughput of all migrations, and the memory that their guests dirty meanwhile.", "Bps",
          (f"sum({only(f'drover_migration_transfer_bytes_per_second{{{VM}}}')})", "sent"),
          (f"sum({only(f'drover_migration_dirty_bytes_per_second{{{VM}}}')})", "dirtied"), low=0),
    graph("Phases", "Migrations by phase; those that are over stay for the retention.", "short",
          (f"sum by (phase) ({only(f'drover_migration_phase{{{VM}}}')}) > 0", "{{phase}}"), stack=True, low=0),
    graph("Verdicts", "Running migrations by whether they will end by themselves.", "short",
          (f"sum by (verdict) ({only(f'drover_migration_verdict{{{VM}}}')}) > 0", "{{verdict}}"), stack=True, low=0))

RISK = row(
    "At risk",
    graph("Completion time left", "Seconds until the whole time of each migration is used up.", "s",
          (left("completion"), "{{vm}} {{migration}}"), thresholds=steps((0, YELLOW), (60, GREEN), base=RED)),
    graph("Progress time left", "Seconds until the time without a fall of the remaining bytes is used up.", "s",
          (left("progress"), "{{vm}} {{migration}}"), thresholds=steps((0, YELLOW), (30, GREEN), base=RED)),
    graph("Networks lost", "Migrations whose management (control) or migration (data) network is lost.", "short",
          (f"sum by (network) ({only(f'drover_migration_network_lost{{{VM}}}')})", "{{network}}"), stack=True, low=0),
    graph("Interruptions", "Seconds in which bytes had stopped, counted when they moved again.", "s",
          (f"sum by (vm) (increase(drover_migration_interrupted_seconds_total{{{VM}}}[$__rate_interval])) > 0", "{{vm}}"), low=0,
          bars=True),
    table("Fail again and again", "VMs whose migrations failed one after the other, and how often.",
          {"failures": f"max by (backend, namespace, exported_namespace, host, vm) "
                       f"(drover_vm_consecutive_failed_migrations{{{VM}}})"}, width=12),
    table("Cannot be migrated", "What speaks against migrating a VM.",
          {"-": f"max by (backend, namespace, exported_namespace, host, vm, reason) (drover_vm_not_migratable{{{VM}}})"},
          width=12))

QUEUE = row(
    "Queue",
    graph("Waiting, by reason", "What migrations wait for before they start.", "short",
          (f"sum by (reason) ({only(f'drover_migration_pending_reason{{{VM}}}')})", "{{reason}}"), stack=True, low=0, width=8),
    graph("Slots", "Migrations that hold a slot, and the slots that there are.", "short",
          (f"sum by (backend) ({only(f'drover_migration_slots_used{{{CLUSTER}}}')})", "{{backend}} used"),
          (f"sum by (backend) ({only(f'drover_migration_slots_limit{{{CLUSTER}}}')})", "{{backend}} limit"),
          low=0, width=8),
    graph("Longest wait", "Since when the oldest migration that still waits was asked for.", "s",
          (f"max by (backend, reason) (time() - {only(f'drover_migration_created_timestamp_seconds{{{VM}}}')}\n"
           f"  * on (backend, migration) group_left (reason) max by (backend, migration, reason) "
           f"(drover_migration_pending_reason{{{VM}}}))", "{{backend}} {{reason}}"), low=0, width=8))

OUTCOMES = row(
    "How they end",
    graph("Begun and ended", "Migrations a minute that began, succeeded, failed, and were aborted.", "cpm",
          *[(f"60 * {rate(f'drover_migrations_{what}_total{{{BACKEND}}}')}", what)
            for what in ("started", "succeeded", "failed", "aborted")], low=0),
    graph("Failures by cause", "Migrations a minute that failed or were aborted.", "cpm",
          (f"60 * {rate(f'drover_migrations_failed_total{{{BACKEND}}}', 'cause')} > 0", "{{cause}}"),
          (f"60 * {rate(f'drover_migrations_aborted_total{{{BACKEND}}}', 'cause')} > 0", "{{cause}}"), stack=True, low=0),
    graph("By origin", "Who asked for the migrations that began, a minute.", "cpm",
          (f"60 * {rate(f'drover_migrations_started_total{{{BACKEND}}}', 'origin')} > 0", "{{origin}}"), stack=True, low=0),
    graph("Duration", "From start to end, of those that ended.", "s",
          *[(quantile(part, "drover_migration_duration_seconds", BACKEND), f"p{part * 100:g}") for part in (0.5, 0.9, 0.99)], low=0),
    graph("Downtime", "How long guests stood still at the switchover.", "s",
          *[(quantile(part, "drover_migration_final_downtime_seconds", BACKEND), f"p{part * 100:g}") for part in (0.5, 0.9, 0.99)],
          low=0),
    graph("Sent for each migration", "Bytes that migrations sent until their end, repeats included.", "bytes",
          *[(quantile(part, "drover_migration_sent_bytes", BACKEND), f"p{part * 100:g}") for part in (0.5, 0.9, 0.99)], low=0))

REST = row(
    "At rest",
    graph("Dirtied while at rest", "Memory that guests dirty while they do not migrate, where that is measured (libvirt, dirtyRate).",
          "Bps", (f"topk(10, {only(f'drover_vm_dirty_bytes_per_second{{{VM}}}')})", "{{vm}}"), low=0),
    graph("Nodes a VM could go to", "Nodes that could take each of the VMs that have fewest.", "short",
          (f"bottomk(10, {only(f'drover_vm_migration_targets{{{VM}}}')})", "{{vm}}"), low=0), collapsed=True)

BOARD = board(
    "drover-fleet", "Drover / Fleet", "Live migrations: what moves now, what is at risk, how they end.",
    variables(*GUESTS), [NOW, MOVING, RISK, QUEUE, OUTCOMES, REST],
    annotations=[
        annotation("Aborts by Drover",
                   f"sum by (trigger) (increase(drover_abort_decisions_total{{{ACTED}}}[$__rate_interval])) > 0", "Abort", "{{trigger}}", RED),
        annotation("Back end down", f"min by (backend) (drover_backend_up{{{BACKEND}}}) == 0", "Back end down", "{{backend}}", PURPLE)],
    links=[link("Migration", "drover-migration"), link("Drain", "drover-drain"), link("Drover itself", "drover-itself")])
