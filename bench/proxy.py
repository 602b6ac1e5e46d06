"""What one hop costs: Tulle's proxy beside HAProxy, nginx, Envoy and a bare byte forwarder.

Every proxy has one worker on one core; the backends and the load share another. In each round every
proxy takes its turn at every scenario: the machine's moods hit all alike, and only ratios within
this run count. CPU is user and system time of the whole proxy process, per request, message or MB.

Then, once each: memory of idle connections, Tulle's latency while endpoints change, and Tulle's
cost with more and more services.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "bench/lib"), str(ROOT / "test/e2e")]

import alone  # noqa: E402
import peers  # noqa: E402
import traffic  # noqa: E402
from instance import free_ports  # noqa: E402
from start import cpu_s, memory_mb  # noqa: E402
from waiting import wait_until  # noqa: E402

# What ratio of CPU Tulle is to stay within, in the first scenario; and with the kernel fast path.
AIMS = {"byte forwarder": 1.15, "HAProxy": 0.92, "nginx": 1.0, "Envoy": 0.5}
FAST_PATH_AIM = 0.6  # of HAProxy
# name → which port of the proxies, and the load for so many seconds on it.
SCENARIOS = {
    "HTTP/1.1, 13 bytes": ("http", traffic.wrk("/small")),
    "HTTP/1.1, 16 KB": ("http", traffic.wrk("/16k")),
    "HTTP/1.1, a new connection each": ("http", traffic.wrk("/small", {"Connection": "close"})),
    "HTTP/1.1 over TLS, 13 bytes": (peers.TLS, traffic.wrk("/small", scheme="https")),
    "HTTP/2, 13 bytes": ("http2", traffic.h2load("/small")),
    "gRPC, 13 bytes": ("grpc", traffic.h2load("/call", call=True)),
    "WebSocket messages": ("websocket", traffic.stream("messages", connections=64)),
    "TCP stream, MB": ("tcp", traffic.stream("drain", connections=8)),
}


def measure(pid, port, generate, seconds):
    before = cpu_s(pid)
    done = generate(port, seconds)
    return {"CPU, µs": (cpu_s(pid) - before) * 1e6 / done.count,
            "count/s": done.count / done.took_s,
            "p50, µs": done.p50_us, "p99, µs": done.p99_us, "p99.9, µs": done.p999_us,
            "memory, MB": memory_mb(pid)}


def print_table(scenario, rows):
    columns = list(next(iter(rows.values()))) + ["Tulle's CPU ratio"]
    print(f"\n{scenario}\n{'':16}" + "".join(f"{column:>18}" for column in columns))
    for name, figures in rows.items():
        ratio = rows["Tulle"]["CPU, µs"] / figures["CPU, µs"]
        aim = AIMS.get(name) if scenario == next(iter(SCENARIOS)) else None
        print(f"{name:16}" + "".join(f"{value:18.1f}" for value in figures.values())
              + f"{ratio:18.2f}" + (f"   (aim: {aim})" if aim else ""))
    fast = rows[peers.FAST_PATH]["CPU, µs"] / rows["HAProxy"]["CPU, µs"]
    print(f"CPU of {peers.FAST_PATH} to that of HAProxy: {fast:.2f}"
          + (f" (aim: {FAST_PATH_AIM})" if scenario == next(iter(SCENARIOS)) else ""))


class Bench:
    """The backends and the proxies, while they run."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []
        requests, calls, echo, source = free_ports(4)
        self.backends = {"http": requests, "http2": requests, "grpc": calls,
                         "websocket": echo, "tcp": source}
        self.ports = {}
        self.pids = {}

    def begin(self):
        self.spawn(traffic.LOAD_CORE, peers.backend_command(self.folder, self.backends["http"]))
        self.spawn(traffic.LOAD_CORE, peers.grpc_command(self.folder, self.backends["grpc"]))
        self.spawn(traffic.LOAD_CORE, peers.streams_command(self.backends))
        names = ["Tulle", peers.FAST_PATH, "HAProxy", "nginx", "Envoy", "byte forwarder"]
        roles = (*peers.ROLES, peers.TLS)
        given = iter(free_ports(len(names) * len(roles)))
        self.ports = {name: {role: next(given) for role in roles} for name in names}
        for role in ("http", "websocket", "tcp"):
            self.start("byte forwarder", [role], peers.forwarder_command(
                self.ports["byte forwarder"][role], self.backends[role]))
        commands = peers.commands(self.folder, self.ports, self.backends)
        for name, command in commands.items():
            self.start(name, roles, command)

    def spawn(self, core, command):
        process = subprocess.Popen(["taskset", "-c", core, *map(str, command)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def start(self, name, roles, command):
        pid = self.spawn(traffic.PROXY_CORE, command).pid
        self.pids.setdefault(name, {}).update(dict.fromkeys(roles, pid))
        if "http" in roles:
            wait_until(lambda: traffic.answers(self.ports[name]["http"]), 20, f"{name} answers")

    def compare(self, rounds, seconds):
        taken = {scenario: {name: [] for name, pids in self.pids.items() if role in pids}
                 for scenario, (role, _) in SCENARIOS.items()}
        for number in range(rounds):
            for scenario, by_name in taken.items():
                role, generate = SCENARIOS[scenario]
                for name, figures in by_name.items():
                    figures.append(measure(self.pids[name][role], self.ports[name][role], generate,
                                           seconds))
            print(f"round {number + 1} of {rounds} done", flush=True)
        return {scenario: {name: {key: statistics.median(one[key] for one in figures)
                                  for key in figures[0]} for name, figures in by_name.items()}
                for scenario, by_name in taken.items()}

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()


def run(folder, arguments):
    bench = Bench(folder)
    try:
        bench.begin()
        medians = bench.compare(arguments.rounds, arguments.seconds)
        for scenario, rows in medians.items():
            print_table(scenario, rows)
        found = {"medians": medians}
        for title, measurement in alone.MEASUREMENTS.items():
            found[title] = measurement(bench, arguments)
            print(f"\n{title}")
            for name, value in found[title].items():
                print(f"{name:40}{value:12.2f}")
        return found
    finally:
        bench.end()


def main():
    parser = argparse.ArgumentParser(prog="./dev bench proxy", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each turn (default: 2)")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="tulle-bench-", dir="/tmp") as folder:
        path = pathlib.Path(folder)
        path.chmod(0o755)
        found = run(path, arguments)
    stored = ROOT / "build/results/bench-proxy.json"
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_text(json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                                  **found}, indent=1))
    print(f"\nstored in {stored.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
