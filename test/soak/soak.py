"""Minutes of mixed traffic through a proxy with AddressSanitizer, while everything changes.

HTTP/1.1 (kept connections and new ones), HTTP/2, TLS, gRPC, WebSocket messages and TCP streams run
side by side; endpoints, policies and certificates change many times a second. No request may fail,
and at the end there is no leak, no descriptor and no memory more than there was after a while.
"""

import argparse
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench/lib"), str(ROOT / "bench"), str(ROOT / "test/e2e")]

import peers  # noqa: E402
import traffic  # noqa: E402
from instance import free_ports  # noqa: E402
from start import memory_mb  # noqa: E402
from test_tls import make_certificate, secret  # noqa: E402
from waiting import wait_until  # noqa: E402

BINARY = ROOT / "build/asan/tulle"
SLICE_S = 10  # of load, between two looks at descriptors and memory
CHANGES_PER_S = 20
# After the first slices, what is kept (idle connections, freed memory in quarantine) has settled.
SETTLED_AFTER = 3
DESCRIPTORS_MORE_MAX, MEMORY_MORE_MAX = 100, 1.25
LOADS = {
    "HTTP/1.1": ("http", traffic.wrk("/small", connections=16)),
    "HTTP/1.1, 16 KB": ("http", traffic.wrk("/16k", connections=4)),
    "HTTP/1.1, new connections": ("http", traffic.wrk("/small", {"Connection": "close"}, 4)),
    "HTTP/2": ("http2", traffic.h2load("/small", connections=4, streams=4)),
    "gRPC": ("grpc", traffic.h2load("/call", call=True, connections=4, streams=4)),
    "WebSocket": ("websocket", traffic.stream("messages", connections=8)),
    "TCP": ("tcp", traffic.stream("drain", connections=2)),
}
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {role}}}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: soak}
spec:
  tls: [{hosts: [soak.localhost], secretName: shop}]
  rules:
  - host: soak.localhost
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: http, port: {number: 80}}}}]
"""
POLICY = """
apiVersion: tulle.dev/v1alpha1
kind: TrafficPolicy
metadata: {{name: {role}}}
spec:
  targetRefs: [{{kind: Service, name: {role}}}]
  {rest}
