#!/usr/bin/env python3
"""check-rights.py [KUBE_APISERVER] - what deploy/kubernetes grants, asked of a real API server.

Each file of rights is granted alone, and then several together. What Drover asks with it must be let through, what it
asks with the others must not, and the rights that the server lists must be those and no more. The other files are sent
as a dry run.
"""

import glob
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DEPLOY = os.path.join(HERE, "../../../deploy/kubernetes")
CACHE = os.environ.get("DROVER_KUBE_CACHE") or "/var/cache/drover-lab"
ACCOUNT = "system:serviceaccount:drover:drover"
GROUPS = ["system:serviceaccounts", "system:serviceaccounts:drover", "system:authenticated"]
NAMESPACES = ["drover", "kubevirt", "longhorn-system", "guests", "other"]
READ = ["list", "watch"]

# What Drover asks.
VMIMS = "/apis/kubevirt.io/v1{}/virtualmachineinstancemigrations"
VMIS = "/apis/kubevirt.io/v1{}/virtualmachineinstances"
EVENTS = "/api/v1{}/events?fieldSelector=involvedObject.kind=VirtualMachineInstanceMigration"
OF_CLUSTER = [
    "/apis/kubevirt.io/v1/kubevirts",
    "/apis/migrations.kubevirt.io/v1alpha1/migrationpolicies",
    "/api/v1/nodes",
    "/api/v1/namespaces",
]
TARGET_POD = "/api/v1/namespaces/guests/pods?labelSelector=kubevirt.io/migrationJobUID=0"
HANDLER_POD = "/api/v1/namespaces/kubevirt/pods?labelSelector=kubevirt.io=virt-handler&fieldSelector=spec.nodeName=a"
AUTHORITIES = "/api/v1/namespaces/kubevirt/configmaps/kubevirt-ca"
PROXY = "/api/v1/namespaces/kubevirt/pods/https:virt-handler-a:8443/proxy/metrics"
REPLICAS = "/apis/longhorn.io/v1beta2/namespaces/longhorn-system/replicas"
# Single objects: none of them is there, so that they are looked for is enough.
LOOKUPS = [
    "/apis/kubevirt.io/v1/namespaces/guests/virtualmachineinstances/any",
    "/apis/kubevirt.io/v1/namespaces/guests/virtualmachines/any",
    "/api/v1/namespaces/guests/persistentvolumeclaims/any",
    "/api/v1/persistentvolumes/any",
    "/apis/storage.k8s.io/v1/storageclasses/any",
    "/apis/longhorn.io/v1beta2/namespaces/longhorn-system/volumes/any",
    "/apis/k8s.cni.cncf.io/v1/namespaces/guests/network-attachment-definitions/any",
]
# Whole lists of what decides for all VMs at once.
LISTS = [
    "/api/v1/persistentvolumeclaims",
    "/api/v1/persistentvolumes",
    "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions",
    "/api/v1/pods",
]
VMIM = VMIMS.format("/namespaces/guests") + "/any"
VMI = LOOKUPS[0]
NODE = "/api/v1/nodes/any"
CANCEL = "/apis/subresources.kubevirt.io/v1/namespaces/guests/virtualmachineinstances/any/evacuate/cancel"
TAINT = ("PATCH", NODE)
ALL_PODS = "/api/v1/pods?fieldSelector=status.phase!=Succeeded,status.phase!=Failed"
LAUNCHERS = "/api/v1/pods?labelSelector=kubevirt.io=virt-launcher&fieldSelector=spec.nodeName=a"
# What must survive the takeover by another replica.
STATE = "/api/v1/namespaces/drover/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/drover/leases"
KEPT = [
    request
    for place in (STATE, LEASES)
    for request in (f"{place}/drover", ("PUT", f"{place}/drover"), ("POST", place))
]
NODE_PODS = "/api/v1/pods?fieldSelector=spec.nodeName=a,status.phase!=Succeeded,status.phase!=Failed"
OWN_POD = "/api/v1/namespaces/guests/pods?labelSelector=kubevirt.io/created-by=0"
STORAGE_OF_NODES = ["/apis/storage.k8s.io/v1/csinodes", "/apis/storage.k8s.io/v1/volumeattachments"]
PREFLIGHT = [
    ALL_PODS,
    "/api/v1/persistentvolumeclaims",
    "/api/v1/persistentvolumes",
    "/apis/storage.k8s.io/v1/storageclasses",
    "/apis/longhorn.io/v1beta2/volumes",
    "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions",
    *STORAGE_OF_NODES,
]
# A review without a question is refused as one that makes no sense.
REVIEWS = [
    ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
    ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"),
]
REVIEW_KINDS = ["tokenreviews.authentication.k8s.io", "subjectaccessreviews.authorization.k8s.io"]
PREFLIGHT_KINDS = [
    "pods",
    "persistentvolumeclaims",
    "persistentvolumes",
    "storageclasses.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "volumes.longhorn.io",
    "network-attachment-definitions.k8s.cni.cncf.io",
]
ELIGIBILITY = {
    "get": [
        "virtualmachineinstances.kubevirt.io",
        "virtualmachines.kubevirt.io",
        "persistentvolumeclaims",
        "persistentvolumes",
        "storageclasses.storage.k8s.io",
        "volumes.longhorn.io",
        "network-attachment-definitions.k8s.cni.cncf.io",
    ],
    "list": [
        "persistentvolumeclaims",
        "persistentvolumes",
        "network-attachment-definitions.k8s.cni.cncf.io",
        "pods",
        "csinodes.storage.k8s.io", "volumeattachments.storage.k8s.io",
    ],
}

