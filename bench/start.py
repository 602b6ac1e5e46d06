"""How fast Tulle is there, and what it costs while nothing happens.

Each round: a new data directory with the two images loaded, `tulle up -f examples/hello-world`.
Measured from the start of the process: /readyz, then six pods that answer through the Ingress.
Then resident memory (proportional share, so that what both processes map counts once) and
the CPU time of both processes over some idle seconds.
"""

import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "test/e2e"))

import traces  # noqa: E402
from instance import EXAMPLES, Instance  # noqa: E402
from waiting import wait_until  # noqa: E402

AIMS = {
    "ready, ms": 200,
    "six pods serving, ms": 3000,
    "memory of both, MB": 40,
    "idle CPU, % of a core": 0.5,
}


def memory_mb(pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines()
               if line.startswith("Pss:")) / 1024


def cpu_s(pid):
    """CPU time in seconds, as fine as the scheduler keeps it."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def serving(instance):
    return (len(instance.ready_pods("hello")) == len(instance.ready_pods("world")) == 3
            and instance.ingress("hello.localhost", "/world")[0] == 200
            and instance.ingress("world.localhost")[0] == 200)


def one_round(idle_s):
    instance = Instance()
    try:
        instance.import_examples()
        begin = time.monotonic()
        instance.start(EXAMPLES)
        ready = time.monotonic() - begin
        wait_until(lambda: serving(instance), 60, "six pods serving")
        six = time.monotonic() - begin
        control, proxy = instance.role_pid("control"), instance.role_pid("proxy")
        time.sleep(2)  # what the start left to do is not idleness
        before = [cpu_s(pid) for pid in (control, proxy)]
        time.sleep(idle_s)
        used = sum(cpu_s(pid) for pid in (control, proxy)) - sum(before)
        figures = {
            "ready, ms": ready * 1000,
            "six pods serving, ms": six * 1000,
            "memory of control, MB": memory_mb(control),
            "memory of proxy, MB": memory_mb(proxy),
            "memory of supervisor, MB": memory_mb(instance.process.pid),
            "idle CPU, % of a core": 100 * used / idle_s,
        }
        figures["memory of both, MB"] = (figures["memory of control, MB"]
                                         + figures["memory of proxy, MB"])
        return figures
    finally:
        instance.close()


def main():
    parser = argparse.ArgumentParser(prog="./dev bench start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=float, default=10, help="seconds of idleness to measure")
    arguments = parser.parse_args()
    rounds = []
    for number in range(arguments.rounds):
        rounds.append(one_round(arguments.idle))
        print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
    print(f"\n{'':28}{'median':>10}{'min':>10}{'max':>10}{'aim':>10}")
    for name in rounds[0]:
        values = [figures[name] for figures in rounds]
        aim = f"< {AIMS[name]}" if name in AIMS else ""
        digits = 2 if "CPU" in name else 1 if "MB" in name else 0
        numbers = (statistics.median(values), min(values), max(values))
        print(f"{name:28}" + "".join(f"{n:>10.{digits}f}" for n in numbers) + f"{aim:>10}")


if __name__ == "__main__":
    main()
