"""`tulle proxy -f FOLDER`: the data plane without an API server, pods or root."""

import collections
import http.client
import http.server
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

from instance import BINARY, free_ports, run_tulle
from waiting import wait_until

NOBODY = 65534
STOP_LIMIT_S = 10


class Backend:
    """Answers every request with its own name."""

    def __init__(self, name):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class ProxyAlone:
    """The proxy as a user without rights runs it, over a folder of its own."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tulle-e2e-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.manifests = self.folder / "manifests"
        self.manifests.mkdir()
        self.ingress_port, self.node_port, self.balancer_port = free_ports(3)
        self.log_path = self.folder / "log"
        self.process = None

    def write(self, name, text):
        """Replaces a manifest as editors do: never half of it is there."""
        part = self.folder / "part"
        part.write_text(text)
        part.rename(self.manifests / name)

    def start(self):
        binary = self.folder / "tulle"
        shutil.copy(BINARY, binary)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["prlimit", "--nofile=256:4096", binary, "proxy", "-f", self.manifests,
                 "--ingress-port", str(self.ingress_port), "--admin-port", "0", "--workers", "1"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=NOBODY, group=NOBODY,
                extra_groups=[])

    def log(self):
        return self.log_path.read_text(errors="replace")

    def get(self, port, host="alone"):
        """(status, body) of one request, or (0, error)."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/", headers={"Host": host})
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_LIMIT_S)
        shutil.rmtree(self.folder)


def service(proxy):
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: echo}}
spec:
  type: NodePort
  ports: [{{port: 80, nodePort: {proxy.node_port}}}]
---
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


def slice_of(name, *backends):
    """A slice gives all of its endpoints one port: one slice for each."""
    return "---".join(f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-{backend.port}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: {backend.port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
""" for backend in backends)


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
