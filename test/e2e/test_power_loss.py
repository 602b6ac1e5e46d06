"""The machine's power fails: what was declared comes back, and nothing is done twice.

All that a reboot leaves are files. Processes end at once and without a word; mounts, control groups
and namespaces go with the kernel that had them; and process ids are given out anew.
"""

import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess

import pytest

import traces
from box import import_box
from instance import EXAMPLES
from load import Threads
from waiting import wait_until

CGROUPS = pathlib.Path("/sys/fs/cgroup")
WRITERS = 4
ENOUGH = 60  # acknowledged writes before the power fails
ANOTHER_BOOT = "00000000-0000-4000-8000-000000000000"

# A database that counts its starts where they last. A file in memory, which an init container
# makes, is gone after a reboot. One Job has succeeded, one is at work.
MANIFEST = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      initContainers:
      - name: prepare
        image: box:latest
        command: [sh, -c, echo prepared > /memory/file]
        volumeMounts: [{name: memory, mountPath: /memory}]
      containers:
      - name: main
        image: box:latest
        command: [sh, -c, cat /memory/file >> /data/starts; sleep 100000]
        volumeMounts:
        - {name: data, mountPath: /data}
        - {name: memory, mountPath: /memory}
      volumes: [{name: memory, emptyDir: {medium: Memory}}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: notes}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: done}
