"""How the bytes of a migration move, and the ring of samples that virt-handler keeps of it."""

import collections

RING = 10
# A pass that is shorter is the last one: QEMU would switch over, which is for the test to say.
LAST_PASS_SECONDS = 0.05


class Copy:
    """Passes over the guest's memory: what is dirtied during one is what the next has to send."""

    def __init__(self, request, now, interval):
        self.total = request["total"]
        self.rate = request["rate"]
        self.dirty_rate = request["dirtyRate"]
        self.working_set = request.get("workingSet", self.total)
        self.processed = 0.0
        self.remaining = float(self.total)
        self.pass_seconds = 0.0
        self.passes = 0
        self.is_frozen = False
        self.frozen_rate = None
        # One that is not polled has just the samples that it is given.
        self.is_polled = request.get("polled", True)
        self.is_finished = False
        self.advanced_to = now
        self.due = now + interval
        self.ring = collections.deque(maxlen=RING)

    def change(self, request, now):
        self.advance(now)
        for key, name in (("rate", "rate"), ("dirtyRate", "dirty_rate"), ("workingSet", "working_set"),
                          ("frozen", "is_frozen"), ("polled", "is_polled")):  # fmt: skip
            if key in request:
                setattr(self, name, request[key])
        self.frozen_rate = request.get("frozenRate")

    def advance(self, now):
        left = now - self.advanced_to
        self.advanced_to = now
        if self.is_frozen or self.rate <= 0:
            return
        # Only a pass that begins so short is the last; one that was looked at near its end goes on.
        while left > 0 and (self.pass_seconds > 0 or self.remaining >= self.rate * LAST_PASS_SECONDS):
            step = min(left, self.remaining / self.rate)
            left -= step
            self.processed += self.rate * step
            self.remaining -= self.rate * step
            self.pass_seconds += step
            if self.remaining < 1:
                self.passes += 1
                self.remaining = float(min(self.dirty_rate * self.pass_seconds, self.working_set, self.total))
                self.pass_seconds = 0.0

    def state(self, now):
        self.advance(now)
        rate = self.rate if not self.is_frozen else self.frozen_rate
        return {
            "total": int(self.total),
            "processed": int(self.processed),
            "remaining": int(self.remaining),
            # QEMU measures what is dirtied from its second pass on.
            "dirtyRate": int(self.dirty_rate) if self.passes > 0 else 0,
            "rate": int(rate or 0),
        }

    def poll(self, now, interval, skew):
        """Takes a sample where one is due, and says when the next one is."""
        if self.is_finished or not self.is_polled:
            return now + interval
        self.due = min(self.due, now + interval)
        if now >= self.due:
            self.put(self.state(now), now + skew)
            self.due = now + interval
        return self.due

    def put(self, values, at):
        self.ring.append((int(at * 1000), values))
