"""Steady load through the Ingress, with every request accounted for."""

import collections
import http.client
import threading
import time


class Threads:
    """`count` threads that run _run() from `with` to its end. They end when _stopping is set."""

    JOIN_LIMIT_S = 20

    def __init__(self, count):
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        for thread in self._threads:
            thread.join(self.JOIN_LIMIT_S)

    def _run(self):
        raise NotImplementedError


class Load(Threads):
    """Threads that send GETs, or what `method` says, on kept-alive connections, from `with` to its
    end.

    counts: status or kind of failure → how many. failures: what each other than 200 was.
    Strict: a connection that the other side closes between two requests is a failure too. A thread
    pauses for `pause_s` after each.
    """

    def __init__(self, instance, host, path="/", threads=4, method="GET", pause_s=0):
        super().__init__(threads)
        self._instance = instance
        self._host = host
        self._path = path
        self._method = method
        self._pause_s = pause_s
        self.counts = collections.Counter()
        self.failures = []

    @property
    def total(self):
        with self._lock:
            return sum(self.counts.values())

    def _note(self, outcome, detail=""):
        with self._lock:
            self.counts[outcome] += 1
            if outcome != 200:
                self.failures.append(f"{outcome}: {detail}"[:300])

    def _run(self):
        connection = None
        while not self._stopping.is_set():
            if connection is None:
                connection = http.client.HTTPConnection(
                    "127.0.0.1", self._instance.ingress_port, timeout=10)
            try:
                connection.request(self._method, self._path, headers={"Host": self._host})
                answer = connection.getresponse()
                body = answer.read()
                self._note(answer.status, body.decode(errors="replace"))
                if answer.will_close:
                    connection = None
                self._stopping.wait(self._pause_s)
            except (OSError, http.client.HTTPException) as error:
                self._note(type(error).__name__, str(error))
                self._stopping.wait(0.01)
                connection.close()
                connection = None


class Callers(Threads):
    """GETs, each on a connection of its own.

    served: when each that was answered with 200 was begun, and how long it took.
    failures: when each of the others was, and why.
    """

    def __init__(self, instance, host, path, threads=8):
        super().__init__(threads)
        self._port, self._host, self._path = instance.ingress_port, host, path
        self.served = []
        self.failures = []

    @property
    def total(self):
        return len(self.served) + len(self.failures)

    def _run(self):
        while not self._stopping.is_set():
            begin = time.monotonic()
            why = self._call()
            if why is None:
                self.served.append((begin, time.monotonic() - begin))
            else:
                self.failures.append((begin, why))

    def _call(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", self._path, headers={"Host": self._host})
            status = connection.getresponse().status
            return None if status == 200 else str(status)
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            connection.close()
