#!/usr/bin/env python3
"""client.py PORT CA_FILE TOKEN - asks the API server for a test, a few requests at a time. Speaks lines.py.

A request: method path [body | text] [type] [accept] [token] [timeout]; answer: status, and json or text.
"""

import concurrent.futures
import http.client
import json
import os
import ssl
import sys
import threading

from lines import Lines

WORKERS = 8


class Client:
    def __init__(self, port, ca, token):
        self.port = port
        self.token = token
        self.context = ssl.create_default_context(cafile=ca)
        self.local = threading.local()

    def connect(self):
        self.local.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=60)
        self.local.is_used = False

    def ask(self, request):
        """The response, and all of its body."""
        headers = {
            # Not an agent for which the server would indent its JSON.
            "User-Agent": "drover-lab",
            "Accept": request.get("accept", "application/json"),
        }
        # An empty token makes an anonymous request.
        token = request.get("token", self.token)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        body = request.get("text")
        if "body" in request:
            body = json.dumps(request["body"])
        if body is not None:
            body = body.encode()
            headers["Content-Type"] = request.get("type", "application/json")
        while True:
            if getattr(self.local, "connection", None) is None:
                self.connect()
            connection, was_used = self.local.connection, self.local.is_used
            try:
                if connection.sock:
                    connection.sock.settimeout(request.get("timeout", 60))
                connection.request(request["method"], request["path"], body, headers)
                response = connection.getresponse()
                content = response.read()
                self.local.is_used = True
                return response, content
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.local.connection = None
                # One that was open from before may have been closed by a server that has gone since.
                if was_used and not isinstance(error, TimeoutError):
                    continue
                raise

    def perform(self, lines, request):
        try:
            response, content = self.ask(request)
        except (OSError, http.client.HTTPException) as error:
            lines.refuse(request, f"{request['method']} {request['path']}: {error!r}")
            return
        text = content.decode(errors="replace").strip()
        answer = f'"id":{request["id"]},"status":{response.status}'
        is_json = response.getheader("Content-Type", "").startswith("application/json")
        if is_json and text and "\n" not in text:
            lines.write(f'{{{answer},"json":{text}}}')
        else:
            lines.write(f'{{{answer},"text":{json.dumps(text)}}}')


def main():
    lines = Lines()
    client = Client(int(sys.argv[1]), sys.argv[2], sys.argv[3])
    pool = concurrent.futures.ThreadPoolExecutor(WORKERS)
    for request in lines.requests():
        pool.submit(client.perform, lines, request)
    # Whatever still waits for an answer, nobody waits for it any more.
    os._exit(0)


main()
