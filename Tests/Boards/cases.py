"""For each alert: what makes it fire, when it does, and the healthy neighbour that keeps it quiet.

`fires` is the first evaluation, in seconds, at which it fires; a second before that it does not. `ends` is when the series end,
or the trouble is over; it must be silent `SILENCE` later."""

from play import Play, backend, drain, migration

SILENCE = 75  # keep_firing_for, and three evaluations
CASES = {}


class Case:
    def __init__(self, alert, make, fires, ends, until=None, labels=None, says="", severity=None):
        self.alert, self.make, self.fires, self.ends = alert, make, fires, ends
        self.until = until or ends + SILENCE
        self.labels, self.says, self.severity = labels or {}, says, severity
        self.step = 5 if self.until < 1000 else 15


def case(alert, fires, ends, says="", **more):
    def register(make):
        CASES.setdefault(alert, []).append(Case(alert, make, fires, ends, says=says, **more))
        return make
    return register


def kubevirt(**more):
    play = Play(**more)
    backend(play)
    return play


SHOP = {"backend": "prod", "namespace": "shop", "vm": "web", "migration": "web-1"}
RACK = {"backend": "rack", "host": "host-a", "vm": "web", "migration": "web-1"}


def libvirt(**more):
    play = Play(**more)
    backend(play, "rack")
    return play


def on_host(play, **more):
    migration(play, backend="rack", host="host-a", source="host-a", target="host-b", enforced_by="none", **more)


# Copy -----------------------------------------------------------------------------------------------------------------

@case("DroverMigrationCompletionBudgetNearlyUsed", fires=330, ends=360, says="82.5%", labels={**SHOP, "node": "node-a"})
def nearly_used(bad):
    play = kubevirt()  # 80 % of 400 s are used up at 320 s, and 10 s pass
    migration(play, completion=400, over=360, verdict="slow" if bad else "converging")
    return [play]


@case("DroverMigrationCompletionBudgetExceeded", fires=655, ends=720, says="past its completion deadline", labels=RACK)
def exceeded(bad):
    play = libvirt()  # over at 640 s, and nobody ends it; 10 s
    on_host(play, completion=640, over=720 if bad else 635, verdict="slow")
    return [play]


@case("DroverMigrationNoProgress", fires=135, ends=180, says="50%", labels={**RACK, "node": "host-a"})
def no_progress(bad):
    play = libvirt()  # the last fall at 60 s, half of 150 s later
    on_host(play, over=180, stuck_since=lambda t: 60 if bad and t > 60 else None)
    return [play]


@case("DroverMigrationWillNotFinish", fires=130, ends=300, says="95.37MiB/s sent", labels={**SHOP, "node": "node-a"})
def will_not_finish(bad):
    play = kubevirt()  # wavers between its two bad verdicts from 100 s on; a healthy one looks slow for a moment only
    migration(play, over=300, verdict=lambda t: "converging" if t < 100 else ("slow" if t % 20 < 10 else "not_converging")
              if bad else "slow" if t < 120 else "converging")
    return [play]


@case("DroverMigrationNetworkLost", fires=70, ends=150, severity="warning", says="migration network is lost",
      labels={**RACK, "node": "host-a", "network": "migration"})
def network_lost(bad):
    play = libvirt()  # gone from 60 s on, for 10 s; what comes back within 5 s is none
    on_host(play, over=150, lost=lambda t: "migration" if t >= 60 and (bad or t < 65) else None,
            verdict=lambda t: "network_lost" if t >= 60 and (bad or t < 65) else "converging",
            stuck_since=lambda t: 55 if t >= 60 and (bad or t < 65) else None)
    return [play]


@case("DroverMigrationNetworkLost", fires=225, ends=400, severity="critical", says="whole progress time-out",
      labels={**RACK, "node": "host-a", "network": "migration"})
def network_lost_past_deadline(bad):
    play = libvirt()  # the deadline is at 55 + 150 = 205 s; healed before it in the healthy play
    def gone(t): return t >= 60 and (bad or t < 200)
    on_host(play, over=400, lost=lambda t: "migration" if gone(t) else None,
            verdict=lambda t: "network_lost" if gone(t) else "converging", stuck_since=lambda t: 55 if gone(t) else None)
    return [play]


