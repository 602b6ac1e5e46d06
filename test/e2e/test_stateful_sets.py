"""Workloads whose pods have a place: StatefulSets by number, DaemonSets by node."""

import re

import pytest

from waiting import wait_until

SET = """apiVersion: v1
kind: Service
metadata: {name: db}
spec:
  clusterIP: None
  selector: {app: db}
  ports: [{name: http, port: 8081}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: main
          image: world:latest
          imagePullPolicy: IfNotPresent
          ports: [{containerPort: 8081}]
          readinessProbe: {httpGet: {path: /, port: 8081}, periodSeconds: 1}
"""
CLIENT = """apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "hello:latest", imagePullPolicy: IfNotPresent}]
"""
DAEMONS = """apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: world:latest
          imagePullPolicy: IfNotPresent
          readinessProbe: {httpGet: {path: /, port: 8081}, periodSeconds: 1}
"""


def pods(instance, app):
    """The pods of an app by name."""
    found = instance.get("pods", "-l", f"app={app}")["items"]
    return {pod["metadata"]["name"]: pod for pod in found}


def uids(instance, app):
    return {name: pod["metadata"]["uid"] for name, pod in pods(instance, app).items()}


def became_ready(pod):
    return next(c["lastTransitionTime"] for c in pod["status"]["conditions"]
                if c["type"] == "Ready" and c["status"] == "True")


def came_one_after_the_other(found, names):
    """Each was made when the one before it was ready."""
    return all(became_ready(found[before]) <= found[after]["metadata"]["creationTimestamp"]
               for before, after in zip(names, names[1:]))


def rolled_out(instance, workload):
    return instance.kubectl("rollout", "status", workload, "--timeout=90s", limit_s=120)


def versions(instance, app):
    """What VERSION is in each pod, in order of name."""
    return [next((variable["value"] for variable in pod["spec"]["containers"][0].get("env", [])
                  if variable["name"] == "VERSION"), None)
            for _, pod in sorted(pods(instance, app).items())]


def who_answers(instance, host):
    """The pods that answered three requests to http://HOST:8081/ from another pod."""
    output = instance.kubectl("exec", "client", "--", "/hello", "fetch", f"http://{host}:8081/",
                              "--count", "3")
    return re.findall(r"^pod ([\w-]+): 3$", output, re.MULTILINE)


@pytest.fixture
def database(shared):
    """The shared instance with the set `db` of three pods, ready, and a pod that asks them."""
    shared.kubectl("apply", "-f", "-", stdin=SET)
    shared.kubectl("apply", "-f", "-", stdin=CLIENT)
    try:
        rolled_out(shared, "statefulset/db")
        shared.wait_for_pods("db", 3)
        wait_until(lambda: "client" in shared.ready_pods("client"), 30, "the client is ready")
        yield shared
    finally:
        shared.kubectl("delete", "--wait=false", "statefulset/db", "service/db", "pod/client")
        wait_until(lambda: shared.pod_count("db") + shared.pod_count("client") == 0, 60,
                   "all pods are gone")


def test_pods_of_a_stateful_set_come_in_order_and_are_found_by_name(database):
    names = ["db-0", "db-1", "db-2"]
    found = pods(database, "db")
    assert sorted(found) == names
    assert came_one_after_the_other(found, names)
    for number, name in enumerate(names):
        labels = found[name]["metadata"]["labels"]
        assert labels["statefulset.kubernetes.io/pod-name"] == name
        assert labels["apps.kubernetes.io/pod-index"] == str(number)
        wait_until(lambda host=f"{name}.db", pod=name: who_answers(database, host) == [pod], 20,
                   f"{name}.db leads to {name}")
        assert who_answers(database, f"{name}.db.default.svc.cluster.local") == [name]
    events = database.kubectl("get", "events", "--field-selector",
                              "involvedObject.kind=StatefulSet,reason=SuccessfulCreate")
    assert "create Pod db-2 in StatefulSet db successful" in events


def test_a_pod_of_a_stateful_set_that_is_deleted_comes_again_under_its_name(database):
    before = uids(database, "db")
    database.kubectl("delete", "pod", "db-1", "--wait=false")
    wait_until(lambda: database.ready_pods("db").get("db-1", before["db-1"]) != before["db-1"], 60,
               "another db-1 is ready")
    after = uids(database, "db")
    assert sorted(after) == sorted(before)
    assert {name for name in after if after[name] != before[name]} == {"db-1"}
    wait_until(lambda: who_answers(database, "db-1.db") == ["db-1"], 20, "it is found by its name")


