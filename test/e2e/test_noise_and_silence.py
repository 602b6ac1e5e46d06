"""Pods that never stop talking, probes that never answer, and Secrets that go away under a pod."""

import json
import os
import pathlib
import time

import pytest

import traces
from box import import_box
from load import Load
from waiting import wait_until

MIB = 1 << 20
LOG_FILE_MAX = 10 * MIB  # each; there are two of a run
SLACK = 2 * MIB
MEMORY_MAX = 64 * MIB  # of the process that writes a log
CPU = 0.3  # of a core, for each
LATENCY_MAX_S = 1.0  # p99 of a neighbour's requests, on a machine where much else runs
CGROUPS = pathlib.Path("/sys/fs/cgroup")
# Lines that never end, and lines without end.
NOISES = {"endless": "tr '\\0' x < /dev/zero", "countless": "busybox yes"}


@pytest.fixture
def pods(shared, tmp_path):
    """Makes a pod of one container of a box; the pods go with the test."""
    import_box(shared, tmp_path)
    names = []

    def run(name, script, container=None, **spec):
        names.append(name)
        shared.kubectl("apply", "-f", "-", stdin=json.dumps({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"terminationGracePeriodSeconds": 1, **spec,
                     "containers": [{"name": "main", "image": "box:latest",
                                     "command": ["sh", "-c", script], **(container or {})}]}}))
        return shared

    yield run
    shared.kubectl("delete", "pod", "--ignore-not-found", "--grace-period=0", "--force", *names)


def status_of(instance, pod):
    return instance.get("pod", pod)["status"]["containerStatuses"][0]


def uid_of(instance, pod):
    return instance.get("pod", pod)["metadata"]["uid"]


