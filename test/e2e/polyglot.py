"""A server of HTTP/1.1, gRPC, WebSockets and plain echoes: six pods, a service and an Ingress.

It dies of SIGTERM with all it has in hand, so what is lost is seen. The fixture `polyglot` runs it.
"""

import json

PODS = 6

MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: polyglot}
spec:
  type: NodePort
  selector: {app: polyglot}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: grpc, port: 81, targetPort: 8080, appProtocol: kubernetes.io/h2c}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: polyglot}
spec:
  replicas: 6
  selector: {matchLabels: {app: polyglot}}
  strategy: {rollingUpdate: {maxSurge: 2, maxUnavailable: 2}}
  template:
    metadata: {labels: {app: polyglot}}
    spec:
      terminationGracePeriodSeconds: 15
      containers:
      - name: polyglot
        image: polyglot:latest
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: polyglot}
spec:
  rules:
  - host: polyglot.localhost
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: polyglot, port: {number: 80}}}
"""


def node_port(instance, name):
    ports = instance.get("service/polyglot")["spec"]["ports"]
    return next(port["nodePort"] for port in ports if port["name"] == name)


def roll_out(instance, mark, **container):
    """Replaces every pod."""
    template = {"metadata": {"annotations": {"mark": mark}}}
    if container:
        template["spec"] = {"containers": [{"name": "polyglot", **container}]}
    instance.kubectl("patch", "deployment/polyglot", "-p",
                     json.dumps({"spec": {"template": template}}))
    instance.kubectl("rollout", "status", "deployment/polyglot", "--timeout=60s")
