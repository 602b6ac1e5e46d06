"""What one hop costs: Tulle's proxy beside HAProxy, nginx, Envoy and a bare byte forwarder.

Every proxy has one worker on one core; the backend (nginx) and the load (wrk) share another. In
each round every proxy takes its turn at every scenario: the machine's moods hit all alike, and only
ratios within this run count. CPU is user and system time of the whole proxy process.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "test/e2e"), str(ROOT / "bench/lib")]

import peers  # noqa: E402
from instance import free_ports  # noqa: E402
from start import cpu_s, memory_mb  # noqa: E402
from waiting import wait_until  # noqa: E402

CONNECTIONS = 64
PROXY_CORE, LOAD_CORE = "0", "1"
PORTS_MAX = 8
# What ratio of CPU per request Tulle is to stay within, small bodies.
AIMS = {"byte forwarder": 1.15, "HAProxy": 0.92, "nginx": 1.0, "Envoy": 0.5}
SCENARIOS = {
    "HTTP/1.1, 13 bytes": ("/small", {}),
    "HTTP/1.1, 16 KB": ("/16k", {}),
    "HTTP/1.1, a new connection each": ("/small", {"Connection": "close"}),
}
REPORT = """
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("%d %d %d %d %d %d\\n", summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""


def spawn(core, command):
    return subprocess.Popen(["taskset", "-c", core, *map(str, command)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def get(port):
    done = subprocess.run(["curl", "-s", "--max-time", "2", f"http://127.0.0.1:{port}/small"],
                          capture_output=True, text=True, check=False)
    return done.stdout == "Hello, world!"


def load(script, port, scenario, seconds):
    path, headers = SCENARIOS[scenario]
    extra = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    done = subprocess.run(
        ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s",
         script, *extra, f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, check=True, timeout=seconds + 30)
    requests, errors, took_us, *latencies_us = map(int, done.stdout.split("\n")[-2].split())
    return requests, errors, took_us, latencies_us


def measure(script, pid, port, scenario, seconds):
    before = cpu_s(pid)
    requests, errors, took_us, latencies = load(script, port, scenario, seconds)
    if errors or not requests:
        raise SystemExit(f"bench proxy: {errors} errors in {requests} requests ({scenario})")
    return {"CPU, µs": (cpu_s(pid) - before) * 1e6 / requests,
            "requests/s": requests * 1e6 / took_us,
            "p50, µs": latencies[0], "p99, µs": latencies[1], "p99.9, µs": latencies[2],
            "memory, MB": memory_mb(pid)}


def print_table(scenario, rows):
    columns = list(next(iter(rows.values()))) + ["Tulle's CPU ratio"]
    print(f"\n{scenario}\n{'':16}" + "".join(f"{column:>18}" for column in columns))
    for name, figures in rows.items():
        ratio = rows["Tulle"]["CPU, µs"] / figures["CPU, µs"]
        aim = AIMS.get(name) if scenario == next(iter(SCENARIOS)) else None
        print(f"{name:16}" + "".join(f"{value:18.1f}" for value in figures.values())
              + f"{ratio:18.2f}" + (f"   (aim: {aim})" if aim else ""))


def run(folder, rounds, seconds):
    script = folder / "report.lua"
    script.write_text(REPORT)
    backend, *rest = free_ports(PORTS_MAX)
    commands, ports = peers.commands(folder, backend, iter(rest))
    processes = {"backend": spawn(LOAD_CORE, peers.backend_command(folder, backend))}
    try:
        for name, command in commands.items():
            processes[name] = spawn(PROXY_CORE, command)
            wait_until(lambda: get(ports[name]), 20, f"{name} answers")
        taken = {scenario: {name: [] for name in commands} for scenario in SCENARIOS}
        for number in range(rounds):
            for scenario, by_name in taken.items():
                for name, figures in by_name.items():
                    figures.append(measure(script, processes[name].pid, ports[name], scenario,
                                           seconds))
            print(f"round {number + 1} of {rounds} done", flush=True)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return {scenario: {name: {key: statistics.median(one[key] for one in figures)
                              for key in figures[0]} for name, figures in by_name.items()}
            for scenario, by_name in taken.items()}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench proxy", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each turn (default: 2)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tulle-bench-", dir="/tmp") as folder:
        path = pathlib.Path(folder)
        path.chmod(0o755)
        medians = run(path, arguments.rounds, arguments.seconds)
    for scenario, rows in medians.items():
        print_table(scenario, rows)
    stored = ROOT / "build/results/bench-proxy.json"
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_text(json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                                  "medians": medians}, indent=1))
    print(f"\nstored in {stored.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
