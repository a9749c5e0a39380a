#!/usr/bin/env python3
"""Wraps the rule files into PrometheusRules for the Prometheus Operator, under deploy/kubernetes: `alerts/wrap.py`."""

from pathlib import Path

HERE = Path(__file__).resolve().parent
INTO = HERE.parent / "deploy" / "kubernetes"
HEAD = """# Made by alerts/wrap.py from {sources}: change those. Some Prometheuses take only rules that carry a label of theirs, such
# as `release: kube-prometheus-stack`: see ruleSelector of the Prometheus. `keep_firing_for` needs Prometheus 2.42.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {name}
  namespace: drover
  labels:
    app.kubernetes.io/name: drover
spec:
  groups:
"""
OBJECTS = {
    "prometheusrule.yaml": ("drover", ["drover-recording.yml", "drover-alerts.yml"]),
    "prometheusrule-abort.yaml": ("drover-abort", ["drover-abort.yml"]),
}


def groups(name):
    """The groups of a file, as they stand there."""
    text = (HERE / name).read_text()
    return text[text.index("\ngroups:\n") + len("\ngroups:\n") :]


def objects():
    """The text of each object by its path."""
    return {
        INTO / path: HEAD.format(sources=" and ".join(f"alerts/{file}" for file in files), name=name)
        + "".join(
            "".join(f"  {line}" if line.strip() else line for line in groups(file).splitlines(True)) + "\n"
            for file in files
        ).rstrip("\n")
        + "\n"
        for path, (name, files) in OBJECTS.items()
    }


if __name__ == "__main__":
    for path, text in objects().items():
        path.write_text(text)
