"""What the shipped Alertmanager tells people, and what it asks of Drover."""

import json
import tempfile
import threading
from contextlib import contextmanager

import yaml

import project
import servers


class Listening:
    """An Alertmanager with the shipped file; only the people's receiver and Drover's address are put in.

    `posts` has what it sent: path, credential and body; what asks for an abort too."""

    def __init__(self, posts, manager):
        self.posts, self.manager = posts, manager

    def told(self, url, seconds):
        """Messages to people, what would be sent to them later, and every alert that has fired over that time."""
        groups = servers.get(
            f"http://{self.manager}/api/v2/alerts/groups", active="true", inhibited="false", silenced="false"
        )
        groups = [
            group["labels"] for group in groups if group["receiver"]["name"] == "people" and group["alerts"]
        ]
        query = f'max_over_time(ALERTS{{alertstate="firing"}}[{seconds}s])'
        answer = servers.get(f"{url}/api/v1/query", query=query)
        fired = {series["metric"]["alertname"] for series in answer["data"]["result"]}
        people = [
            (body["status"], body["groupLabels"].get("alertname"), len(body["alerts"]))
            for path, _, body in self.posts
            if path == "/people"
        ]
        print("people were told:", people, "of", sorted(fired))
        return people, groups, fired


def configuration(sink, token):
    config = yaml.safe_load((project.ALERTS / "alertmanager.yml").read_text())
    for receiver in config["receivers"]:
        if receiver["name"] == "people":
            receiver["webhook_configs"] = [{"url": f"http://{sink}/people", "send_resolved": True}]
        for hook in receiver["webhook_configs"]:
            if receiver["name"] == "drover-abort":
                hook["url"] = hook["url"].replace("localhost:10950", sink)
                hook["http_config"]["authorization"]["credentials_file"] = token
    return config


@contextmanager
def listening():
    posts, lock = [], threading.Lock()

    class Sink(servers.Handler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                posts.append((self.path, self.headers.get("Authorization"), body))
            self.answer()

    with servers.serving(Sink) as sink, tempfile.NamedTemporaryFile("w") as token:
        token.write("secret")
        token.flush()
        with servers.alertmanager(configuration(sink, token.name)) as manager:
            yield Listening(posts, manager)
