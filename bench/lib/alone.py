"""What is measured once, mostly of Tulle alone. Each takes the running bench and its arguments."""

import socket
import statistics
import threading
import time

import peers
import traffic
from instance import free_ports
from start import cpu_s, memory_mb
from waiting import wait_until

IDLE_CONNECTIONS = 8_000  # a process may have 20,000 descriptors on a common machine
CHANGES_PER_S = 1_000
SERVICES = (10, 1_000, 10_000)
SERVICES_PER_FILE = 1_000
REQUEST = b"GET /small HTTP/1.1\r\nHost: bench\r\n\r\n"


def connect_and_ask(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(REQUEST)
    received = b""
    while not received.endswith(b"Hello, world!"):
        piece = connection.recv(4096)
        if not piece:
            raise SystemExit(f"bench proxy: port {port} closed a connection")
        received += piece
    return connection


def idle_memory(bench, _):
    """Bytes for each connection that was answered once and is silent since."""
    found = {}
    for name, pids in bench.pids.items():
        if name == "byte forwarder":
            continue
        before = memory_mb(pids["http"])
        idle = [connect_and_ask(bench.ports[name]["http"]) for _ in range(IDLE_CONNECTIONS)]
        found[name] = (memory_mb(pids["http"]) - before) * 1024 * 1024 / IDLE_CONNECTIONS
        for connection in idle:
            connection.close()
    return found


class Another:
    """A Tulle of its own on a folder that a measurement may change."""

    def __init__(self, bench, name):
        self.folder = bench.folder / name
        self.folder.mkdir()
        self.ports = dict(zip(peers.ROLES, free_ports(len(peers.ROLES))))
        self.write("backend.yaml", peers.tulle_manifests(self.ports, bench.backends))
        self.bench = bench

    def write(self, name, text):
        part = self.folder.parent / (name + ".part")
        part.write_text(text)
        part.rename(self.folder / name)

    def start(self):
        self.process = self.bench.spawn(traffic.PROXY_CORE, peers.tulle_command(self.folder))
        wait_until(lambda: traffic.answers(self.ports["http"]), 60, "Tulle answers")

    def end(self):
        self.process.kill()
        self.process.wait()


def change_endpoints(tulle, backend, done):
    """Another endpoint that is not ready comes and goes, CHANGES_PER_S times a second."""
    text = peers.tulle_service("changing", tulle.ports["changing"], backend)
    started, number = time.monotonic(), 0
    while not done.is_set():
        for _ in range(10):
            number += 1
            tulle.write("changing.yaml", text.replace(
                "127.0.0.1]}", f"127.0.0.1]}}, {{addresses: [127.0.1.{number % 250 + 1}], "
                "conditions: {ready: false}}"))
        done.wait(max(0, started + number / CHANGES_PER_S - time.monotonic()))


def changes(bench, arguments):
    """p99 of the service whose endpoints change, and of the same without."""
    tulle = Another(bench, "changes")
    tulle.ports["changing"] = free_ports(1)[0]
    backend = bench.backends["http"]
    tulle.write("changing.yaml", peers.tulle_service("changing", tulle.ports["changing"], backend))
    tulle.start()
    taken = {False: [], True: []}
    generate = traffic.wrk("/small", connections=8)
    for _ in range(arguments.rounds):
        for changing, p99s in taken.items():
            done = threading.Event()
            changer = threading.Thread(target=change_endpoints, args=(tulle, backend, done))
            if changing:
                changer.start()
            p99s.append(generate(tulle.ports["changing"], arguments.seconds).p99_us)
            done.set()
            if changing:
                changer.join()
    tulle.end()
    without, with_them = (statistics.median(taken[key]) for key in (False, True))
    return {"p99 without changes, µs": without, "p99 with changes, µs": with_them,
            "ratio (aim: 1.1)": with_them / without}


def other_service(number):
    address = f"10.96.{number // 250}.{number % 250}"
    return (peers.tulle_service(f"other-{number}", 0, 9)
            .replace("type: NodePort", f"clusterIP: {address}").replace(", nodePort: 0", ""))


def write_other_services(tulle, count):
    """A file has a limit of documents, so there are several."""
    for first in range(0, count, SERVICES_PER_FILE):
        numbers = range(first, min(first + SERVICES_PER_FILE, count))
        tulle.write(f"others-{first}.yaml", "---".join(map(other_service, numbers)))


def growth(bench, arguments):
    """CPU for each request with more and more services, interleaved."""
    tulles = {}
    for count in SERVICES:
        tulles[count] = Another(bench, f"services-{count}")
        write_other_services(tulles[count], count)
        tulles[count].start()
    taken = {count: [] for count in SERVICES}
    generate = traffic.wrk("/small")
    for _ in range(arguments.rounds):
        for count, costs in taken.items():
            pid = tulles[count].process.pid
            before = cpu_s(pid)
            done = generate(tulles[count].ports["http"], arguments.seconds)
            costs.append((cpu_s(pid) - before) * 1e6 / done.count)
    for tulle in tulles.values():
        tulle.end()
    found = {f"CPU with {count} services, µs": statistics.median(costs)
             for count, costs in taken.items()}
    first, *_, last = found.values()
    return {**found, "ratio of most to fewest (aim: 1.1)": last / first}


MEASUREMENTS = {
    f"Memory of {IDLE_CONNECTIONS} idle connections, bytes for each": idle_memory,
    f"Latency while {CHANGES_PER_S} endpoint changes a second arrive": changes,
    "Cost of a request by the number of services": growth,
}
