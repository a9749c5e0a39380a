"""Directories that go with their process, or with the next one where a process was killed."""

import fcntl
import glob
import os
import shutil
import signal
import sys
import tempfile
import time

_locks = []


def make(kind):
    """A new directory, locked for as long as this process lives."""
    for left in glob.glob(os.path.join(tempfile.gettempdir(), "drover-kube-*", ".lock")):
        _remove_unlocked(left)
    directory = tempfile.mkdtemp(prefix=f"drover-kube-{kind}-")
    lock = open(os.path.join(directory, ".lock"), "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    _locks.append(lock)
    return directory


def _remove_unlocked(path):
    try:
        # A new one may not have been locked yet.
        if time.time() - os.path.getmtime(path) < 10:
            return
        with open(path) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(os.path.dirname(path))
    except OSError:
        pass  # It is in use, or another's.


def remove(directory):
    if os.environ.get("DROVER_LAB_KEEP") != "1":
        shutil.rmtree(directory, ignore_errors=True)


def end_by_signal():
    """Lets signals that end a process end it in order."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))


def end_undisturbed():
    """Lets the end go on whatever comes."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
