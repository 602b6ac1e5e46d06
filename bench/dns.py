"""What an answer costs: Tulle's DNS beside Knot and CoreDNS, all with the same thousand services.

One worker each on one core, dnsperf on another. In each round every server takes its turn, so that
the machine's moods hit all alike and only ratios within this run count. CPU is user and system
time of the whole process, per question.
"""

import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "bench/lib"), str(ROOT / "test/e2e")]

from instance import free_ports  # noqa: E402
from start import cpu_s, memory_mb  # noqa: E402
from waiting import wait_until  # noqa: E402

SERVICES = 1_000
SERVER_CORE, LOAD_CORE = "0", "1"
# How many times the questions per second of the other, at least.
AIMS = {"Knot": 0.8, "CoreDNS": 5.0}
COREDNS = "github.com/coredns/coredns@v1.11.3"


def address(i):
    return f"10.96.{i // 250}.{i % 250 + 1}"


def write_services(folder):
    """The same names as manifests, as a zone file and as questions."""
    manifests = folder / "manifests"
    manifests.mkdir()
    (manifests / "services.yaml").write_text("---\n".join(
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: s{i}}}\n"
        f"spec: {{clusterIP: {address(i)}, clusterIPs: [{address(i)}], ports: [{{port: 80}}]}}\n"
        for i in range(SERVICES)))
    (folder / "zone").write_text(
        "$ORIGIN svc.cluster.local.\n$TTL 5\n"
        "@ SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5\n"
        "@ NS ns.dns.cluster.local.\n"
        + "".join(f"s{i}.default A {address(i)}\n" for i in range(SERVICES)))
    (folder / "questions").write_text(
        "".join(f"s{i}.default.svc.cluster.local A\n" for i in range(SERVICES)))


def tulle(folder, port):
    return [ROOT / "build/release/tulle", "proxy", "-f", folder / "manifests", "--workers", "1",
            "--ingress-port", "0", "--admin-port", "0", "--dns-address", f"127.0.0.1:{port}"]


def knot(folder, port):
    config = folder / "knot.conf"
    config.write_text(f"""server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{folder}"
zone:
  - domain: svc.cluster.local
    file: "{folder}/zone"
""")
    return [shutil.which("knotd", path="/usr/sbin:/usr/bin"), "-c", config]


def coredns(folder, port):
    """Built once from its Go module; None where that cannot be."""
    built = ROOT / "build/tools/coredns"
    if not built.is_file():
        if shutil.which("go") is None:
            return None
        print(f"building {COREDNS}", flush=True)
        done = subprocess.run(["env", f"GOBIN={built.parent}", "go", "install", COREDNS],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(done.stderr.strip().splitlines()[-1])
            return None
    config = folder / "Corefile"
    config.write_text(f"svc.cluster.local:{port} {{\n bind 127.0.0.1\n file {folder}/zone\n}}\n")
    return ["env", "GOMAXPROCS=1", built, "-conf", config]


def questions(folder, port, seconds):
    """How many dnsperf had answered, and how long an answer took on the average, in µs."""
    done = subprocess.run(
        ["taskset", "-c", LOAD_CORE, "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d",
         folder / "questions", "-l", str(seconds), "-c", "8"],
        capture_output=True, text=True, timeout=seconds + 30, check=True).stdout
    completed = int(re.search(r"Queries completed: +(\d+)", done)[1])
    latency_s = float(re.search(r"Average Latency \(s\): +([\d.]+)", done)[1])
    return completed, latency_s * 1e6


def measure(process, folder, port, seconds):
    before = cpu_s(process.pid)
    count, latency_us = questions(folder, port, seconds)
    return {"CPU, µs": (cpu_s(process.pid) - before) * 1e6 / count, "count/s": count / seconds,
            "latency, µs": latency_us, "memory, MB": memory_mb(process.pid)}


def answers(folder, port):
    return questions(folder, port, 0.1)[0] > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of one turn")
    arguments = parser.parse_args()
    processes = {}
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as name:
        folder = pathlib.Path(name)
        write_services(folder)
        try:
            for server, command in (("Tulle", tulle), ("Knot", knot), ("CoreDNS", coredns)):
                port = free_ports(1)[0]
                words = command(folder, port)
                if words is None:
                    continue
                process = subprocess.Popen(["taskset", "-c", SERVER_CORE, *map(str, words)],
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                processes[server] = (process, port)
                wait_until(lambda p=port: answers(folder, p), 20, f"{server} answers")
            turns = {server: [] for server in processes}
            for _ in range(arguments.rounds):
                for server, (process, port) in processes.items():
                    turns[server].append(measure(process, folder, port, arguments.seconds))
        finally:
            for process, _ in processes.values():
                process.terminate()
                process.wait(20)
    rows = {server: {column: statistics.median(turn[column] for turn in all_turns)
                     for column in all_turns[0]} for server, all_turns in turns.items()}
    columns = list(rows["Tulle"])
    print("".join(f"{column:>16}" for column in ["", *columns, "Tulle's rate"]))
    for server, figures in rows.items():
        ratio = rows["Tulle"]["count/s"] / figures["count/s"]
        aim = f"   (aim: {AIMS[server]})" if server in AIMS else ""
        print(f"{server:>16}" + "".join(f"{figures[column]:16.1f}" for column in columns)
              + f"{ratio:16.2f}{aim}")
    results = ROOT / "build/results"
    results.mkdir(parents=True, exist_ok=True)
    (results / "bench-dns.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
