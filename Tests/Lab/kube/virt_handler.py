#!/usr/bin/env python3
"""virt_handler.py - serves /metrics as the virt-handlers of several nodes do. Speaks lines.py; see requests.

HTTPS and HTTP/1.1 only, no authentication, at most three scrapes at a time. The certificate names the service, not
the address, and is signed by an authority whose certificate KubeVirt would put into the ConfigMap kubevirt-ca.
"""

import gzip
import http.server
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

import scratch
from certificates import Authority
from copies import Copy
from exposition import Exposition
from lines import Lines, Refused

PORT = 8443
MOST_AT_ONCE = 3


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        node = self.server
        if not node.begin():
            if node.mode == "busy" or node.mode == "answer":
                self.reply(503, f"Limit of concurrent requests reached ({MOST_AT_ONCE}), try again later.\n".encode())
            return
        try:
            if node.mode == "hang":
                node.wait_for_change(None)
                self.close_connection = True
            elif self.path.split("?")[0] != "/metrics":
                self.reply(404, b"404 page not found\n")
            else:
                node.wait_for_change(node.delay)
                self.reply(200, node.render(), "text/plain; version=0.0.4; charset=utf-8")
        finally:
            node.finish()

    def reply(self, status, body, content_type="text/plain; charset=utf-8"):
        self.server.count(status)
        self.send_response(status)
        if "gzip" in self.headers.get("Accept-Encoding", "") and status == 200:
            body = gzip.compress(body, 1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Node(http.server.ThreadingHTTPServer):
    """One virt-handler. Its mode: answer, hang (reads, never answers), deaf (accepts, no TLS), busy (503), refuse."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, standin, request):
        self.standin = standin
        self.name = request["node"]
        self.address = (request["address"], PORT)
        self.names = request["names"]
        self.mode = "answer"
        self.delay = 0.0
        self.clock_skew = 0.0
        self.copies = {}
        self.guests = []
        self.extra = ""
        self.only = None
        self.namespace = request["namespace"]
        self.certificate = "server"
        self.changed = threading.Condition()
        self.open = set()
        self.running = 0
        self.counts = {"requests": 0, "ok": 0, "busy": 0, "connections": 0, "atOnce": 0}
        self.last = 0.0
        super().__init__(self.address, Handler, bind_and_activate=False)
        self.added = self.add_address()
        self.listen()

    def add_address(self):
        """Gives the loopback device an address that is none of its own, and says whether it had to."""
        if self.address[0].startswith("127."):
            return False
        command = ["ip", "address", "add", f"{self.address[0]}/32", "dev", "lo"]
        return subprocess.run(command, capture_output=True).returncode == 0

    def end(self):
        self.set_mode("refuse")
        if self.added:
            subprocess.run(["ip", "address", "del", f"{self.address[0]}/32", "dev", "lo"], capture_output=True)

    # Listening

    def listen(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self.server_bind()
        except OSError as error:
            raise Refused(f"{self.address[0]}:{PORT}: {error}") from error
        self.server_activate()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.address)

    def set_mode(self, mode):
        before = self.mode
        if mode == before:
            return
        if mode == "refuse":
            self.shutdown()
            self.socket.close()
        with self.changed:
            self.mode = mode
            self.changed.notify_all()
            # Kept connections would go on answering.
            for each in list(self.open):
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        if before == "refuse":
            self.listen()

    def finish_request(self, request, client_address):
        with self.changed:
            self.counts["connections"] += 1
            self.open.add(request)
        try:
            if self.mode == "deaf":
                self.wait_for_change(None)
                return
            request.settimeout(60)
            context = self.standin.context(self.certificate, self.namespace)
            with context.wrap_socket(request, server_side=True) as secured:
                with self.changed:
                    self.open.discard(request)
                    self.open.add(secured)
                request = secured
                self.RequestHandlerClass(secured, client_address, self)
        except OSError:
            pass  # A client that goes, or does not trust us.
        finally:
            with self.changed:
                self.open.discard(request)

    def handle_error(self, request, client_address):
        pass

    def wait_for_change(self, seconds):
        """Waits so long, or until the mode changes; nil seconds wait for that only."""
        mode = self.mode
        with self.changed:
            self.changed.wait_for(lambda: self.mode != mode, seconds)

    # Counting

    def begin(self):
        with self.changed:
            self.counts["requests"] += 1
            self.last = time.time()
            if self.mode == "busy" or (self.mode == "answer" and self.running >= MOST_AT_ONCE):
                return False
            self.running += 1
            self.counts["atOnce"] = max(self.counts["atOnce"], self.running)
            return True

    def finish(self):
        with self.changed:
            self.running -= 1

    def count(self, status):
        with self.changed:
            if status in (200, 503):
                self.counts["ok" if status == 200 else "busy"] += 1

    # Answering

    def render(self):
        if self.only is not None:
            return self.only.encode()
        with self.standin.lock:
            exposition = Exposition(self.name, self.names, self.counts)
            exposition.add_guests(self.guests)
            for key, copy in sorted(self.copies.items()):
                exposition.add_copy(key, copy)
            # What a finished copy left is told once.
            self.copies = {key: copy for key, copy in self.copies.items() if not copy.is_finished}
        return (exposition.text() + self.extra).encode()


class StandIn:
    def __init__(self):
        self.directory = scratch.make("handler")
        self.nodes = {}
        self.interval = 5.0
        self.authorities = {}
        self.contexts = {}
        self.signing = threading.Lock()
        # Of all copies, and of the interval.
        self.lock = threading.Lock()
        self.sooner = threading.Event()

    def start(self):
        """The certificate of the authority; a second one, which nobody trusts, is there too."""
        for kind in ("server", "foreign"):
            self.authorities[kind] = Authority(self.directory, f"kubevirt.io-{kind}")
        threading.Thread(target=self.poll_for_ever, daemon=True).start()
        return self.authorities["server"].pem()

    def context(self, kind, namespace):
        """What TLS needs of an authority for KubeVirt in a namespace."""
        with self.signing:
            if (kind, namespace) not in self.contexts:
                names = [f"DNS:virt-handler{rest}" for rest in (
                    "", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local")]  # fmt: skip
                signed = self.authorities[kind].sign(
                    f"{kind}-{namespace}", "/CN=kubevirt.io:system:node:virt-handler", names)
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*signed)
                context.set_alpn_protocols(["http/1.1"])
                self.contexts[kind, namespace] = context
            return self.contexts[kind, namespace]

    def poll_for_ever(self):
        while True:
            with self.lock:
                now = time.time()
                due = now + self.interval
                for node in self.nodes.values():
                    for copy in node.copies.values():
                        due = min(due, copy.poll(now, self.interval, node.clock_skew))
            self.sooner.wait(max(due - time.time(), 0.005))
            self.sooner.clear()

    def scrape(self, node):
        """Asks an endpoint as anybody would who trusts the authority."""
        context = ssl.create_default_context(cafile=self.authorities["server"].certificate)
        try:
            with socket.create_connection(node.address, timeout=5) as plain:
                name = f"virt-handler.{node.namespace}.svc"
                with context.wrap_socket(plain, server_hostname=name) as secured:
                    secured.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    with secured.makefile("rb") as answer:
                        head, _, body = answer.read().partition(b"\r\n\r\n")
        except OSError as error:
            raise Refused(f"{node.address[0]}:{PORT}: {error}") from error
        return {"status": int(head.split()[1]), "text": body.decode()}

    def perform(self, request):
        match request["do"]:
            case "start":
                return self.start()
            case "node":
                self.context("server", request["namespace"])
                node = Node(self, request)
                with self.lock:
                    self.nodes[request["node"]] = node
                return None
            case "interval":
                with self.lock:
                    self.interval = request["seconds"]
                self.sooner.set()
                return None
            case "clear":
                for node in self.nodes.values():
                    node.end()
                with self.lock:
                    self.nodes = {}
                    self.interval = 5.0
                return None
        node = self.nodes.get(request["node"])
        if not node:
            raise Refused(f"no virt-handler on {request['node']}")
        match request["do"]:
            case "mode":
                node.set_mode(request["mode"])
            case "set":
                for key in ("delay", "clock_skew", "names", "extra", "only", "certificate", "guests"):
                    if key in request:
                        setattr(node, key, request[key])
            case "scrape":
                return self.scrape(node)
            case "counts":
                return node.counts | {"last": node.last, "running": node.running}
            case other:
                with self.lock:
                    return self.perform_on_copy(other, node, request)
        return None

    def perform_on_copy(self, what, node, request):
        key = (request["name"], request["namespace"])
        if what == "copy":
            node.copies[key] = Copy(request, time.time(), self.interval)
            self.sooner.set()
            return None
        copy = node.copies.get(key)
        if not copy:
            raise Refused(f"no copy of {key[1]}/{key[0]} on {node.name}")
        match what:
            case "change":
                copy.change(request, time.time())
            case "sample":
                copy.put(request["values"], request.get("at", time.time() + node.clock_skew))
            case "finish":
                copy.is_finished = True
            case "forget":
                del node.copies[key]
            case "state":
                return copy.state(time.time())
            case other:
                raise Refused(f"no such request: {other}")
        return None


def main():
    lines = Lines()
    standin = StandIn()
    scratch.end_by_signal()
    try:
        lines.serve(standin.perform)
    finally:
        scratch.end_undisturbed()
        for node in standin.nodes.values():
            node.end()
        scratch.remove(standin.directory)
        sys.stdout.flush()
        os._exit(0)


main()
