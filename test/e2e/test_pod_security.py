"""What a pod may do to the machine and to others, and what it is refused."""

import json

import pytest

from instance import BINARY
from waiting import wait_until


@pytest.fixture(scope="module")
def home(shared):
    """The shared instance with the image of test/e2e/tenant.cc; pods are made by run()."""
    shared.import_image("tenant:latest", BINARY.parent / "test/tenant")
    yield shared
    shared.kubectl("delete", "pods", "-l", "app=security", "--grace-period=1")


def container(name, *arguments, **fields):
    return {"name": name, "image": "tenant:latest", "args": list(arguments), **fields}


def run(instance, name, *containers, **spec):
    pod = {"apiVersion": "v1", "kind": "Pod",
           "metadata": {"name": name, "labels": {"app": "security"}},
           "spec": {"containers": list(containers), "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 1, **spec}}
    instance.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def states(instance, name):
    """Container name → its state."""
    status = instance.get("pod", name)["status"]
    return {each["name"]: each["state"] for each in status.get("containerStatuses", [])}


def wait_ended(instance, name, *containers, limit_s=60):
    """Container name → how it ended."""
    def ended():
        now = states(instance, name)
        return all("terminated" in now.get(each, {}) for each in containers) and now
    now = wait_until(ended, limit_s, f"{containers} of {name} have ended")
    return {each: now[each]["terminated"] for each in containers}


def test_no_subpath_leads_out_of_its_volume_whoever_swaps_it_meanwhile(home):
    """Its name is a link to the instance's own files half of the time."""
    volume = [{"name": "both", "emptyDir": {}}]
    mount = lambda **more: [{"name": "both", "mountPath": "/both", **more}]
    victims = [f"victim-{number}" for number in range(12)]
    run(home, "swapped",
        container("adversary", "swap", "/both/a", str(home.data_dir), volumeMounts=mount()),
        *(container(each, "cat", "/both/kubeconfig", volumeMounts=mount(subPath="a"))
          for each in victims), volumes=volume)
    for each, end in wait_ended(home, "swapped", *victims, limit_s=120).items():
        assert end["exitCode"] == 1, each
        assert home.kubectl("logs", "swapped", "-c", each) \
            == "tenant: cannot read /both/kubeconfig\n"
    home.kubectl("delete", "pod", "swapped", "--grace-period=1")
