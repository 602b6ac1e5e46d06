"""Pods that hang, eat too much or fork without end: what of it is seen, and by whom."""

import json
import os
import pathlib
import signal

import pytest

from box import import_box
from load import Load
from waiting import wait_until

ENOUGH = 100
MANY = 1000
CGROUPS = pathlib.Path("/sys/fs/cgroup")
MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: patient}
spec:
  selector: {app: patient}
  ports: [{port: 80, targetPort: 8081}]
---
apiVersion: tulle.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: patient}
spec:
  targetRefs: [{kind: Service, name: patient}]
  timeouts: {perTry: 1s}
  retry: {attempts: 2}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: patient}
spec:
  replicas: 3
  selector: {matchLabels: {app: patient}}
  template:
    metadata: {labels: {app: patient}}
    spec:
      containers:
      - name: world
        image: world:latest
        readinessProbe: {httpGet: {path: /, port: 8081}, periodSeconds: 1, failureThreshold: 1}
        livenessProbe:
          httpGet: {path: /, port: 8081}
          periodSeconds: 1
          failureThreshold: 3
          terminationGracePeriodSeconds: 1
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: patient}
spec:
  rules:
  - host: patient.localhost
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: patient, port: {number: 80}}}
"""


@pytest.fixture
def patient(hello_world):
    hello_world.kubectl("apply", "-f", "-", stdin=MANIFEST)
    hello_world.wait_for_pods("patient", 3)
    wait_until(lambda: hello_world.ingress("patient.localhost")[0] == 200, 10,
               "the Ingress leads there")
    yield hello_world
    hello_world.kubectl("delete", "-f", "-", "--wait=false", stdin=MANIFEST)


def status_of(instance, name):
    return instance.get("pod", name)["status"]


def test_a_pod_that_hangs_fails_no_request_and_is_started_again(patient):
    with Load(patient, "patient.localhost", pause_s=0.01) as load:
        wait_until(lambda: load.total > ENOUGH, 20, "load flows")
        pods = patient.ready_pods("patient")
        name, pid = next((name, pid) for name, pid in patient.container_pids("world").items()
                         if name in pods)
        os.kill(pid, signal.SIGSTOP)
        def restarted():
            return status_of(patient, name)["containerStatuses"][0]["restartCount"] == 1
        wait_until(restarted, 30, f"{name} is started again")
        patient.wait_for_pods("patient", 3)
        seen = load.total
        wait_until(lambda: load.total > seen + ENOUGH, 20, "load flows on")
    assert not load.failures, (load.counts, load.failures[:5])


@pytest.fixture
def box(shared, tmp_path):
    """Runs a shell command in a pod that is not started again; the pods go with the test."""
    import_box(shared, tmp_path)
    names = []

    def run(name, script, **resources):
        names.append(name)
        shared.kubectl("apply", "-f", "-", stdin=json.dumps({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                     "containers": [{"name": "main", "image": "box:latest",
                                     "command": ["sh", "-c", script],
                                     "resources": {"limits": resources}}]}}))
        return shared

    yield run
    shared.kubectl("delete", "pod", "--ignore-not-found", "--grace-period=0", "--force", *names)


def test_a_container_that_takes_too_much_memory_is_named_and_harms_nobody_else(box):
    # In a shell's variable every round holds twice as much.
    instance = box("glutton", "x=xxxxxxxx; while :; do x=$x$x; done", memory="32Mi", cpu="500m")
    wait_until(lambda: status_of(instance, "glutton")["phase"] == "Failed", 60, "it has ended")
    end = status_of(instance, "glutton")["containerStatuses"][0]["state"]["terminated"]
    assert (end["reason"], end["exitCode"]) == ("OOMKilled", 137)
    assert instance.is_ready()


def processes_of(instance, pod):
    """How many its control group counts."""
    group = f"tulle/{instance.get('pod', pod)['metadata']['uid']}/main/pids.current"
    counts = [root / group for root in (CGROUPS, *CGROUPS.iterdir())]
    return max(int(count.read_text()) for count in counts if count.exists())


def test_a_command_that_forks_without_end_is_contained(box):
    instance = box("bomb", "f() { f | f & }; f; sleep 600", memory="256Mi", cpu="500m")
    wait_until(lambda: processes_of(instance, "bomb") > MANY, 60, "it has forked a lot")
    # Others still come and go while it forks.
    for i in range(3):
        name = f"neighbour-{i}"
        box(name, "true")
        wait_until(lambda name=name: status_of(instance, name)["phase"] == "Succeeded", 30,
                   f"{name} comes and goes")
    instance.kubectl("delete", "pod", "bomb", "--timeout=60s")
