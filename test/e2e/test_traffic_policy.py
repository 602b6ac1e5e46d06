"""TrafficPolicy: what a user writes, what the API says to it, and what the traffic does then."""

import collections
import http.client
import re
import threading

import pytest

from instance import ROOT
from proxy_alone import Backend, ProxyAlone, node_port_service, slice_of
from waiting import wait_until

EXAMPLES = [text for text in re.findall(
    r"```yaml\n(.*?)```", (ROOT / "docs/traffic_policy.md").read_text(), re.S)
    if "kind: TrafficPolicy" in text]

POLICY = """apiVersion: tulle.dev/v1alpha1
kind: TrafficPolicy
metadata: {{name: {name}}}
spec:
  targetRefs: [{{kind: Service, name: {service}}}]
  {rest}
"""


def policy(rest, name="p", service="world"):
    return POLICY.format(rest=rest, name=name, service=service)


def accepted(instance, name):
    """(status, reason, message) of the policy's condition."""
    for condition in instance.get("tp", name).get("status", {}).get("conditions", []):
        if condition["type"] == "Accepted":
            return condition["status"], condition["reason"], condition["message"]
    return None


@pytest.fixture
def policies(hello_world):
    yield hello_world
    hello_world.kubectl("delete", "trafficpolicies", "--all")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: re.search("name: (.*)", text)[1])
def test_the_examples_of_the_documentation_are_followed(policies, example):
    name = re.search("name: (.*)", example)[1]
    policies.kubectl("apply", "-f", "-", stdin=example)
    wait_until(lambda: accepted(policies, name) == (
        "True", "Accepted", "in force for all of its targets"), 5, "the policy is accepted")
    assert policies.ingress("hello.localhost", "/world")[0] == 200


def test_what_is_wrong_is_refused_with_the_field_named(policies):
    rows = {
        "loadBalancing: {policy: Fastest}": "spec.loadBalancing.policy: Unsupported value",
        "loadBalancing: {policy: Maglev}": "spec.loadBalancing.hashOn: Required value",
        "loadBalancing: {hashOn: {type: Path}}": "spec.loadBalancing.hashOn: Forbidden",
        "timeouts: {request: soon}": "spec.timeouts.request: Invalid value",
        "retry: {attempts: 11}": "spec.retry.attempts: Invalid value",
        "proxyProtocol: {send: V3}": "spec.proxyProtocol.send: Unsupported value",
        "hedging: {percentile: 100}": "spec.hedging.percentile: Invalid value",
        "tiemouts: {}": 'unknown field "spec.tiemouts"',
    }
    for rest, complaint in rows.items():
        done = policies.kubectl("apply", "-f", "-", stdin=policy(rest), check=False)
        assert done.returncode != 0 and complaint in done.stderr, (rest, done.stderr)


def test_the_status_says_which_policy_holds_and_the_table_shows_it(policies):
    policies.kubectl("apply", "-f", "-", stdin=policy("retry: {attempts: 1}", "lost", "nowhere"))
    wait_until(lambda: accepted(policies, "lost") == (
        "False", "TargetNotFound", "there is no Service nowhere in this namespace"), 5, "said")
    table = policies.kubectl("get", "tp")
    assert re.search(r"lost +nowhere +TargetNotFound", table), table
    assert "hashOn" in policies.kubectl("explain", "tp.spec.loadBalancing")


def test_requests_of_one_user_meet_one_replica(policies):
    policies.kubectl("apply", "-f", "-", stdin=policy(
        "loadBalancing: {policy: RingHash, hashOn: {type: QueryParameter, name: user}}"))

    def replicas(user):
        """The pods that answered six requests."""
        pods = set()
        for _ in range(6):
            connection = http.client.HTTPConnection("127.0.0.1", policies.ingress_port, timeout=5)
            connection.request("GET", f"/?user={user}", headers={"Host": "world.localhost"})
            pods.add(connection.getresponse().getheader("X-Pod"))
            connection.close()
        return pods

    wait_until(lambda: len(replicas("ann")) == 1, 5, "one user, one replica")
    assert all(len(replicas(f"user-{i}")) == 1 for i in range(5))
    policies.kubectl("delete", "tp", "p")
    wait_until(lambda: len(replicas("ann")) > 1, 5, "without the policy all replicas answer")


# ------------------------------------------------------------------------ over a folder of files


@pytest.fixture
def alone():
    backends = [Backend(name) for name in ("one", "two", "three")]
    proxy = ProxyAlone()
    try:
        proxy.write("service.yaml", node_port_service("world", proxy.node_port))
        proxy.write("slices.yaml", slice_of("world", *backends))
        proxy.start()
        wait_until(lambda: proxy.get(proxy.node_port)[0] == 200, 10, "the node port answers")
        yield proxy, backends
    finally:
        proxy.close()
        for backend in backends:
            backend.close()


def fetch(proxy, method="GET", headers=()):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.node_port, timeout=10)
    try:
        connection.request(method, "/", headers={"Host": "alone", **dict(headers)})
        response = connection.getresponse()
        return response.status, response.read().decode(), dict(response.getheaders())
    finally:
        connection.close()


def test_a_cookie_keeps_a_client_at_its_endpoint(alone):
    proxy, _ = alone
    proxy.write("policy.yaml", policy("sessionPersistence: {sessionName: shop}"))
    wait_until(lambda: "Set-Cookie" in fetch(proxy)[2], 5, "a session is set")
    _, first, headers = fetch(proxy)
    cookie = headers["Set-Cookie"].split(";")[0]
    assert cookie.startswith("shop=")
    for _ in range(6):
        _, name, headers = fetch(proxy, headers={"Cookie": cookie})
        assert name == first and "Set-Cookie" not in headers


def test_a_policy_that_is_wrong_changes_nothing_and_is_said(alone):
    proxy, _ = alone
    proxy.write("policy.yaml", policy("sessionPersistence: {sessionName: shop}"))
    wait_until(lambda: "Set-Cookie" in fetch(proxy)[2], 5, "a session is set")
    proxy.write("policy.yaml", policy("sessionPersistence: {sessionName: 'a b'}"))
    wait_until(lambda: "spec.sessionPersistence.sessionName" in proxy.log(), 5, "it is said")
    assert "what it said before stays" in proxy.log()
    assert fetch(proxy)[2]["Set-Cookie"].startswith("shop=")


def test_a_dead_endpoint_costs_no_request_and_soon_no_attempt(alone):
    proxy, backends = alone
    dead = Backend("dead")
    dead.close()
    proxy.write("slices.yaml", slice_of("world", *backends[:2], dead))
    wait_until(lambda: fetch(proxy)[1] != "three", 5, "the change is followed")
    counts = collections.Counter(fetch(proxy)[:2] for _ in range(60))
    assert set(counts) == {(200, "one"), (200, "two")}
    wait_until(lambda: fetch(proxy)[0] == 200 and "an endpoint is left out for a while" in
               proxy.log(), 5, "it is ejected")


def test_slow_endpoints_are_bounded_by_time_and_by_number(alone):
    proxy, backends = alone
    proxy.write("policy.yaml", policy("timeouts: {request: 500ms}\n"
                                      "  circuitBreaking: {maxRequests: 2}\n"
                                      "  sessionPersistence: {}"))
    wait_until(lambda: "Set-Cookie" in fetch(proxy)[2], 5, "the policy is followed")
    release = threading.Event()
    for backend in backends:
        backend.before_answer = release.wait
    try:
        assert fetch(proxy)[0] == 504
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(fetch(proxy)[0]))
                   for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [503] * 6 + [504] * 2
    finally:
        release.set()
