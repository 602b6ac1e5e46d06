"""Fixtures: a running instance, and one with the hello-world example in a known state."""

import os
import signal

import pytest

from instance import BINARY, EXAMPLES, Instance
from polyglot import MANIFEST, PODS
from waiting import wait_until

TEST_LIMIT_S = 240


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="end-to-end tests need root"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """No test hangs: the alarm breaks whatever it waits for. A mark limit_s gives it longer."""
    mark = item.get_closest_marker("limit_s")
    limit_s = mark.args[0] if mark else TEST_LIMIT_S

    def give_up(*_):
        pytest.fail(f"{item.name} took longer than {limit_s} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(limit_s)
    yield
    signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.failed:
        for instance in Instance.alive:
            report.sections.append((f"tulle up in {instance.data_dir}", instance.log()))


@pytest.fixture
def instance():
    """A running instance of the test's own, empty, with the example images loaded."""
    made = Instance()
    try:
        made.import_examples()
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def shared():
    """One instance for all tests that leave it as they found it."""
    made = Instance()
    try:
        made.import_examples()
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def hello_world(shared):
    """The shared instance with the examples applied: three ready pods each, traffic flowing."""
    shared.kubectl("apply", "-f", EXAMPLES)
    for app in ("hello", "world"):
        shared.wait_for_pods(app, 3)
    shared.wait_for_traffic()
    return shared


@pytest.fixture
def polyglot(shared):
    """The shared instance with the server of several protocols."""
    shared.import_image("polyglot:latest", BINARY.parent / "test/polyglot")
    shared.kubectl("apply", "-f", "-", stdin=MANIFEST)
    shared.wait_for_pods("polyglot", PODS)
    wait_until(lambda: shared.ingress("polyglot.localhost")[0] == 200, 10,
               "the Ingress leads there")
    yield shared
    shared.kubectl("delete", "-f", "-", "--wait=false", stdin=MANIFEST)