spec:
  template:
    metadata: {labels: {app: done}}
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: box:latest
        command: [sh, -c, echo done >> /notes/done]
        volumeMounts: [{name: notes, mountPath: /notes}]
      volumes: [{name: notes, persistentVolumeClaim: {claimName: notes}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: working}
spec:
  template:
    metadata: {labels: {app: working}}
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: box:latest
        command: [sh, -c, echo begun >> /notes/working; until test -e /notes/go; do sleep 1; done]
        volumeMounts: [{name: notes, mountPath: /notes}]
      volumes: [{name: notes, persistentVolumeClaim: {claimName: notes}}]
"""


class Writers(Threads):
    """Threads that create ConfigMaps, and change each once, as fast as they are answered."""

    def __init__(self, instance):
        super().__init__(WRITERS)
        self._instance = instance
        self._numbers = itertools.count()
        self.acknowledged = {}  # name → the last version that the server has acknowledged

    def _run(self):
        writer = next(self._numbers)
        path = "/api/v1/namespaces/default/configmaps"
        for number in range(100_000):
            name = f"written-{writer}-{number}"
            for version, method, place in ((1, "POST", path), (2, "PUT", f"{path}/{name}")):
                if self._stopping.is_set():
                    return
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                        "data": {"version": str(version), "ballast": "x" * 2000}}
                try:
                    status, _ = self._instance.api(method, place, body)
                except OSError:
                    return  # the power has failed
                if status in (200, 201):
                    with self._lock:
                        self.acknowledged[name] = version


def cut_power(instance):
    """All of it at once: nothing sees another thing die."""
    name = instance.data_dir.name
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in traces.own_processes(name):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
    instance.kill_everything()
    for mount in reversed(traces.mounts(name)):
        subprocess.run(["umount", "-l", mount], check=True)
    for uid in pods_on_disk(instance):
        for group in CGROUPS.glob(f"**/tulle/{uid}"):
            remove_groups(group)
    for port in (instance.api_port, instance.ingress_port, instance.ingress_tls_port):
        wait_until(lambda port=port: socket.create_server(("127.0.0.1", port)).close() is None, 10,
                   "the kernel has closed what they had open")
    assert not traces.mounts(name) and not traces.own_processes(name)


def remove_groups(group):
    for inner in sorted(group.glob("**/"), reverse=True):
        wait_until(lambda inner=inner: not inner.exists() or inner.rmdir() is None, 10,
                   f"{inner} is empty")


def pods_on_disk(instance):
    return [entry.name for entry in (instance.data_dir / "run/pods").iterdir()]


def take_process_ids_for(instance, pid):
    """Another process has the id that every shim had, and even its start time: after a reboot ids
    and times are given out in much the same order."""
    for record in instance.data_dir.glob("run/pods/*/containers/*/*/shim"):
        assert len(record.read_text().split()) == 3
        record.write_text(f"{pid} {traces.start_time(pid)} {ANOTHER_BOOT}")


def volume_of(instance, claim):
    name = instance.get("pvc", claim)["spec"]["volumeName"]
    return next((instance.data_dir / "volumes").glob(f"{name}*"))


def lines(path):
    return path.read_text().split() if path.exists() else []


def restarts(instance, app):
    return {pod["metadata"]["uid"]: [c["restartCount"] for c in pod["status"]["containerStatuses"]]
            for pod in instance.get("pods", "-l", f"app={app}")["items"]}


def job_succeeded(instance, name):
    return instance.get("job", name)["status"].get("succeeded") == 1


@pytest.fixture
def town(instance, tmp_path):
    """An instance with a bit of everything, all of it settled."""
    import_box(instance, tmp_path)
    instance.kubectl("apply", "-f", EXAMPLES)
    instance.kubectl("apply", "-f", "-", stdin=MANIFEST)
    for app in ("hello", "world"):
        instance.wait_for_pods(app, 3)
    wait_until(lambda: len(instance.ready_pods("db")) == 2, 60, "the database is up")
    wait_until(lambda: job_succeeded(instance, "done"), 60, "a Job has succeeded")
    wait_until(lambda: lines(volume_of(instance, "notes") / "working") == ["begun"], 60,
               "another is at work")
    instance.wait_for_traffic()
    return instance


def test_after_a_loss_of_power_all_comes_back_as_declared(town):
    before = {app: restarts(town, app) for app in ("hello", "world", "db", "done")}
    notes, data = volume_of(town, "notes"), [volume_of(town, f"data-db-{i}") for i in (0, 1)]
    with Writers(town) as writers, subprocess.Popen(["sleep", "1000"]) as stranger:
        wait_until(lambda: len(writers.acknowledged) > ENOUGH, 30, "they write")
        try:
            cut_power(town)
            take_process_ids_for(town, stranger.pid)
            town.start()
            town.wait_for_traffic(60)
            for app in ("hello", "world"):
                town.wait_for_pods(app, 3)
            wait_until(lambda: all(lines(place / "starts") == ["prepared"] * 2 for place in data),
                       60, "the databases have their data, and what is prepared for them")
            assert stranger.poll() is None, "somebody else's process was taken for ours"
        finally:
            stranger.kill()
    # The very same pods, each started once more; a Job's work that was done is not done again, and
    # what was cut short is begun anew.
    for app in ("hello", "world", "db"):
        wait_until(lambda app=app: restarts(town, app) == dict.fromkeys(before[app], [1]), 30,
                   f"every pod of {app} was started once more: {restarts(town, app)}")
    assert restarts(town, "done") == before["done"] and lines(notes / "done") == ["done"]
    wait_until(lambda: lines(notes / "working") == ["begun", "begun"], 60, "it works again")
    (notes / "go").touch()
    wait_until(lambda: job_succeeded(town, "working"), 60, "it comes to its end")
    check_written(town, writers.acknowledged)


def check_written(instance, acknowledged):
    there = {item["metadata"]["name"]: int(item["data"]["version"])
             for item in instance.get("configmaps")["items"]
             if item["metadata"]["name"].startswith("written-")}
    lost = {name: version for name, version in acknowledged.items()
            if there.get(name, 0) < version}
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged writes lost: {lost}"


def test_a_second_loss_of_power_while_it_comes_back_does_no_harm(town):
    pods = {app: set(restarts(town, app)) for app in ("hello", "world", "db")}
    for _ in range(3):
        cut_power(town)
        town.start()  # ready, and just about to start pods
    town.wait_for_traffic(60)
    for app in ("hello", "world"):
        town.wait_for_pods(app, 3)
    wait_until(lambda: len(town.ready_pods("db")) == 2, 60, "the database is up")
    assert {app: set(restarts(town, app)) for app in pods} == pods
    assert lines(volume_of(town, "notes") / "done") == ["done"]
    assert json.loads(town.kubectl("get", "job", "done", "-o", "json"))["status"]["succeeded"] == 1
