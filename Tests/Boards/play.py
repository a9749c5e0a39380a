"""Made-up series over time, with the names and labels that Drover exports: for promtool, and for an exporter that plays them.

A value is a number or a function of the seconds since the beginning; None is "not there"."""

STEP = 5
PHASES = [
    "pending",
    "scheduling",
    "preparing",
    "precopy",
    "postcopy",
    "postcopy_paused",
    "switchover",
    "guest_suspended",
    "aborting",
    "succeeded",
    "failed",
    "aborted",
]
VERDICTS = ["network_lost", "stalled", "not_converging", "slow", "converging", "unknown"]
PLACES = ["source", "target", "both", "none", "unknown"]
DRAIN_STATES = ["pending", "migrating", "done", "failed", "timed_out", "blocked"]
GIB = 2**30


def at(value, t):
    return value(t) if callable(value) else value


class Play:
    """A number of series; `target` holds the labels that a scrape adds to each of them."""

    def __init__(self, job="drover-migrations", instance="drover-0:10950", start=0, end=None, **target):
        self.target = {"job": job, "instance": instance, **target}
        self.start, self.end = start, end
        self.series = []

    def add(self, name, labels, value):
        """A series; the play's own start and end bound it."""
        self.series.append((name, {k: v for k, v in labels.items() if v != ""}, value))

    def values(self, value, until, step=STEP):
        """What promtool reads: one value for each step, `_` where there is none, `stale` where a series ends."""
        words, before = [], False
        for t in range(0, until + step, step):
            live = self.start <= t and (self.end is None or t < self.end)
            number = at(value, t) if live else None
            words.append(
                "stale"
                if number is None and before
                else "_" if number is None else f"{number:g}" if abs(number) < 1e6 else repr(number)
            )
            before = number is not None
        return " ".join(words)

    def promtool(self, until, step=STEP):
        """The series in promtool's notation. Where labels are not honoured, a clash gets the prefix `exported_`."""
        for name, labels, value in self.series:
            honoured = dict(self.target)
            for key, word in labels.items():
                if key in honoured and not self.target.get("__honor"):
                    honoured["exported_" + key] = word
                else:
                    honoured[key] = word
            honoured.pop("__honor", None)
            text = ", ".join(f'{k}="{v}"' for k, v in honoured.items())
            yield {"series": f"{name}{{{text}}}", "values": self.values(value, until, step)}


def states(play, name, label, words, labels, now):
    """A state set: `now` says which word holds, None that none is told."""
    for word in words:
        play.add(
            name,
            {**labels, label: word},
            lambda t, word=word: None if at(now, t) is None else int(at(now, t) == word),
        )


def backend(play, name="prod", up=1, age=1.0):
    """A back end's health."""
    labels = {"backend": name}
    play.add("drover_backend_up", labels, up)
    play.add("drover_backend_last_success_timestamp_seconds", labels, lambda t: max(0, t - at(age, t)))
    for family, more in (
        ("succeeded", {}),
        ("failed", {"cause": "keepalive"}),
        ("aborted", {"cause": "user_abort"}),
    ):
        if not any(
            n == f"drover_migrations_{family}_total" and l["backend"] == name for n, l, _ in play.series
        ):
            play.add(f"drover_migrations_{family}_total", {**labels, "origin": "evacuation", **more}, 0)


