"""The kernel fast path: streams stay what they are, it is used, and nothing of it is left."""

import ctypes
import os
import pathlib
import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request

import pytest

from instance import BINARY, Instance, free_ports, run_tulle
from streams import LIMIT_S, POOL, Streams, read_by_edges
from waiting import wait_until

NOBODY = 65534
STREAMS = 1000
STALLED = (1 << 20) + 30_000  # bytes: a little more than the kernel queues for a program
BPF = {"x86_64": 321}[platform.machine()]
PROG_GET_NEXT_ID, PROG_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD = 11, 13, 15

MANIFEST = """
apiVersion: v1
kind: Service
metadata: {{name: streams}}
spec:
  type: NodePort
  ports: [{{name: tcp, port: 80, nodePort: {port}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: streams, labels: {{kubernetes.io/service-name: streams}}}}
addressType: IPv4
ports: [{{name: tcp, port: {backend}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""


class Proxy:
    """`tulle proxy -f` before one backend."""

    def __init__(self, backend, fast_path, **options):
        self.port, self.admin_port = free_ports(2)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tulle-e2e-", dir="/tmp"))
        self.folder.chmod(0o755)
        (self.folder / "m.yaml").write_text(MANIFEST.format(port=self.port, backend=backend))
        binary = self.folder / "tulle"
        shutil.copy(BINARY, binary)
        self.log_path = self.folder / "log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [binary, "proxy", "-f", self.folder / "m.yaml", "--ingress-port", "0",
                 "--admin-port", str(self.admin_port), "--fast-path", fast_path],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        wait_until(lambda: self.metrics(), 10, "the proxy tells metrics")

    def lead_to(self, backend):
        """Changes the backend, and waits until that counts."""
        before = self.metrics()["tulle_snapshot_generation"]
        part = self.folder / "part"
        part.write_text(MANIFEST.format(port=self.port, backend=backend))
        part.rename(self.folder / "m.yaml")
        wait_until(lambda: self.metrics()["tulle_snapshot_generation"] > before, 10,
                   "the proxy follows the manifest")

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics",
                                    timeout=5) as answer:
            return metrics_of(answer.read().decode())

    def log(self):
        return self.log_path.read_text()

    def close(self):
        self.process.kill()
        self.process.wait(10)
        shutil.rmtree(self.folder)


def skip_without_rights(log):
    """A machine may lack what the fast path needs; that it is off for another reason is a fault."""
    lacking = ("CAP_BPF", "cgroup v2 is not mounted", "this kernel does not take the program")
    if any(what in log for what in lacking):
        pytest.skip(log)


def metrics_of(text):
    """Those without labels."""
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {words[0]: float(words[1]) for words in lines if "{" not in words[0]}


def bpf(command, attributes):
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(BPF, command, attributes, len(attributes))


def programs():
    """Ids of the fast path's programs in the kernel, of bpf(2)."""
    found, number = set(), 0
    while True:
        attributes = ctypes.create_string_buffer(number.to_bytes(4, "little"), 128)
        if bpf(PROG_GET_NEXT_ID, attributes) != 0:
            return found
        number = int.from_bytes(attributes.raw[4:8], "little")
        fd = bpf(PROG_GET_FD_BY_ID,
                 ctypes.create_string_buffer(number.to_bytes(4, "little"), 128))
        if fd < 0:
            continue  # gone meanwhile
        info = ctypes.create_string_buffer(256)
        wanted = fd.to_bytes(4, "little") + len(info).to_bytes(4, "little") \
            + ctypes.addressof(info).to_bytes(8, "little")
        bpf(OBJ_GET_INFO_BY_FD, ctypes.create_string_buffer(wanted, 128))
        os.close(fd)
        if info.raw[64:80].rstrip(b"\0") in (b"follow", b"deliver"):
            found.add(number)


@pytest.fixture
def streams():
    made = Streams()
    yield made
    made.close()


@pytest.fixture
def start(streams):
    started = []

    def start_proxy(fast_path, **options):
        proxy = Proxy(streams.server_port, fast_path, **options)
        started.append(proxy)
        if fast_path == "on" and not options:
            skip_without_rights(proxy.log())
        return proxy

    yield start_proxy
    for proxy in started:
        proxy.close()