"""
# What changes nothing about the answers.
POLICIES = [
    "loadBalancing: {policy: RoundRobin, slowStart: 1s}",
    "loadBalancing: {policy: PeakEwma}\n  timeouts: {request: 30s, connect: 2s}",
    "loadBalancing: {policy: Maglev, hashOn: {type: Path}}\n  outlierDetection: {}",
    "loadBalancing: {policy: RingHash, hashOn: {type: ClientAddress}, boundedLoadPercent: 150}",
    "hedging: {percentile: 95}\n  timeouts: {perTry: 20s, maxConnectionAge: 1s}",
    "circuitBreaking: {maxRequests: 100000}\n  retry: {codes: [503]}",
]


def over_tls(port, seconds):
    """Requests of HTTP/2 over TLS, the version by ALPN."""
    done = subprocess.run(
        ["h2load", "-t1", "-c4", "-m4", "-D", str(seconds), f"--connect-to=127.0.0.1:{port}",
         "https://soak.localhost/small"],
        capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    line = next(line for line in done.splitlines() if line.startswith("requests:"))
    if "Application protocol: h2" not in done or " 0 failed, 0 errored, 0 timeout" not in line:
        raise SystemExit(f"soak: over TLS: {line}")
    return int(line.split()[1])


class Soak:
    def __init__(self, folder, seed):
        self.folder = folder
        self.random = random.Random(seed)
        self.manifests = folder / "manifests"
        self.manifests.mkdir()
        requests, calls, echo, source = free_ports(4)
        self.backends = {"http": requests, "http2": requests, "grpc": calls, "websocket": echo,
                         "tcp": source}
        ports = free_ports(len(peers.ROLES) + 2)
        self.ports = dict(zip(peers.ROLES, ports))
        self.tls_port, self.nobody = ports[-2:]
        self.log = folder / "log"
        self.processes = []
        self.failures = []
        self.counts = {}

    def write(self, name, text):
        part = self.folder / "part"
        part.write_text(text)
        part.rename(self.manifests / name)

    def begin(self):
        for command in (peers.backend_command(self.folder, self.backends["http"]),
                        peers.grpc_command(self.folder, self.backends["grpc"]),
                        peers.streams_command(self.backends)):
            self.processes.append(subprocess.Popen(list(map(str, command)),
                                                   stdin=subprocess.DEVNULL,
                                                   stdout=subprocess.DEVNULL))
        self.write("services.yaml", peers.tulle_manifests(self.ports, self.backends))
        self.write("ingress.yaml", INGRESS)
        self.write("secret.yaml", secret(*make_certificate(self.folder, "soak.localhost")))
        environment = {**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=16:detect_leaks=1"}
        with open(self.log, "wb") as log:
            self.proxy = subprocess.Popen(
                [BINARY, "proxy", "-f", self.manifests, "--workers", "2", "--ingress-port", "0",
                 "--ingress-tls-port", str(self.tls_port), "--admin-port", "0"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        wait_until(lambda: traffic.answers(self.ports["http"]), 20, "the proxy answers")

    def change(self):
        """One change: an endpoint where nobody listens comes or goes, a policy or certificate."""
        role = self.random.choice(peers.ROLES)
        kind = self.random.randrange(20)
        if kind == 0:
            pair = make_certificate(self.folder, "soak.localhost")
            self.write("secret.yaml", secret(*pair))
        elif kind < 6:
            rest = self.random.choice(POLICIES)
            self.write(f"policy-{role}.yaml", POLICY.format(role=role, rest=rest))
        elif kind < 14:
            self.write(f"dead-{role}.yaml",
                       SLICE.format(name=f"dead-{role}", role=role, port=self.nobody))
        else:
            (self.manifests / f"dead-{role}.yaml").unlink(missing_ok=True)

    def churn(self, until):
        while time.monotonic() < until and not self.failures:
            self.change()
            time.sleep(1 / CHANGES_PER_S)

    def load(self, name, generate, port):
        try:
            done = generate(port, SLICE_S)
            count = done if isinstance(done, int) else int(done.count)
            self.counts[name] = self.counts.get(name, 0) + count
        except (SystemExit, subprocess.SubprocessError, ValueError) as error:
            self.failures.append(f"{name}: {error}")

    def slice(self):
        """Everything at once for a while; then (descriptors, memory in MB)."""
        until = time.monotonic() + SLICE_S
        threads = [threading.Thread(target=self.load, args=(name, generate, self.ports[role]))
                   for name, (role, generate) in LOADS.items()]
        threads.append(threading.Thread(target=self.load,
                                        args=("HTTP/2 over TLS", over_tls, self.tls_port)))
        threads.append(threading.Thread(target=self.churn, args=(until,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.proxy.poll() is not None:
            self.failures.append(f"the proxy ended with {self.proxy.returncode}")
            return 0, 0
        descriptors = len(os.listdir(f"/proc/{self.proxy.pid}/fd"))
        return descriptors, memory_mb(self.proxy.pid)

    def end(self):
        if self.proxy.poll() is None:
            self.proxy.send_signal(signal.SIGTERM)
            code = self.proxy.wait(60)
            if code != 0:
                self.failures.append(f"the proxy ended with {code}")
        for process in self.processes:
            process.kill()
            process.wait()
        said = self.log.read_text(errors="replace")
        if "Sanitizer" in said or "runtime error" in said:
            self.failures.append(said[-8000:])


def judge(slices, failures):
    settled = slices[SETTLED_AFTER:]
    if len(settled) < 2:
        return
    (descriptors, memory), *later = settled
    for now_descriptors, now_memory in later:
        if now_descriptors > descriptors + DESCRIPTORS_MORE_MAX:
            failures.append(f"descriptors grew from {descriptors} to {now_descriptors}")
        if now_memory > memory * MEMORY_MORE_MAX:
            failures.append(f"memory grew from {memory:.0f} to {now_memory:.0f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=float, nargs="?", default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory(prefix="tulle-soak-") as name:
        soak = Soak(pathlib.Path(name), arguments.seed)
        slices = []
        try:
            soak.begin()
            until = time.monotonic() + arguments.minutes * 60
            while time.monotonic() < until and not soak.failures:
                slices.append(soak.slice())
                print("{} descriptors, {:.0f} MB".format(*slices[-1]), flush=True)
        finally:
            soak.end()
    judge(slices, soak.failures)
    for name, count in soak.counts.items():
        print(f"{name:28}{count:>12}")
    for failure in soak.failures:
        print(f"FAILED: {failure}")
    sys.exit(1 if soak.failures else 0)


if __name__ == "__main__":
    main()