def migration(
    play,
    vm="web",
    backend="prod",
    namespace="shop",
    host="",
    source="node-a",
    target="node-b",
    number=1,
    begin=0,
    over=None,
    phase="precopy",
    verdict="converging",
    age=1.0,
    completion=1350,
    progress=150,
    stuck_since=None,
    uncertainty=0,
    deadline=None,
    running="source",
    keepalive=None,
    inferred=None,
    lost=None,
    enforced_by="kubevirt",
    entered=None,
    cause="keepalive",
    origin="evacuation",
    rates=(5e7, 1e8),
    pending=None,
    position=None,
    downtime=None,
    after=900,
):
    """A migration from `begin` to `over`, healthy unless told otherwise.

    After its end it stays for `after` seconds, with what Drover leaves of it. `stuck_since` is when the remaining bytes fell
    last, `keepalive` when the peer was heard last, `inferred` the same where only bytes tell, `lost` which network is lost; each a value or a function of the time.
    """
    identity = f"{vm}-{number}"
    labels = {
        "backend": backend,
        "namespace": "" if host else namespace,
        "host": host,
        "vm": vm,
        "migration": identity,
    }

    def alive(t):
        return begin <= t and (over is None or t < over)

    def seen(t):
        return begin <= t and (over is None or t < over + after)

    def copying(t):
        return alive(t) and now(t) not in ("pending", "scheduling", "preparing")

    def now(t):
        return at(phase, t) if alive(t) else {"source": "failed"}.get(at(running, t), "succeeded")

    def add(name, value, when=alive, **more):
        play.add(name, {**labels, **more}, lambda t: at(value, t) if when(t) else None)

    def fell(t):
        since = at(stuck_since, t)
        return t if since is None else since

    add(
        "drover_migration_info",
        1,
        seen,
        object="" if host else f"evac-{identity}",
        source=source,
        target=target,
        origin=origin,
    )
    states(play, "drover_migration_phase", "phase", PHASES, labels, lambda t: now(t) if seen(t) else None)
    add(
        "drover_migration_phase_entered_timestamp_seconds",
        lambda t: (begin if alive(t) else over) if entered is None else at(entered, t),
        seen,
    )
    states(
        play,
        "drover_migration_verdict",
        "verdict",
        VERDICTS,
        labels,
        lambda t: at(verdict, t) if copying(t) else None,
    )
    states(
        play,
        "drover_migration_vm_running",
        "on",
        PLACES,
        labels,
        lambda t: at(running, t) if seen(t) else None,
    )
    if not host:
        add("drover_migration_created_timestamp_seconds", begin, seen)
    add("drover_migration_start_timestamp_seconds", begin, seen)
    add("drover_migration_sample_timestamp_seconds", lambda t: t - at(age, t), copying)
    add("drover_migration_size_bytes", 8 * GIB)
    add("drover_migration_remaining_bytes", lambda t: max(1e8, 8 * GIB - 5e7 * (fell(t) - begin)), copying)
    add(
        "drover_migration_best_remaining_bytes",
        lambda t: max(1e8, 8 * GIB - 5e7 * (fell(t) - begin)),
        copying,
    )
    add("drover_migration_progress_ratio", lambda t: min(0.99, 5e7 * (fell(t) - begin) / (8 * GIB)), copying)
    add("drover_migration_transferred_bytes_total", lambda t: 1e8 * (fell(min(t, over or t)) - begin), seen)
    add("drover_migration_dirty_bytes_per_second", lambda t: rates[0], copying)
    add(
        "drover_migration_transfer_bytes_per_second",
        lambda t: rates[1] if at(stuck_since, t) is None else 0,
        copying,
    )
    add(
        "drover_migration_completion_timeout_seconds",
        completion,
        copying,
        set_by="kubevirt",
        enforced_by=enforced_by,
        action="abort",
    )
    add(
        "drover_migration_completion_deadline_timestamp_seconds",
        begin + completion if deadline is None else deadline,
        copying,
    )
    add("drover_migration_deadline_uncertainty_seconds", 0, copying, deadline="completion")
    add(
        "drover_migration_progress_timeout_seconds",
        progress,
        copying,
        set_by="kubevirt",
        enforced_by=enforced_by,
    )
    add("drover_migration_progress_deadline_timestamp_seconds", lambda t: fell(t) + progress, copying)
    add("drover_migration_deadline_uncertainty_seconds", uncertainty, copying, deadline="progress")
    if keepalive is not None:
        add("drover_migration_keepalive_timeout_seconds", 30, copying, method="measured")
        add("drover_migration_keepalive_deadline_timestamp_seconds", lambda t: at(keepalive, t) + 30, copying)
    if inferred is not None:
        # As of samples each 5 s: the question that went unanswered may be as old as the last byte but one.
        add("drover_migration_keepalive_timeout_seconds", 30, copying, method="inferred")
        add("drover_migration_keepalive_deadline_timestamp_seconds", lambda t: at(inferred, t) + 20, copying)
        add("drover_migration_deadline_uncertainty_seconds", 10, copying, deadline="keepalive")
    for network in ("management", "migration"):
        add(
            "drover_migration_network_lost",
            lambda t, network=network: 1 if at(lost, t) == network else None,
            alive,
            network=network,
        )
    for reason in {at(pending, t) for t in range(0, 7200, STEP)} - {None}:
        add(
            "drover_migration_pending_reason",
            lambda t, reason=reason: 1 if at(pending, t) == reason else None,
            alive,
            reason=reason,
        )
    if position is not None:
        add("drover_migration_queue_position", position)
    if over is not None:
        outcome = "succeeded" if at(running, over) == "target" else "failed"
        add(
            "drover_migration_outcome_info",
            1,
            lambda t: seen(t) and not alive(t),
            outcome=outcome,
            certainty="reported",
            cause="" if outcome == "succeeded" else cause,
        )
        add("drover_migration_end_timestamp_seconds", over, lambda t: seen(t) and not alive(t))
        if downtime is not None:
            add("drover_migration_downtime_seconds", downtime, lambda t: seen(t) and not alive(t))
    add("drover_migration_downtime_limit_seconds", 0.3, seen)


def drain(play, node="node-a", backend="prod", begin=0, end=None, **counts):
    """A node that is drained from `begin` on; `counts` are its VMs by state."""
    labels = {"backend": backend, "node": node}

    def during(value):
        return lambda t: at(value, t) if begin <= t and (end is None or t < end) else None

    play.add("drover_node_draining", labels, lambda t: int(during(1)(t) is not None))
    play.add("drover_node_drain_started_timestamp_seconds", labels, during(begin))
    left = [state for state in DRAIN_STATES if state != "done"]

    def remaining(t):
        return sum(at(counts.get(state, 0), t) for state in left)

    play.add("drover_node_ready", labels, 1)
    play.add("drover_node_vms", labels, remaining)
    play.add("drover_node_heartbeat_timestamp_seconds", labels, lambda t: t - t % 60)
    for direction in ("outbound", "inbound", "pending"):
        play.add(
            f"drover_node_migrations_{direction}",
            labels,
            counts.get({"outbound": "migrating", "inbound": "arriving"}.get(direction, direction), 0),
        )
    play.add("drover_node_drained", labels, lambda t: int(remaining(t) == 0))
    for reason in ("vm", "inbound", "not_cordoned", "last_replica", "data_stale"):
        play.add(
            "drover_node_reboot_blockers",
            {**labels, "reason": reason},
            lambda t, reason=reason: int(reason == "vm" and remaining(t) > 0),
        )
    for state in DRAIN_STATES:
        play.add("drover_node_drain_vms", {**labels, "state": state}, during(counts.get(state, 0)))
