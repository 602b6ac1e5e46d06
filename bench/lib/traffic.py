"""The load: wrk for requests, h2load for those of HTTP/2, stream_load for messages and streams."""

import dataclasses
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROXY_CORE, LOAD_CORE = "0", "1"
STREAM_LOAD = ROOT / "build/release/bench/stream_load"
# Both print: count, errors, microseconds taken, p50, p99 and p99.9 in microseconds.
REPORT = """
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("%d %d %d %d %d %d\\n", summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""


@dataclasses.dataclass
class Done:
    count: float  # requests, messages or megabytes
    took_s: float
    p50_us: int
    p99_us: int
    p999_us: int


def run(command, seconds, per_count=1):
    done = subprocess.run(["taskset", "-c", LOAD_CORE, *map(str, command)], capture_output=True,
                          text=True, check=True, timeout=seconds + 30)
    count, errors, took_us, *latencies_us = map(int, done.stdout.strip().split("\n")[-1].split())
    if errors or not count:
        raise SystemExit(f"bench proxy: {errors} errors in {count} of {command}")
    return Done(count / per_count, took_us / 1e6, *latencies_us)


def wrk(path, headers=None, connections=64, scheme="http"):
    host = "localhost" if scheme == "https" else "127.0.0.1"  # a name, for the certificate
    extra = [word for name, value in (headers or {}).items() for word in ("-H", f"{name}: {value}")]

    def generate(port, seconds):
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(REPORT)
            script.flush()
            return run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name,
                        *extra, f"{scheme}://{host}:{port}{path}"], seconds)
    return generate


def h2load(path, call=False, connections=8, streams=8):
    """Over HTTP/2 with prior knowledge. `call`: a POST that looks like a gRPC call."""
    def generate(port, seconds):
        with tempfile.TemporaryDirectory() as folder:
            log, message = pathlib.Path(folder) / "log", pathlib.Path(folder) / "message"
            message.write_bytes(bytes([0, 0, 0, 0, 3]) + b"ask")
            extra = ["-d", message, "-H", "content-type: application/grpc", "-H", "te: trailers"]
            subprocess.run(
                ["taskset", "-c", LOAD_CORE, "h2load", "-t1", f"-c{connections}", f"-m{streams}",
                 "-D", str(seconds), f"--log-file={log}", *(extra if call else []),
                 f"http://127.0.0.1:{port}{path}"],
                capture_output=True, check=True, timeout=seconds + 30)
            # One line for each request: when it began, its status, and how long it took, in µs.
            rows = [line.split("\t") for line in log.read_text().splitlines()]
        failed = sum(row[1] != "200" for row in rows)
        if failed or not rows:
            raise SystemExit(f"bench proxy: {failed} of {len(rows)} failed over HTTP/2")
        took = sorted(int(row[2]) for row in rows)
        return Done(len(took), seconds, *(took[int(part * (len(took) - 1))]
                                          for part in (0.5, 0.99, 0.999)))
    return generate


def stream(mode, connections):
    def generate(port, seconds):
        return run([STREAM_LOAD, mode, port, connections, seconds], seconds,
                   per_count=1e6 if mode == "drain" else 1)
    return generate


def answers(port):
    done = subprocess.run(["curl", "-s", "--max-time", "2", f"http://127.0.0.1:{port}/small"],
                          capture_output=True, text=True, check=False)
    return done.stdout == "Hello, world!"
