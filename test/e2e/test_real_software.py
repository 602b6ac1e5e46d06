"""Databases and a message bus as Debian packages them, asked by their own clients through the mesh.

Their manifests, in test/e2e/software, are such as one writes for any Kubernetes.
"""

import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import signal
import tempfile

import pytest

from debian_image import Debian
from instance import ROOT, Instance
from nats_client import NatsClient
import traces
from waiting import wait_until

MANIFESTS = ROOT / "test/e2e/software"
ROWS = "1000"
PROBE = "probe"


@pytest.fixture(scope="module")
def machine():
    """An instance of this file's own, with images of PostgreSQL, Redis and NATS."""
    made = Instance()
    try:
        with tempfile.TemporaryDirectory(prefix="tulle-e2e-debian-") as folder:
            make_images(made, Debian(pathlib.Path(folder)))
        made.start()
        yield made
    finally:
        made.close()


def make_images(instance, debian):
    debian.make_image(instance, "postgres:15", ["postgresql-15", "postgresql-client-15", "tzdata"],
                      user=("postgres", 70))
    debian.make_image(instance, "redis:7", ["redis-server", "redis-tools"], user=("redis", 999))
    debian.make_image(instance, "nats:2", ["nats-server"])


@contextlib.contextmanager
def applied(instance, *names):
    """The manifests while the block lasts. The claims of StatefulSets stay, as they have to."""
    files = [word for name in names for word in ("-f", MANIFESTS / f"{name}.yaml")]
    instance.kubectl("apply", *files)
    try:
        yield
    finally:
        instance.kubectl("delete", *files, "--ignore-not-found", "--wait=false")


def rolled_out(instance, workload):
    instance.kubectl("rollout", "status", workload, "--timeout=40s")


def status_of(instance, pod):
    """(uid, restarts) of a pod of one container."""
    found = instance.get("pod", pod)
    return found["metadata"]["uid"], found["status"]["containerStatuses"][0]["restartCount"]


def kill(uid):
    """kill -9 of the program of a pod of one container: the first process of its namespace."""
    pid, = filter(is_first_of_namespace, traces.own_processes(uid))
    os.kill(pid, signal.SIGKILL)


