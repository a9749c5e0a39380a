"""Real servers on loopback for the tests: Prometheus, Alertmanager, `drover demo`, and an exporter that plays made-up series."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

import project
from play import at


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def get(url, **parameters):
    query = urllib.parse.urlencode(
        [(k, w) for k, v in parameters.items() for w in (v if isinstance(v, list) else [v])]
    )
    with urllib.request.urlopen(f"{url}?{query}" if query else url, timeout=20) as answer:
        return json.load(answer)


def wait(what, seconds, ready):
    """Asks until it is ready; what is not in time is an error."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = ready()
            if found:
                return found
        except (OSError, urllib.error.URLError, ValueError):
            pass
        time.sleep(0.3)
    raise AssertionError(f"not in {seconds} s: {what}")


@contextmanager
def running(command, **more):
    """A program that ends with this block, and shows its last words where it ended before."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **more)
        try:
            yield process
            if process.poll() is not None:
                log.seek(0)
                raise AssertionError(f"{command[0]} ended: {log.read()[-2000:].decode(errors='replace')}")
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def prometheus(scrapes, rule_files=(), alertmanager=None):
    """A Prometheus with these scrape_configs; yields its address. Scrapes and evaluates each 5 s, as shipped."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        config = {
            "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
            "scrape_configs": scrapes,
            "rule_files": [str(path) for path in rule_files],
        }
        if alertmanager:
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        path = Path(folder) / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        with running(
            [
                shutil.which("prometheus"),
                f"--config.file={path}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ]
        ):
            url = f"http://127.0.0.1:{port}"
            wait("Prometheus", 30, lambda: get(f"{url}/api/v1/status/runtimeinfo"))
            yield url


@contextmanager
def alertmanager(config):
    """An Alertmanager with this configuration, by itself; yields host and port."""
    with tempfile.TemporaryDirectory() as folder:
        path, port = Path(folder) / "alertmanager.yml", free_port()
        path.write_text(yaml.safe_dump(config))
        program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
        with running(
            [
                program,
                f"--config.file={path}",
                f"--storage.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
                "--log.level=warn",
            ]
        ):
            wait("Alertmanager", 30, lambda: get(f"http://127.0.0.1:{port}/api/v2/status"))
            yield f"127.0.0.1:{port}"


def drover():
    """The executable that was built last, or the one that $DROVER names."""
    places = (
        [Path(os.environ["DROVER"])]
        if "DROVER" in os.environ
        else [project.ROOT / ".build" / kind / "drover" for kind in ("debug", "release")]
    )
    found = [path for path in places if path.exists()]
    if not found:
        raise AssertionError("build it first: swift build")
    return max(found, key=lambda path: path.stat().st_mtime)


@contextmanager
def demo():
    """`drover demo`; yields where it serves metrics, and its control socket."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        with running(
            [
                str(drover()),
                "demo",
                "--web.listen-address",
                f"127.0.0.1:{port}",
                "--control.socket",
                f"{folder}/control",
            ]
        ):
            wait(
                "the demo",
                60,
                lambda: b"drover_migration_phase"
                in urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read(),
            )
            yield f"127.0.0.1:{port}", f"unix://{folder}/control"


@contextmanager
def serving(handler):
    """An HTTP server; yields host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # whoever asked has gone
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, body=b""):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def playing(play, clock=time.time):
    """An exporter of these series; the beginning of the play is now. Moments become moments of today."""
    began = clock()

    class Exporter(Handler):
        def do_GET(self):
            t, lines = clock() - began, []
            for name, labels, value in play.series:
                number = at(value, t)
                if number is not None:
                    if name.endswith("timestamp_seconds"):
                        number += began
                    text = ",".join(f'{key}="{word}"' for key, word in labels.items())
                    lines.append(f"{name}{{{text}}} {number!r}\n")
            self.answer("".join(lines).encode())

    return serving(Exporter)
