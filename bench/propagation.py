"""How long a change of endpoints takes to reach every worker of the proxy.

A Service of 1,000 pods, which stand on a node that is not there: nobody runs them, and what changes
is what a kubelet would have written. In each round so many pods change their readiness (the API
server stores it, the controller writes an EndpointSlice, the proxy compiles), and so many times
somebody else's controller writes a slice of a second Service of 1,000 endpoints, saying in its
annotation when it began to: that counts the API server's write too. The figures are those of
tulle_propagation_seconds; quantiles are interpolated within its buckets.
"""

import argparse
import datetime
import json
import pathlib
import random
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "test/e2e")]

from instance import Instance  # noqa: E402
from start import cpu_s  # noqa: E402
from waiting import wait_until  # noqa: E402

ENDPOINTS = 1_000
PER_SLICE = 100
AIM_MS = 5
CHANGE_TIME = "endpoints.kubernetes.io/last-change-trigger-time"
PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
METRIC = "tulle_propagation_seconds"


class Api:
    """One connection to the API server that stays."""

    def __init__(self, instance):
        self.connection = instance.api_connection()

    def call(self, method, path, body, kind="application/json"):
        self.connection.request(method, path, json.dumps(body), {"Content-Type": kind})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"bench propagation: {method} {path}: {answer.status} {text[:300]}")
        return json.loads(text)


def address(network, number):
    return f"10.244.{network + number // 250}.{number % 250 + 1}"


def service(name, selector):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"ports": [{"port": 80, "targetPort": 8080}], **selector}}


def readiness(ready):
    return {"type": "Ready", "status": "True" if ready else "False",
            "lastTransitionTime": "2030-01-01T00:00:00Z"}


def make_pods(api):
    for number in range(ENDPOINTS):
        name = f"pod-{number}"
        api.call("POST", PODS, {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "pods"}},
            "spec": {"nodeName": "not-there", "containers": [{"name": "main", "image": "none"}]}})
        status = {"phase": "Running", "podIP": address(100, number),
                  "podIPs": [{"ip": address(100, number)}], "conditions": [readiness(True)]}
        api.call("PATCH", f"{PODS}/{name}/status", {"status": status},
                 "application/merge-patch+json")
    api.call("POST", SERVICES, service("pods", {"selector": {"app": "pods"}}))


def make_slices(api):
    api.call("POST", SERVICES, service("slices", {}))
    for number in range(ENDPOINTS // PER_SLICE):
        first = number * PER_SLICE
        api.call("POST", SLICES, {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": f"slices-{number}", "annotations": {CHANGE_TIME: "none"},
                         "labels": {"kubernetes.io/service-name": "slices"}},
            "addressType": "IPv4", "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address(110, first + i)], "conditions": {"ready": True}}
                          for i in range(PER_SLICE)]})


def change_pod(api, number, ready):
    api.call("PATCH", f"{PODS}/pod-{number}/status",
             [{"op": "replace", "path": "/status/conditions/0/status",
               "value": "True" if ready else "False"}], "application/json-patch+json")


def change_slice(api, number, ready):
    index, place = divmod(number, PER_SLICE)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    escaped = CHANGE_TIME.replace("/", "~1")
    api.call("PATCH", f"{SLICES}/slices-{index}",
             [{"op": "replace", "path": f"/endpoints/{place}/conditions/ready", "value": ready},
              {"op": "replace", "path": f"/metadata/annotations/{escaped}", "value": now}],
             "application/json-patch+json")


CHANGES = {"a pod's readiness": change_pod, "a slice, its write included": change_slice}


class Histogram:
    """The proxy's, as far as it has come by now."""

    def __init__(self, instance):
        text = subprocess.run(
            ["curl", "-s", "--unix-socket", instance.data_dir / "run/admin.sock",
             "http://proxy/metrics"], capture_output=True, text=True, check=True).stdout
        self.buckets = {}
        for line in text.splitlines():
            if line.startswith(f"{METRIC}_bucket"):
                bound, count = line.split('le="')[1].split('"} ')
                self.buckets[float(bound)] = int(count)

    def count(self):
        return self.buckets.get(float("inf"), 0)


def quantile_ms(before, after, share):
    """Of what was counted between the two."""
    rank = share * (after.count() - before.count())
    lower, passed = 0.0, 0
    for bound, count in sorted(after.buckets.items()):
        until_here = count - before.buckets.get(bound, 0)
        if until_here >= rank and until_here > passed:
            if bound == float("inf"):
                return lower * 1000
            return 1000 * (lower + (bound - lower) * (rank - passed) / (until_here - passed))
        lower, passed = bound, until_here
    raise SystemExit("bench propagation: nothing was counted")


def one_round(instance, api, what, arguments, chance, ready):
    """Changes one endpoint after the other, so many a second at most. `ready`: how they are."""
    before, written_ms = Histogram(instance), []
    pids = [instance.role_pid(role) for role in ("control", "proxy")]
    cpu_before = [cpu_s(pid) for pid in pids]
    began = time.monotonic()
    for number in range(arguments.changes):
        time.sleep(max(0, began + number / arguments.rate - time.monotonic()))
        which = chance.randrange(ENDPOINTS)
        ready[which] = not ready.get(which, True)
        started = time.monotonic()
        CHANGES[what](api, which, ready[which])
        written_ms.append((time.monotonic() - started) * 1000)
    # Changes that came while a slice was being written are told with one write.
    last = {"count": -1}

    def settled():
        count = Histogram(instance).count()
        same, last["count"] = count == last["count"], count
        return same and count > before.count()
    wait_until(settled, 30, "the changes have come round")
    after = Histogram(instance)
    used = [cpu_s(pid) - was for pid, was in zip(pids, cpu_before)]
    below = sum(count - before.buckets.get(bound, 0) for bound, count in after.buckets.items()
                if bound == AIM_MS / 1000)
    counted = after.count() - before.count()
    return {
        "p50, ms": quantile_ms(before, after, 0.5),
        "p99, ms": quantile_ms(before, after, 0.99),
        f"within {AIM_MS} ms, %": 100 * below / counted,
        "counted": counted,
        "API write (client), p50, ms": statistics.median(written_ms),
        "API write (client), p99, ms": statistics.quantiles(written_ms, n=100)[98],
        "control's CPU for each, ms": 1000 * used[0] / arguments.changes,
        "proxy's CPU for each, ms": 1000 * used[1] / arguments.changes,
    }


def main():
    parser = argparse.ArgumentParser(prog="./dev bench propagation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--changes", type=int, default=300, help="of each kind, in a round")
    parser.add_argument("--rate", type=float, default=50, help="changes a second, at most")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    instance = Instance()
    found = {what: [] for what in CHANGES}
    ready = {what: {} for what in CHANGES}
    try:
        instance.start()
        api = Api(instance)
        make_pods(api)
        make_slices(api)
        wait_until(lambda: instance.endpoints("pods") == ENDPOINTS, 60, "1,000 endpoints")
        for number in range(arguments.rounds):
            for what, rounds in found.items():
                rounds.append(one_round(instance, api, what, arguments, chance, ready[what]))
            print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
    finally:
        instance.close()
    for what, rounds in found.items():
        print(f"\n{what:36}{'median':>10}{'min':>10}{'max':>10}")
        for name in rounds[0]:
            values = [figures[name] for figures in rounds]
            numbers = (statistics.median(values), min(values), max(values))
            print(f"  {name:34}" + "".join(f"{number:>10.2f}" for number in numbers))
    results = ROOT / "build/results"
    results.mkdir(parents=True, exist_ok=True)
    (results / "bench-propagation.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
