"""`tulle upgrade` under load: another program runs, and nobody outside has noticed."""

import os
import shutil
import subprocess
import time

import pytest

import traces
from instance import BINARY, EXAMPLES, run_tulle
from load import Callers, Load
from polyglot import PODS, node_port
from talkers import GrpcCallers, WebSockets
from waiting import wait_until

ENOUGH = 25
WEB_SOCKETS = 30


def upgrade(instance, *arguments):
    return run_tulle("upgrade", "--data-dir", instance.data_dir, *arguments)


def programs(instance):
    """The files that supervisor, control and proxy run."""
    pids = [instance.process.pid, instance.role_pid("control"), instance.role_pid("proxy")]
    return {os.readlink(f"/proc/{pid}/exe") for pid in pids}


@pytest.fixture
def newer(tmp_path):
    """Another file with a tulle in it."""
    return shutil.copy(BINARY, tmp_path / "tulle-newer")


@pytest.fixture
def busy(polyglot):
    """Clients of all kinds that talk all the time; what any of them lost fails the test."""
    clients = (Load(polyglot, "polyglot.localhost"),
               Load(polyglot, "polyglot.localhost", method="POST", pause_s=0.01),
               Callers(polyglot, "polyglot.localhost", "/"),
               GrpcCallers(node_port(polyglot, "grpc"), 2),
               WebSockets(polyglot.ingress_port, "polyglot.localhost", WEB_SOCKETS),
               # These last longer than an upgrade and a rollout.
               WebSockets(polyglot.ingress_port, "polyglot.localhost", WEB_SOCKETS, messages=40))
    for client in clients:
        client.__enter__()
    try:
        wait_until(lambda: min(map(done, clients)) > ENOUGH, 40, "all of them talk")
        yield polyglot, clients
    finally:
        for client in clients:
            client.__exit__(None, None, None)
    lost = {type(client).__name__: client.failures[:5] for client in clients if client.failures}
    assert not lost, lost


def done(client):
    return client.total if hasattr(client, "total") else client.done


def go_on(clients):
    seen = list(map(done, clients))
    wait_until(lambda: all(done(client) > was + ENOUGH
                           for client, was in zip(clients, seen)), 60,
               "all of them go on")


def test_an_upgrade_refuses_and_cuts_nothing(busy, newer):
    home, clients = busy

    def what_stays():
        return home.containers("polyglot"), home.ready_pods("polyglot"), home.process.pid

    same = what_stays()
    assert len(same[0]) == PODS
    before = [home.role_pid("control"), home.role_pid("proxy")]
    home.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    try:
        outcome = upgrade(home, newer)
        assert outcome.returncode == 0, outcome.stderr
        wait_until(lambda: programs(home) == {str(newer)}, 10, "all three are the newer program")
        assert what_stays() == same
        assert home.get("configmap", "kept")["data"] == {"a": "b"}
        # Pods that stop now are waited for in the proxy that was replaced, too.
        home.kubectl("rollout", "restart", "deployment/polyglot")
        home.kubectl("rollout", "status", "deployment/polyglot", "--timeout=60s")
        go_on(clients)
        wait_until(lambda: not any(traces.command(pid) for pid in before), 45,
                   "those before have ended")
    finally:
        home.kubectl("delete", "configmap", "kept", "--ignore-not-found")
        back = upgrade(home, BINARY)
    assert back.returncode == 0, back.stderr


def test_a_program_that_does_not_start_changes_nothing(busy, tmp_path):
    home, clients = busy
    before = programs(home)
    liar = tmp_path / "liar"
    liar.write_text("#!/bin/sh\n[ $1 = version ] && echo tulle 9.9.9 && exit\nexit 1\n")
    liar.chmod(0o755)
    outcome = upgrade(home, liar)
    assert outcome.returncode == 1 and "before it was ready" in outcome.stderr, outcome
    other = upgrade(home, "/bin/true")
    assert other.returncode == 1 and "/bin/true is no tulle" in other.stderr, other
    missing = upgrade(home, tmp_path / "missing")
    assert missing.returncode == 1 and "No such file" in missing.stderr, missing
    assert programs(home) == before
    go_on(clients)


def test_what_an_upgrade_put_in_place_is_supervised_as_before(hello_world, newer, tmp_path):
    for program in (newer, shutil.copy(BINARY, tmp_path / "tulle-newest")):
        outcome = upgrade(hello_world, program)
        assert outcome.returncode == 0, outcome.stderr
        wait_until(lambda: programs(hello_world) == {str(program)}, 10, "it runs")
        with Callers(hello_world, "hello.localhost", "/world") as callers:
            for role in ("proxy", "control"):
                killed = hello_world.kill_role(role)
                gone = time.monotonic()
                wait_until(lambda: hello_world.role_pid(role) != killed, 10, f"a new {role}")
            seen = callers.total
            wait_until(lambda: callers.total > seen + ENOUGH, 20, "traffic flows")
        assert not [why for at, why in callers.failures if at > gone or "Refused" in why]
        assert programs(hello_world) == {str(program)}
        wait_until(hello_world.is_ready, 10, "the API answers")
    back = upgrade(hello_world, BINARY)
    assert back.returncode == 0, back.stderr


def test_an_interrupt_in_the_middle_ends_everything(instance, newer):
    instance.kubectl("apply", "-f", EXAMPLES)
    for app in ("hello", "world"):
        instance.wait_for_pods(app, 3)
    control = instance.role_pid("control")
    with subprocess.Popen([BINARY, "upgrade", "--data-dir", instance.data_dir, newer],
                          stderr=subprocess.PIPE) as order:
        wait_until(lambda: instance.role_pid("control") != control, 10, "control is replaced")
        assert instance.stop() == 0
        order.communicate(timeout=20)


def test_what_never_answers_is_no_program(hello_world, tmp_path):
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    outcome = upgrade(hello_world, silent)
    assert outcome.returncode == 1 and f"{silent} is no tulle" in outcome.stderr, outcome


def test_without_an_instance_it_says_so(tmp_path):
    outcome = run_tulle("upgrade", "--data-dir", tmp_path)
    assert outcome.returncode == 1 and f"no tulle runs on {tmp_path}" in outcome.stderr, outcome
