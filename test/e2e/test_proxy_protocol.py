"""The PROXY protocol with those who speak it: curl before Tulle, nginx behind it."""

import subprocess

import pytest

from proxy_alone import ProxyAlone, node_port_service, slice_of
from recorders import LIMIT_S, Nginx
from waiting import wait_until

NGINX = """
daemon off; master_process off; pid {folder}/pid;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} proxy_protocol;
    location / {{
      return 200 "$proxy_protocol_addr $proxy_protocol_port $http_x_forwarded_for";
    }}
  }}
}}
"""

MANIFESTS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: echo}}
spec: {{defaultBackend: {{service: {{name: echo, port: {{number: 80}}}}}}}}
---
apiVersion: tulle.dev/v1alpha1
kind: TrafficPolicy
metadata: {{name: announced}}
spec:
  targetRefs: [{{kind: Service, name: echo}}]
  proxyProtocol: {{accept: true, send: {version}}}
"""


@pytest.fixture(params=["V1", "V2"])
def proxy(request):
    backend = Nginx(NGINX)
    backend.start()
    made = ProxyAlone()
    try:
        made.write("service.yaml", node_port_service("echo", made.node_port))
        made.write("rest.yaml", MANIFESTS.format(version=request.param))
        made.write("slices.yaml", slice_of("echo", backend))
        made.start("--ingress-proxy-protocol")
        wait_until(lambda: curl(made.ingress_port, "--haproxy-protocol").returncode == 0, LIMIT_S,
                   "the Ingress answers")
        yield made
    finally:
        made.close()
        backend.close()


def curl(port, *flags):
    return subprocess.run(
        ["curl", "-sS", "--fail", "--max-time", "5", "-w", " %{local_port}", *flags,
         f"http://127.0.0.1:{port}/"],
        capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.mark.parametrize("door", ["ingress_port", "node_port"])
def test_what_curl_says_of_itself_nginx_hears(proxy, door):
    done = curl(getattr(proxy, door), "--haproxy-protocol")
    assert done.returncode == 0, done.stderr
    *seen, local_port = done.stdout.split()
    assert seen[:2] == ["127.0.0.1", local_port]
    if door == "ingress_port":
        assert seen[2:] == ["127.0.0.1"]


@pytest.mark.parametrize("door", ["ingress_port", "node_port"])
def test_who_says_nothing_is_not_served(proxy, door):
    assert curl(getattr(proxy, door)).returncode in (52, 56)  # nothing received, or reset