def is_first_of_namespace(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        numbers = next(line for line in status if line.startswith("NSpid:")).split()[1:]
    return len(numbers) > 1 and numbers[-1] == "1"


def delete_and_wait(instance, pod):
    """Deletes a StatefulSet's pod and returns when another of its name is ready."""
    before, _ = status_of(instance, pod)
    instance.kubectl("delete", "pod", pod)
    instance.kubectl("wait", "--for=create", f"pod/{pod}", "--timeout=20s")
    instance.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=40s")
    assert status_of(instance, pod)[0] != before


def kill_and_wait(instance, pod):
    """Kills a pod's program and returns when it runs again, in the same pod."""
    uid, restarts = status_of(instance, pod)
    kill(uid)
    wait_until(lambda: status_of(instance, pod) == (uid, restarts + 1), 20, f"{pod} starts again")
    instance.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=40s")


# ------------------------------------------------------------------------------- PostgreSQL


def query(instance, sql, host="database"):
    """What psql prints in another pod that asks the database."""
    return instance.kubectl("exec", "psql", "--", "env", f"PGHOST={host}", "psql", "-Atqc",
                            sql).strip()


@pytest.fixture(scope="module")
def postgres(machine):
    """The database pg-0, filled by a Job that waits for it; a pod `psql` beside it."""
    with applied(machine, "postgres", "psql", "postgres-job"):
        machine.kubectl("wait", "--for=condition=complete", "job/fill", "--timeout=60s")
        machine.kubectl("wait", "--for=condition=Ready", "pod/psql", "--timeout=40s")
        yield machine


def test_a_job_waits_for_postgresql_and_fills_it(postgres):
    assert postgres.kubectl("logs", "job/fill", "-c", "count").strip() == ROWS
    for host in ("database", "pg", "pg-0.pg", "pg-0.pg.default.svc.cluster.local"):
        assert query(postgres, "SELECT count(*) FROM readings", host) == ROWS
    client = postgres.get("pod", "psql")["status"]["podIP"]
    assert query(postgres, "SELECT inet_client_addr()") == client


def test_postgresql_keeps_what_is_committed_whatever_ends_it(postgres):
    query(postgres, "CREATE TABLE kept (i int); INSERT INTO kept VALUES (1)")
    delete_and_wait(postgres, "pg-0")
    assert query(postgres, "SELECT count(*) FROM kept") == "1"
    query(postgres, "INSERT INTO kept VALUES (2)")
    kill_and_wait(postgres, "pg-0")
    assert query(postgres, "SELECT count(*) FROM kept", "pg-0.pg") == "2"
    assert "automatic recovery in progress" in postgres.kubectl("logs", "pg-0")


def test_a_query_under_way_is_told_that_postgresql_ends(postgres):
    query(postgres, "CREATE TABLE begun (i int)")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(postgres.kubectl, "exec", "psql", "--", "psql", "-c",
                           "INSERT INTO begun SELECT 1 FROM pg_sleep(45)", check=False)
        wait_until(lambda: query(postgres, "SELECT count(*) FROM pg_stat_activity "
                                           "WHERE wait_event = 'PgSleep'") == "1",
                   20, "the query is under way")
        delete_and_wait(postgres, "pg-0")
        assert "terminating connection due to administrator command" in slow.result().stderr
    assert query(postgres, "SELECT count(*) FROM begun") == "0"


def test_kubectl_shows_what_a_database_is_made_of(postgres):
    rows = postgres.kubectl("get", "statefulsets,pods,pvc", "--no-headers")
    assert ["statefulset.apps/pg", "1/1"] in [row.split()[:2] for row in rows.splitlines()], rows
    claim = next(row.split() for row in rows.splitlines() if "data-pg-0" in row)
    assert claim[1] == "Bound" and claim[3:6] == ["1Gi", "RWO", "local-path"], claim
    volume = postgres.kubectl("get", "pv", claim[2], "--no-headers").split()
    assert volume[1:6] == ["1Gi", "RWO", "Delete", "Bound", "default/data-pg-0"], volume
    text = postgres.kubectl("describe", "pod", "pg-0")
    for line in ("Readiness:  exec [pg_isready", "ClaimName:  data-pg-0",
                 "PGPASSWORD:  <set to the key 'password' in secret 'pg'>"):
        assert line in text, text
    assert "Volume Claims" in postgres.kubectl("describe", "statefulset", "pg")


# ------------------------------------------------------------------------------------ Redis


def redis(instance, *words):
    """What redis-cli prints in another pod."""
    return instance.kubectl("exec", "deployment/redis-client", "--", "redis-cli", "-h", "redis",
                            *words).strip()


def test_redis_keeps_its_keys_over_pods_and_instances(machine):
    with applied(machine, "redis"):
        for workload in ("statefulset/redis", "deployment/redis-client"):
            rolled_out(machine, workload)
        assert redis(machine, "SET", "colour", "red") == "OK"
        delete_and_wait(machine, "redis-0")
        assert redis(machine, "GET", "colour") == "red"
        assert redis(machine, "INCRBY", "count", "41") == "41"
        kill_and_wait(machine, "redis-0")
        assert redis(machine, "INCR", "count") == "42"

        machine.stop()
        machine.start()
        wait_until(lambda: redis(machine, "MGET", "colour", "count").split() == ["red", "42"], 40,
                   "a new instance has what the old one had")
        rolled_out(machine, "statefulset/redis")


# ------------------------------------------------------------------------------------- NATS


def connected(port, but=None):
    """A client of any server but one; the mesh spreads connections."""
    def attempt():
        client = NatsClient(port)
        if client.server != but:
            return client
        client.close()
        return None
    return wait_until(attempt, 20, f"a connection to a server that is not {but}")


def routes(instance, server):
    """With how many others a server is joined; asked from another pod."""
    text = instance.kubectl("exec", "nats-0", "--", "wget", "-qO-",
                            f"http://{server}.nats:8222/routez")
    return len({route["remote_id"] for route in json.loads(text)["routes"]})


def all_joined(instance):
    wait_until(lambda: all(routes(instance, f"nats-{i}") == 2 for i in range(3)), 30,
               "every server of NATS has a route to both others")


@pytest.fixture
def nats_port(machine):
    """Where the host reaches the service of three NATS servers that are joined."""
    with applied(machine, "nats"):
        rolled_out(machine, "statefulset/nats")
        all_joined(machine)
        yield machine.get("service", "bus")["spec"]["ports"][0]["nodePort"]


def subscribed(port, publisher):
    """A client of another server than the publisher's, once that one knows of its interest."""
    client = connected(port, but=publisher.server)
    client.subscribe("orders.*")

    def is_reached():
        publisher.publish("orders.probe", PROBE)
        return client.receive(limit_s=0.2) == PROBE
    wait_until(is_reached, 10, f"{publisher.server} sends to {client.server}")
    return client


def expect_messages(publisher, subscriber, count=1000):
    wanted = [f"order {number}" for number in range(count)]
    for order in wanted:
        publisher.publish("orders.new", order)
    orders = (text for text in iter(subscriber.receive, None) if text != PROBE)
    assert list(itertools.islice(orders, count)) == wanted


def test_nats_delivers_across_servers_and_goes_on_without_one(machine, nats_port):
    publisher = connected(nats_port)
    subscriber = subscribed(nats_port, publisher)
    expect_messages(publisher, subscriber)
    for end_and_wait in (kill_and_wait, delete_and_wait):
        end_and_wait(machine, subscriber.server)
        with pytest.raises(OSError):
            subscriber.receive()
        subscriber.close()
        all_joined(machine)
        subscriber = subscribed(nats_port, publisher)  # the publisher has noticed nothing
        expect_messages(publisher, subscriber)
    subscriber.close()
    publisher.close()
