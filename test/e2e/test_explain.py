"""`tulle explain` and x-tulle-explain: why a request goes where it goes."""

import http.client

from instance import run_tulle


MANIFESTS = """
apiVersion: v1
kind: Service
metadata: {name: cart}
spec:
  type: NodePort
  ports:
  - {name: web, port: 80}
  - {name: game, port: 7777, protocol: UDP, nodePort: 30777}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cart, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: [{name: web, port: 8080}, {name: game, port: 7777, protocol: UDP}]
endpoints: [{addresses: [127.0.0.1]}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  rules:
  - host: shop.example
    http:
      paths:
      - path: /cart
        pathType: Prefix
        backend: {service: {name: cart, port: {name: web}}}
"""


def explain(instance, *words):
    return run_tulle("explain", "--data-dir", instance.data_dir, *words)


def test_a_request_through_the_ingress_is_explained(hello_world):
    done = explain(hello_world, "GET", "http://hello.localhost/world")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == ("route      ingress default/hello-world: prefix / goes to service "
                        "default/hello")
    assert sum(line.startswith("endpoint") for line in lines) == 3, done.stdout
    assert "Service default/hello" in lines[-1]


def test_a_request_of_a_pod_is_explained_from_its_name_on(hello_world):
    pod = next(iter(hello_world.ready_pods("hello")))
    done = explain(hello_world, "--from", pod, "GET", "http://world/")
    assert done.returncode == 0, done.stderr
    address = hello_world.get("service", "world")["spec"]["clusterIP"]
    assert done.stdout.startswith(f"name       world is {address}\n"
                                  f"route      {address}:80 is service default/world\n")
    assert any(pod in done.stdout for pod in hello_world.ready_pods("world"))


def test_a_live_request_is_told_why(hello_world):
    connection = http.client.HTTPConnection("127.0.0.1", hello_world.ingress_port, timeout=5)
    connection.request("GET", "/", headers={"Host": "world.localhost", "x-tulle-explain": "1"})
    response = connection.getresponse()
    reasons = response.msg.get_all("x-tulle-explain")
    picked = next(line for line in reasons if line.startswith("pick"))
    assert response.getheader("X-Pod") in picked
    connection.close()


def test_manifests_are_explained_without_an_instance(tmp_path):
    (tmp_path / "shop.yaml").write_text(MANIFESTS)

    def explain_folder(*words):
        return run_tulle("explain", "-f", tmp_path, *words)

    done = explain_folder("http://shop.example/cart/7")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == (
        "route      ingress default/shop: prefix /cart goes to service default/cart")
    assert "pick       127.0.0.1:8080" in done.stdout
    done = explain_folder("POST", "http://shop.example/other")
    assert 'no ingress rule matches host "shop.example" and path "/other"' in done.stdout
    done = explain_folder("udp://127.0.0.1:30777")
    assert "route      node port 30777 is service default/cart" in done.stdout
    done = explain_folder("nonsense")
    assert done.returncode == 1 and "is no URL" in done.stderr
    done = run_tulle("explain", "-f", tmp_path / "missing.yaml", "http://x/")
    assert done.returncode == 1 and "missing.yaml" in done.stderr


def test_what_cannot_be_explained_is_said_in_one_line(hello_world, tmp_path):
    for words, complaint in (
            (["GET", "world"], "write http://HOST/PATH"),
            (["--from", "ghost", "GET", "http://world/"], "there is no pod default/ghost"),
            (["-H", "nonsense", "GET", "http://world/"], "write Name: value")):
        done = explain(hello_world, *words)
        assert done.returncode == 1 and complaint in done.stderr, (words, done.stderr)
    done = run_tulle("explain", "--data-dir", tmp_path, "GET", "http://world/")
    assert done.returncode == 1 and "no tulle runs on" in done.stderr
