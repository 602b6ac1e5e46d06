"""Things die by kill -9; what may be noticed, and by whom."""

import os
import signal
import time

import traces
from instance import EXAMPLES
from load import Callers, Load
from waiting import wait_until

APPS = ("hello", "world")
ENOUGH = 200  # requests before and after the kill


def test_a_killed_replica_costs_no_request(hello_world):
    with Load(hello_world, "world.localhost") as load:
        wait_until(lambda: load.total > ENOUGH, 20, "load flows")
        name, pid = sorted(hello_world.container_pids("world").items())[0]
        os.kill(pid, signal.SIGKILL)
        seen = load.total
        wait_until(lambda: load.total > seen + ENOUGH, 20, "load flows on")
        wait_until(lambda: restarts(hello_world, name) >= 1, 20, f"{name} was restarted")
        hello_world.wait_for_pods("world", 3)
        seen = load.total
        wait_until(lambda: load.total > seen + ENOUGH, 20, "load flows on")
    assert set(load.counts) == {200}, (load.counts, load.failures[:5])


def restarts(instance, pod):
    return instance.get("pod", pod)["status"]["containerStatuses"][0]["restartCount"]


def uids(instance):
    return instance.ready_pods("hello") | instance.ready_pods("world")


def test_killed_control_is_started_again_while_traffic_goes_on(hello_world):
    processes, pods = hello_world.containers(*APPS), uids(hello_world)
    assert len(processes) == 6
    with Load(hello_world, "hello.localhost", "/world") as load:
        wait_until(lambda: load.total > ENOUGH, 20, "load flows")
        killed = hello_world.kill_role("control")
        wait_until(lambda: hello_world.role_pid("control") != killed, 10, "a new control")
        wait_until(hello_world.is_ready, 10, "the API answers again")
        for app in ("hello", "world"):
            hello_world.wait_for_pods(app, 3)
    assert set(load.counts) == {200}, (load.counts, load.failures[:5])
    assert hello_world.containers(*APPS) == processes and uids(hello_world) == pods
    try:  # and it is in charge of them
        hello_world.kubectl("scale", "deployment/world", "--replicas=2")
        hello_world.wait_for_pods("world", 2)
    finally:
        hello_world.kubectl("scale", "deployment/world", "--replicas=3")


def test_connections_to_a_killed_proxy_are_served_by_the_next_one(hello_world):
    processes, pods = hello_world.containers(*APPS), uids(hello_world)
    gaps = []
    with Callers(hello_world, "hello.localhost", "/world") as callers:
        for _ in range(3):
            seen = callers.total
            wait_until(lambda: callers.total > seen + ENOUGH, 20, "load flows")
            begin = time.monotonic()
            killed = hello_world.kill_role("proxy")
            gone = time.monotonic()
            wait_until(lambda: hello_world.role_pid("proxy") != killed, 5, "a new proxy")
            seen = callers.total
            wait_until(lambda: callers.total > seen + ENOUGH, 20, "load flows on")
            # What was under way is cut, and so may be what had been accepted; nothing else is.
            assert not [why for _, why in callers.failures if "Refused" in why], callers.failures
            assert not [at for at, _ in callers.failures if at > gone + 0.005], callers.failures
            gaps.append(max(took for at, took in callers.served if at > begin))
    assert min(gaps) < 0.5, f"{gaps} s without traffic"
    print(f"served again within {[round(gap * 1000) for gap in gaps]} ms")
    assert hello_world.containers(*APPS) == processes and uids(hello_world) == pods


def test_killed_control_and_proxy_find_the_same_pods(hello_world):
    processes, pods = hello_world.containers(*APPS), uids(hello_world)
    hello_world.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    try:
        for role in ("control", "proxy"):
            hello_world.kill_role(role)
        wait_until(hello_world.is_ready, 10, "the API answers again")
        hello_world.wait_for_traffic()
        for app in ("hello", "world"):
            hello_world.wait_for_pods(app, 3)
        assert hello_world.get("configmap", "kept")["data"] == {"a": "b"}
        assert hello_world.containers(*APPS) == processes and uids(hello_world) == pods
    finally:
        hello_world.kubectl("delete", "configmap", "kept", "--ignore-not-found")


def test_a_new_up_adopts_the_pods_of_a_killed_one(instance):
    instance.kubectl("apply", "-f", EXAMPLES)
    for app in ("hello", "world"):
        instance.wait_for_pods(app, 3)
    processes, pods = instance.containers(*APPS), uids(instance)
    family = [instance.process.pid, *traces.children(instance.process.pid)]
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    instance.process.wait(10)
    wait_until(lambda: not any(traces.command(pid) for pid in family), 10, "all three are dead")
    assert instance.containers(*APPS) == processes
    instance.start()
    instance.wait_for_traffic()
    for app in ("hello", "world"):
        instance.wait_for_pods(app, 3)
    assert instance.containers(*APPS) == processes and uids(instance) == pods


def test_a_killed_supervisor_takes_control_and_proxy_with_it(instance):
    roles = traces.children(instance.process.pid)
    os.kill(instance.process.pid, signal.SIGKILL)
    instance.process.wait(10)
    wait_until(lambda: not any(traces.command(pid) for pid in roles), 10, "its children are gone")
    instance.start()


def test_no_acknowledged_write_is_lost(instance):
    acknowledged = []
    for round_number in range(3):
        killed = instance.role_pid("control")
        for number in range(60):
            name = f"written-{round_number}-{number}"
            if number == 30:
                os.kill(killed, signal.SIGKILL)
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
            try:
                status, _ = instance.api("POST", "/api/v1/namespaces/default/configmaps", body)
            except OSError:
                continue
            if status == 201:
                acknowledged.append(name)
        wait_until(lambda: instance.role_pid("control") != killed and instance.is_ready(), 10,
                   "the API answers again")
    assert len(acknowledged) >= 90
    there = {item["metadata"]["name"] for item in instance.get("configmaps")["items"]}
    assert not set(acknowledged) - there


def test_interrupt_with_pods_running_leaves_nothing(instance):
    instance.kubectl("apply", "-f", EXAMPLES)
    for app in ("hello", "world"):
        instance.wait_for_pods(app, 3)
    assert instance.stop(signal.SIGINT) == 0


def test_terminate_right_after_the_start_leaves_nothing(instance):
    instance.kubectl("apply", "-f", EXAMPLES)  # pods are just about to be made
    assert instance.stop(signal.SIGTERM) == 0


def test_interrupt_right_after_control_died_leaves_nothing(instance):
    instance.kubectl("apply", "-f", EXAMPLES)
    for app in ("hello", "world"):
        instance.wait_for_pods(app, 3)
    instance.kill_role("control")
    assert instance.stop(signal.SIGINT) == 0


def test_control_killed_while_it_ends_leaves_nothing(instance):
    instance.kubectl("apply", "-f", EXAMPLES)
    for app in ("hello", "world"):
        instance.wait_for_pods(app, 3)
    control = instance.role_pid("control")
    os.kill(control, signal.SIGSTOP)  # it cannot end in order: the interrupt finds it half dead
    instance.process.send_signal(signal.SIGINT)
    wait_until(lambda: traces.is_pending(control, signal.SIGTERM), 10, "control is told to end")
    os.kill(control, signal.SIGKILL)
    assert instance.stop(signal.SIGINT) == 0