@case("DroverMigrationKeepaliveDeadlineNear", fires=80, ends=90, says="silent", labels={**RACK, "node": "host-a"})
def keepalive_near(bad):
    play = libvirt()  # heard each 5 s, last at 60 s: 60 % of 30 s later is 78 s
    on_host(play, over=90, keepalive=lambda t: min(t, 60) if bad else t - 5)
    return [play]


@case("DroverMigrationKeepaliveDeadlineNear", fires=70, ends=85, says="silent", labels={**SHOP, "node": "node-a"})
def inferred_keepalive_near(bad):
    play = kubevirt()  # no byte after 60 s; a healthy one sends them to its end, and is not looked at for its last 17 s
    migration(play, over=85, inferred=lambda t: min(t - t % 5, 60 if bad else 68),
              age=lambda t: t % 5 if bad or t < 68 else t - 68)
    return [play]


@case("DroverNodeManagementNetworkLost", fires=60, ends=90, says="to host-b", labels={"backend": "rack", "node": "host-a"})
def management_lost(bad):
    play = libvirt()  # two migrations leave the node: one alert
    for vm in ("web", "db"):
        on_host(play, vm=vm, over=90, lost=lambda t: "management" if bad and t >= 60 else None)
    return [play]


@case("DroverMigrationPostcopyEntered", fires=100, ends=120, says="post-copy", labels={**RACK, "phase": "postcopy"})
def postcopy(bad):
    play = libvirt()
    on_host(play, over=120, phase=lambda t: "postcopy" if bad and t >= 100 else "precopy", verdict="unknown")
    return [play]


# Guests ---------------------------------------------------------------------------------------------------------------

@case("DroverMigrationPostcopyBroken", fires=110, ends=300, says="broken", labels={**RACK, "phase": "postcopy_paused"})
def postcopy_broken(bad):
    play = libvirt()
    on_host(play, over=300, phase=lambda t: "precopy" if t < 100 else "postcopy" if t < 110 or not bad else "postcopy_paused",
            verdict="unknown", running=lambda t: "source" if t < 100 else "target")
    return [play]


@case("DroverMigrationGuestSuspended", fires=135, ends=200, says="35s", labels={**SHOP, "phase": "guest_suspended"})
def suspended(bad):
    play = kubevirt()  # from 100 s on: longer than 30 s; the healthy one for 25 s
    migration(play, over=200, phase=lambda t: "guest_suspended" if 100 <= t and (bad or t < 125) else "precopy",
              entered=lambda t: 100 if 100 <= t and (bad or t < 125) else 0, running=lambda t: "source" if t < 200 else "target")
    return [play]


@case("DroverVMRunsNowhere", fires=130, ends=400, says="runs at neither end", labels={**RACK, "on": "none"})
def nowhere(bad):
    play = libvirt()  # after the end, with no sample any more; the healthy guest shut down by itself
    on_host(play, over=120, after=280, cause="vm_lost" if bad else "guest_shutdown",
            running=lambda t: "source" if t < 120 else "none")
    return [play]


@case("DroverVMRunsTwice", fires=130, ends=400, says="runs at both ends", labels={**RACK, "on": "both"})
def twice(bad):
    play = libvirt()
    on_host(play, over=120, after=280, running=lambda t: "source" if t < 120 else "both" if bad else "target")
    return [play]


@case("DroverMigrationDowntimeAboveLimit", fires=120, ends=400, says="3 times", labels=RACK)
def downtime(bad):
    play = libvirt()  # a limit of 0.3 s
    on_host(play, over=120, after=280, running=lambda t: "source" if t < 120 else "target", downtime=0.9 if bad else 0.35)
    return [play]


# Queue and drains -----------------------------------------------------------------------------------------------------

@case("DroverMigrationPendingTooLong", fires=180, ends=400, says="unschedulable", labels={**SHOP, "reason": "unschedulable"})
def pending(bad):
    play = kubevirt()  # from 60 s on, 2 m; the healthy one waits for slots that turn over
    migration(play, over=400, phase="pending", begin=10, verdict=None,
              pending=lambda t: "unschedulable" if bad and t >= 60 else "queue_node")
    return [play]


