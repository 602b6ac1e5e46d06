"""Rollouts, evictions and changes of scale under traffic of several protocols: nothing is lost."""

from load import Load
from polyglot import PODS, node_port, roll_out
from talkers import GrpcCallers, WebSockets
from waiting import wait_until

ROLLOUTS = 20
SLOW_ROLLOUTS = 3
WEB_SOCKETS = 100
ENOUGH = 50


def evict_all(instance):
    for pod in instance.ready_pods("polyglot"):
        status, said = instance.api("POST",
                                    f"/api/v1/namespaces/default/pods/{pod}/eviction", {})
        assert status == 201, said
        wait_until(lambda pod=pod: pod not in instance.ready_pods("polyglot"), 10, "it goes")
        instance.wait_for_pods("polyglot", PODS)


def test_no_protocol_loses_a_word_to_rollouts_evictions_and_scaling(polyglot):
    with Load(polyglot, "polyglot.localhost", method="POST", pause_s=0.01) as posts, \
            GrpcCallers(node_port(polyglot, "grpc"), 2) as calls, \
            WebSockets(polyglot.ingress_port, "polyglot.localhost", WEB_SOCKETS) as chats:
        wait_until(lambda: posts.total > ENOUGH and calls.done > ENOUGH and chats.done > ENOUGH,
                   20, "all of them talk")
        for i in range(ROLLOUTS):
            roll_out(polyglot, f"quick-{i}")
        for i in range(SLOW_ROLLOUTS):
            roll_out(polyglot, f"slow-{i}", readinessProbe={"initialDelaySeconds": 2})
        polyglot.kubectl("scale", "deployment/polyglot", "--replicas=2")
        polyglot.wait_for_pods("polyglot", 2)
        polyglot.kubectl("scale", "deployment/polyglot", f"--replicas={PODS}")
        polyglot.wait_for_pods("polyglot", PODS)
        evict_all(polyglot)
    assert not posts.failures, posts.failures[:5]
    assert not calls.failures, calls.failures[:5]
    assert not chats.failures, chats.failures[:5]
    assert posts.counts[200] > ENOUGH * ROLLOUTS and chats.done > ENOUGH * ROLLOUTS
