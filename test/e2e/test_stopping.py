"""Pods that are deleted, scaled away or replaced: what is under way to them comes to its end first.

The server is one that dies at SIGTERM with all it has in hand, and the requests are POSTs, which
nobody may send twice: whatever is lost is seen.
"""

import http.client
import json
import threading
import time

import pytest

from instance import BINARY
from load import Load
from waiting import wait_until

MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: abrupt}
spec:
  selector: {app: abrupt}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: abrupt}
spec:
  replicas: 3
  selector: {matchLabels: {app: abrupt}}
  template:
    metadata: {labels: {app: abrupt}}
    spec:
      containers:
      - name: abrupt
        image: abrupt:latest
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: abrupt}
spec:
  rules:
  - host: abrupt.localhost
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: abrupt, port: {number: 80}}}
"""
ROLLOUTS = 10
ENOUGH = 100
LINES = 30


@pytest.fixture
def abrupt(hello_world):
    hello_world.import_image("abrupt:latest", BINARY.parent / "test/abrupt")
    hello_world.kubectl("apply", "-f", "-", stdin=MANIFEST)
    hello_world.wait_for_pods("abrupt", 3)
    wait_until(lambda: hello_world.ingress("abrupt.localhost", "/", 5)[0] == 200, 10,
               "the Ingress leads there")
    yield hello_world
    hello_world.kubectl("delete", "-f", "-", "--wait=false", stdin=MANIFEST)


def roll_out(instance, mark):
    """Replaces every pod. (kubectl restarts not more than once a second.)"""
    template = {"metadata": {"annotations": {"mark": str(mark)}}}
    instance.kubectl("patch", "deployment/abrupt", "-p",
                     json.dumps({"spec": {"template": template}}))
    instance.kubectl("rollout", "status", "deployment/abrupt", "--timeout=60s")


def flows_on(load):
    seen = load.total
    wait_until(lambda: load.total > seen + ENOUGH, 20, "load flows")


def test_no_request_is_lost_whatever_makes_a_pod_stop(abrupt):
    with Load(abrupt, "abrupt.localhost", method="POST", threads=8) as load:
        flows_on(load)
        for number in range(ROLLOUTS):
            roll_out(abrupt, number)
        flows_on(load)
        abrupt.kubectl("scale", "deployment/abrupt", "--replicas=1")
        abrupt.wait_for_pods("abrupt", 1)
        flows_on(load)
        abrupt.kubectl("scale", "deployment/abrupt", "--replicas=3")
        abrupt.wait_for_pods("abrupt", 3)
        abrupt.kubectl("delete", "pod", sorted(abrupt.ready_pods("abrupt"))[0])
        abrupt.wait_for_pods("abrupt", 3)
        flows_on(load)
    assert set(load.counts) == {200}, (load.counts, load.failures[:5])


def test_streams_have_the_grace_period_to_end(abrupt):
    lines = []

    def read_stream():
        connection = http.client.HTTPConnection("127.0.0.1", abrupt.ingress_port, timeout=20)
        connection.request("POST", "/stream", headers={"Host": "abrupt.localhost"})
        try:
            lines.append(connection.getresponse().read().count(b"line\n"))
        except (OSError, http.client.HTTPException) as error:
            lines.append(str(error))

    readers = [threading.Thread(target=read_stream) for _ in range(6)]
    for reader in readers:
        reader.start()
    roll_out(abrupt, "streams")
    for reader in readers:
        reader.join(20)
    assert lines == [LINES] * 6


def delete_pods(instance, *flags):
    """Seconds until all pods of the server are gone."""
    begin = time.monotonic()
    instance.kubectl("delete", "pods", "-l", "app=abrupt", *flags)
    return time.monotonic() - begin


def test_a_pod_with_nothing_under_way_is_gone_at_once(abrupt):
    took = delete_pods(abrupt)
    assert took < 5, f"{took:.1f} s"


def test_a_stream_that_does_not_end_has_the_grace_period_and_no_more(abrupt):
    connection = http.client.HTTPConnection("127.0.0.1", abrupt.ingress_port, timeout=20)
    connection.request("POST", "/stream", headers={"Host": "abrupt.localhost"})
    answer = connection.getresponse()
    took = delete_pods(abrupt, "--grace-period=1")
    assert 1 <= took < 5, f"{took:.1f} s"
    with pytest.raises((OSError, http.client.HTTPException)):
        answer.read()


def test_a_new_proxy_is_asked_again(abrupt):
    connection = http.client.HTTPConnection("127.0.0.1", abrupt.ingress_port, timeout=20)
    connection.request("POST", "/stream", headers={"Host": "abrupt.localhost"})
    connection.getresponse()
    took = []
    deleting = threading.Thread(target=lambda: took.append(delete_pods(abrupt)))
    deleting.start()
    wait_until(lambda: abrupt.pod_count("abrupt") > len(abrupt.ready_pods("abrupt")), 10,
               "a pod waits for its stream")
    killed = abrupt.kill_role("proxy")  # and the stream with it
    wait_until(lambda: abrupt.role_pid("proxy") != killed, 5, "a new proxy")
    deleting.join(20)
    assert took and took[0] < 10, f"{took} s"