CLUSTER_KINDS = ["kubevirts.kubevirt.io", "migrationpolicies.migrations.kubevirt.io", "nodes", "namespaces"]
VM_KINDS = ["virtualmachineinstancemigrations.kubevirt.io", "virtualmachineinstances.kubevirt.io", "events"]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PLACES = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "CustomResourceDefinition": DEFINITIONS,
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
}


def watched(*paths):
    """Each path as a list, and as a watch that ends soon."""
    watches = [path + ("&" if "?" in path else "?") + "watch=1&timeoutSeconds=1" for path in paths]
    return [*paths, *watches]


def rights(verbs, kinds, *namespaces):
    """Rights in namespaces; in all, and on what is in none, where none is given."""
    return {(verb, kind, namespace) for verb in verbs for kind in kinds for namespace in namespaces or NAMESPACES}


# Of Drover's own objects: each acting file has them.
KEEPING = rights(["get", "update"], ["configmaps 'drover'", "leases.coordination.k8s.io 'drover'"], "drover") | rights(
    ["create"], ["configmaps", "leases.coordination.k8s.io"], "drover")  # fmt: skip


# By file: the namespace that it is applied in, what Drover asks with it, and the rights that it may hold.
PARTS = {
    "rbac-view.yaml": (
        None,
        watched(*OF_CLUSTER, *(path.format("") for path in (VMIMS, VMIS, EVENTS))),
        rights(READ, CLUSTER_KINDS + VM_KINDS),
    ),
    "rbac-launchers.yaml": (None, [TARGET_POD], rights(["list"], ["pods"])),
    "rbac-virt-handler.yaml": (
        None,
        [HANDLER_POD, AUTHORITIES],
        rights(["list"], ["pods"], "kubevirt") | rights(["get"], ["configmaps 'kubevirt-ca'"], "kubevirt"),
    ),
    "rbac-virt-handler-proxy.yaml": (None, [PROXY], rights(["get"], ["pods/proxy"], "kubevirt")),
    "rbac-longhorn.yaml": (None, watched(REPLICAS), rights(READ, ["replicas.longhorn.io"], "longhorn-system")),
    "rbac-eligibility.yaml": (
        None,
        [*LOOKUPS, *LISTS, *STORAGE_OF_NODES, NODE_PODS, OWN_POD],
        rights(["get"], ELIGIBILITY["get"]) | rights(["list"], ELIGIBILITY["list"]),
    ),
    "rbac-abort.yaml": (
        None,
        [VMIM, VMI, NODE, ("DELETE", VMIM), *KEPT],
        KEEPING
        | rights(["get", "delete"], ["virtualmachineinstancemigrations.kubevirt.io"])
        | rights(["get"], ["virtualmachineinstances.kubevirt.io", "nodes"]),
    ),
    "rbac-events.yaml": (
        None,
        [VMI, ("POST", "/api/v1/namespaces/guests/events")],
        rights(["create"], ["events"]) | rights(["get"], ["virtualmachineinstances.kubevirt.io"]),
    ),
    "rbac-migrate.yaml": (
        None,
        [VMI, ("POST", VMIMS.format("/namespaces/guests")), ("DELETE", VMIM), *KEPT],
        KEEPING
        | rights(["create", "delete"], ["virtualmachineinstancemigrations.kubevirt.io"])
        | rights(["get"], ["virtualmachineinstances.kubevirt.io"]),
    ),
    "rbac-stop-evacuation.yaml": (
        None,
        [("PUT", CANCEL), *KEPT],
        KEEPING
        | rights(
            ["update"],
            [f"virtualmachineinstances/{part}.subresources.kubevirt.io" for part in ("evacuate", "evacuate/cancel")],
        ),
    ),
    "rbac-nodes.yaml": (
        None,
        [NODE, TAINT, VMI, LAUNCHERS, *KEPT],
        KEEPING
        | rights(["get", "patch"], ["nodes"])
        | rights(["list"], ["pods"])
        | rights(["get"], ["virtualmachineinstances.kubevirt.io"]),
    ),
    "rbac-reviews.yaml": (None, REVIEWS, rights(["create"], REVIEW_KINDS)),
    "rbac-preflight.yaml": (None, PREFLIGHT, rights(["list"], PREFLIGHT_KINDS)),
    "replicas/rbac-lease.yaml": (None, KEPT, KEEPING),
    "namespaced/rbac.yaml": (
        "guests",
        [TARGET_POD] + watched(*(path.format("/namespaces/guests") for path in (VMIMS, VMIS, EVENTS))),
        rights(READ, VM_KINDS, "guests") | rights(["list"], ["pods"], "guests"),
    ),
    "namespaced/rbac-cluster.yaml": (None, watched(*OF_CLUSTER), rights(READ, CLUSTER_KINDS)),
}
TOGETHER = [
    [name for name in PARTS if not name.startswith("namespaced/")],
    ["namespaced/rbac.yaml", "namespaced/rbac-cluster.yaml", "rbac-virt-handler.yaml", "rbac-longhorn.yaml"],
]


