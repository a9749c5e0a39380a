"""A fleet that shows every family that Drover declares, with labels of KubeVirt and of libvirt."""

import itertools

import project
from play import DRAIN_STATES, Play, backend, drain, migration

WORDS = {
    "scope": ["cluster", "node"],
    "state": DRAIN_STATES,
    "direction": ["inbound", "outbound"],
    "decision": ["acted", "shadowed", "observed", "refused", "held"],
    "trigger": ["person", "alert", "not_converging"],
    "result": ["aborted", "ended_otherwise", "error"],
    "outcome": ["succeeded", "failed", "migrates", "will_be_shut_down"],
    "le": ["1.0", "10.0", "+Inf"],
    "deadline": ["completion", "progress", "keepalive"],
    "connection": ["control", "data"],
    "network": ["migration"],
    "reason": ["vm", "queue_node"],
    "on": ["source"],
    "phase": ["precopy"],
    "verdict": ["converging"],
}


def fleet():
    play = Play()
    for ending, cause in (
        ("succeeded", {}),
        ("failed", {"cause": "keepalive"}),
        ("aborted", {"cause": "user_abort"}),
    ):
        play.add(
            f"drover_migrations_{ending}_total",
            {"backend": "prod", "origin": "manual", **cause},
            lambda t: t // 10,
        )
    backend(play, "prod")
    backend(play, "rack", up=lambda t: int(not 20 < t < 40))
    play.add("drover_leader", {}, lambda t: int(not 20 < t < 40))
    migration(play, inferred=lambda t: t)
    migration(play, vm="db", verdict="not_converging")
    migration(play, vm="cache", phase="pending", verdict=None, pending="queue_node", position=1)
    migration(
        play,
        vm="big",
        backend="rack",
        host="host-a",
        source="host-a",
        target="host-b",
        enforced_by="none",
        keepalive=lambda t: t - 12,
        lost="migration",
        verdict="network_lost",
        stuck_since=1,
    )
    migration(play, vm="old", over=5, running=lambda t: "source" if t < 5 else "target", downtime=0.2)
    migration(play, vm="lost", over=5, running=lambda t: "source" if t < 5 else "none")
    drain(play, done=3, pending=2, blocked=1, migrating=1, arriving=1)
    there = {name for name, _, _ in play.series}
    for name, family in project.families().items():
        if name not in there:
            fill(play, name, family)
    return play


def fill(play, name, family):
    """A plausible series for each set of the family's words; a counter grows."""
    fixed = {"backend": "prod", "namespace": "shop", "vm": "web", "migration": "web-1", "node": "node-a"}
    keys = sorted(family.labels - {"host"})
    for words in itertools.product(*(WORDS.get(key, [fixed.get(key, "x")]) for key in keys)):
        labels = dict(zip(keys, words))
        factor = 1 + WORDS["le"].index(labels["le"]) if "le" in labels else 1
        growing = name.endswith(("_total", "_bucket", "_count", "_sum"))
        play.add(
            name,
            labels,
            (
                (lambda t, factor=factor: round(t) * factor)
                if growing
                else (lambda t: t - 1) if name.endswith("timestamp_seconds") else 1
            ),
        )
