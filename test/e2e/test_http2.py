"""HTTP/2 and gRPC through the proxy alone, by clients and servers that others wrote."""

import collections
import concurrent.futures
import os
import shutil
import subprocess
import time

import grpc
import pytest

from instance import ROOT
from proxy_alone import Backend, ProxyAlone, slice_of
from waiting import wait_until

H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
# A port that speaks HTTP/1 as well answers what is no preface in HTTP/1: 400, then the end. h2spec
# wants to see the end alone.
NOT_FOR_A_PORT_OF_BOTH = {"3.5/2"}


def service(proxy, app_protocol):
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: echo}}
spec:
  type: NodePort
  ports: [{{appProtocol: {app_protocol}, port: 80, nodePort: {proxy.node_port}}}]
"""


class Servicer(grpc.GenericRpcHandler):
    """Methods of bytes: who answers, a stream of numbers, and one that takes its time."""

    def __init__(self, name):
        self.name = name.encode()
        self.cancelled = 0

    def service(self, call):
        method = call.method.rsplit("/", 1)[-1]
        if method == "Who":
            return grpc.unary_unary_rpc_method_handler(self.who)
        if method == "Count":
            return grpc.stream_stream_rpc_method_handler(self.count)
        if method == "Slow":
            return grpc.unary_unary_rpc_method_handler(self.slow)
        return None

    def who(self, _, context):
        context.set_trailing_metadata((("x-served-by", self.name.decode()),))
        return self.name

    def count(self, requests, _):
        for request in requests:
            yield request + b"!"

    def slow(self, _, context):
        done = []
        context.add_callback(lambda: done.append(True))
        wait_until(lambda: done, 10, "the call is cancelled")
        self.cancelled += 1
        return b""


class GrpcBackend:
    def __init__(self, name):
        self.servicer = Servicer(name)
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        self.server.add_generic_rpc_handlers((self.servicer,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def close(self):
        self.server.stop(None).wait(5)


@pytest.fixture
def backends():
    made = [GrpcBackend(name) for name in ("one", "two", "three")]
    yield made
    for backend in made:
        backend.close()


@pytest.fixture
def proxy():
    made = ProxyAlone()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def channel(backends, proxy):  # in this order: the proxy's ports are none of the backends'
    proxy.write("services.yaml", service(proxy, "grpc"))
    proxy.write("slices.yaml", slice_of("echo", *backends))
    proxy.start()
    with grpc.insecure_channel(f"127.0.0.1:{proxy.node_port}") as made:
        grpc.channel_ready_future(made).result(timeout=10)
        yield made


def test_calls_of_one_channel_are_balanced_one_by_one(channel):
    who = channel.unary_unary("/test.Echo/Who")
    answers = collections.Counter(who(b"", timeout=5) for _ in range(30))
    assert answers == {b"one": 10, b"two": 10, b"three": 10}
    answer, call = who.with_call(b"", timeout=5)
    assert dict(call.trailing_metadata())["x-served-by"] == answer.decode()


def test_a_stream_of_messages_goes_both_ways(channel):
    count = channel.stream_stream("/test.Echo/Count")
    sent = [b"x" * size for size in (1, 10, 100_000, 0, 5)]
    assert list(count(iter(sent), timeout=10)) == [message + b"!" for message in sent]


def test_an_unknown_method_keeps_its_status(channel):
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/test.Echo/Nothing")(b"", timeout=5)
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_is_kept_and_the_server_told(channel, backends):
    begin = time.monotonic()
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/test.Echo/Slow")(b"", timeout=0.5)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begin < 5
    wait_until(lambda: sum(each.servicer.cancelled for each in backends) == 1, 5,
               "the server sees the call end")


def test_without_endpoints_a_call_is_unavailable(channel, proxy):
    (proxy.manifests / "slices.yaml").unlink()
    who = channel.unary_unary("/test.Echo/Who")

    def code():
        try:
            who(b"", timeout=5)
        except grpc.RpcError as error:
            return error.code()
        return None

    wait_until(lambda: code() == grpc.StatusCode.UNAVAILABLE, 5, "the call fails as unavailable")


def test_a_server_that_goes_takes_no_call_with_it(channel, backends):
    who = channel.unary_unary("/test.Echo/Who")
    stopped = backends[0].server.stop(5)
    answers = collections.Counter(who(b"", timeout=5) for _ in range(20))
    assert stopped.wait(10)
    answers += collections.Counter(who(b"", timeout=5) for _ in range(20))
    assert sum(answers.values()) == 40 and answers[b"two"] > 0 and answers[b"three"] > 0


def h2spec():
    """The program, built once and kept beside the other tools."""
    tools = ROOT / "build/tools"
    program = tools / "h2spec"
    if program.exists():
        return program
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        pytest.skip("h2spec needs Go to be built")
    done = subprocess.run([go, "install", H2SPEC], env={**os.environ, "GOBIN": str(tools)},
                          capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        pytest.skip(f"h2spec could not be built: {done.stderr[-300:]}")
    return program


def failures(report):
    """Section/number of each case that failed, as h2spec prints them last."""
    found, section = set(), ""
    for line in report.partition("Failures:")[2].splitlines():
        words = line.split()
        if words and words[0] == "×":
            found.add(f"{section}/{words[1].rstrip(':')}")
        elif words and words[0].endswith(".") and words[0][0].isdigit():
            section = words[0].rstrip(".")
    return found


def test_h2spec(proxy):
    program = h2spec()
    backend = Backend("one")
    proxy.write("services.yaml", service(proxy, "http"))
    proxy.write("slices.yaml", slice_of("echo", backend))
    proxy.start()
    wait_until(lambda: proxy.get(proxy.node_port)[0] == 200, 10, "the node port answers")
    report = subprocess.run([program, "-h", "127.0.0.1", "-p", str(proxy.node_port)],
                            capture_output=True, text=True, check=False, timeout=120).stdout
    backend.close()
    assert "145 tests" in report
    assert failures(report) == NOT_FOR_A_PORT_OF_BOTH, report[-3000:]


def test_curl_speaks_http2_to_a_server_of_http1(proxy):
    backend = Backend("one")
    proxy.write("services.yaml", service(proxy, "http"))
    proxy.write("slices.yaml", slice_of("echo", backend))
    proxy.start()
    wait_until(lambda: proxy.get(proxy.node_port)[0] == 200, 10, "the node port answers")
    done = subprocess.run(
        ["curl", "-s", "--max-time", "5", "--http2-prior-knowledge", "-w", " %{http_version}",
         f"http://127.0.0.1:{proxy.node_port}/"], capture_output=True, text=True, check=False)
    backend.close()
    assert done.stdout == "one 2"
