"""Drain: node by node, and what speaks against a reboot."""

from kit import (BACKEND, BLUE, GREEN, NODE, NODES, ORANGE, RED, YELLOW, annotation, board, graph, link, only, rate, row, stat, steps,
                 table, timeline, variables)


def n(family, more=""):
    return only(f"{family}{{{NODE}{', ' + more if more else ''}}}")


def by_node(family, more=""):
    return f"max by (backend, node) ({family}{{{NODE}{', ' + more if more else ''}}})"


YES = [{"type": "value", "options": {"0": {"text": "no", "color": "text", "index": 0}, "1": {"text": "yes", "color": GREEN,
                                                                                               "index": 1}}}]
LEFT = n("drover_node_drain_vms", 'state!="done"')
BLOCKED = n("drover_node_drain_vms", 'state="blocked"')
USED = n("drover_migration_slots_used", 'scope="node"')
LIMIT = n("drover_migration_slots_limit", 'scope="node"')
STATES = ("pending", "migrating", "done", "failed", "timed_out", "blocked")

NOW = row(
    "Now",
    stat("Nodes drained now", "Nodes that something moves the VMs away from.",
         f"sum({n('drover_node_draining')}) or vector(0)"),
    stat("VMs still there", "VMs of these nodes that have not left.",
         f"sum({LEFT}) or vector(0)",
         thresholds=steps((1, YELLOW))),
    stat("VMs that cannot leave", "No migration will take them away: they are in the way until they are shut down.",
         f"sum({BLOCKED}) or vector(0)", thresholds=steps((1, RED))),
    stat("Will be shut down", "VMs that a drain of their node shuts down instead of migrating them.",
         f'count(max without (instance, pod) (drover_vm_drain_outcome{{{BACKEND}, outcome="will_be_shut_down"}})) or vector(0)',
         thresholds=steps((1, ORANGE))),
    stat("Longest drain", "Since when the longest drain goes on.",
         f"max(time() - {n('drover_node_drain_started_timestamp_seconds')})", unit="s", decimals=0,
         thresholds=steps((600, YELLOW), (1800, RED))),
    stat("Ready for a reboot", "Nodes against whose reboot nothing speaks.", f"sum({n('drover_node_drained')}) or vector(0)",
         thresholds=steps(base=GREEN)),
    table("Node by node", "VMs by what became of them since the drain began; `drained` says yes where nothing speaks against a reboot.",
          {"drained": by_node("drover_node_drained"), "draining": by_node("drover_node_draining"), "ready": by_node("drover_node_ready"),
           "VMs": by_node("drover_node_vms"), "out": by_node("drover_node_migrations_outbound"),
           "in": by_node("drover_node_migrations_inbound"), "waiting": by_node("drover_node_migrations_pending"),
           **{state: by_node("drover_node_drain_vms", f'state="{state}"') for state in STATES}},
          mappings={"drained": YES, "draining": YES, "ready": YES}))

PROGRESS = row(
    "Progress",
    graph("VMs of drained nodes", "By what became of them since the drain began.", "short",
          (f"sum by (state) ({n('drover_node_drain_vms')})", "{{state}}"), stack=True, low=0),
    graph("VMs on each node", "All VMs, whether or not the node is drained.", "short",
          (f"sum by (node) ({n('drover_node_vms')})", "{{node}}"), low=0),
    graph("Leaving, arriving, waiting", "Migrations from and to each node.", "short",
          (f"sum by (node) ({n('drover_node_migrations_outbound')}) > 0", "{{node}} out"),
          (f"sum by (node) ({n('drover_node_migrations_inbound')}) > 0", "{{node}} in"),
          (f"sum by (node) ({n('drover_node_migrations_pending')}) > 0", "{{node}} waiting"), low=0),
    graph("Failures", "Migrations a minute from or to each node that failed.", "cpm",
          (f"60 * {rate(f'drover_node_migrations_failed_total{{{NODE}}}', 'node, direction')}", "{{node}} {{direction}}"), low=0),
    graph("Slots of each node", "Migrations that hold a slot of the node they leave.", "short",
          (f"sum by (node) ({USED})", "{{node}} used"),
          (f"sum by (node) ({LIMIT})", "{{node}} limit"), low=0),
    graph("Sign of life", "Since the virt-handler of each node gave its last.", "s",
          (f"time() - {n('drover_node_heartbeat_timestamp_seconds')}", "{{node}}"), low=0))

REBOOT = row(
    "What speaks against a reboot",
    timeline("Blockers", "Why a node must not be rebooted: a VM is on it, one arrives, VMs may be put on it, it has the last healthy "
             "replica of a volume, or what is known is too old.",
             (f"max by (node, reason) (drover_node_reboot_blockers{{{NODE}}}) == 1", "{{node}} {{reason}}"),
             mappings=[{"type": "value", "options": {"1": {"text": "yes", "color": ORANGE, "index": 0}}}], height=10),
    table("VMs and a drain", "What a drain of its node does to each VM: migrates it, is blocked by it, or shuts it down.",
          {"-": "max by (backend, namespace, exported_namespace, host, vm, outcome) "
                f"(drover_vm_drain_outcome{{{BACKEND}}})"}, width=12),
    table("Where they could go", "Nodes that could take each VM, and whether anything speaks against migrating it.",
          {"targets": f"max by (backend, namespace, exported_namespace, host, vm) (drover_vm_migration_targets{{{BACKEND}}})",
           "migratable": f"max by (backend, namespace, exported_namespace, host, vm) (drover_vm_migratable{{{BACKEND}}})"},
          width=12, mappings={"migratable": YES}))

BOARD = board(
    "drover-drain", "Drover / Drain", "Nodes that are emptied, and what speaks against rebooting them.",
    variables(*NODES), [NOW, PROGRESS, REBOOT],
    annotations=[annotation("Drains", f"max by (node) (drover_node_drain_started_timestamp_seconds{{{NODE}}}) * 1000", "Drain begins",
                            "{{node}}", BLUE, True)],
    links=[link("Fleet", "drover-fleet"), link("Migration", "drover-migration"), link("Drover itself", "drover-itself")],
    refresh="30s", since="now-3h")
