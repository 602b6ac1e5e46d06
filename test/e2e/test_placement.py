"""Pods that may not be on every node."""

import json

import pytest

from waiting import wait_until

SELECTOR = {"nodeSelector": {"disk": "ssd"}}


def pod(name, **spec):
    container = {"name": "main", "image": "world:latest", "imagePullPolicy": "IfNotPresent"}
    return json.dumps({"apiVersion": "v1", "kind": "Pod",
                       "metadata": {"name": name, "labels": {"app": "placed"}},
                       "spec": {"terminationGracePeriodSeconds": 1, "containers": [container],
                                **spec}})


def why_pending(instance, name):
    events = instance.get("events", "--field-selector",
                          f"involvedObject.name={name},reason=FailedScheduling")["items"]
    return [event["message"] for event in events]


def runs(instance, name):
    return name in instance.ready_pods("placed")


@pytest.fixture
def node(shared):
    """The shared instance's only node, as it was found afterwards."""
    name = shared.get("nodes")["items"][0]["metadata"]["name"]
    try:
        yield name
    finally:
        shared.kubectl("label", "node", name, "disk-")
        shared.kubectl("uncordon", name)
        shared.kubectl("taint", "node", name, "gpu-", check=False)
        shared.kubectl("delete", "pods", "-l", "app=placed")


def test_a_pod_waits_for_a_node_with_its_labels(shared, node):
    shared.kubectl("apply", "-f", "-", stdin=pod("picky", **SELECTOR))
    why = wait_until(lambda: why_pending(shared, "picky"), 20, "the pod has to wait")
    assert "didn't match Pod's node affinity/selector" in why[0]
    assert "nodeName" not in shared.get("pod", "picky")["spec"]
    shared.kubectl("label", "node", node, "disk=ssd")
    wait_until(lambda: runs(shared, "picky"), 30, "the pod runs")


def test_no_pod_comes_to_a_cordoned_or_tainted_node_unless_it_tolerates_that(shared, node):
    shared.kubectl("cordon", node)
    shared.kubectl("apply", "-f", "-", stdin=pod("late"))
    why = wait_until(lambda: why_pending(shared, "late"), 20, "the pod has to wait")
    assert "unschedulable" in why[0]
    shared.kubectl("uncordon", node)
    wait_until(lambda: runs(shared, "late"), 30, "the pod runs")

    shared.kubectl("taint", "node", node, "gpu=yes:NoSchedule")
    shared.kubectl("apply", "-f", "-", stdin=pod("plain"))
    assert "untolerated taint" in wait_until(lambda: why_pending(shared, "plain"), 20,
                                             "the pod has to wait")[0]
    tolerations = [{"key": "gpu", "operator": "Exists"}]
    shared.kubectl("apply", "-f", "-", stdin=pod("tolerant", tolerations=tolerations))
    wait_until(lambda: runs(shared, "tolerant"), 30, "the one that tolerates it runs")
    assert not runs(shared, "plain")
    shared.kubectl("taint", "node", node, "gpu-")
    wait_until(lambda: runs(shared, "plain"), 30, "the pod runs")
