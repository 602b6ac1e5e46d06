"""How long a pod takes from its API write to serving, and from its deletion to being gone, beside
what the container runtime alone takes for the same container.

One pod, then a hundred at once: POSTed to the API one after the other over one connection, until a
watch says that all are ready (for the one pod, until it also answers through the Ingress); DELETEd
alike, until the watch says that they are gone, which is when nothing of them is left on the node.
The runtime gets the bundle of such a pod, in a network namespace of its own: create and start, as
many at once; then SIGTERM, and once the process has ended, delete. In each round both take their
turn, so that the machine's moods hit both alike and only ratios within this run count.
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import select
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "test/e2e")]

from instance import Instance  # noqa: E402
from propagation import Api, service  # noqa: E402
from waiting import wait_until  # noqa: E402

AIM = 1.5  # of the runtime's time, at most
LIMIT_S = 120  # for all pods of a step
PODS = "/api/v1/namespaces/default/pods"
COUNTS = (1, 100)


def pod(name):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "bench"}},
            "spec": {"containers": [{"name": "main", "image": "hello:latest",
                                     "imagePullPolicy": "Never"}]}}


def is_ready(document):
    return any(condition["type"] == "Ready" and condition["status"] == "True"
               for condition in document.get("status", {}).get("conditions", []))


def heeds_sigterm(pid):
    """The first process of a PID namespace gets no signal that it does not catch or block."""
    fields = dict(line.split(":", 1)
                  for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    masks = int(fields["SigCgt"], 16) | int(fields["SigBlk"], 16)
    return masks >> (signal.SIGTERM - 1) & 1


class Watch:
    """What the API says of the pods, and when it said it first."""

    def __init__(self, instance):
        self.ready, self.gone = {}, {}
        self.changed = threading.Condition()
        self.connection = instance.api_connection()
        self.connection.timeout = None
        self.connection.connect()
        self.connection.request("GET", PODS + "?watch=true&labelSelector=app%3Dbench")
        answer = self.connection.getresponse()
        threading.Thread(target=self.follow, args=(answer,), daemon=True).start()

    def follow(self, answer):
        try:
            while line := answer.readline():
                now, event = time.monotonic(), json.loads(line)
                name = event["object"]["metadata"]["name"]
                with self.changed:
                    if event["type"] == "DELETED":
                        self.gone.setdefault(name, now)
                    elif is_ready(event["object"]):
                        self.ready.setdefault(name, now)
                    self.changed.notify_all()
        except (OSError, ValueError, http.client.HTTPException):
            pass  # the instance has ended

    def wait_for(self, seen, names):
        """When the last of them was."""
        with self.changed:
            if not self.changed.wait_for(lambda: all(name in seen for name in names), LIMIT_S):
                missing = [name for name in names if name not in seen]
                raise SystemExit(f"bench pods: in vain waited {LIMIT_S} s for {missing[:5]}")
            return max(seen[name] for name in names)


def tulle_turn(instance, api, watch, names):
    """Seconds to serving and to gone."""
    begin = time.monotonic()
    for name in names:
        api.call("POST", PODS, pod(name))
    serving = watch.wait_for(watch.ready, names)
    if len(names) == 1:
        while instance.ingress("bench.localhost")[0] != 200:
            if time.monotonic() - begin > LIMIT_S:
                raise SystemExit("bench pods: the pod does not answer")
        serving = time.monotonic()
    end = time.monotonic()
    for name in names:
        api.call("DELETE", f"{PODS}/{name}", {})
    return serving - begin, watch.wait_for(watch.gone, names) - end


class Runtime:
    """Containers of the bundle that a pod has, without Tulle."""

    def __init__(self, instance, template):
        self.program = shutil.which("crun") or shutil.which("runc")
        self.folder = instance.data_dir / "alone"
        uid = instance.api("GET", f"{PODS}/{template}")[1]["metadata"]["uid"]
        bundle = instance.data_dir / "run/pods" / uid / "containers/main/0"
        self.spec = json.loads((bundle / "config.json").read_text())
        self.spec["root"]["path"] = str(bundle / self.spec["root"]["path"])
        for namespace in self.spec["linux"]["namespaces"]:
            if namespace["type"] == "network":
                namespace.pop("path", None)

    def command(self, *words):
        done = subprocess.run(
            [self.program, "--root", self.folder / "state", *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT_S, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench pods: {self.program} {words} failed")

    def make_bundle(self, name):
        bundle = self.folder / name
        bundle.mkdir(parents=True)
        path = pathlib.PurePosixPath(self.spec["linux"]["cgroupsPath"])
        self.spec["linux"]["cgroupsPath"] = str(path.with_name(f"alone-{name}"))
        (bundle / "config.json").write_text(json.dumps(self.spec))

    def start(self, name):
        pid_file = self.folder / name / "pid"
        self.command("create", "--bundle", self.folder / name, "--pid-file", pid_file, name)
        self.command("start", name)
        return int(pid_file.read_text())

    def end(self, name, pid):
        process = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(process, signal.SIGTERM)
            if not select.select([process], [], [], LIMIT_S)[0]:
                raise SystemExit(f"bench pods: {name} does not end")
        finally:
            os.close(process)
        self.command("delete", name)

    def turn(self, names):
        """Seconds to started and to deleted."""
        for name in names:
            self.make_bundle(name)
        with concurrent.futures.ThreadPoolExecutor(len(names)) as threads:
            begin = time.monotonic()
            pids = list(threads.map(self.start, names))
            started = time.monotonic() - begin
            wait_until(lambda: all(map(heeds_sigterm, pids)), LIMIT_S, "all heed SIGTERM")
            end = time.monotonic()
            list(threads.map(self.end, names, pids))
            ended = time.monotonic() - end
        shutil.rmtree(self.folder)
        return started, ended


def measure(instance, arguments):
    """For each count a list of (Tulle's start, end, the runtime's start, end) in ms."""
    instance.import_examples()
    instance.start()
    api, watch = Api(instance), Watch(instance)
    api.call("POST", "/api/v1/namespaces/default/services",
             service("bench", {"selector": {"app": "bench"}}))
    api.call("POST", "/apis/networking.k8s.io/v1/namespaces/default/ingresses", {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "bench"},
        "spec": {"ingressClassName": "tulle", "rules": [{
            "host": "bench.localhost", "http": {"paths": [{
                "path": "/", "pathType": "Prefix", "backend": {
                    "service": {"name": "bench", "port": {"number": 80}}}}]}}]}})
    template = pod("template")
    template["metadata"]["labels"] = {"app": "template"}
    api.call("POST", PODS, template)
    wait_until(lambda: is_ready(instance.api("GET", f"{PODS}/template")[1]), 60, "a pod is ready")
    runtime = Runtime(instance, "template")
    found = {count: [] for count in COUNTS}
    for number in range(arguments.rounds):
        for count, rounds in found.items():
            turns = arguments.ones if count == 1 else 1
            for turn in range(turns):
                names = [f"p{number}-{turn}-{count}-{i}" for i in range(count)]
                times = tulle_turn(instance, api, watch, names) + runtime.turn(names)
                rounds.append([1000 * seconds for seconds in times])
        print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
    return pathlib.Path(runtime.program).name, found


def main():
    parser = argparse.ArgumentParser(prog="./dev bench pods", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ones", type=int, default=5, help="single pods in a round")
    arguments = parser.parse_args()
    instance = Instance()
    try:
        program, found = measure(instance, arguments)
    finally:
        instance.close()
    print(f"\n{'medians, ms':34}{'Tulle':>10}{program:>10}{'ratio':>10}{'min':>8}{'max':>8}")
    for count, rounds in found.items():
        steps = {"to serving": ([r[0] for r in rounds], [r[2] for r in rounds]),
                 "to gone": ([r[1] for r in rounds], [r[3] for r in rounds]),
                 f"both (aim: {AIM})": ([r[0] + r[1] for r in rounds],
                                        [r[2] + r[3] for r in rounds])}
        for step, (ours, theirs) in steps.items():
            ratios = [our / their for our, their in zip(ours, theirs)]
            print(f"{f'{count} pods {step}' if count > 1 else f'one pod {step}':34}"
                  f"{statistics.median(ours):>10.0f}{statistics.median(theirs):>10.0f}"
                  f"{statistics.median(ratios):>10.2f}{min(ratios):>8.2f}{max(ratios):>8.2f}")
    results = ROOT / "build/results"
    results.mkdir(parents=True, exist_ok=True)
    (results / "bench-pods.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
