"""`tulle proxy -f FOLDER`: the data plane without an API server, pods or root."""

import collections
import http.client
import os
import signal
import socket
import threading
import types

import pytest

from instance import free_ports, free_udp_port, run_tulle
from proxy_alone import NOBODY, STOP_LIMIT_S, Backend, ProxyAlone, node_port_service, slice_of
from waiting import wait_until

def service(proxy):
    return node_port_service("echo", proxy.node_port) + f"""---
apiVersion: v1
kind: Service
metadata: {{name: front}}
spec:
  type: LoadBalancer
  ports: [{{port: {proxy.balancer_port}}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: echo}}
spec:
  rules:
  - host: echo.localhost
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {{service: {{name: echo, port: {{number: 80}}}}}}
"""


@pytest.fixture
def backends():
    made = [Backend("one"), Backend("two")]
    yield made
    for backend in made:
        backend.close()


@pytest.fixture
def proxy(backends):
    made = ProxyAlone()
    try:
        made.write("services.yaml", service(made))
        made.write("slices.yaml", slice_of("echo", *backends))
        made.write("front.yaml", slice_of("front", *backends))
        made.start()
        wait_until(lambda: made.get(made.node_port)[0] == 200, 10, "the node port answers")
        yield made
    finally:
        made.close()


def names(proxy, port, host="alone", count=20):
    return collections.Counter(proxy.get(port, host)[1] for _ in range(count))


def test_a_folder_is_served_at_its_doors_without_root(proxy):
    assert os.stat(f"/proc/{proxy.process.pid}").st_uid == NOBODY
    spread = {"one": 10, "two": 10}
    assert names(proxy, proxy.node_port) == spread
    assert names(proxy, proxy.balancer_port) == spread
    assert names(proxy, proxy.ingress_port, "echo.localhost") == spread
    assert proxy.get(proxy.ingress_port, "nobody.localhost")[0] == 404


def test_changes_of_the_folder_are_followed(proxy, backends):
    proxy.write("slices.yaml", slice_of("echo", backends[1]))
    wait_until(lambda: names(proxy, proxy.node_port, count=4) == {"two": 4}, 5,
               "only the second backend is asked")
    (proxy.manifests / "slices.yaml").unlink()
    status, body = wait_until(lambda: (answer := proxy.get(proxy.node_port))[0] == 503 and answer,
                              5, "503 without endpoints")
    assert "echo" in body, (status, body)
    proxy.write("slices.yaml", slice_of("echo", *backends))
    wait_until(lambda: names(proxy, proxy.node_port, count=4) == {"one": 2, "two": 2}, 5,
               "both backends are asked again")


def test_a_slice_of_higher_priority_stands_in(proxy, backends):
    stands_in = slice_of("echo", backends[1]).replace(
        "metadata: {", 'metadata: {annotations: {tulle.dev/priority: "1"}, ')
    proxy.write("stands-in.yaml", stands_in)
    proxy.write("slices.yaml", slice_of("echo", backends[0]))
    wait_until(lambda: names(proxy, proxy.node_port, count=4) == {"one": 4}, 5,
               "only the first backend is asked")
    dead = types.SimpleNamespace(port=free_ports(1)[0])
    proxy.write("slices.yaml", slice_of("echo", dead))
    wait_until(lambda: names(proxy, proxy.node_port, count=4) == {"two": 4}, 5,
               "the other one stands in")


def test_more_connections_than_the_soft_limit_of_descriptors(proxy):
    kept = [http.client.HTTPConnection("127.0.0.1", proxy.node_port, timeout=5)
            for _ in range(300)]
    for connection in kept:
        connection.request("GET", "/", headers={"Host": "alone"})
        assert connection.getresponse().read() in (b"one", b"two")
    for connection in kept:
        connection.close()


def test_a_broken_manifest_leaves_what_was_served(proxy, backends):
    proxy.write("slices.yaml", "apiVersion: v1\nkind: Service\nspec: {port: 1}\n")
    wait_until(lambda: "slices.yaml:3" in proxy.log(), 5, "the log names file and line")
    assert names(proxy, proxy.node_port, count=4) == {"one": 2, "two": 2}
    proxy.write("slices.yaml", slice_of("echo", backends[0]))
    wait_until(lambda: names(proxy, proxy.node_port, count=4) == {"one": 4}, 5,
               "the mended manifest counts")


def test_what_the_proxy_alone_cannot_do_is_said(proxy):
    proxy.write("more.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    wait_until(lambda: "ConfigMap" in proxy.log(), 5, "the log names the kind")


def test_an_interrupt_ends_it(proxy):
    proxy.process.send_signal(signal.SIGINT)
    assert proxy.process.wait(STOP_LIMIT_S) == 0


def test_a_folder_that_is_not_there_is_named(tmp_path):
    done = run_tulle("proxy", "-f", tmp_path / "nothing", "--ingress-port", 0, "--admin-port", 0)
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1 and "nothing: there is no such file" in done.stderr


class Echo:
    """Answers every datagram with its own name and what it heard."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.name = name
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                heard, client = self.socket.recvfrom(65535)
                self.socket.sendto(self.name + heard, client)
            except OSError:
                return

    def close(self):
        self.socket.close()


def test_datagrams_of_a_client_go_to_one_endpoint_and_back(proxy):
    echoes = [Echo(b"a"), Echo(b"b")]
    port = free_udp_port()
    proxy.write("udp.yaml", f"""
apiVersion: v1
kind: Service
metadata: {{name: datagrams}}
spec:
  type: NodePort
  ports: [{{port: 53, protocol: UDP, nodePort: {port}}}]
---""" + "---".join(f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: datagrams-{echo.port}, labels: {{kubernetes.io/service-name: datagrams}}}}
addressType: IPv4
ports: [{{port: {echo.port}, protocol: UDP}}]
endpoints: [{{addresses: [127.0.0.1]}}]
""" for echo in echoes))

    def ask(client, text):
        client.sendto(text, ("127.0.0.1", port))
        return client.recv(65535)

    clients = []
    for _ in range(4):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(0.2)
        clients.append(client)
    wait_until(lambda: ask(clients[0], b"hi"), 5, "the datagram is answered")
    seen = collections.Counter()
    for client in clients:
        first = ask(client, b"hi")
        seen[first] += 1
        assert all(ask(client, b"hi") == first for _ in range(5))
        large = b"x" * 20000
        assert ask(client, large) == first[:1] + large
    assert seen == {b"ahi": 2, b"bhi": 2}
    for each in clients + echoes:
        each.close()
