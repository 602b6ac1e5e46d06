"""What a pod is given and asked while it lives: probes of every kind."""

import json

import pytest

from instance import BINARY
from waiting import wait_until

SICK = "/life/sick"


@pytest.fixture(scope="module")
def home(shared):
    """The shared instance with the image of test/e2e/tenant.cc; pods are made by run()."""
    shared.import_image("tenant:latest", BINARY.parent / "test/tenant")
    yield shared
    shared.kubectl("delete", "pods", "-l", "app=tenant", "--grace-period=1")


def run(instance, name, container=None, **spec):
    """Creates the pod `name` of one tenant that serves; `container` and `spec` add to it."""
    mounts = [{"name": "life", "mountPath": "/life"}, *(container or {}).pop("volumeMounts", [])]
    volumes = [{"name": "life", "emptyDir": {}}, *spec.pop("volumes", [])]
    tenant = {"name": "tenant", "image": "tenant:latest",
              "args": ["serve", "8080", "8443", SICK], "volumeMounts": mounts, **(container or {})}
    pod = {"apiVersion": "v1", "kind": "Pod",
           "metadata": {"name": name, "labels": {"app": "tenant"}},
           "spec": {"containers": [tenant], "volumes": volumes, **spec}}
    instance.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def tenant(instance, name, *words):
    """Runs the program once more inside the pod; what it printed."""
    return instance.kubectl("exec", name, "--", "/tenant", *words)


def is_ready(instance, name):
    conditions = instance.get("pod", name)["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def wait_ready(instance, name):
    wait_until(lambda: is_ready(instance, name), 30, f"pod {name} is ready")


def messages_of(instance, name):
    events = instance.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return " / ".join(event["message"] for event in events)


def test_grpc_and_https_are_asked_and_the_probe_s_own_grace_counts(home):
    grpc = {"port": 8080, "service": "shop"}
    run(home, "probed", {
        "startupProbe": {"httpGet": {"port": 8443, "scheme": "HTTPS"}, "periodSeconds": 1},
        "readinessProbe": {"grpc": grpc, "periodSeconds": 1, "failureThreshold": 1},
        "livenessProbe": {"grpc": grpc, "periodSeconds": 1, "failureThreshold": 5,
                          "terminationGracePeriodSeconds": 1}})
    wait_ready(home, "probed")
    tenant(home, "probed", "write", SICK, "yes")
    wait_until(lambda: not is_ready(home, "probed"), 20, "it is not ready any more")
    wait_until(lambda: 'probe failed: service unhealthy (responded with "NOT_SERVING")'
               in messages_of(home, "probed"), 10, "the event says why")
    wait_until(lambda: home.get("pod", "probed")["status"]["containerStatuses"][0]["restartCount"],
               20, "the liveness probe has it started again")