def resident(pid):
    fields = dict(line.split(":", 1) for line in
                  pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(fields["VmRSS"].split()[0]) * 1024


def shim_of(instance, uid):
    return next(pid for pid, command in traces.own_processes(instance.data_dir.name).items()
                if " shim " in command and uid in command)


def group_files(uid, name):
    """That file of the container's control group, wherever it is mounted."""
    places = [root / f"tulle/{uid}/main/{name}" for root in (CGROUPS, *CGROUPS.iterdir())]
    return [place for place in places if place.exists()]


def cpu_seconds(uid):
    """What the processes that are in the container now have taken."""
    pids = {pid for place in group_files(uid, "cgroup.procs")
            for pid in place.read_text().split()}
    assert pids, uid
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def p99(instance, count=200):
    took = []
    for _ in range(count):
        begin = time.monotonic()
        assert instance.ingress("hello.localhost", "/world")[0] == 200
        took.append(time.monotonic() - begin)
    return sorted(took)[count * 99 // 100]


def test_endless_output_has_bounds_and_harms_no_neighbour(hello_world, pods, record_property):
    for name, script in NOISES.items():
        limits = {"cpu": str(CPU), "memory": "64Mi"}
        pods(name, script, {"resources": {"limits": limits}})
    uids = {name: uid_of(hello_world, name) for name in NOISES}
    folders = {name: hello_world.data_dir / "pods" / f"default_{name}_{uid}/main"
               for name, uid in uids.items()}
    before = resident(hello_world.role_pid("control"))
    with Load(hello_world, "hello.localhost", "/world", pause_s=0.01) as load:
        for name, folder in folders.items():
            wait_until(lambda folder=folder: (folder / "0.log.1").exists(), 60,
                       f"the log of {name} has begun another file")
        begin, spent = time.monotonic(), {name: cpu_seconds(uid) for name, uid in uids.items()}
        latency = p99(hello_world)
        used = {name: (cpu_seconds(uid) - spent[name]) / (time.monotonic() - begin)
                for name, uid in uids.items()}
        for name, folder in folders.items():
            size = sum(file.stat().st_size for file in folder.iterdir())
            assert size < 2 * LOG_FILE_MAX + SLACK, (name, size)
            assert resident(shim_of(hello_world, uids[name])) < MEMORY_MAX, name
            # One that waits for its lines to be written may take next to nothing.
            assert used[name] < 1.5 * CPU, (name, used)
            assert hello_world.kubectl("logs", name, "--tail=3").strip("\n"), name
        assert hello_world.kubectl("logs", "countless", "--tail=3") == "y\ny\ny\n"
        assert resident(hello_world.role_pid("control")) - before < MEMORY_MAX
    assert set(load.counts) == {200}, (load.counts, load.failures[:5])
    record_property("p99_s", f"{latency:.4f}")
    assert latency < LATENCY_MAX_S, latency


def test_probes_that_never_answer_do_not_pile_up(pods):
    hanging = {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1000}
    # What listens is its backlog: connections are taken, and nobody answers.
    instance = pods("silent", "busybox nc -l -p 8080 -e sleep 100000 & sleep 100000", {
        "readinessProbe": {"httpGet": {"port": 8080}, **hanging},
        "livenessProbe": {"exec": {"command": ["sh", "-c", "trap '' TERM; sleep 1000"]},
                          **hanging}})
    uid = uid_of(instance, "silent")

    def failed(kind):
        events = instance.get("events", "--field-selector", "involvedObject.name=silent")["items"]
        return sum(event.get("count", 1) for event in events if kind in event["message"])
    most = 0
    deadline = time.monotonic() + 60
    while min(failed("Liveness"), failed("Readiness")) < 8:
        assert time.monotonic() < deadline, "the probes are not made"
        counts = [len(place.read_text().split()) for place in group_files(uid, "cgroup.procs")]
        most = max(most, *counts)
    assert 0 < most <= 8, f"{most} processes of a pod of three, and one probe at a time"
    runtimes = [pid for pid, command in traces.own_processes(instance.data_dir.name).items()
                if " exec " in command and uid in command]
    assert len(runtimes) <= 2, runtimes
    assert status_of(instance, "silent")["restartCount"] == 0


def test_a_mounted_secret_that_goes_and_comes_back(pods, shared):
    shared.kubectl("create", "secret", "generic", "mounted", "--from-literal=word=first")
    try:
        pods("reader", "sleep 100000",
             {"volumeMounts": [{"name": "secret", "mountPath": "/secret"}]},
             volumes=[{"name": "secret", "secret": {"secretName": "mounted"}}])
        def word():
            return shared.kubectl("exec", "reader", "--", "cat", "/secret/word")
        assert wait_until(word, 30, "the Secret is there") == "first"
        shared.kubectl("delete", "secret", "mounted")
        wait_until(lambda: "mounted" in shared.kubectl(
            "get", "events", "--field-selector", "involvedObject.name=reader,reason=FailedMount"),
            30, "an event says which one is missing")
        assert word() == "first" and status_of(shared, "reader")["ready"]
        shared.kubectl("create", "secret", "generic", "mounted", "--from-literal=word=second")
        wait_until(lambda: word() == "second", 60, "the new one is there")
        assert status_of(shared, "reader")["restartCount"] == 0
    finally:
        shared.kubectl("delete", "secret", "mounted", "--ignore-not-found")


def test_a_container_that_lacks_its_secret_says_which_and_starts_once_it_is_back(pods, shared):
    shared.kubectl("create", "secret", "generic", "spoken", "--from-literal=word=first")
    try:
        pods("speaker", "echo word=$WORD; sleep 100000", {"env": [
            {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "spoken", "key": "word"}}}]})
        wait_until(lambda: "word=first" in shared.kubectl("logs", "speaker"), 30, "it speaks")
        shared.kubectl("delete", "secret", "spoken")
        container = next(pid for pid in traces.own_processes(shared.data_dir.name)
                         if traces.environment(pid).get("HOSTNAME") == "speaker")
        os.kill(container, 9)
        def waiting():
            return status_of(shared, "speaker")["state"].get("waiting", {})
        wait_until(lambda: waiting().get("reason") == "CreateContainerConfigError", 30,
                   "it cannot start")
        assert 'secret "spoken" not found' in waiting()["message"], waiting()
        shared.kubectl("create", "secret", "generic", "spoken", "--from-literal=word=second")
        wait_until(lambda: "word=second" in shared.kubectl("logs", "speaker"), 60,
                   "it speaks again")
    finally:
        shared.kubectl("delete", "secret", "spoken", "--ignore-not-found")
