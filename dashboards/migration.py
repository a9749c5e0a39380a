"""Migration: one, from its start to its end."""

from kit import (BACKEND, BLUE, GREEN, GREY, GUESTS, NAMESPACE_LABEL, ONE, ORANGE, PURPLE, RED, SELF, VM, YELLOW, annotation, board,
                 coded, gauge, graph, link, mapping, only, row, stat, steps, timeline, variable, variables)

PHASES = ["pending", "scheduling", "preparing", "precopy", "postcopy", "postcopy_paused", "switchover", "guest_suspended",
          "aborting", "succeeded", "failed", "aborted"]
VERDICTS = ["converging", "slow", "not_converging", "stalled", "network_lost", "unknown"]
PLACES = ["source", "target", "both", "none", "unknown"]
COLORS = {"precopy": BLUE, "postcopy": PURPLE, "postcopy_paused": RED, "switchover": YELLOW, "guest_suspended": ORANGE,
          "aborting": ORANGE, "succeeded": GREEN, "failed": RED, "aborted": ORANGE, "preparing": "light-blue",
          "converging": GREEN, "slow": YELLOW, "not_converging": ORANGE, "stalled": ORANGE, "network_lost": RED,
          "source": BLUE, "target": GREEN, "both": RED, "none": RED}
DEADLINES = ("completion", "progress", "keepalive")


def m(family, more=""):
    return f"{family}{{{ONE}{', ' + more if more else ''}}}"


def one(family, more=""):
    return f"max by (migration) ({m(family, more)})"


def left(deadline):
    return f"{one(f'drover_migration_{deadline}_deadline_timestamp_seconds')} - time()"


def named(title, description, family, label, words):
    """The word that holds, in its colour."""
    return stat(title, description, coded(family, label, words, ONE), unit="none", mappings=mapping(words, COLORS))


NOW = row(
    "Now",
    named("Phase", "Where the migration is.", "drover_migration_phase", "phase", PHASES),
    named("Verdict", "Whether it will end by itself, judged in pre-copy.", "drover_migration_verdict", "verdict", VERDICTS),
    named("Guest runs at", "Where the guest runs, or is held paused.", "drover_migration_vm_running", "on", PLACES),
    gauge("Progress", "1 - remaining / size.", one("drover_migration_progress_ratio"), "percentunit",
          steps((0.5, GREEN), base=BLUE)),
    stat("Ends", "When the present trend ends it; only where it converges or is slow.",
         f"{one('drover_migration_expected_end_timestamp_seconds')} * 1000", unit="dateTimeFromNow"),
    stat("Size", "Memory of the guest and disks that are copied: what the completion budget counts.",
         one("drover_migration_size_bytes"), unit="bytes"),
    stat("Completion left", "Seconds until its whole time is used up.", left("completion"), unit="s",
         thresholds=steps((0, ORANGE), (60, GREEN), base=RED), decimals=0),
    stat("Progress left", "Seconds until the time without a fall of the remaining bytes is used up.", left("progress"), unit="s",
         thresholds=steps((0, ORANGE), (60, GREEN), base=RED), decimals=0),
    stat("Keepalive left", "Seconds until libvirt ends it, if its peer stays silent.", left("keepalive"), unit="s",
         thresholds=steps((0, ORANGE), (15, GREEN), base=RED), decimals=0),
    stat("Age of data", "Since its counters were read.", f"time() - {one('drover_migration_sample_timestamp_seconds')}", unit="s",
         thresholds=steps((30, RED)), decimals=1),
    stat("What and where", "The object, the nodes, who asked for it.",
         f"max by (object, source, target, requested_target, origin, network, migration_policy) ({m('drover_migration_info')})",
         unit="none", legend="{{object}} {{source}} → {{target}} {{requested_target}} ({{origin}} {{network}} {{migration_policy}})",
         name=True),
    stat("Outcome", "How it ended, and whether the source said so or it was inferred.",
         f"max by (outcome, cause, certainty) ({m('drover_migration_outcome_info')})", unit="none",
         legend="{{outcome}} {{cause}} ({{certainty}})", name=True))

LIFE = row(
    "Life",
    timeline("Phase", "The phase that holds.", (coded("drover_migration_phase", "phase", PHASES, ONE), "phase"),
             mappings=mapping(PHASES, COLORS), height=4),
    timeline("Verdict", "Whether it will end by itself.", (coded("drover_migration_verdict", "verdict", VERDICTS, ONE), "verdict"),
             mappings=mapping(VERDICTS, COLORS), height=4),
    timeline("Guest", "Where the guest runs.", (coded("drover_migration_vm_running", "on", PLACES, ONE), "guest"),
             mappings=mapping(PLACES, COLORS), height=4))

