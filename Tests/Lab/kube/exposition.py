"""The text of virt-handler's /metrics, as Go's client writes it: families by name, series by labels, then by time."""

from decimal import Decimal

PROCESSED = ("gauge", "The total Guest OS data processed and migrated to the new VM.")
REMAINING = ("gauge", "The remaining guest OS data to be migrated to the new VM.")
DIRTY = ("gauge", "The rate of memory being dirty in the Guest OS.")
RATE = ("gauge", "The rate at which the memory is being transferred.")
TOTAL = ("counter", "The total Guest OS data to be migrated to the new VM.")


def migration_names(version):
    """The name of each number in a version of KubeVirt, such as 1.6; what it lacks is left out."""
    minor = int(version.split(".")[1])
    prefix = "kubevirt_migrate_vmi_" if minor < 1 else "kubevirt_vmi_migration_"
    names = {
        "processed": (f"{prefix}data_processed_bytes", *PROCESSED),
        "remaining": (f"{prefix}data_remaining_bytes", *REMAINING),
        "dirtyRate": (f"{prefix}dirty_memory_rate_bytes", *DIRTY),
        # For five versions the memory's rate had the disk's name.
        "rate": (f"{prefix}{'disk' if 2 <= minor <= 6 else 'memory'}_transfer_rate_bytes", *RATE),
    }
    if minor >= 5:
        names["total"] = (f"{prefix}{'data_total_bytes' if minor < 8 else 'data_bytes_total'}", *TOTAL)
    return names


def number(value):
    """As Go writes a float64 in its shortest form: with an exponent from 1e6 on and below 1e-4."""
    value = float(value)
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    power = len(digits) - 1 + exponent
    if -4 <= power < 6:
        return f"{Decimal(repr(value)).normalize():f}"
    first, rest = digits[0], "".join(map(str, digits[1:]))
    mantissa = f"{first}.{rest}" if rest else str(first)
    return f"{'-' if sign else ''}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


class Exposition:
    def __init__(self, node, version, counts):
        self.node = node
        self.version = version
        self.families = {}
        self.add("go_goroutines", "gauge", "Number of goroutines that currently exist.", {}, 412)
        self.add(
            "kubevirt_virt_handler_ready_status", "gauge",
            "Indication for a virt-handler that is ready to serve requests.", {}, 1)  # fmt: skip
        for code, key in (("200", "ok"), ("503", "busy")):
            self.add(
                "promhttp_metric_handler_requests_total", "counter",
                "Total number of scrapes by HTTP status code.", {"code": code}, counts[key])  # fmt: skip

    def add(self, name, kind, text, labels, value, at=None):
        family = self.families.setdefault(name, (kind, text, []))
        inner = ",".join(f'{key}="{self.escape(labels[key])}"' for key in sorted(labels))
        sample = f"{name}{{{inner}}}" if inner else name
        family[2].append((inner, at or 0, f"{sample} {number(value)}" + (f" {at}" if at else "")))

    @staticmethod
    def escape(text):
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    def labels(self, name, namespace):
        return {"name": name, "namespace": namespace, "node": self.node}

    def add_guests(self, guests):
        """What is told of guests that do not migrate, too."""
        for guest in guests:
            labels = self.labels(guest["name"], guest["namespace"])
            self.add(
                "kubevirt_vmi_memory_domain_bytes", "gauge",
                "The amount of memory in bytes allocated to the domain. The `memory` value in domain xml file.",
                labels, guest["memory"])  # fmt: skip
            self.add(
                "kubevirt_vmi_vcpu_seconds_total", "counter",
                "Total amount of time spent in each state by each vcpu (cpu_time excluding hypervisor time). Where `id` "
                "is the vcpu identifier and `state` can be one of the following: [`OFFLINE`, `RUNNING`, `BLOCKED`].",
                labels | {"id": "0", "state": "running"}, 4127.33)  # fmt: skip
            if int(self.version.split(".")[1]) >= 6 and "dirtyRate" in guest:
                self.add(
                    "kubevirt_vmi_dirty_rate_bytes_per_second", "gauge", "Guest dirty-rate in bytes per second.",
                    labels, guest["dirtyRate"])  # fmt: skip

    def add_copy(self, key, copy):
        for field, (name, kind, text) in migration_names(self.version).items():
            for at, values in copy.ring:
                if field in values:
                    self.add(name, kind, text, self.labels(*key), values[field], at)

    def text(self):
        out = []
        for name in sorted(self.families):
            kind, text, samples = self.families[name]
            out += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            out += [line for _, _, line in sorted(samples)]
        return "\n".join(out) + "\n"