def test_a_stateful_set_rolls_from_the_highest_down_and_back(database):
    database.kubectl("set", "env", "statefulset/db", "VERSION=2")
    rolled_out(database, "statefulset/db")
    found = pods(database, "db")
    assert versions(database, "db") == ["2", "2", "2"]
    assert came_one_after_the_other(found, ["db-2", "db-1", "db-0"])

    # A revision that cannot start: it stops at the first pod, and goes on when it is taken back.
    whole = uids(database, "db")
    database.kubectl("set", "image", "statefulset/db", "main=no-such-image:1")
    wait_until(lambda: uids(database, "db").get("db-2", whole["db-2"]) != whole["db-2"], 60,
               "db-2 is replaced")
    database.kubectl("rollout", "undo", "statefulset/db")
    rolled_out(database, "statefulset/db")
    assert versions(database, "db") == ["2", "2", "2"]
    assert {name for name, uid in uids(database, "db").items() if uid == whole[name]} == {
        "db-0", "db-1"}

    history = database.kubectl("rollout", "history", "statefulset/db")
    assert re.findall(r"^(\d+) ", history, re.MULTILINE) == ["1", "3", "4"], history
    database.kubectl("rollout", "undo", "statefulset/db", "--to-revision=1")
    rolled_out(database, "statefulset/db")
    assert versions(database, "db") == [None, None, None]
    output = database.kubectl("rollout", "undo", "statefulset/db", "--to-revision=5")
    assert "skipped rollback" in output


def test_a_stateful_set_is_scaled_from_its_end(database):
    before = uids(database, "db")
    database.kubectl("scale", "statefulset/db", "--replicas=1")
    database.wait_for_pods("db", 1)
    assert uids(database, "db") == {"db-0": before["db-0"]}
    database.kubectl("scale", "statefulset/db", "--replicas=2")
    database.wait_for_pods("db", 2)
    assert uids(database, "db")["db-0"] == before["db-0"]
    assert "db-1" in database.ready_pods("db")


def test_a_stateful_set_takes_its_orphans_back(database):
    before = uids(database, "db")
    database.kubectl("delete", "statefulset/db", "--cascade=orphan")
    wait_until(lambda: not any("ownerReferences" in pod["metadata"]
                               for pod in pods(database, "db").values()),
               20, "nobody owns the pods")
    database.kubectl("apply", "-f", "-", stdin=SET)
    rolled_out(database, "statefulset/db")
    made = database.get("statefulset", "db")
    assert uids(database, "db") == before
    assert all(pod["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
               for pod in pods(database, "db").values())


def test_a_daemon_set_has_one_pod_on_the_node_and_rolls(shared):
    shared.kubectl("apply", "-f", "-", stdin=DAEMONS)
    try:
        assert "successfully rolled out" in rolled_out(shared, "daemonset/agent")
        (first, pod), = pods(shared, "agent").items()
        node, = shared.get("nodes")["items"]
        assert pod["spec"]["nodeName"] == node["metadata"]["name"]
        row = shared.kubectl("get", "daemonset", "agent", "--no-headers").split()
        assert row[1:6] == ["1", "1", "1", "1", "1"], row

        shared.kubectl("set", "env", "daemonset/agent", "VERSION=2")
        assert "successfully rolled out" in rolled_out(shared, "daemonset/agent")
        assert versions(shared, "agent") == ["2"] and first not in pods(shared, "agent")
        shared.kubectl("rollout", "undo", "daemonset/agent")
        rolled_out(shared, "daemonset/agent")
        assert versions(shared, "agent") == [None]

        # Nowhere to be: the pod goes, and comes again when its node is what it asks for.
        selector = '{"spec":{"template":{"spec":{"nodeSelector":{"disk":"ssd"}}}}}'
        shared.kubectl("patch", "daemonset", "agent", "--patch", selector)
        wait_until(lambda: shared.pod_count("agent") == 0, 30, "no node fits")
        shared.kubectl("label", "node", node["metadata"]["name"], "disk=ssd")
        wait_until(lambda: len(shared.ready_pods("agent")) == 1, 30, "the node fits again")
    finally:
        shared.kubectl("label", "node", "--all", "disk-")
        shared.kubectl("delete", "daemonset", "agent")
        wait_until(lambda: shared.pod_count("agent") == 0, 30, "the pod is gone")
