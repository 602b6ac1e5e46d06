"""What a user does with the two example services."""

import ipaddress
import re
import subprocess

from instance import EXAMPLES
from waiting import wait_until

SERVICE_NETWORK = ipaddress.ip_network("10.96.0.0/12")


def counts_by_pod(text, app):
    """`fetch` prints a line for each pod that answered: `pod NAME: COUNT`."""
    return {name: int(count) for name, count in
            re.findall(rf"^pod ({app}-[\w-]+): (\d+)$", text, re.MULTILINE)}


def fetch(instance, url, count):
    pod = sorted(instance.ready_pods("hello"))[0]
    return instance.kubectl("exec", pod, "--", "/hello", "fetch", url, "--count", count)


def test_a_second_apply_changes_nothing(hello_world):
    output = hello_world.kubectl("apply", "-f", EXAMPLES)
    assert output.count("unchanged") == 5, output


def test_curl_reaches_both_services_through_the_ingress(hello_world):
    for host in ("hello", "world"):
        url = f"http://{host}.localhost:{hello_world.ingress_port}/"
        done = subprocess.run(["curl", "-sS", "--max-time", "5", url], capture_output=True,
                              text=True, check=False)
        assert "Hello, world!" in done.stdout, done


def test_an_unknown_host_gets_404(hello_world):
    status, body = hello_world.ingress("nobody.localhost")
    assert status == 404 and body


def test_hello_finds_world_by_its_name(hello_world):
    status, body = hello_world.ingress("hello.localhost", "/world")
    assert status == 200, body
    assert any(pod in body for pod in hello_world.ready_pods("world")), body
    assert any(pod in body for pod in hello_world.ready_pods("hello")), body


def test_rollout_status_ends_with_success(hello_world):
    for app in ("hello", "world"):
        output = hello_world.kubectl("rollout", "status", f"deployment/{app}", "--timeout=20s")
        assert "successfully rolled out" in output


def test_get_pods_wide_shows_six_running_pods_with_addresses(hello_world):
    rows = [line.split() for line in
            hello_world.kubectl("get", "pods", "-o", "wide", "--no-headers").splitlines()]
    assert len(rows) == 6, rows
    assert all(row[1:3] == ["1/1", "Running"] for row in rows), rows
    addresses = {word for row in rows for word in row if word.startswith("10.244.")}
    assert len(addresses) == 6, rows


def test_services_show_their_cluster_addresses(hello_world):
    for app in ("hello", "world"):
        spec = hello_world.get("service", app)["spec"]
        assert ipaddress.ip_address(spec["clusterIP"]) in SERVICE_NETWORK, spec
        assert spec["type"] == "ClusterIP" and spec["ports"][0]["port"] == 80


def test_requests_of_one_pod_spread_evenly(hello_world):
    output = fetch(hello_world, "http://world/", 300)
    counts = counts_by_pod(output, "world")
    assert set(counts) == set(hello_world.ready_pods("world")), output
    assert all(90 <= count <= 110 for count in counts.values()), counts


def test_names_of_every_length_lead_to_the_service(hello_world):
    for name in ("world.default", "world.default.svc", "world.default.svc.cluster.local"):
        output = fetch(hello_world, f"http://{name}/", 3)
        assert sum(counts_by_pod(output, "world").values()) == 3, output


def test_a_pod_reaches_its_own_service_and_itself(hello_world):
    output = fetch(hello_world, "http://hello/", 30)
    assert set(counts_by_pod(output, "hello")) == set(hello_world.ready_pods("hello")), output


def test_a_pod_reaches_another_by_address(hello_world):
    pod = hello_world.get("pods", "-l", "app=world")["items"][0]
    output = fetch(hello_world, f"http://{pod['status']['podIP']}:8081/", 5)
    assert counts_by_pod(output, "world") == {pod["metadata"]["name"]: 5}, output


