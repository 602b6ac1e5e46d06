"""What bounds workloads: disruption budgets, quotas, limit ranges, and autoscaling."""

import json

import pytest

from load import Load
from waiting import wait_until

BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: world}
spec:
  minAvailable: 2
  selector: {matchLabels: {app: world}}
"""
AUTOSCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: hello}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: hello}
  minReplicas: 3
  maxReplicas: 5
  metrics:
  - type: Pods
    pods:
      metric: {name: requests_per_second}
      target: {type: AverageValue, averageValue: "10"}
  behavior:
    scaleDown: {stabilizationWindowSeconds: 0}
"""
BOUNDED = """
apiVersion: v1
kind: Namespace
metadata: {name: bounded}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: few, namespace: bounded}
spec: {hard: {pods: "2", requests.cpu: "1"}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: small, namespace: bounded}
spec:
  limits:
  - {type: Container, defaultRequest: {cpu: 100m}, default: {cpu: 200m}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: many, namespace: bounded}
spec:
  replicas: 4
  selector: {matchLabels: {app: many}}
  template:
    metadata: {labels: {app: many}}
    spec:
      containers: [{name: world, image: "world:latest"}]
"""
SCALE_UP_LIMIT_S = 60
SCALE_DOWN_LIMIT_S = 90


@pytest.fixture
def node(hello_world):
    name = hello_world.get("nodes")["items"][0]["metadata"]["name"]
    yield name
    hello_world.kubectl("uncordon", name)


def test_a_drain_takes_no_more_pods_than_the_budget_allows(hello_world, node):
    hello_world.kubectl("apply", "-f", "-", stdin=BUDGET)
    def allowed():
        return hello_world.get("pdb/world")["status"].get("disruptionsAllowed")
    wait_until(lambda: allowed() == 1, 10, "the budget is counted")

    with Load(hello_world, "world.localhost") as load:
        drained = hello_world.kubectl("drain", node, "--pod-selector=app=world", "--timeout=8s",
                                      check=False)
        assert drained.returncode != 0
        assert "would violate the pod's disruption budget" in drained.stderr
        # Nothing may run on the node any more: who replaces the one that went has to wait.
        wait_until(lambda: hello_world.pod_count("world") == 3, 20, "the pod is replaced")
        assert len(hello_world.ready_pods("world")) == 2
        pods = hello_world.get("pods", "-l", "app=world")["items"]
        pending, = [pod for pod in pods if pod["status"]["phase"] == "Pending"]
        said, = [c for c in pending["status"]["conditions"] if c["type"] == "PodScheduled"]
        assert said["message"] == "0/1 nodes are available: 1 node(s) were unschedulable."
        hello_world.kubectl("uncordon", node)
        hello_world.wait_for_pods("world", 3)
    assert not load.failures

    wait_until(lambda: allowed() == 1, 10, "the budget is whole again")
    hello_world.kubectl("delete", "pdb", "world")


def test_a_namespace_keeps_to_its_quota_and_says_why(hello_world):
    hello_world.kubectl("apply", "-f", "-", stdin=BOUNDED)
    try:
        def told():
            events = hello_world.get("events", "-n", "bounded")["items"]
            return [e["message"] for e in events if "exceeded quota: few" in e["message"]]
        messages = wait_until(told, 20, "the third pod is refused")
        assert "requested: pods=1, used: pods=2, limited: pods=2" in messages[0]
        pods = hello_world.get("pods", "-n", "bounded")["items"]
        assert len(pods) == 2
        assert pods[0]["spec"]["containers"][0]["resources"] == {
            "limits": {"cpu": "200m"}, "requests": {"cpu": "100m"}}
        assert pods[0]["status"]["qosClass"] == "Burstable"
        def used():
            return hello_world.get("quota/few", "-n", "bounded")["status"]["used"]
        wait_until(lambda: used() == {"pods": "2", "requests.cpu": "200m"}, 10, "it is counted")
        hello_world.kubectl("patch", "quota/few", "-n", "bounded", "-p",
                            json.dumps({"spec": {"hard": {"pods": "4"}}}))
        hello_world.kubectl("rollout", "status", "deployment/many", "-n", "bounded",
                            "--timeout=60s")
    finally:
        hello_world.kubectl("delete", "namespace", "bounded")


def test_a_workload_grows_with_its_requests_and_shrinks_again(hello_world):
    hello_world.kubectl("apply", "-f", "-", stdin=AUTOSCALER)
    try:
        with Load(hello_world, "hello.localhost") as load:
            hello_world.wait_for_pods("hello", 5, SCALE_UP_LIMIT_S)
            seen = hello_world.get("hpa/hello")["status"]
            current = seen["currentMetrics"][0]["pods"]["current"]["averageValue"]
            assert float(current.rstrip("km")) > 10 or current.endswith("k")
        # Shrinking cuts nobody off.
        with Load(hello_world, "hello.localhost", threads=1, pause_s=0.1) as calm:
            hello_world.wait_for_pods("hello", 3, SCALE_DOWN_LIMIT_S)
        assert not load.failures and not calm.failures
        events = hello_world.kubectl("events", "--for=hpa/hello")
        assert "New size: 5; reason: pods metric requests_per_second above target" in events
    finally:
        hello_world.kubectl("delete", "hpa", "hello")
        hello_world.kubectl("scale", "deployment/hello", "--replicas=3")
