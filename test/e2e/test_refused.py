"""What has nobody to go to is refused: a client that connects learns it there and then."""

import pytest

from box import import_box
from waiting import wait_until

# `sick`: whether the pod is ready is up to a file in it.
MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: waiter}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: box, image: box:latest, command: [sleep, "3600"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: sick, labels: {app: sick}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: box
    image: box:latest
    command: [httpd, -f, -p, "8080", -h, /www]
    readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: sick}
spec:
  selector: {app: sick}
  ports: [{port: 80, targetPort: 8080}]
"""
UNTIL_OPEN = "until nc -w 2 sick 80 -e true; do sleep 0.1; done"


@pytest.fixture(scope="module")
def home(shared, tmp_path_factory):
    import_box(shared, tmp_path_factory.mktemp("box"))
    shared.kubectl("apply", "-f", "-", stdin=MANIFEST)
    shared.kubectl("wait", "--for=condition=Initialized", "pod/sick", "--timeout=30s")
    shared.kubectl("wait", "--for=condition=Ready", "pod/waiter", "--timeout=30s")
    yield shared
    shared.kubectl("delete", "pod/waiter", "pod/sick", "service/sick", "--now")


def dial(home, host, port):
    """Whether a connection from the waiter's pod is taken, and what nc(1) says of it."""
    outcome = home.kubectl("exec", "waiter", "--", "nc", "-w", "2", host, str(port), "-e", "true",
                           check=False)
    return outcome.returncode == 0, outcome.stderr


def is_refused(home, host, port):
    taken, said = dial(home, host, port)
    return not taken and "Connection refused" in said


def test_a_service_refuses_connections_until_something_is_ready(home):
    assert is_refused(home, "sick", 80), dial(home, "sick", 80)
    # Pods that come later learn it as well, and so does whoever waits in the common way.
    home.kubectl("run", "late", "--image=box:latest", "--restart=Never", "--command", "--",
                 "sh", "-c", UNTIL_OPEN)
    home.kubectl("exec", "sick", "--", "sh", "-c", "> /tmp/ready")
    wait_until(lambda: dial(home, "sick", 80)[0], 20, "a ready endpoint makes it take them")
    wait_until(lambda: home.get("pod", "late")["status"]["phase"] == "Succeeded", 20,
               "whoever waited goes on")
    home.kubectl("exec", "sick", "--", "sh", "-c", "mv /tmp/ready /tmp/gone")
    wait_until(lambda: is_refused(home, "sick", 80), 20, "it refuses them once more")
    home.kubectl("delete", "pod/late", "--now")


def test_a_proxy_that_was_killed_refuses_as_before(home):
    home.kill_role("proxy")
    wait_until(lambda: is_refused(home, "sick", 80), 20, "the new proxy refuses it")
    home.kubectl("exec", "sick", "--", "sh", "-c", "> /tmp/ready")
    wait_until(lambda: dial(home, "sick", 80)[0], 20, "and takes it when it is ready")
    home.kubectl("exec", "sick", "--", "sh", "-c", "mv /tmp/ready /tmp/gone")