COPY = row(
    "Copy",
    graph("Remaining", "Bytes still to be sent, and the fewest that there ever were: where the two part, it does not converge.",
          "bytes", (one("drover_migration_remaining_bytes"), "remaining"), (one("drover_migration_best_remaining_bytes"), "best"),
          (one("drover_migration_memory_remaining_bytes"), "memory"), (one("drover_migration_disk_remaining_bytes"), "disks"), low=0),
    graph("Dirtied against sent", "It converges where it sends faster than the guest dirties.", "Bps",
          (one("drover_migration_transfer_bytes_per_second"), "sent"), (one("drover_migration_dirty_bytes_per_second"), "dirtied"),
          (one("drover_migration_bandwidth_limit_bytes_per_second"), "cap"), low=0),
    graph("Transferred", "Bytes a second of memory and of disks, by the counters, repeats included.", "Bps",
          *[(f"sum(rate({m(f'drover_migration_{what}transferred_bytes_total')}[$__rate_interval]))", legend)
            for what, legend in (("", "all"), ("memory_", "memory"), ("disk_", "disks"))], low=0, width=6),
    graph("Passes", "Passes over the memory that begin, a minute.", "cpm",
          (f"60 * sum(rate({m('drover_migration_iterations_total')}[$__rate_interval]))", "passes"), low=0, width=6),
    graph("CPU throttle", "Part of the guest's CPU time that auto-converge takes.", "percentunit",
          (one("drover_migration_cpu_throttle_ratio"), "throttle"), low=0, high=1, width=6),
    graph("Post-copy", "Page faults a second that the destination sends.", "cps",
          (f"sum(rate({m('drover_migration_postcopy_requests_total')}[$__rate_interval]))", "requests"), low=0, width=6))

BUDGETS = row(
    "Budgets",
    graph("Budgets burning down", "Part of each time-out that is left.", "percentunit",
          *[(f"({left(deadline)})\n  / {one(f'drover_migration_{deadline}_timeout_seconds')}", deadline) for deadline in DEADLINES],
          high=1, thresholds=steps((0, ORANGE), (0.2, GREEN), base=RED)),
    graph("Seconds left", "Until each deadline; the latest it can be is by its uncertainty later.", "s",
          *[(left(deadline), deadline) for deadline in DEADLINES],
          (f"max by (deadline) ({m('drover_migration_deadline_uncertainty_seconds')})", "uncertainty: {{deadline}}")),
    graph("Keepalive countdown", "Until libvirt closes the silent control connection and ends the migration.", "s",
          (left("keepalive"), "left"), low=0, thresholds=steps((12, GREEN), base=RED)),
    graph("Since", "How long ago bytes were sent last, the remaining bytes fell last, and their best was improved.", "s",
          *[(f"time() - {one(f'drover_migration_last_{what}_timestamp_seconds')}", what)
            for what in ("sent", "remaining_drop", "best")], low=0))

NETWORK = row(
    "Network",
    graph("Interruptions", "Times in which bytes stopped and moved again, and their length, when they were over.", "short",
          (f"sum(increase({m('drover_migration_interruptions_total')}[$__rate_interval]))", "interruptions"),
          (f"sum(increase({m('drover_migration_interrupted_seconds_total')}[$__rate_interval]))", "seconds"), bars=True, low=0),
    graph("Lost", "Networks that are lost: management (control), migration (data).", "short",
          (f"max by (network) ({m('drover_migration_network_lost')})", "{{network}}"), low=0),
    graph("Peer last heard", "Since the peer was heard over each connection.", "s",
          (f"time() - max by (connection) ({m('drover_migration_connection_last_heard_timestamp_seconds')})", "{{connection}}"),
          low=0, width=8),
    graph("Unacknowledged", "Bytes that were sent and not acknowledged yet.", "bytes",
          (f"max by (connection) ({m('drover_migration_connection_unacked_bytes')})", "{{connection}}"), low=0, width=8),
    graph("Retransmits", "Segments a second that were sent again.", "cps",
          (f"sum by (connection) (rate({m('drover_migration_connection_retransmits_total')}[$__rate_interval]))", "{{connection}}"),
          low=0, width=8))

SWITCHOVER = row(
    "Switchover and waiting",
    graph("Downtime", "Expected now, measured at the end, and the limit.", "s",
          (one("drover_migration_expected_downtime_seconds"), "expected"), (one("drover_migration_downtime_seconds"), "measured"),
          (one("drover_migration_downtime_limit_seconds"), "limit"), low=0, width=8),
    graph("Place in the queue", "1 is the next that gets a slot.", "short",
          (one("drover_migration_queue_position"), "place"), low=0, width=8),
    graph("Waits for", "What it waits for before it starts.", "short",
          (f"max by (reason) ({m('drover_migration_pending_reason')})", "{{reason}}"), low=0, high=1, width=8))

BOARD = board(
    "drover-migration", "Drover / Migration", "One migration, from its start to its end.",
    variables(*GUESTS, variable("migration", f"label_values(drover_migration_info{{{VM}}}, migration)", multi=False,
                                include_all=False)),
    [NOW, LIFE, COPY, BUDGETS, NETWORK, SWITCHOVER],
    annotations=[
        annotation("Phases", f"{one('drover_migration_phase_entered_timestamp_seconds')} * 1000", "Phase", "another phase", BLUE, True),
        annotation("Start", f"{one('drover_migration_start_timestamp_seconds')} * 1000", "Start", "the copy begins", GREEN, True),
        annotation("End", f"{one('drover_migration_end_timestamp_seconds')} * 1000", "End", "over", RED, True),
        annotation("Decisions", f"sum by (trigger, decision) (increase(drover_abort_decisions_total{{{SELF}}}[$__rate_interval])) > 0",
                   "Abort: {{decision}}", "{{trigger}}", ORANGE)],
    links=[link("Fleet", "drover-fleet"), link("Drain", "drover-drain"), link("Drover itself", "drover-itself")],
    refresh="5s", since="now-15m")