def asked(request):
    """A request as method and path; what is only a path reads."""
    return ("GET", request) if isinstance(request, str) else request


REQUESTS = sorted({asked(request) for _, requests, _ in PARTS.values() for request in requests})

# What nobody grants.
NEVER = [
    ("GET", "/api/v1/secrets"),
    ("GET", "/api/v1/namespaces/kubevirt/secrets/kubevirt-ca"),
    ("GET", "/api/v1/namespaces/kubevirt/configmaps"),
    ("DELETE", "/api/v1/namespaces/kubevirt/pods/any"),
    ("POST", "/api/v1/namespaces/guests/pods/any/exec?command=id"),
    ("DELETE", "/api/v1/nodes/any"),
    ("PATCH", "/api/v1/nodes/any/status"),
    ("GET", "/api/v1/namespaces/drover/configmaps/drover-config"),
    ("PUT", "/api/v1/namespaces/drover/configmaps/drover-config"),
    ("POST", "/api/v1/namespaces/guests/configmaps"),
]

# A right on everything answers for a part of it, too.
WIDER = {
    "rbac-view.yaml": [*OF_CLUSTER, "/namespaces/guests/virtualmachine", "/namespaces/guests/events"],
    **{
        name: [HANDLER_POD, TARGET_POD, OWN_POD, "/api/v1/pods"]
        for name in ("rbac-launchers.yaml", "rbac-eligibility.yaml", "rbac-nodes.yaml", "rbac-preflight.yaml")
    },
    "namespaced/rbac.yaml": [OWN_POD],
}


class Server:
    """The lab's API server, and an administrator's way to it."""

    def __init__(self, binary):
        ours, theirs = socket.socketpair()
        helper = [sys.executable, os.path.join(HERE, "server.py"), binary]
        self.process = subprocess.Popen(helper, stdin=subprocess.DEVNULL, stdout=theirs)
        theirs.close()
        self.lines = ours.makefile("rwb")
        ours.close()
        admin = {"name": "admin", "token": "lab-admin", "groups": ["system:masters"]}
        self.lines.write(json.dumps({"id": 1, "do": "start", "users": [admin]}).encode() + b"\n")
        self.lines.flush()
        answer = json.loads(self.lines.readline() or '{"error": "its helper has ended"}')
        if "error" in answer:
            self.stop()
            sys.exit(f"no API server: {answer['error']}")
        context = ssl.create_default_context(cafile=answer["value"]["ca"])
        self.connection = http.client.HTTPSConnection(
            "127.0.0.1", answer["value"]["port"], context=context, timeout=30)  # fmt: skip

    def stop(self):
        self.lines.close()
        self.process.wait(timeout=30)

    def ask(self, method, path, body="", kind="application/json", account=None):
        headers = [("Authorization", "Bearer lab-admin"), ("Content-Type", kind), ("Content-Length", str(len(body)))]
        if account:
            headers += [("Impersonate-User", account)] + [("Impersonate-Group", group) for group in GROUPS]
        self.connection.putrequest(method, path)
        for header in headers:
            self.connection.putheader(*header)
        self.connection.endheaders(body.encode())
        response = self.connection.getresponse()
        return response.status, response.read().decode()

    def rights(self):
        """All rights of the account, as the server lists them by namespace; one for all is in each of these."""
        found = set()
        for namespace in NAMESPACES:
            review = json.dumps({"spec": {"namespace": namespace}})
            path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
            status, text = self.ask("POST", path, review, account=ACCOUNT)
            assert status == 201, text
            answer = json.loads(text)["status"]
            assert not answer["incomplete"], text
            for rule in answer["resourceRules"]:
                for group in rule["apiGroups"]:
                    kinds = [f"{kind}.{group}" if group else kind for kind in rule["resources"]]
                    if "resourceNames" in rule:
                        kinds = [f"{kind} '{name}'" for kind in kinds for name in rule["resourceNames"]]
                    found |= rights(rule["verbs"], kinds, namespace)
        return found

    def create(self, text, namespace=None, dry_run=False):
        """Creates what the documents describe; returns where each is."""
        made = []
        for document in re.split(r"^---$", text, flags=re.M):
            kind = re.search(r"^kind: (\S+)", document, re.M)[1]
            metadata = re.search(r"^metadata:\n((?:  .*\n)+)", document, re.M)[1]
            name = re.search(r"^  name: (\S+)", metadata, re.M)[1]
            given = re.search(r"^  namespace: (\S+)", metadata, re.M)
            place = PLACES[kind].format(given[1] if given else namespace)
            query = "?dryRun=All" if dry_run else ""
            status, answer = self.ask("POST", place + query, document, "application/yaml")
            assert status == 201, f"{kind} {name}: {answer}"
            made.append(f"{place}/{name}")
        return made


