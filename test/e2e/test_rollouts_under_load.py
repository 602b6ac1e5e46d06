"""Rollouts under the load of wrk and h2load, which run in pods: tools that others trust to count
errors.
"""

import json
import pathlib
import re
import tempfile

import pytest

from debian_image import Debian
from polyglot import PODS, roll_out
from test_rollouts import ROLLOUTS
from waiting import wait_until

# Each round is a report. They get a part of a core: the machine has other things to do than load.
COMMANDS = {
    "wrk": "wrk --threads 1 --connections 16 --duration 4s --timeout 10s http://polyglot:80/",
    "h2load": "h2load --clients 4 --max-concurrent-streams 8 --requests 4000 http://polyglot:81/",
}
CPU = "150m"
ENOUGH = 1000  # requests of each, at least


@pytest.fixture(scope="module")
def generators(shared):
    """The shared instance with an image that has both."""
    with tempfile.TemporaryDirectory(prefix="tulle-e2e-debian-") as folder:
        Debian(pathlib.Path(folder)).make_image(shared, "generators:1", ["wrk", "nghttp2-client"])
    return shared


def pod_of(tool):
    script = f"until test -e /tmp/stop; do {COMMANDS[tool]} || echo {tool} failed; done; echo over"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": tool},
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                     "containers": [{"name": tool, "image": "generators:1",
                                     "command": ["sh", "-c", script],
                                     "resources": {"limits": {"cpu": CPU}}}]}}


def report_of(instance, tool):
    return instance.kubectl("logs", tool)


def succeeded(tool, report):
    """How many requests, by the tool's own count."""
    counts = {"wrk": r"^\s*(\d+) requests in", "h2load": r"(\d+) succeeded"}[tool]
    return sum(map(int, re.findall(counts, report, re.MULTILINE)))


def complaints(tool, report):
    """The lines that tell of anything but a 2xx."""
    if tool == "wrk":  # it says these only where there are any
        return re.findall(r".*(?:Socket errors|Non-2xx|failed|unable).*", report)
    wrong = [line for line in re.findall(r"^requests:.*", report, re.MULTILINE)
             if " 0 failed, 0 errored, 0 timeout" not in line]
    wrong += [line for line in re.findall(r"^status codes:.*", report, re.MULTILINE)
              if "2xx, 0 3xx, 0 4xx, 0 5xx" not in line]
    return wrong + re.findall(r".*h2load failed.*", report)


def has_begun(instance, tool):
    report = report_of(instance, tool)
    assert succeeded(tool, report) > ENOUGH, report[-1000:]
    return True


def test_complaints_are_found_in_reports():
    assert complaints("wrk", "  Socket errors: connect 0, read 1, write 0, timeout 0\n")
    assert complaints("wrk", "  Non-2xx or 3xx responses: 3\n")
    fine = ("requests: 4000 total, 4000 started, 4000 done, 4000 succeeded, 0 failed, 0 errored, "
            "0 timeout\nstatus codes: 4000 2xx, 0 3xx, 0 4xx, 0 5xx\n")
    assert not complaints("h2load", fine) and succeeded("h2load", fine) == 4000
    assert complaints("h2load", fine.replace("0 errored", "1 errored"))
    assert complaints("h2load", fine.replace("0 5xx", "2 5xx"))
    assert succeeded("wrk", "  123 requests in 4.00s, 1.00MB read\n") == 123


@pytest.mark.limit_s(600)  # it fetches packages, too
def test_wrk_and_h2load_see_no_error_in_twenty_rollouts(generators, polyglot):
    for tool in COMMANDS:
        generators.kubectl("apply", "-f", "-", stdin=json.dumps(pod_of(tool)))
    try:
        for tool in COMMANDS:
            wait_until(lambda tool=tool: has_begun(generators, tool), 60, f"{tool} reports")
        for i in range(ROLLOUTS):
            roll_out(polyglot, f"loaded-{i}")
        polyglot.wait_for_pods("polyglot", PODS)
        for tool in COMMANDS:
            generators.kubectl("exec", tool, "--", "touch", "/tmp/stop")
        wait_until(lambda: all(report_of(generators, tool).endswith("over\n")
                               for tool in COMMANDS), 60, "both have ended")
        reports = {tool: report_of(generators, tool) for tool in COMMANDS}
    finally:
        generators.kubectl("delete", "pod", "--ignore-not-found", "--wait=false", *COMMANDS)
    for tool, report in reports.items():
        assert not complaints(tool, report), report[-3000:]
        assert succeeded(tool, report) > 2 * ENOUGH, report[-3000:]
