"""Rollouts, evictions and changes of scale under traffic of several protocols: nothing is lost.

The server dies of SIGTERM with all it has in hand, so what is lost is seen.
"""

import json

import pytest

from instance import BINARY
from load import Load
from talkers import GrpcCallers, WebSockets
from waiting import wait_until

PODS = 6
ROLLOUTS = 20
SLOW_ROLLOUTS = 3
WEB_SOCKETS = 100
ENOUGH = 50

MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: polyglot}
spec:
  type: NodePort
  selector: {app: polyglot}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: grpc, port: 81, targetPort: 8080, appProtocol: kubernetes.io/h2c}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: polyglot}
spec:
  replicas: 6
  selector: {matchLabels: {app: polyglot}}
  strategy: {rollingUpdate: {maxSurge: 2, maxUnavailable: 2}}
  template:
    metadata: {labels: {app: polyglot}}
    spec:
      terminationGracePeriodSeconds: 15
      containers:
      - name: polyglot
        image: polyglot:latest
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: polyglot}
spec:
  rules:
  - host: polyglot.localhost
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: polyglot, port: {number: 80}}}
"""


@pytest.fixture
def polyglot(shared):
    shared.import_image("polyglot:latest", BINARY.parent / "test/polyglot")
    shared.kubectl("apply", "-f", "-", stdin=MANIFEST)
    shared.wait_for_pods("polyglot", PODS)
    wait_until(lambda: shared.ingress("polyglot.localhost")[0] == 200, 10,
               "the Ingress leads there")
    yield shared
    shared.kubectl("delete", "-f", "-", "--wait=false", stdin=MANIFEST)


def node_port(instance, name):
    ports = instance.get("service/polyglot")["spec"]["ports"]
    return next(port["nodePort"] for port in ports if port["name"] == name)


def roll_out(instance, mark, **container):
    """Replaces every pod."""
    template = {"metadata": {"annotations": {"mark": mark}}}
    if container:
        template["spec"] = {"containers": [{"name": "polyglot", **container}]}
    instance.kubectl("patch", "deployment/polyglot", "-p",
                     json.dumps({"spec": {"template": template}}))
    instance.kubectl("rollout", "status", "deployment/polyglot", "--timeout=60s")


def evict_all(instance):
    for pod in instance.ready_pods("polyglot"):
        status, said = instance.api("POST",
                                    f"/api/v1/namespaces/default/pods/{pod}/eviction", {})
        assert status == 201, said
        wait_until(lambda pod=pod: pod not in instance.ready_pods("polyglot"), 10, "it goes")
        instance.wait_for_pods("polyglot", PODS)


def test_no_protocol_loses_a_word_to_rollouts_evictions_and_scaling(polyglot):
    with Load(polyglot, "polyglot.localhost", method="POST", pause_s=0.01) as posts, \
            GrpcCallers(node_port(polyglot, "grpc"), 2) as calls, \
            WebSockets(polyglot.ingress_port, "polyglot.localhost", WEB_SOCKETS) as chats:
        wait_until(lambda: posts.total > ENOUGH and calls.done > ENOUGH and chats.done > ENOUGH,
                   20, "all of them talk")
        for i in range(ROLLOUTS):
            roll_out(polyglot, f"quick-{i}")
        for i in range(SLOW_ROLLOUTS):
            roll_out(polyglot, f"slow-{i}", readinessProbe={"initialDelaySeconds": 2})
        polyglot.kubectl("scale", "deployment/polyglot", "--replicas=2")
        polyglot.wait_for_pods("polyglot", 2)
        polyglot.kubectl("scale", "deployment/polyglot", f"--replicas={PODS}")
        polyglot.wait_for_pods("polyglot", PODS)
        evict_all(polyglot)
    assert not posts.failures, posts.failures[:5]
    assert not calls.failures, calls.failures[:5]
    assert not chats.failures, chats.failures[:5]
    assert posts.counts[200] > ENOUGH * ROLLOUTS and chats.done > ENOUGH * ROLLOUTS
