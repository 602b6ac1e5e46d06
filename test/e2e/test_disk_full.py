"""The disk of the data directory is full: writes say so, all else goes on, and all recovers by
itself when there is room again.
"""

import errno
import json
import os
import pathlib
import signal
import subprocess
import tempfile

import pytest

import traces
from box import import_box
from instance import EXAMPLES, Instance
from load import Load
from waiting import wait_until

SIZE = 192 << 20
LEFT = 1 << 20  # the node says so before nothing at all is left
ENOUGH = 100

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: speaker}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: box:latest
    command: [sh, -c, "i=0; while :; do i=$((i+1)); echo line $i of many words; sleep 0.01; done"]
---
apiVersion: v1
kind: Pod
metadata: {name: ender}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: box:latest
    command: [sh, -c, "trap 'exit 7' TERM; while :; do sleep 0.1; done"]
"""


@pytest.fixture
def small(tmp_path):
    """An instance on a small disk of its own, which is told as `small.disk`."""
    disk = pathlib.Path(tempfile.mkdtemp(prefix="tulle-disk-", dir="/tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tulle-disk", disk],
                   check=True)
    try:
        made = Instance(disk)
        made.disk = disk
        try:
            made.import_examples()
            import_box(made, tmp_path)
            made.start()
            yield made
        finally:
            made.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
        disk.rmdir()


def fill(disk, left):
    """Writes until only `left` bytes are free, or none."""
    block = b"\0" * (1 << 20)
    with open(disk / "filling", "ab", buffering=0) as filling:
        while (free := os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize) > left:
            try:
                filling.write(block[:free - left])
            except OSError as error:
                assert error.errno == errno.ENOSPC
                return


def node_condition(instance, kind):
    node = instance.get("nodes")["items"][0]
    return next(c["status"] for c in node["status"]["conditions"] if c["type"] == kind)


def create(instance, name):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
            "data": {"ballast": "x" * 500_000}}
    return instance.api("POST", "/api/v1/namespaces/default/configmaps", body)


def fill_until_refused(instance):
    """The store may have some room of its own left: (what it acknowledged, what it said then)."""
    taken = []
    for number in range(100):
        fill(instance.disk, 0)
        status, said = create(instance, f"late-{number}")
        if status != 201:
            return taken, status, said
        taken.append(f"late-{number}")
    raise AssertionError("a full disk takes everything")


def pid_of(instance, pod):
    return next(pid for pid in traces.own_processes(instance.data_dir.name)
                if traces.environment(pid).get("HOSTNAME") == pod
                and traces.command(pid).startswith("sh -c"))


def last_line(instance, pod):
    return instance.kubectl("logs", pod, "--tail=1").strip()


def test_a_full_disk_refuses_writes_in_plain_words_and_nothing_else(small):
    small.kubectl("apply", "-f", EXAMPLES)
    small.kubectl("apply", "-f", "-", stdin=PODS)
    for app in ("hello", "world"):
        small.wait_for_pods(app, 3)
    small.wait_for_traffic()
    wait_until(lambda: last_line(small, "speaker"), 30, "the speaker speaks")
    wait_until(lambda: pid_of(small, "ender"), 30, "the ender runs")
    assert node_condition(small, "DiskPressure") == "False"
    with Load(small, "hello.localhost", "/world") as load:
        fill(small.disk, LEFT)
        wait_until(lambda: node_condition(small, "DiskPressure") == "True", 30,
                   "the node says that the disk is full")
        wait_until(lambda: "NodeHasDiskPressure" in small.kubectl("get", "events"), 10, "an event")
        taken, status, said = fill_until_refused(small)
        assert status == 507 and said["reason"] == "InsufficientStorage", said
        told = small.kubectl("create", "configmap", "refused", "--from-literal=a=b", check=False)
        assert "no space left on device" in told.stderr, told

        # What is there is read, and serves; the node stays ready.
        assert node_condition(small, "Ready") == "True"
        assert len(small.ready_pods("hello")) == len(small.ready_pods("world")) == 3
        seen = load.total
        wait_until(lambda: load.total > seen + ENOUGH, 20, "load flows on")

        # A program that ends says how, once it can be told.
        ender = pid_of(small, "ender")
        os.kill(ender, signal.SIGTERM)
        wait_until(lambda: not traces.command(ender), 10, "it has ended")

        before = last_line(small, "speaker")
        (small.disk / "filling").unlink()
        recovers(small, before, taken)
        seen = load.total
        wait_until(lambda: load.total > seen + ENOUGH, 20, "load flows on")
    assert set(load.counts) == {200}, (load.counts, load.failures[:5])


def recovers(instance, line_before, taken):
    wait_until(lambda: create(instance, "after")[0] in (201, 409), 10, "writes are taken again")
    wait_until(lambda: node_condition(instance, "DiskPressure") == "False", 30, "no pressure")
    instance.kubectl("scale", "deployment/world", "--replicas=4")
    instance.wait_for_pods("world", 4)

    def end_of_ender():
        status = instance.get("pod", "ender")["status"]["containerStatuses"][0]
        return status["state"].get("terminated")
    ended = wait_until(end_of_ender, 30, "how the program ended is known")
    assert (ended["exitCode"], ended["reason"]) == (7, "Error"), ended

    number = int(line_before.split()[1])
    wait_until(lambda: int(last_line(instance, "speaker").split()[1]) > number + ENOUGH, 30,
               "the log goes on")
    for line in instance.kubectl("logs", "speaker", "--tail=2000").splitlines():
        words = line.split()
        assert words[0] == "line" and words[2:] == ["of", "many", "words"], f"a torn line: {line}"
    there = {item["metadata"]["name"] for item in json.loads(
        instance.kubectl("get", "configmaps", "-o", "json"))["items"]}
    assert not set(taken) - there, "acknowledged, and lost"
