"""Processes die by kill -9 under load of four protocols, of which every word is counted."""

import contextlib
import os
import signal

import traces
from load import Load
from polyglot import PODS, node_port
from talkers import GrpcCallers, PlainConnections, WebSockets
from waiting import wait_until

ENOUGH = 100
CHATS = 12  # WebSockets, and as many TCP connections
PLAIN = """
apiVersion: v1
kind: Service
metadata: {name: plain}
spec:
  type: NodePort
  selector: {app: polyglot}
  ports: [{name: plain, port: 90, targetPort: 8080, appProtocol: tcp}]
"""


@contextlib.contextmanager
def all_talk(instance):
    """Idempotent requests of HTTP/1.1, calls of gRPC, WebSockets and TCP."""
    instance.kubectl("apply", "-f", "-", stdin=PLAIN)
    port = wait_until(lambda: instance.get("service/plain")["spec"]["ports"][0].get("nodePort"),
                      10, "plain TCP has a port")
    try:
        wait_until(lambda: instance.endpoints("plain") == PODS, 20, "and somebody behind it")
        with Load(instance, "polyglot.localhost", pause_s=0.01) as requests, \
                GrpcCallers(node_port(instance, "grpc"), 2) as calls, \
                WebSockets(instance.ingress_port, "polyglot.localhost", CHATS) as chats, \
                PlainConnections(port, CHATS) as streams:
            wait_until(lambda: requests.total > ENOUGH and calls.done > ENOUGH
                       and chats.done > CHATS and streams.done > CHATS, 30, "all of them talk")
            yield requests, calls, chats, streams
    finally:
        instance.kubectl("delete", "service", "plain")


def talk_on(talkers):
    """Until each has said a lot more."""
    requests, *others = talkers
    seen, done = requests.total, [other.done for other in others]
    wait_until(lambda: requests.total > seen + ENOUGH
               and all(other.done > before + CHATS for other, before in zip(others, done)),
               30, "all of them talk on")


def test_killed_control_is_noticed_by_nobody_and_starts_nothing_twice(polyglot):
    processes, pods = polyglot.containers("polyglot"), polyglot.ready_pods("polyglot")
    assert len(processes) == len(pods) == PODS
    with all_talk(polyglot) as talkers:
        for _ in range(3):
            killed = polyglot.kill_role("control")
            wait_until(lambda killed=killed: polyglot.role_pid("control") != killed, 20,
                       "a new control")
            wait_until(polyglot.is_ready, 20, "the API answers again")
            polyglot.wait_for_pods("polyglot", PODS)
            talk_on(talkers)
    requests, *others = talkers
    assert set(requests.counts) == {200}, (requests.counts, requests.failures[:5])
    for other in others:
        assert not other.failures, (type(other).__name__, other.failures[:5])
    assert polyglot.containers("polyglot") == processes, "a container was started again, or twice"
    assert polyglot.ready_pods("polyglot") == pods


def test_a_killed_program_fails_no_idempotent_request_and_cuts_only_its_own_streams(
        polyglot):
    with all_talk(polyglot) as talkers:
        for _ in range(3):
            name, pid = sorted(polyglot.container_pids("polyglot").items())[0]
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: not traces.command(pid), 10, f"{name} is dead")
            polyglot.wait_for_pods("polyglot", PODS)
            talk_on(talkers)
    requests, calls, chats, streams = talkers
    assert set(requests.counts) == {200}, (requests.counts, requests.failures[:5])
    # What was said to the one that died cannot be known to be done or not. No word more is lost.
    # gRPC has as many calls under way as there are callers.
    for other, share in ((calls, 2), (chats, CHATS), (streams, CHATS)):
        assert len(other.failures) <= 3 * share, (type(other).__name__, other.failures)
        assert other.done > 3 * CHATS
