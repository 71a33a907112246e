# SPDX-License-Identifier: Apache-2.0
"""Threads that run started requests: first in, first out, at most ``streams`` inferences at a time.

A job has two parts. ``run`` counts against the streams; ``finish`` (the user's callback) does not, so that a callback may wait for
another request without stopping the queue. Threads are made when there is work, are daemons, and are told to stop when the pool's
owner goes; at interpreter exit queued jobs are cancelled and running ones are waited for. A forked child starts with no threads.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from typing import Protocol

from ie_ctypes.errors import IEError, InferCancelledError


class Job(Protocol):
    """What a pool runs. Neither ``run`` nor ``finish`` raises."""

    def run(self) -> None: ...

    def finish(self) -> None: ...

    def abandon(self, error: IEError) -> None:
        """The job will never run, or never end."""


class WorkerPool:
    """Runs jobs on at most ``streams`` threads at a time. Any thread may submit."""

    def __init__(self, streams: int):
        global _registered
        self._state = _State(max(1, streams))
        weakref.finalize(self, _State.close, self._state).atexit = False
        _pools.add(self._state)
        if not _registered:
            # Now, not at import: what is registered last runs first, and this must precede the finalizers of what the jobs use.
            _registered = True
            atexit.register(_shutdown)

    @property
    def changed(self) -> threading.Condition:
        """Notified by jobs when a request has become free. A forked child has a new one."""
        return self._state.changed

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._state.submit(job)


class _State:
    """What the threads share; they never hold the pool itself, so that it can go."""

    def __init__(self, streams: int):
        self.streams = streams
        self.reset()

    def reset(self) -> None:
        self.cond = threading.Condition()
        self.changed = threading.Condition()
        self.jobs: deque[Job] = deque()
        self.current: set[Job] = set()  # in run or finish
        self.running = 0  # in run
        self.idle = 0
        self.closed = False

    def submit(self, job: Job) -> None:
        with self.cond:
            if self.closed:
                job.abandon(InferCancelledError("the infer request was cancelled: the interpreter is shutting down"))
                return
            self.jobs.append(job)
            self.wake()

    def wake(self) -> None:
        """Give the first job to a thread when a stream is free. Called with the lock held."""
        if self.jobs and self.running < self.streams:
            if self.idle:
                self.cond.notify()
            else:
                threading.Thread(target=self.work, name="ie_ctypes-stream", daemon=True).start()

    def work(self) -> None:
        cond = self.cond
        with cond:
            while True:
                while self.jobs and self.running < self.streams:
                    self.one(self.jobs.popleft(), cond)
                if self.closed or self.idle >= self.streams:
                    return
                self.idle += 1
                cond.wait()
                self.idle -= 1

    def one(self, job: Job, cond: threading.Condition) -> None:
        """Run a job. Called with the lock held, which is given up meanwhile."""
        self.running += 1
        self.current.add(job)
        cond.release()
        job.run()
        cond.acquire()
        self.running -= 1
        if self.closed:
            cond.notify_all()
        self.wake()
        cond.release()
        job.finish()
        cond.acquire()
        self.current.discard(job)

    def close(self) -> None:
        with self.cond:
            self.closed = True
            self.cond.notify_all()


_pools: weakref.WeakSet[_State] = weakref.WeakSet()
_registered = False


def _shutdown() -> None:
    """Before the interpreter goes: no job starts any more, none is inside the runtime."""
    for state in list(_pools):
        with state.cond:
            state.closed = True
            dropped = list(state.jobs)
            state.jobs.clear()
            state.cond.wait_for(lambda state=state: state.running == 0)  # type: ignore[misc]
        for job in dropped:
            job.abandon(InferCancelledError("the infer request was cancelled: the interpreter is shutting down"))


def _after_fork() -> None:
    for state in list(_pools):
        lost = [*state.current, *state.jobs]
        closed = state.closed
        state.reset()
        state.closed = closed
        for job in lost:
            job.abandon(InferCancelledError("the infer request was running in the parent process when this one was forked"))


os.register_at_fork(after_in_child=_after_fork)
