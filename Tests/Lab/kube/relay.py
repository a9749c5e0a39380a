#!/usr/bin/env python3
"""relay.py PORT - a wire to 127.0.0.1:PORT whose answers can be lost. Speaks lines.py.

start | hold | drop

After `hold` a new connection is let finish its handshake; whatever comes from the server behind that is kept back, and what is
sent to it still arrives. `drop` closes these connections, and passes on everything from then on.
"""

import socket
import sys
import threading

from lines import Lines


class Relay:
    def __init__(self, port):
        self.target = port
        self.holds = False
        self.lock = threading.Lock()
        self.links = []

    def start(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()
        return {"port": self.listener.getsockname()[1]}

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.target))
            link = {"ends": (client, server), "holds": self.holds, **{name: threading.Event() for name in ("answered", "asked", "dropped")}}
            with self.lock:
                self.links.append(link)
            threading.Thread(target=self.copy, args=(link, client, server, False), daemon=True).start()
            threading.Thread(target=self.copy, args=(link, server, client, True), daemon=True).start()

    def copy(self, link, source, sink, is_answer):
        try:
            while data := source.recv(1 << 16):
                if is_answer and link["holds"] and link["asked"].is_set():
                    link["dropped"].wait()
                if link["dropped"].is_set():
                    break
                if is_answer:
                    link["answered"].set()
                elif link["answered"].is_set():
                    # The client's second words end the handshake, and hold the request.
                    link["asked"].set()
                sink.sendall(data)
        except OSError:
            pass
        self.close(link)

    @staticmethod
    def close(link):
        for end in link["ends"]:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def drop(self):
        with self.lock:
            self.holds = False
            held = [link for link in self.links if link["holds"]]
        for link in held:
            link["dropped"].set()
            self.close(link)

    def perform(self, request):
        match request["do"]:
            case "start":
                return self.start()
            case "hold":
                self.holds = True
            case "drop":
                self.drop()
        return None


Lines().serve(Relay(int(sys.argv[1])).perform)
