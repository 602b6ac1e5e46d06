"""UDP between pods: to a service's address, to a pod's own, past a server that died."""

import collections
import subprocess
import sys

import pytest

SERVER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 5353))
print("ready", flush=True)
while True:
    heard, client = s.recvfrom(65535)
    s.sendto(f"{sys.argv[1]} {client[0]} {len(heard)}".encode(), client)
"""

# One socket for each of COUNT clients; a datagram may be lost, and is then sent again.
CLIENT = """
import socket, sys
where, count, size = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4])
for _ in range(count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(where)
        s.settimeout(1)
        for _ in range(10):
            try:
                s.send(b"x" * size)
                print(s.recv(65535).decode())
                break
            except (TimeoutError, ConnectionRefusedError):
                pass
"""

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: datagrams}
spec:
  selector: {app: world}
  ports: [{port: 5300, targetPort: 5353, protocol: UDP}]
"""


def in_network(instance, pod, script, *words):
    """Starts a Python script among the sockets of a pod."""
    space = instance.data_dir / "run/netns" / pod["metadata"]["uid"]
    return subprocess.Popen(["nsenter", f"--net={space}", sys.executable, "-c", script,
                             *map(str, words)], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def datagrams(hello_world):
    """(instance, pods of world, the server in each by its name, a pod of hello, the address)"""
    running = {}
    try:
        hello_world.kubectl("apply", "-f", "-", stdin=SERVICE)
        pods = hello_world.get("pods", "-l", "app=world")["items"]
        for pod in pods:
            name = pod["metadata"]["name"]
            running[name] = in_network(hello_world, pod, SERVER, name)
            assert running[name].stdout.readline() == "ready\n"
        caller = hello_world.get("pods", "-l", "app=hello")["items"][0]
        address = hello_world.get("service", "datagrams")["spec"]["clusterIP"]
        yield hello_world, pods, running, caller, address
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
        hello_world.kubectl("delete", "service", "datagrams", "--ignore-not-found")


def ask(instance, caller, address, port, count, size=2):
    client = in_network(instance, caller, CLIENT, address, port, count, size)
    heard = client.communicate(timeout=60)[0].splitlines()
    assert client.returncode == 0 and len(heard) == count, heard
    return [line.split() for line in heard]


def test_pods_talk_by_udp_to_services_and_to_each_other(datagrams):
    instance, pods, running, caller, address = datagrams
    own = caller["status"]["podIP"]
    answers = ask(instance, caller, address, 5300, 9)
    assert collections.Counter(name for name, _, _ in answers) == {name: 3 for name in running}
    assert {seen for _, seen, _ in answers} == {own}, "the server sees who calls"
    assert ask(instance, caller, address, 5300, 1, 60000)[0][2] == "60000"
    for pod in pods:
        name, seen, _ = ask(instance, caller, pod["status"]["podIP"], 5353, 1)[0]
        assert (name, seen) == (pod["metadata"]["name"], own)

    dead = next(iter(running))
    running[dead].kill()
    running[dead].wait()
    after = collections.Counter(name for name, _, _ in ask(instance, caller, address, 5300, 12))
    assert after.keys() == running.keys() - {dead}
