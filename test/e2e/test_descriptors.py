"""A process runs out of descriptors: what is there goes on, what comes waits, and nothing spins."""

import contextlib
import http.client
import itertools
import os
import pathlib
import resource
import socket
import time

import traces
from load import Load
from talkers import WebSockets
from waiting import wait_until

ROOM = 8  # descriptors that are left, of which a connection takes two or more
CROWD = 60
CHATS = 4
SAID = "connections cannot be accepted"
ENOUGH = 100
BUSY_MAX = 0.5  # of a core, while nothing but a crowd waits


@contextlib.contextmanager
def short_of_descriptors(pid):
    """The process has just a few left: a new one gets the lowest number that is free."""
    used = {int(entry.name) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
    free = itertools.islice((n for n in itertools.count() if n not in used), ROOM)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(free) + 1, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def said_so(instance):
    """How often the log says that connections wait."""
    return instance.log_path.read_text(errors="replace").count(SAID)


def has_none_left(pid):
    used = {int(entry.name) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
    return used.issuperset(range(resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]))


def busy(pid, for_s=3):
    """Which part of a core it takes."""
    before, begin = cpu_seconds(pid), time.monotonic()
    time.sleep(for_s)  # what is measured is a time
    return (cpu_seconds(pid) - before) / (time.monotonic() - begin)


def crowd(port, stack):
    """Connections that were made, as far as the kernel is concerned, and have asked for nothing."""
    for _ in range(CROWD):
        stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))


def accept_failures(instance):
    """By the proxy's own count, asked at its Unix socket."""
    connection = http.client.HTTPConnection("localhost", timeout=5)
    with socket.socket(socket.AF_UNIX) as connection.sock:
        connection.sock.settimeout(5)
        connection.sock.connect(str(instance.data_dir / "run/admin.sock"))
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    return sum(float(line.split()[1]) for line in lines
               if line.startswith("tulle_accept_failures_total "))


def test_a_proxy_short_of_descriptors_keeps_its_streams_and_recovers(polyglot):
    proxy = polyglot.role_pid("proxy")
    before = accept_failures(polyglot)
    with WebSockets(polyglot.ingress_port, "polyglot.localhost", CHATS, messages=100_000,
                    pause_s=0.05) as chats:
        wait_until(lambda: established(proxy, polyglot.ingress_port) >= CHATS, 20, "they talk")
        with short_of_descriptors(proxy), contextlib.ExitStack() as stack:
            said = said_so(polyglot)
            crowd(polyglot.ingress_port, stack)
            wait_until(lambda: said_so(polyglot) > said, 20, "the log says so")
            assert busy(proxy) < BUSY_MAX
            assert not chats.failures, chats.failures
        wait_until(lambda: polyglot.ingress("polyglot.localhost")[0] == 200, 20, "it serves again")
        with Load(polyglot, "polyglot.localhost", pause_s=0.01) as load:
            wait_until(lambda: load.total > ENOUGH, 20, "load flows")
        assert set(load.counts) == {200}, (load.counts, load.failures[:5])
        assert not chats.failures, chats.failures
    assert accept_failures(polyglot) > before
    assert polyglot.role_pid("proxy") == proxy


def established(pid, port):
    """Connections of the process that came to this port."""
    inodes = set()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = os.readlink(entry)
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    rows = [line.split() for line in
            pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" and row[9] in inodes
               for row in rows)


def test_an_api_server_short_of_descriptors_waits_and_recovers(hello_world):
    control = hello_world.role_pid("control")
    pods = hello_world.ready_pods("hello")
    with Load(hello_world, "hello.localhost", "/world", pause_s=0.01) as load:
        with short_of_descriptors(control), contextlib.ExitStack() as stack:
            said = said_so(hello_world)
            crowd(hello_world.api_port, stack)
            wait_until(lambda: said_so(hello_world) > said, 20, "the log says so")
            assert has_none_left(control)
            assert busy(control) < BUSY_MAX
            seen = load.total
            wait_until(lambda: load.total > seen + ENOUGH, 20, "load flows on")
        wait_until(hello_world.is_ready, 20, "the API answers again")
    assert set(load.counts) == {200}, (load.counts, load.failures[:5])
    assert hello_world.role_pid("control") == control, "it was started again"
    assert hello_world.ready_pods("hello") == pods
    hello_world.kubectl("scale", "deployment/hello", "--replicas=4")
    try:
        hello_world.wait_for_pods("hello", 4)
    finally:
        hello_world.kubectl("scale", "deployment/hello", "--replicas=3")
    assert traces.command(control)
