"""TLS at the Ingress, with real certificates, curl and OpenSSL."""

import http.client
import ssl
import subprocess
import threading

import pytest

from proxy_alone import Backend, ProxyAlone, slice_of
from waiting import wait_until

MANIFESTS = """
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  ports: [{port: 80}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: echo}
spec:
  tls: [{hosts: [shop.localhost], secretName: shop}]
  rules:
  - host: shop.localhost
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: echo, port: {number: 80}}}}]
"""
PASSED_THROUGH = """
apiVersion: v1
kind: Service
metadata: {name: secure}
spec:
  ports: [{port: 443}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: secure, annotations: {tulle.dev/tls-passthrough: "true"}}
spec:
  rules:
  - host: secure.localhost
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: secure, port: {number: 443}}}}]
"""


def make_certificate(folder, name):
    """A self-signed certificate: (certificate, key), as files."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def secret(certificate, key):
    def block(path):
        return "".join(f"    {line}\n" for line in path.read_text().splitlines())
    return ("apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\ntype: kubernetes.io/tls\n"
            f"stringData:\n  tls.crt: |\n{block(certificate)}  tls.key: |\n{block(key)}")


@pytest.fixture
def proxy(tmp_path):
    backend = Backend("echo")
    made = ProxyAlone()
    made.certificate, key = make_certificate(tmp_path, "shop.localhost")
    try:
        made.write("manifests.yaml", MANIFESTS)
        made.write("slices.yaml", slice_of("echo", backend))
        made.write("secret.yaml", secret(made.certificate, key))
        made.start()
        wait_until(lambda: curl(made).returncode == 0, 10, "HTTPS answers")
        yield made
    finally:
        made.close()
        backend.close()


def curl(proxy, *flags, host="shop.localhost"):
    return subprocess.run(
        ["curl", "-sS", "--max-time", "5", "--cacert", proxy.certificate, "--resolve",
         f"{host}:{proxy.ingress_tls_port}:127.0.0.1", *flags,
         f"https://{host}:{proxy.ingress_tls_port}/"], capture_output=True, text=True, check=False)


def test_curl_trusts_the_certificate_and_speaks_either_version(proxy):
    for flag, version in (("--http1.1", "1.1"), ("--http2", "2")):
        done = curl(proxy, flag, "-w", " %{http_version}")
        assert done.stdout == f"echo {version}", done.stderr


def test_a_certificate_is_replaced_without_ending_a_connection(proxy, tmp_path):
    context = ssl.create_default_context(cafile=proxy.certificate)
    kept = http.client.HTTPConnection("127.0.0.1", proxy.ingress_tls_port, timeout=5)
    kept.connect()
    kept.sock = context.wrap_socket(kept.sock, server_hostname="shop.localhost")
    kept.request("GET", "/", headers={"Host": "shop.localhost"})
    assert kept.getresponse().read() == b"echo"
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    before = proxy.certificate
    proxy.certificate, key = make_certificate(fresh, "shop.localhost")
    proxy.write("secret.yaml", secret(proxy.certificate, key))
    wait_until(lambda: curl(proxy).returncode == 0, 5, "the new certificate is served")
    proxy.certificate = before
    assert curl(proxy).returncode != 0, "the old one is not served any more"
    kept.request("GET", "/", headers={"Host": "shop.localhost"})
    assert kept.getresponse().read() == b"echo"
    kept.close()


def test_an_unknown_name_is_refused_by_an_alert(proxy):
    done = curl(proxy, host="nobody.localhost")
    assert done.returncode == 35 and "unrecognized name" in done.stderr, done.stderr


def test_a_client_that_names_nobody_gets_a_certificate(proxy):
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "5", "-k", "-H", "Host: shop.localhost",
         f"https://127.0.0.1:{proxy.ingress_tls_port}/"], capture_output=True, text=True,
        check=False)
    assert done.stdout == "echo", done.stderr


def test_tls_is_passed_through_to_a_server_that_ends_it_itself(proxy, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    certificate, key = make_certificate(own, "secure.localhost")
    server = Backend("secure")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    try:
        proxy.write("secure.yaml", PASSED_THROUGH)
        proxy.write("secure-slice.yaml", slice_of("secure", server))
        proxy.certificate = certificate
        wait_until(lambda: curl(proxy, host="secure.localhost").stdout == "secure", 5,
                   "the server's own certificate is seen")
    finally:
        threading.Thread(target=server.close, daemon=True).start()
