#!/usr/bin/env python3
"""virt_api.py PORT CA_FILE TOKEN - stands in for virt-api: the part evacuate/cancel of a VMI. Speaks lines.py.

It listens on 127.0.0.1 with TLS, for the API server to send what it gets for subresources.kubevirt.io. As virt-api does, it refuses with
400 while the VMI's node carries the taint of a drain, takes the mark from the VMI by a JSON patch that tests it, and answers 202.

start | log | age old
"""

import http.client
import http.server
import json
import ssl
import sys
import threading

import scratch
from certificates import Authority
from lines import Lines, Refused

GROUP = "subresources.kubevirt.io"
ROOT = f"/apis/{GROUP}/v1"


class Cluster:
    """The API server, asked with all rights."""

    def __init__(self, port, ca, token):
        self.port, self.token = port, token
        self.context = ssl.create_default_context(cafile=ca)

    def ask(self, method, path, body=None, kind="application/json"):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=10)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind, "User-Agent": "virt-api"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def drain_taint(self):
        _, found = self.ask("GET", "/apis/kubevirt.io/v1/kubevirts")
        for item in found.get("items", []):
            migrations = item.get("spec", {}).get("configuration", {}).get("migrations", {})
            return migrations.get("nodeDrainTaintKey", "kubevirt.io/drain")
        return "kubevirt.io/drain"

    def cancel(self, namespace, name, node):
        """The status, its word, and a text."""
        path = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/{name}"
        code, vmi = self.ask("GET", path)
        if code == 404:
            return 404, "NotFound", f'virtualmachineinstances.kubevirt.io "{name}" not found'
        status = vmi.get("status", {})
        key = self.drain_taint()
        code, found = self.ask("GET", f"/api/v1/nodes/{status.get('nodeName', '')}")
        taints = found.get("spec", {}).get("taints", []) if code == 200 else []
        if any(taint["key"] == key for taint in taints):
            return 400, "BadRequest", f"node {status.get('nodeName')} has the drain taint {key}: the evacuation cannot be canceled"
        if status.get("evacuationNodeName") != node:
            return 400, "BadRequest", f"the evacuation node name is {status.get('evacuationNodeName', '')!r}, not {node!r}"
        where = "/status/evacuationNodeName"
        patch = [{"op": "test", "path": where, "value": node}, {"op": "remove", "path": where}]
        code, answer = self.ask("PATCH", path, patch, "application/json-patch+json")
        return (202, "", "") if code == 200 else (code, answer.get("reason", ""), answer.get("message", ""))


class Server:
    def __init__(self, cluster):
        self.cluster = cluster
        self.directory = scratch.make("virt-api")
        self.requests = []
        self.is_old = False
        self.http = None

    def start(self):
        authority = Authority(self.directory, "virt-api-ca")
        certificate, key = authority.sign("virt-api", "/CN=virt-api", ["IP:127.0.0.1"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def send(self, code, body, kind="application/json"):
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def absent(self):
                self.send(404, b"404: Page Not Found", "text/plain")

            def do_GET(self):
                if self.path.split("?")[0] in (ROOT, f"/apis/{GROUP}"):
                    self.send(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/v1", "resources": []})
                else:
                    self.absent()

            def do_PUT(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = self.path.split("?")[0].split("/")
                # /apis/GROUP/v1/namespaces/NS/virtualmachineinstances/NAME/evacuate/cancel
                is_known = len(parts) == 10 and parts[4] == "namespaces" and parts[6] == "virtualmachineinstances"
                if outer.is_old or not is_known or parts[8:] != ["evacuate", "cancel"]:
                    return self.absent()
                try:
                    node = json.loads(body or b"{}").get("evacuationNodeName", "")
                    code, reason, text = outer.cluster.cancel(parts[5], parts[7], node)
                except (OSError, ValueError, http.client.HTTPException) as error:
                    code, reason, text = 500, "InternalError", repr(error)
                outer.requests.append({"vmi": f"{parts[5]}/{parts[7]}", "node": node, "status": code, "by": self.headers.get("X-Remote-User", "")})
                status = "Success" if code == 202 else "Failure"
                self.send(code, {"kind": "Status", "apiVersion": "v1", "status": status, "reason": reason, "message": text, "code": code})

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return {"port": self.http.server_address[1]}

    def perform(self, request):
        match request["do"]:
            case "start":
                return self.start()
            case "log":
                return self.requests
            case "age":
                self.is_old = bool(request["old"])
            case other:
                raise Refused(f"no such request: {other}")

    def end(self):
        scratch.end_undisturbed()
        if self.http:
            self.http.shutdown()
        scratch.remove(self.directory)


def main():
    lines = Lines()
    server = Server(Cluster(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
    scratch.end_by_signal()
    try:
        lines.serve(server.perform)
    finally:
        server.end()


main()
