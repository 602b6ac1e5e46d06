"""kubectl's commands that talk to a pod: port-forward, attach, run -it, cp, top, debug."""

import hashlib
import http.client
import os
import random
import re
import socket
import subprocess

import pytest

from box import import_box
from instance import KUBECTL
from waiting import wait_until

POD = """
apiVersion: v1
kind: Pod
metadata: {name: box, labels: {app: box}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: box
    image: box:latest
    command: [httpd, -f, -p, "8080", -h, /www]
    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: box}
spec:
  selector: {app: box}
  ports: [{port: 80, targetPort: 8080}]
"""
BYTES = random.Random(7).randbytes(8 << 20)


@pytest.fixture(scope="module")
def box(shared, tmp_path_factory):
    """The shared instance with a pod and a service `box`, whose web server has /bytes."""
    import_box(shared, tmp_path_factory.mktemp("box"))
    shared.kubectl("apply", "-f", "-", stdin=POD)
    shared.kubectl("wait", "--for=condition=Ready", "pod/box", "--timeout=30s")
    with Kubectl(shared, "exec", "-i", "box", "--", "sh", "-c", "cat > /www/bytes") as copy:
        copy.process.communicate(BYTES, timeout=30)
    yield shared
    shared.kubectl("delete", "pod/box", "service/box", "--now")


class Kubectl:
    """A kubectl that goes on while the test talks to it. Killed at the end."""

    def __init__(self, instance, *arguments, **environment):
        self.process = subprocess.Popen(
            [KUBECTL, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"KUBECONFIG": str(instance.kubeconfig), "PATH": os.defpath,
                 "HOME": str(instance.data_dir / "kubectl"), **environment})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


class Forwarded(Kubectl):
    """kubectl port-forward to a free local port."""

    def __init__(self, instance, target, port, **environment):
        super().__init__(instance, "port-forward", target, f":{port}", **environment)
        line = self.process.stdout.readline().decode()
        match = re.fullmatch(rf"Forwarding from 127.0.0.1:(\d+) -> (\d+)\n", line)
        assert match, line
        self.port = int(match[1])

    def get(self, path="/bytes"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


# ------------------------------------------------------------------------------ port-forward


@pytest.mark.parametrize("target,port", [("pod/box", 8080), ("service/box", 80)])
def test_port_forward_carries_bytes_of_several_connections(box, target, port):
    with Forwarded(box, target, port) as forwarded:
        slow = socket.create_connection(("127.0.0.1", forwarded.port), timeout=20)
        for _ in range(3):
            assert hashlib.md5(forwarded.get()).digest() == hashlib.md5(BYTES).digest()
        slow.sendall(b"GET /bytes HTTP/1.0\r\n\r\n")
        slow.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: slow.recv(65536), b""))
        assert answer.endswith(BYTES) and answer.startswith(b"HTTP/1.1 200"), answer[:100]
        slow.close()


def test_port_forward_works_over_plain_spdy(box):
    with Forwarded(box, "pod/box", 8080, KUBECTL_PORT_FORWARD_WEBSOCKETS="false") as forwarded:
        assert forwarded.get() == BYTES


def test_port_forward_says_that_nobody_listens(box):
    with Forwarded(box, "pod/box", 81) as forwarded:
        with socket.create_connection(("127.0.0.1", forwarded.port), timeout=20) as refused:
            assert refused.recv(1) == b""
        said = forwarded.process.stdout.read().decode()
    assert "error forwarding port 81 to pod box: " in said, said
    assert "refused" in said, said
