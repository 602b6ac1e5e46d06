"""How long changes of endpoints take to reach every worker: tulle_propagation_seconds."""

import subprocess

from waiting import wait_until

ENDPOINT_SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
SLICE = {
    "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
    "metadata": {
        "name": "by-hand", "labels": {"kubernetes.io/service-name": "by-hand"},
        "annotations": {
            "endpoints.kubernetes.io/last-change-trigger-time": "2020-01-01T00:00:00Z"}},
    "addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": []}
POD = """
apiVersion: v1
kind: Service
metadata: {name: measured}
spec: {selector: {app: measured}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: measured, labels: {app: measured}}
spec: {containers: [{name: main, image: "hello:latest"}]}
"""


def propagations(instance):
    """How many were counted, and the seconds of all together."""
    text = subprocess.run(
        ["curl", "-s", "--unix-socket", instance.data_dir / "run/admin.sock",
         "http://proxy/metrics"], capture_output=True, text=True, check=False).stdout
    values = dict(line.split() for line in text.splitlines() if not line.startswith("#"))
    return (int(values["tulle_propagation_seconds_count"]),
            float(values["tulle_propagation_seconds_sum"]))


def test_the_proxy_tells_how_long_changes_of_endpoints_took(instance):
    before, _ = wait_until(lambda: propagations(instance), 20, "the proxy tells metrics")
    instance.kubectl("apply", "-f", "-", stdin=POD)
    wait_until(lambda: instance.endpoints("measured") == 1, 30, "the pod is an endpoint")
    wait_until(lambda: propagations(instance)[0] > before, 10, "its change was counted")
    count, seconds = propagations(instance)
    assert 0 < seconds < 2 * (count - before)
    # A slice that says a time counts by how long that is ago.
    assert instance.api("POST", ENDPOINT_SLICES, SLICE)[0] == 201
    wait_until(lambda: propagations(instance)[1] > 1e8, 10, "the slice was counted")
