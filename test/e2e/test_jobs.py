"""Jobs and CronJobs, with real kubectl. Their pods run `hello fetch`, which asks and ends."""

import json

import pytest

from waiting import wait_until

WORLD = ["fetch", "http://world/"]
SERVES = []  # hello without arguments serves for ever
FAILS = ["no-such-command"]  # and with these ends with 2
FAILS_WITH = 2


def container(arguments, name="main"):
    return {"name": name, "image": "hello:latest", "imagePullPolicy": "Never", "args": arguments}


def job(name, arguments, pod=None, **spec):
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
           "containers": [container(arguments)], **(pod or {})}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"template": {"spec": pod}, **spec}}


class Jobs:
    """The Jobs of one test; close() deletes them, and their pods have to go with them."""

    def __init__(self, instance):
        self.instance = instance
        self.names = []

    def apply(self, *jobs):
        self.names += [each["metadata"]["name"] for each in jobs]
        self.instance.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, jobs)))

    def wait(self, name, condition):
        self.instance.kubectl("wait", f"--for=condition={condition}", f"job/{name}",
                              "--timeout=50s")
        return self.instance.get("job", name)["status"]

    def pods(self, name):
        return self.instance.get("pods", "-l", f"batch.kubernetes.io/job-name={name}")["items"]

    def wait_for_pod(self, name, phase="Running"):
        return wait_until(lambda: [pod for pod in self.pods(name)
                                   if pod["status"].get("phase") == phase
                                   and "deletionTimestamp" not in pod["metadata"]],
                          20, f"a pod of {name} is {phase}")[0]

    def close(self):
        for name in self.names:
            self.instance.kubectl("delete", "job", name, "--ignore-not-found", "--wait=false")
        wait_until(lambda: not any(self.pods(name) for name in self.names), 30,
                   "no pod of a Job is left")


@pytest.fixture
def jobs(hello_world):
    made = Jobs(hello_world)
    yield made
    made.close()


def reason(status, condition):
    found = [each for each in status["conditions"]
             if each["type"] == condition and each["status"] == "True"]
    assert found, status
    return found[0]["reason"]


def events(instance, kind, name):
    """Reasons of the events about an object."""
    items = instance.get("events", "--field-selector",
                         f"involvedObject.kind={kind},involvedObject.name={name}")["items"]
    return {item["reason"] for item in items}


def test_a_job_completes_and_its_log_is_there(hello_world, jobs):
    jobs.apply(job("sum", WORLD + ["--count", "3"], completions=2, parallelism=2))
    status = jobs.wait("sum", "complete")
    assert status["succeeded"] == 2 and status["uncountedTerminatedPods"] == {}, status
    assert reason(status, "Complete") == "CompletionsReached"
    assert status["startTime"] <= status["completionTime"]
    assert "status 200: 3" in hello_world.kubectl("logs", "job/sum")
    row = hello_world.kubectl("get", "job", "sum", "--no-headers").split()
    assert row[1:3] == ["Complete", "2/2"], row
    text = hello_world.kubectl("describe", "job", "sum")
    assert "2 Succeeded" in text and "SuccessfulCreate" in text, text
    assert {"SuccessfulCreate", "Completed"} <= events(hello_world, "Job", "sum")
    for pod in jobs.pods("sum"):
        assert pod["status"]["phase"] == "Succeeded" and "finalizers" not in pod["metadata"], pod
        ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (0, "Completed")


def test_a_pod_of_a_job_reaches_services_first_and_last(jobs):
    jobs.apply(job("asks", WORLD, pod={"initContainers": [container(WORLD, "before")]}))
    jobs.wait("asks", "complete")
    (pod,) = jobs.pods("asks")
    for name in ("before", "main"):
        text = jobs.instance.kubectl("logs", pod["metadata"]["name"], "-c", name)
        assert "status 200: 1" in text, text


def test_kubectl_create_job_makes_one(hello_world, jobs):
    jobs.names.append("simple")
    hello_world.kubectl("create", "job", "simple", "--image=hello:latest", "--",
                        "/hello", *WORLD)
    assert jobs.wait("simple", "complete")["succeeded"] == 1