def test_scale_up_and_down(hello_world):
    try:
        hello_world.kubectl("scale", "deployment/world", "--replicas=5")
        hello_world.wait_for_pods("world", 5)
        wait_until(lambda: len(counts_by_pod(fetch(hello_world, "http://world/", 50),
                                             "world")) == 5,
                   10, "five pods answer")
        hello_world.kubectl("scale", "deployment/world", "--replicas=1")
        hello_world.wait_for_pods("world", 1)
        assert len(counts_by_pod(fetch(hello_world, "http://world/", 20), "world")) == 1
    finally:
        hello_world.kubectl("scale", "deployment/world", "--replicas=3")


def test_scaled_to_zero_says_which_service_has_no_endpoint(hello_world):
    try:
        hello_world.kubectl("scale", "deployment/world", "--replicas=0")
        hello_world.wait_for_pods("world", 0)
        status, body = wait_until(
            lambda: (answer := hello_world.ingress("world.localhost"))[0] == 503 and answer,
            5, "503 without endpoints")
        assert "world" in body and "endpoint" in body, body
    finally:
        hello_world.kubectl("scale", "deployment/world", "--replicas=3")


def test_a_load_balancer_service_is_reached_from_the_host(hello_world):
    try:
        hello_world.kubectl("expose", "deployment/hello", "--name=front", "--type=LoadBalancer",
                            "--port=8088", "--target-port=8080")
        address = wait_until(
            lambda: hello_world.get("service", "front")["status"]["loadBalancer"]["ingress"][0]
            ["ip"], 10, "an address in the status")
        assert address.startswith("127."), address

        def curl():
            return subprocess.run(["curl", "-sS", "--max-time", "2", f"http://{address}:8088/"],
                                  capture_output=True, text=True, check=False).stdout
        wait_until(lambda: "Hello, world!" in curl(), 10, "an answer at the address")
    finally:
        hello_world.kubectl("delete", "service", "front", "--ignore-not-found")


def test_logs_and_exec_of_a_deployment(hello_world):
    hello_world.kubectl("logs", "deployment/hello", "--tail=5")
    pod = sorted(hello_world.ready_pods("hello"))[0]
    failed = hello_world.kubectl("exec", pod, "--", "/hello", "no-such-command", check=False)
    assert failed.returncode != 0
    missing = hello_world.kubectl("exec", pod, "--", "/bin/nothing", check=False)
    assert missing.returncode != 0 and "nothing" in missing.stdout + missing.stderr


def test_describe_shows_events_of_a_pod(hello_world):
    pod = sorted(hello_world.ready_pods("hello"))[0]
    output = hello_world.kubectl("describe", "pod", pod)
    assert "hello:latest" in output and "Started" in output, output


def test_a_deleted_pod_is_replaced(hello_world):
    before = hello_world.ready_pods("world")
    victim = sorted(before)[0]
    hello_world.kubectl("delete", "pod", victim)
    hello_world.wait_for_pods("world", 3)
    after = hello_world.ready_pods("world")
    assert victim not in after and len(set(before) & set(after)) == 2


def test_up_applies_a_folder_and_delete_leaves_nothing(instance):
    instance.stop()
    instance.start(EXAMPLES)
    for app in ("hello", "world"):
        instance.wait_for_pods(app, 3)
    instance.wait_for_traffic()
    instance.kubectl("delete", "-f", EXAMPLES)
    wait_until(lambda: not any(instance.container_pids(app) for app in ("hello", "world")),
               45, "every container is gone")
    for kind in ("deployments", "replicasets", "pods", "endpointslices", "ingresses"):
        wait_until(lambda kind=kind: not [
            item for item in instance.get(kind)["items"]
            if item["metadata"]["name"] != "kubernetes"], 15, f"no {kind}")
    assert [s["metadata"]["name"] for s in instance.get("services")["items"]] == ["kubernetes"]
    wait_until(lambda: instance.ingress("hello.localhost")[0] == 404, 5, "the route is gone")
