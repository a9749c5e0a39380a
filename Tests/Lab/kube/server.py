#!/usr/bin/env python3
"""server.py BINARY - an etcd and a kube-apiserver on 127.0.0.1: TLS, RBAC, tokens. Speaks lines.py.

Everything lies in one new directory, which goes with this process; DROVER_LAB_KEEP=1 leaves it.

start [from] | kill | launch | signal process number | compact | audit user | save to | tokens users | certificate name groups
| load templates count | stop
"""

import base64
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid

import scratch
from certificates import Authority
from lines import Lines, Refused

SECONDS_TO_START = 60

# Who has asked for what, apart from the lab and the server itself.
AUDIT_POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: [admin, "system:apiserver", "system:anonymous"]}
- level: Metadata
"""


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Server:
    def __init__(self, binary):
        self.binary = binary
        self.directory = scratch.make("server")
        self.processes = {}
        self.users = []

    def path(self, name):
        return os.path.join(self.directory, name)

    # Up and down

    def start(self, request):
        if self.processes:
            raise Refused("it has been started already")
        if not os.access(self.binary, os.X_OK):
            raise Refused(f"no kube-apiserver at {self.binary}: `make lab` builds it, or Tests/Lab/kube/build-apiserver.sh")
        if not shutil.which("etcd"):
            raise Refused("no etcd: install the package etcd-server")
        self.authority = Authority(self.directory, "lab-ca")
        names = ["IP:127.0.0.1", "DNS:localhost", "DNS:kubernetes.default.svc"]
        self.authority.sign("apiserver", "/CN=kube-apiserver", names)
        self.authority.sign("service-accounts", "/CN=service-accounts")
        self.write_tokens(request["users"])
        with open(self.path("audit.yaml"), "w") as file:
            file.write(AUDIT_POLICY)
        self.context = ssl.create_default_context(cafile=self.authority.certificate)
        if request.get("from"):
            shutil.copytree(request["from"], self.path("etcd"))
        for attempt in range(3):
            self.port, self.etcd_port, self.peer_port = free_ports(3)
            try:
                self.launch_etcd()
                self.launch_apiserver()
                break
            except Refused:
                # Somebody else may have taken a port in between.
                self.kill_all()
                if attempt == 2:
                    raise
        return {
            "directory": self.directory,
            "port": self.port,
            "etcdPort": self.etcd_port,
            "ca": self.authority.certificate,
        }

    def write_tokens(self, users):
        self.users = users
        with open(self.path("tokens.csv"), "w") as file:
            for user in users:
                groups = ",".join(user.get("groups", []))
                file.write(f"{user['token']},{user['name']},{user['name']}" + (f',"{groups}"' if groups else "") + "\n")

    def spawn(self, name, words):
        log = open(self.path(f"{name}.log"), "ab")
        # From the main thread, which does not end before the process: the kernel looks at the thread.
        self.processes[name] = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, preexec_fn=die_with_parent)
        log.close()

    def is_running(self, name):
        return name in self.processes and self.processes[name].poll() is None

    def launch_etcd(self):
        client, peer = (f"http://127.0.0.1:{port}" for port in (self.etcd_port, self.peer_port))
        self.spawn("etcd", [
            "etcd", "--data-dir", self.path("etcd"), "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--unsafe-no-fsync", "--logger", "zap", "--log-level", "warn"])  # fmt: skip
        self.wait("etcd", lambda: self.etcd("maintenance/status", {}))

    def launch_apiserver(self):
        self.spawn("apiserver", [
            self.binary, "--etcd-servers", f"http://127.0.0.1:{self.etcd_port}",
            "--bind-address", "127.0.0.1", "--secure-port", str(self.port), "--cert-dir", self.directory,
            "--tls-cert-file", "apiserver.crt", "--tls-private-key-file", "apiserver.key",
            "--client-ca-file", self.authority.certificate,
            "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", "service-accounts.crt",
            "--service-account-signing-key-file", "service-accounts.key",
            "--audit-policy-file", "audit.yaml", "--audit-log-path", self.path("audit.log"),
            "--token-auth-file", "tokens.csv", "--authorization-mode", "RBAC",
            "--service-cluster-ip-range", "10.96.0.0/24", "--allow-privileged=true",
            # Neither has a controller here that would do the other half of its work.
            "--disable-admission-plugins", "ServiceAccount,TaintNodesByCondition"])  # fmt: skip
        self.wait("apiserver", self.is_ready)

    def is_ready(self):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=5)
        try:
            connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {self.users[0]['token']}"})
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def wait(self, name, is_up):
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                if is_up():
                    return
            except (OSError, http.client.HTTPException):
                pass
            if not self.is_running(name):
                raise Refused(f"{name} has ended: {self.tail(name)}")
            if time.monotonic() > deadline:
                raise Refused(f"{name} is not up after {SECONDS_TO_START} s: {self.tail(name)}")
            time.sleep(0.05)

    def tail(self, name):
        with open(self.path(f"{name}.log"), errors="replace") as file:
            return " / ".join(file.read().splitlines()[-5:])

    def kill(self, name, number=signal.SIGKILL):
        process = self.processes.pop(name, None)
        if process:
            process.send_signal(number)
            process.wait()

    def kill_all(self):
        self.kill("apiserver")
        self.kill("etcd")

    def end(self):
        scratch.end_undisturbed()
        self.kill_all()
        scratch.remove(self.directory)

    # What a request asks for

    def perform(self, request):
        match request["do"]:
            case "start":
                return self.start(request)
            case "kill":
                self.kill("apiserver")
            case "launch":
                if not self.is_running("etcd"):
                    self.launch_etcd()
                if self.is_running("apiserver"):
                    self.processes["apiserver"].send_signal(signal.SIGCONT)
                else:
                    self.launch_apiserver()
            case "signal":
                if not self.is_running(request["process"]):
                    raise Refused(f"{request['process']} does not run")
                self.processes[request["process"]].send_signal(request["number"])
            case "compact":
                return self.compact()
            case "audit":
                return self.audit(request["user"])
            case "save":
                self.save(request["to"])
            case "tokens":
                self.write_tokens(request["users"])
            case "certificate":
                organisations = "".join(f"/O={group}" for group in request["groups"])
                certificate, key = self.authority.sign(
                    f"user-{request['name']}", f"{organisations}/CN={request['name']}", client=True)
                return {"certificate": certificate, "key": key}
            case "load":
                return self.load(request)
            case "stop":
                self.kill_all()
            case other:
                raise Refused(f"no such request: {other}")

    def compact(self):
        revision = self.etcd("maintenance/status", {})["header"]["revision"]
        self.etcd("kv/compaction", {"revision": revision, "physical": True})
        return int(revision)

    def audit(self, user):
        """What somebody has asked for; a watch counts when it begins."""
        asked = []
        with open(self.path("audit.log")) as file:
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue  # Half of a line, from a server that was killed.
                is_watch = event["verb"] == "watch"
                if event["user"].get("username") != user or is_watch != (event["stage"] == "ResponseStarted"):
                    continue
                about = event.get("objectRef", {})
                asked.append({
                    "verb": event["verb"],
                    "resource": "/".join(filter(None, (about.get("resource"), about.get("subresource")))),
                    "namespace": about.get("namespace", ""),
                    "name": about.get("name", ""),
                    "uri": event["requestURI"],
                    "agent": event.get("userAgent", ""),
                    "status": event["responseStatus"]["code"],
                })
        return asked

    def save(self, target):
        """A copy of etcd's directory, taken while nothing writes to it."""
        self.kill("apiserver", signal.SIGTERM)
        self.kill("etcd", signal.SIGTERM)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.path("etcd"), target)
        self.launch_etcd()
        self.launch_apiserver()

    # etcd

    def etcd(self, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.etcd_port, timeout=60)
        try:
            connection.request("POST", f"/v3/{path}", json.dumps(body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise Refused(f"etcd {path}: {answer.get('error', answer)}")
        return answer

    def load(self, request):
        """Puts `count` copies of objects into etcd, past the API server, which learns of them by its watch.

        A template is an etcd key and the object's JSON. In both, `{i}` stands for the number of the copy,
        `{uid:WORD}` for a uid of that word in that copy, and `{WORD}` for one of the words in request["words"].
        """
        first, count = request.get("first", 0), request["count"]
        words = request.get("words", {})
        pending, size = [], 0
        for i in range(first, first + count):
            for template in request["templates"]:
                key, text = (self.fill(template[part], i, words) for part in ("key", "json"))
                pending.append((key, text))
                size += len(text)
                if len(pending) == 100 or size > 900_000:
                    self.put(pending)
                    pending, size = [], 0
        if pending:
            self.put(pending)

    @staticmethod
    def fill(text, i, words):
        for word, choices in words.items():
            text = text.replace("{" + word + "}", choices[i % len(choices)])
        parts = text.replace("{i}", f"{i:05d}").split("{uid:")
        filled = [parts[0]]
        for part in parts[1:]:
            word, rest = part.split("}", 1)
            filled += [str(uuid.uuid5(uuid.NAMESPACE_OID, f"{word}/{i}")), rest]
        return "".join(filled)

    def put(self, pairs):
        def encoded(text):
            return base64.b64encode(text.encode()).decode()

        puts = [{"requestPut": {"key": encoded(key), "value": encoded(text)}} for key, text in pairs]
        self.etcd("kv/txn", {"success": puts})


def main():
    lines = Lines()
    server = Server(sys.argv[1])
    scratch.end_by_signal()
    try:
        lines.serve(server.perform)
    finally:
        server.end()


main()