def read(name):
    with open(os.path.join(DEPLOY, name)) as file:
        return file.read()


def settle(server, wanted):
    """Waits until rights that were granted, or taken back, are in force."""
    deadline = time.monotonic() + 10
    while server.rights() != wanted and time.monotonic() < deadline:
        time.sleep(0.05)


def check(server, names, everybody):
    """Grants the files, compares what that comes to with what it should, and takes it back."""
    made = [path for name in names for path in server.create(read(name), PARTS[name][0])]
    needed = {asked(request) for name in names for request in PARTS[name][1]}
    wanted = set().union(*(PARTS[name][2] for name in names))
    wider = [part for name in names for part in WIDER.get(name, [])]
    faults = []
    settle(server, wanted | everybody)
    for method, path in REQUESTS:
        status, _ = server.ask(method, path, "" if method == "GET" else "{}", account=ACCOUNT)
        # Single objects are not there, nor is KubeVirt's own API: that they were looked for is enough.
        is_absent = method != "GET" or path in (PROXY, AUTHORITIES, *LOOKUPS, VMIM, NODE, *KEPT)
        is_let_through = status == 200 or is_absent and status in (400, 404, 415, 422, 500, 503)
        if (method, path) in needed and not is_let_through:
            faults.append(f"needed, and answered with {status}: {method} {path}")
        is_wider = method == "GET" and any(part in path for part in wider)
        if (method, path) not in needed and status != 403 and not is_wider:
            faults.append(f"not needed, and answered with {status}: {method} {path}")
    for method, path in NEVER:
        status, _ = server.ask(method, path, "{}", account=ACCOUNT)
        if status != 403:
            faults.append(f"never granted, and answered with {status}: {method} {path}")
    found = server.rights() - everybody
    faults += [f"granted beyond need: {right}" for right in sorted(found - wanted)]
    faults += [f"not granted: {right}" for right in sorted(wanted - found)]
    for path in made:
        server.ask("DELETE", path)
    settle(server, everybody)
    what = f"{len(needed)} requests let through, {len(found)} rights"
    print(f"{'FAIL' if faults else 'ok':4} {' + '.join(names)}: {what}")
    for fault in faults:
        print(f"     {fault}")
    return not faults


def prepare(server):
    """Namespaces, and KubeVirt's kinds."""
    for path in sorted(glob.glob(f"{HERE}/crds/*.yaml")):
        with open(path) as file:
            server.create(file.read())
    for name in NAMESPACES:
        server.create(f"kind: Namespace\napiVersion: v1\nmetadata:\n  name: {name}\n")
    deadline = time.monotonic() + 60
    kinds = [path for method, path in REQUESTS if method == "GET" and path.startswith("/apis/")]
    kinds = [path for path in kinds if path not in (*LOOKUPS, VMIM, *KEPT)]
    while any(server.ask("GET", path)[0] == 404 for path in kinds):
        assert time.monotonic() < deadline, "KubeVirt's kinds are not served after 60 s"
        time.sleep(0.1)


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else f"{CACHE}/kube-apiserver-1.20.2/kube-apiserver"
    server = Server(binary)
    try:
        prepare(server)
        everybody = server.rights()
        results = [check(server, names, everybody) for names in [[name] for name in PARTS] + TOGETHER]
        others = [os.path.basename(path) for path in sorted(glob.glob(f"{DEPLOY}/*.yaml"))]
        # The Prometheus Operator's kinds are not here; and the namespace is there already.
        without = ("rbac-", "kustomization", "servicemonitor", "prometheusrule", "namespace.yaml")
        others = [name for name in others if not name.startswith(without)]
        for name in others:
            server.create(read(name), dry_run=True)
        print(f"ok   {' + '.join(others)}: accepted")
    finally:
        server.stop()
    sys.exit(0 if all(results) else 1)


main()