@pytest.mark.parametrize("fast_path", ["on", "off"])
def test_streams_that_stall_end_by_halves_and_break_off_stay_whole(start, streams, fast_path):
    proxy = start(fast_path)
    wrong = streams.run(proxy.port, range(STREAMS))
    assert not wrong, f"{len(wrong)} of {STREAMS}: {wrong[:5]}\n{proxy.log()}"
    metrics = proxy.metrics()
    assert metrics["tulle_fast_path"] == (fast_path == "on"), proxy.log()
    assert metrics["tulle_fast_path_not_joined_total"] == 0
    if fast_path == "off":
        assert metrics["tulle_fast_path_bytes_total"] == 0
        return
    assert metrics["tulle_fast_path_sockets_total"] == 4 * STREAMS
    assert metrics["tulle_fast_path_bytes_total"] > STREAMS * 10_000
    assert metrics["tulle_fast_path_held_back_total"] > 0


def test_a_reader_that_stalls_holds_the_proxy_back_and_then_gets_all_by_edges(start):
    """The last bytes wait in the proxy, and no end follows them: only an edge can tell of them."""
    proxy = start("on")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.lead_to(listener.getsockname()[1])
        with socket.create_connection(("127.0.0.1", proxy.port), LIMIT_S) as client:
            client.sendall(POOL[:10])
            server, _ = listener.accept()
            with server:
                server.recv(10, socket.MSG_PEEK)  # was delivered past TCP: what follows is too
                client.sendall(POOL[10:STALLED])
                wait_until(lambda: proxy.metrics()["tulle_fast_path_held_back_total"] > 0, 10,
                           "the proxy waits")
                received = b""
                for data in read_by_edges(server, 100_000):
                    received += data
                    if len(received) >= STALLED:
                        break
                assert received == POOL[:STALLED]


def test_the_log_says_once_whether_it_is_on_and_why_not(start):
    auto = start("auto")
    line = "the kernel fast path is on" if auto.metrics()["tulle_fast_path"] \
        else "the kernel fast path is off why="
    assert auto.log().count("fast path is") == auto.log().count(line) == 1
    assert 'fast path is off why="--fast-path=off"' in start("off").log()


def test_without_rights_it_is_off_and_streams_pass(start, streams):
    proxy = start("on", user=NOBODY, group=NOBODY, extra_groups=[])
    assert "the kernel fast path is off why=" in proxy.log() and "CAP_BPF" in proxy.log()
    assert not streams.run(proxy.port, range(20))


def test_an_unknown_mode_is_refused():
    done = run_tulle("proxy", "-f", "/nowhere", "--fast-path", "maybe")
    assert done.returncode != 0 and "--fast-path" in done.stderr


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_an_end_loses_nothing_that_was_delivered_and_leaves_nothing_in_the_kernel(start, end):
    before = programs()
    proxy = start("on")
    assert len(programs() - before) == 2
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.lead_to(listener.getsockname()[1])
        with socket.create_connection(("127.0.0.1", proxy.port), LIMIT_S) as client:
            client.sendall(b"question")
            server, _ = listener.accept()
            with server:
                server.sendall(b"answer")
                client.recv(1, socket.MSG_PEEK)
                proxy.process.send_signal(end)
                proxy.process.wait(10)
                assert server.recv(100) == b"question"
                assert client.recv(100) == b"answer"
                assert client.recv(100) == b""
    wait_until(lambda: not programs() - before, 10, "the kernel has dropped its programs")


def test_pods_are_joined_too_and_status_says_so():
    class Fast(Instance):
        def command(self, *manifests):
            return super().command(*manifests) + ["--fast-path", "on"]

    instance = Fast()
    try:
        instance.import_examples()
        instance.start(pathlib.Path(__file__).resolve().parents[2] / "examples/hello-world")
        for app in ("hello", "world"):
            instance.wait_for_pods(app, 3)
        instance.wait_for_traffic()
        skip_without_rights(instance.log())

        def count(what):
            text = subprocess.run(
                ["curl", "-s", "--unix-socket", instance.data_dir / "run/admin.sock",
                 "http://proxy/metrics"], capture_output=True, text=True, check=True).stdout
            return metrics_of(text)[f"tulle_fast_path_{what}_total"]

        before = count("messages")
        for _ in range(50):
            assert instance.ingress("hello.localhost", "/world")[0] == 200
        # From here to the Ingress and back, to hello and back, from hello to its capture and back,
        # to world and back: eight at least.
        assert count("messages") - before >= 50 * 8
        status = run_tulle("status", "--data-dir", instance.data_dir)
        assert "fast path on" in status.stdout, status.stdout + status.stderr
    finally:
        instance.close()