@case("DroverMigrationQueueStuck", fires=1275, ends=1500, says="have waited for a slot", labels={"backend": "prod"})
def queue_stuck(bad):
    play = Play()  # asked for at 10 s, 20 m later and 1 m more; in the healthy play a migration ends each 5 m
    play.add("drover_migrations_succeeded_total", {"backend": "prod", "origin": "evacuation"},
             lambda t: 0 if bad else t // 300)
    backend(play)
    for number in range(3):
        migration(play, vm=f"web-{number}", begin=10, over=1500, phase="pending", verdict=None, pending="queue_cluster")
    return [play]


@case("DroverEvacuationLoop", fires=100, ends=300, says="3 migrations of shop/web",
      labels={"backend": "prod", "namespace": "shop", "vm": "web"})
def loop(bad):
    play = kubevirt()
    play.add("drover_vm_consecutive_failed_migrations", {"backend": "prod", "namespace": "shop", "vm": "web"},
             lambda t: None if t >= 300 else 3 if bad and t >= 100 else 2)
    return [play]


@case("DroverMigrationsFailing", fires=840, ends=1200, says="failed.", labels={"backend": "prod"})
def failing(bad):
    play = Play(end=1200)  # one in a minute from 300 s on; the fifth at 540 s; 5 m. One in five fails in the healthy play
    labels = {"backend": "prod", "origin": "evacuation"}
    def count(t): return 0 if t < 300 else t // 60 - 4
    play.add("drover_migrations_failed_total", {**labels, "cause": "keepalive"}, lambda t: count(t) if bad else count(t) // 5)
    play.add("drover_migrations_succeeded_total", labels, lambda t: 0 if bad else count(t))
    backend(play)
    return [play]


@case("DroverDrainNoProgress", fires=975, ends=1200, says="began 16m 15s", labels={"backend": "prod", "node": "node-a"})
def drain_slow(bad):
    play = kubevirt()  # since 0 s; the last VM left at 305 s, 10 m and 1 m. The healthy one: a large VM, on its way
    drain(play, end=1200, done=lambda t: min(t, 305) // 61, pending=5, migrating=1)
    if not bad:
        migration(play, over=1300)
    return [play]


@case("DroverDrainStuck", fires=2175, ends=2400, says="half an hour", labels={"backend": "prod", "node": "node-a"})
def drain_stuck(bad):
    play = kubevirt()  # 30 m and 1 m after the last that left; the healthy one loses a VM each quarter of an hour
    drain(play, end=2400, done=lambda t: min(t, 305) // 61 if bad else t // 900, failed=1, pending=2)
    return [play]


@case("DroverDrainStuck", fires=365, ends=500, says="only VMs that cannot", labels={"backend": "prod", "node": "node-a"})
def drain_blocked(bad):
    play = kubevirt()  # nothing but a VM that cannot leave, after 5 m and 1 m
    drain(play, end=500, done=4, blocked=1, pending=0 if bad else 1)
    return [play]


# Control --------------------------------------------------------------------------------------------------------------

@case("DroverAbortActed", fires=100, ends=400, says="not_converging", labels={"trigger": "not_converging", "decision": "acted"})
def acted(bad):
    play = Play("drover-inventory")  # gone five minutes later; a person's abort is none of it
    for trigger in ("not_converging", "person"):
        play.add("drover_abort_decisions_total", {"trigger": trigger, "decision": "acted"},
                 lambda t, trigger=trigger: int(t >= 100 and bad == (trigger != "person")))
    return [play]


@case("DroverAbortRefused", fires=150, ends=1050, says="4 aborts", labels={"trigger": "alert", "decision": "refused"})
def refused(bad):
    play = Play("drover-inventory")  # one in 30 s, four in all
    play.add("drover_abort_decisions_total", {"trigger": "alert", "decision": "refused"},
             lambda t: max(0, min(t, 150) // 30 - 1) if bad else int(t > 60))
    return [play]


@case("DroverAbortFailed", fires=100, ends=700, says="error", labels={"trigger": "alert", "result": "error"})
def abort_failed(bad):
    play = Play("drover-inventory")
    for result in ("error", "aborted"):
        play.add("drover_aborts_total", {"trigger": "alert", "result": result},
                 lambda t, result=result: int(t >= 100 and bad == (result == "error")))
    return [play]


@case("DroverAbortHeld", fires=100, ends=300, says="breaker", labels={"reason": "breaker"})
def held(bad):
    leader, standby = Play("drover-inventory"), Play("drover-inventory", "drover-1:10950")
    for play, leads in ((leader, 1), (standby, 0)):  # what a standby says of itself holds nothing
        play.add("drover_leader", {}, leads)
        play.add("drover_abort_hold", {"reason": "breaker"}, lambda t, leads=leads: int(100 <= t < 300 and bad == bool(leads)))
    return [leader, standby]


@case("DroverJournalNotWritable", fires=130, ends=300, says="records nothing", labels={"reason": "journal"})
def journal(bad):
    play = Play("drover-inventory")
    for reason in ("breaker", "partition", "journal", "takeover"):
        play.add("drover_abort_hold", {"reason": reason},
                 lambda t, reason=reason: int(bad and reason == "journal" and 100 <= t < 300))
    return [play]


@case("DroverNoLeader", fires=160, ends=300, says="stands by", labels={"job": "drover-inventory"})
def no_leader(bad):
    plays = [Play("drover-inventory", f"drover-{number}:10950") for number in range(2)]
    for number, play in enumerate(plays):  # handed over at 100 s; nobody has it until 300 s, or 140 s
        play.add("drover_leader", {}, lambda t, number=number: int(t < 100 if number == 0 else t >= (300 if bad else 140)))
    return plays


# Drover itself --------------------------------------------------------------------------------------------------------

@case("DroverBackendDown", fires=160, ends=300, says="drover-0:10950", labels={"backend": "prod"})
def backend_down(bad):
    play = Play("drover-inventory")
    backend(play, up=lambda t: int(not 100 <= t < (300 if bad else 140)))
    return [play]


@case("DroverDataTooOld", fires=225, ends=400, says="old when it was read", labels={"backend": "prod"})
def data_old(bad):
    play = Play("drover-inventory")  # silent from 100 s on: a minute, and one more
    backend(play, age=lambda t: t - 100 if bad and 100 <= t < 400 else 1)
    return [play]


@case("DroverMigrationDataTooOld", fires=150, ends=300, says="old;", labels=SHOP)
def sample_old(bad):
    play = kubevirt()  # last read at 100 s: 30 s, and a quarter of a minute
    migration(play, over=300, age=lambda t: t - 100 if bad and t > 100 else 1)
    return [play]


@case("DroverDown", fires=160, ends=300, says="at drover-0:10950", labels={"instance": "drover-0:10950"})
def down(bad):
    plays = [Play("drover-migrations"), Play("drover-inventory")]
    for play in plays:
        play.add("up", {}, lambda t: int(not 100 <= t < (300 if bad else 140)))
    return plays


@case("DroverConfigurationNotReloaded", fires=160, ends=300, says="drover-0:10950")
def not_reloaded(bad):
    play = Play("drover-inventory")
    play.add("drover_config_last_reload_successful", {}, lambda t: int(not (bad and 100 <= t < 300)))
    return [play]


@case("DroverMigrationsDropped", fires=100, ends=700, says="maxMigrations")
def dropped(bad):
    play = Play("drover-inventory")
    play.add("drover_dropped_migrations_total", {}, lambda t: 2 if bad and t >= 100 else 0)
    return [play]


# The two that may abort -----------------------------------------------------------------------------------------------

@case("DroverMigrationNotConverging", fires=100, ends=200, says="asked to abort", labels={**SHOP, "drover_action": "abort"})
def not_converging(bad):
    play = kubevirt()
    migration(play, over=200, verdict=lambda t: "not_converging" if bad and t >= 100 else "slow")
    return [play]


@case("DroverMigrationNotConverging", fires=100, ends=135, labels={**RACK, "drover_action": "abort"})
def not_converging_then_old(bad):
    play = libvirt()  # no sample after 100 s: nothing is asked for from 130 s on. The healthy one's was never fresh
    on_host(play, over=300, verdict=lambda t: "not_converging" if t >= 100 else "slow",
            age=lambda t: max(1, t - 100) if bad else 31)
    return [play]


@case("DroverMigrationStalled", fires=225, ends=300, says="over 5s ago", labels={**RACK, "drover_action": "abort"})
def stalled(bad):
    play = libvirt()  # the last fall at 60 s, 150 s, and 5 s or more of uncertainty; the healthy one is not sure yet
    on_host(play, over=300, stuck_since=lambda t: 60 if t > 60 else None, uncertainty=10 if bad else 600)
    return [play]


@case("DroverMigrationStalled", fires=230, ends=300, says="over 15s ago", labels={**RACK, "drover_action": "abort"})
def stalled_as_seen(bad):
    play = libvirt()  # over at 215 s; a sample is 12 s old, and the healthy one's last is from before that
    on_host(play, over=300, stuck_since=lambda t: 60 if t > 60 else None, uncertainty=5,
            age=lambda t: 12 if bad else max(1, t - 214))
    return [play]
