"""What the helpers of the lab speak with a test: one JSON object a line, over the socket that is standard output.

A request has an `id`; its answer has the same one, and `error` where the request failed. The other end of the
socket closes with the test's process, however that ends: a helper then ends too, and takes everything with it.
"""

import json
import os
import socket
import sys
import threading


class Refused(Exception):
    """A request that cannot be done; the text is for people."""


class Lines:
    def __init__(self):
        self._socket = socket.socket(fileno=os.dup(1))
        # Whatever a library prints must not end up between the answers.
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def requests(self):
        for line in self._socket.makefile("rb"):
            yield json.loads(line)

    def answer(self, request, value=None):
        self.write(json.dumps({"id": request["id"], "value": value}, separators=(",", ":")))

    def refuse(self, request, text):
        self.write(json.dumps({"id": request["id"], "error": text}))

    def write(self, text):
        with self._lock:
            try:
                self._socket.sendall(text.encode() + b"\n")
            except OSError:
                pass  # Nobody is there; the next read says so.

    def serve(self, perform):
        """Answers each request with what `perform` makes of it, one after the other."""
        for request in self.requests():
            try:
                self.answer(request, perform(request))
            except Refused as refusal:
                self.refuse(request, str(refusal))
            except Exception as error:  # A helper never leaves a test waiting.
                print(f"{request}: {error!r}", file=sys.stderr)
                self.refuse(request, f"{request.get('do')}: {error!r}")
