#!/usr/bin/env python3
"""Runs the tests of alerts and boards, those that wait beside those that compute, and says how many there were."""

import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOISE = "test_live.Noise.test_200_vms_and_the_{}_network_of_a_node"
SETS = [
    [NOISE.format("migration")],
    [NOISE.format("management")],
    ["test_live.Expressions"],
    ["test_rules", "test_words", "test_dashboards", "test_alertmanager"],
]

began = time.monotonic()
runs = [
    subprocess.Popen(
        [sys.executable, "-m", "unittest", *names],
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for names in SETS
]
passed = failed = 0
for run, names in zip(runs, SETS):
    text = run.communicate()[0]
    print(f"== {' '.join(names)}\n{text}")
    count = re.search(r"^Ran (\d+) test", text, re.M)
    bad = sum(int(number) for number in re.findall(r"(?:failures|errors)=(\d+)", text))
    bad = bad or int(run.returncode != 0)
    passed, failed = passed + (int(count[1]) if count else 0) - bad, failed + bad
print(f"{passed} passed, {failed} failed", flush=True)
print(f"in {time.monotonic() - began:.0f} s", file=sys.stderr)
sys.exit(1 if failed or not passed else 0)