def test_a_failing_job_ends_when_its_limit_is_exceeded(hello_world, jobs):
    jobs.apply(job("fails", FAILS, backoffLimit=0),
               job("in-place", FAILS, pod={"restartPolicy": "OnFailure"}, backoffLimit=1),
               job("given-up", FAILS, podFailurePolicy={"rules": [
                   {"action": "FailJob",
                    "onExitCodes": {"operator": "In", "values": [FAILS_WITH]}}]}))
    status = jobs.wait("fails", "failed")
    assert reason(status, "Failed") == "BackoffLimitExceeded" and status["failed"] == 1, status
    assert "BackoffLimitExceeded" in events(hello_world, "Job", "fails")
    ended = jobs.pods("fails")[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (FAILS_WITH, "Error")
    assert reason(jobs.wait("in-place", "failed"), "Failed") == "BackoffLimitExceeded"
    status = jobs.wait("given-up", "failed")
    assert reason(status, "Failed") == "PodFailurePolicy" and status["failed"] == 1, status


def test_each_index_runs_once_and_knows_its_number(jobs):
    index = "$(JOB_COMPLETION_INDEX)"
    indexed = {"completions": 3, "parallelism": 3, "completionMode": "Indexed"}
    jobs.apply(job("three", ["fetch", f"http://world/?index={index}"], **indexed),
               # Nothing can be asked for zero times.
               job("but-one", WORLD + ["--count", index], backoffLimitPerIndex=0, **indexed))
    status = jobs.wait("three", "complete")
    assert status["succeeded"] == 3 and status["completedIndexes"] == "0-2", status
    pods = jobs.pods("three")
    assert sorted(pod["spec"]["hostname"] for pod in pods) == ["three-0", "three-1", "three-2"]
    status = jobs.wait("but-one", "failed")
    assert reason(status, "Failed") == "FailedIndexes", status
    assert (status["failedIndexes"], status["completedIndexes"]) == ("0", "1,2"), status


def test_deadlines_end_jobs_and_pods(jobs):
    jobs.apply(job("late", SERVES, activeDeadlineSeconds=1),
               job("late-pod", SERVES, pod={"activeDeadlineSeconds": 1}, backoffLimit=0))
    status = jobs.wait("late", "failed")
    assert reason(status, "Failed") == "DeadlineExceeded" and "active" not in status, status
    assert reason(jobs.wait("late-pod", "failed"), "Failed") == "BackoffLimitExceeded"
    (pod,) = jobs.pods("late-pod")
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")


def test_a_pod_that_is_deleted_counts_as_failed_and_is_replaced(hello_world, jobs):
    jobs.apply(job("robbed", SERVES))
    first = jobs.wait_for_pod("robbed")["metadata"]["name"]
    hello_world.kubectl("delete", "pod", first)
    second = jobs.wait_for_pod("robbed")["metadata"]["name"]
    assert second != first
    wait_until(lambda: hello_world.get("job", "robbed")["status"].get("failed") == 1, 10,
               "the deleted pod is counted")


def test_a_suspended_job_has_no_pods_until_it_is_resumed(hello_world, jobs):
    jobs.apply(job("paused", SERVES))
    jobs.wait_for_pod("paused")
    hello_world.kubectl("patch", "job", "paused", "-p", '{"spec":{"suspend":true}}')
    wait_until(lambda: not jobs.pods("paused"), 20, "its pods are gone")
    status = jobs.wait("paused", "suspended")
    assert "failed" not in status and "startTime" not in status, status
    hello_world.kubectl("patch", "job", "paused", "-p", '{"spec":{"suspend":false}}')
    jobs.wait_for_pod("paused")
    assert {"Suspended", "Resumed"} <= events(hello_world, "Job", "paused")


def test_jobs_go_with_their_pods(hello_world, jobs):
    jobs.apply(job("waited-for", SERVES), job("brief", WORLD, ttlSecondsAfterFinished=0))
    jobs.wait_for_pod("waited-for")
    hello_world.kubectl("delete", "job", "waited-for", "--cascade=foreground", "--timeout=30s")
    assert not jobs.pods("waited-for")
    wait_until(lambda: "brief" not in hello_world.kubectl("get", "jobs", "-o", "name"), 30,
               "a Job is deleted when it has ended")


def test_a_cron_job_gives_a_job_by_hand(hello_world, jobs):
    hello_world.kubectl("create", "cronjob", "yearly", "--image=hello:latest",
                        "--schedule=@yearly", "--", "/hello", *WORLD)
    try:
        jobs.names.append("by-hand")
        hello_world.kubectl("create", "job", "by-hand", "--from=cronjob/yearly")
        assert jobs.wait("by-hand", "complete")["succeeded"] == 1
        row = hello_world.kubectl("get", "cronjob", "yearly", "--no-headers").split()
        assert row[:2] == ["yearly", "@yearly"], row
    finally:
        hello_world.kubectl("delete", "cronjob", "yearly")
    refused = hello_world.kubectl("create", "cronjob", "never", "--image=hello:latest",
                                  "--schedule=61 * * * *", check=False)
    assert "end of range (61) above maximum (59): 61" in refused.stderr, refused
