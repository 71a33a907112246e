# SPDX-License-Identifier: Apache-2.0
"""The MULTI device: one network on several devices, each request on the first of them that is free."""

from __future__ import annotations

import os
import re
import threading
import warnings
import weakref
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ie_ctypes.devices.base import CompositeDevice, Executable, Parameter, PerfCount, Request, refuse_layers, unsupported_layers
from ie_ctypes.devices.composite import Parts
from ie_ctypes.errors import IEError, InferCancelledError, NotFoundError, NotImplementedIEError, ParameterMismatchError
from ie_ctypes.model.program import Program

PRIORITIES = "MULTI_DEVICE_PRIORITIES"
_ITEM = re.compile(r"([^()]+?)\s*(?:\(\s*([+-]?\d+)\s*\))?")
_FIXED = "with the Network's SetConfig(MultiDeviceConfigParams::KEY_MULTI_DEVICE_PRIORITIES"


def priorities(text: str) -> dict[str, int]:
    """``A(2),B`` as {"A": 2, "B": 0}: devices in the order of their priority, requests on each, 0 for as many as suit the device."""
    found: dict[str, int] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ParameterMismatchError(f"{PRIORITIES}: {item!r}, expected DEVICE or DEVICE(number of requests)")
        name, number = match[1].strip(), match[2]
        if number is not None and int(number) <= 0:
            raise ParameterMismatchError(f"Priority value for '{name}' must be > 0, while {number} is passed")
        if name in found:
            raise ParameterMismatchError(f"{PRIORITIES}: {name} is named twice in {text!r}")
        found[name] = int(number or 0)
    return found


class _Workers:
    """The requests on all devices, of which idle ones are handed out by priority. Every method may be called from any thread."""

    def __init__(self, idle: dict[str, list[Request]]):
        self._idle = idle
        self._order = list(idle)
        self.reset()
        _all.add(self)

    def reset(self) -> None:
        """In a forked child: whoever had the lock or a worker is no more. Idle workers are there, the others are lost."""
        self._changed = threading.Condition()
        self._order = [name for name in self._order if self._idle[name]]

    def take(self, tried: Collection[str], request: MultiRequest) -> tuple[str, Request] | None:
        """An idle worker of the first device that has one, waited for; None when every device was ``tried`` or failed."""
        with self._changed:
            while True:
                request.check()
                left = [name for name in self._order if name not in tried]
                if not left:
                    return None
                for name in left:
                    if self._idle[name]:
                        return name, self._idle[name].pop()
                self._changed.wait()

    def give(self, name: str, worker: Request) -> None:
        """A worker is idle again."""
        with self._changed:
            self._idle[name].append(worker)
            self._changed.notify_all()

    def wake(self) -> None:
        """Let those that wait look whether they are cancelled."""
        with self._changed:
            self._changed.notify_all()

    def drop(self, name: str, error: BaseException) -> None:
        """Give a device no more requests."""
        with self._changed:
            if name not in self._order:
                return
            self._order.remove(name)
            rest = ", ".join(self._order)
        warnings.warn(f"MULTI: device {name} failed and gets no more requests, {rest} go on: {error}", RuntimeWarning, stacklevel=2)

    def reorder(self, names: Sequence[str]) -> None:
        """New priorities; devices that are not named get no more requests, those that failed another chance."""
        with self._changed:
            self._order = list(names)
            self._changed.notify_all()


_all: weakref.WeakSet[_Workers] = weakref.WeakSet()


def _after_fork() -> None:
    for workers in list(_all):
        workers.reset()


os.register_at_fork(after_in_child=_after_fork)


class MultiRequest(Request):
    """The caller's buffers; each inference borrows a request of some device.

    When that fails, another device is tried. Where one succeeds the first is at fault: it is reported and gets no more requests.
    Where none does the fault lies with the inference, and the first error is raised.
    """

    def __init__(self, workers: _Workers, counts: bool):
        self._workers = workers
        self._counts = counts
        self._rows: list[PerfCount] = []
        self._lock = threading.Lock()  # of the two below: a cancelled worker must still be this request's
        self._current: Request | None = None
        self._cancelled = False

    def check(self) -> None:
        """Raise when the inference was cancelled."""
        if self._cancelled:
            raise InferCancelledError("the infer request was cancelled")

    def infer(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        self._cancelled = False
        failed: dict[str, Exception] = {}
        while (taken := self._workers.take(failed, self)) is not None:
            name, worker = taken
            self._hold(worker)
            try:
                worker.infer(inputs, outputs)
                if self._counts:
                    self._rows = worker.perf_counts()
            except InferCancelledError:
                raise
            except Exception as error:  # a device written in Python may raise anything
                failed[name] = error
                continue
            finally:
                self._hold(None)
                self._workers.give(name, worker)
            for other, reason in failed.items():
                self._workers.drop(other, reason)
            return
        if not failed:
            raise IEError("MULTI: no device is left: its requests were running in the parent process when this one was forked")
        raise next(iter(failed.values()))

    def _hold(self, worker: Request | None) -> None:
        with self._lock:
            self._current = worker

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._current is not None:
                self._current.cancel()
        self._workers.wake()

    def perf_counts(self) -> list[PerfCount]:
        return list(self._rows)


class MultiExecutable(Executable):
    """A program loaded on each device, with the requests that share the work."""

    unknown_metric = "Unsupported Network metric: {}"
    unknown_config = "[NOT_FOUND] {} not found in the ExecutableNetwork config"

    def __init__(self, executables: Mapping[str, Executable], numbers: Mapping[str, int], counts: bool):
        """``numbers``: requests for each device."""
        self._executables = executables
        self._numbers = numbers
        self.counts = counts
        self.streams = sum(numbers.values())
        self._workers = _Workers({name: [e.create_request() for _ in range(numbers[name])] for name, e in executables.items()})

    def create_request(self) -> Request:
        return MultiRequest(self._workers, self.counts)

    def set_config(self, config: Mapping[str, str]) -> dict[str, Parameter]:
        """New priorities among the devices that are loaded; leaving one out stops it, naming it again starts it."""
        if list(config) != [PRIORITIES]:
            raise NotImplementedIEError(
                "[NOT_IMPLEMENTED] The only config supported for the Network's SetConfig is "
                "MultiDeviceConfigParams::KEY_MULTI_DEVICE_PRIORITIES"
            )
        wanted = priorities(config[PRIORITIES])
        if not wanted:
            raise ParameterMismatchError(f"{PRIORITIES} is empty, the network is loaded on {', '.join(self._executables)}")
        for name, number in wanted.items():
            if name not in self._executables:
                loaded = ", ".join(self._executables)
                raise NotFoundError(
                    f"[NOT_FOUND] You can only change device priorities but not add new devices {_FIXED}. {name} is not one of {loaded}"
                )
            if number not in (0, self._numbers[name]):
                raise NotImplementedIEError(
                    f"[NOT_IMPLEMENTED] You can only change device priorities but not number of requests {_FIXED}. "
                    f"{name} has {self._numbers[name]}"
                )
        self._workers.reorder(list(wanted))
        return {PRIORITIES: config[PRIORITIES]}

    def close(self) -> None:
        for executable in self._executables.values():
            executable.close()


class MultiDevice(CompositeDevice):
    """Shares the requests of a network among devices."""

    name = "MULTI"
    build_number = "MultiDevicePlugin"
    description = "MultiDevicePlugin"

    def __init__(self) -> None:
        self._config: dict[str, str] = {}

    def set_config(self, config: Mapping[str, str]) -> None:
        """The own key, and any others: those go to the devices that know them."""
        priorities(config.get(PRIORITIES, ""))
        self._config |= config

    def get_config(self, name: str) -> Parameter:
        if name not in self._config:
            raise NotFoundError(f"Unsupported config key: {name}")
        return self._config[name]

    def effective_config(self, config: Mapping[str, str]) -> dict[str, Parameter]:
        return {PRIORITIES: (self._config | dict(config)).get(PRIORITIES, "")}

    def get_metric(self, name: str) -> Parameter:
        metrics: dict[str, Parameter] = {
            "SUPPORTED_METRICS": ["SUPPORTED_METRICS", "FULL_DEVICE_NAME", "SUPPORTED_CONFIG_KEYS"],
            "FULL_DEVICE_NAME": "MULTI",
            "SUPPORTED_CONFIG_KEYS": [PRIORITIES],
        }
        if name not in metrics:
            raise NotFoundError(f"Unsupported metric key {name}")
        return metrics[name]

    def part_names(self, config: Mapping[str, str]) -> list[str]:
        return list(priorities((self._config | dict(config)).get(PRIORITIES, "")))

    def _devices(self, config: Mapping[str, str]) -> tuple[dict[str, int], Parts]:
        wanted = priorities(config.get(PRIORITIES, ""))
        if not wanted:
            raise IEError("KEY_MULTI_DEVICE_PRIORITIES key is not set for MULTI device")
        return wanted, Parts(self.find, wanted, {k: v for k, v in config.items() if k != PRIORITIES}, ())

    def query(self, program: Program) -> list[bool]:
        """What every device that ``set_config`` named can run."""
        wanted, parts = self._devices(self._config)
        return [all(verdicts) for verdicts in zip(*(parts.device(name).query(program) for name in wanted), strict=True)]

    def placement(self, program: Program, layers: Sequence[str], config: Mapping[str, str]) -> dict[str, str]:
        wanted, parts = self._devices(self._config | dict(config))
        refused = {layer for name in wanted for _, layer in unsupported_layers(parts.device(name), program)}
        return {layer: self.name for layer in layers if layer not in refused}

    def compile(self, program: Program, config: Mapping[str, str]) -> Executable:
        """Load on all devices at once; one that fails is left out with a ``RuntimeWarning``."""
        wanted, parts = self._devices(self._config | dict(config))
        loaded: dict[str, Executable] = {}
        failed: dict[str, Exception] = {}

        def load(name: str) -> None:
            device = parts.device(name)
            try:
                try:
                    loaded[name] = device.compile(program, parts.config(name))
                except NotImplementedIEError:
                    refuse_layers(unsupported_layers(device, program))
                    raise
            except Exception as error:  # of whatever kind: the others go on
                failed[name] = error

        threads = [threading.Thread(target=load, args=(name,), name=f"ie_ctypes load {name}") for name in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reasons = "; ".join(f"{name}: {failed[name]}" for name in wanted if name in failed)
        if not loaded:
            raise NotFoundError(
                "[NOT_FOUND] Failed to load Executable network to any device that the MULTI device is initialized to work with. " + reasons
            )
        if failed:
            warnings.warn(f"MULTI goes on without devices that could not load the network: {reasons}", RuntimeWarning, stacklevel=2)
        ready = {name: loaded[name] for name in wanted if name in loaded}
        numbers = {name: wanted[name] or e.optimal_requests or e.streams for name, e in ready.items()}
        counts = any(parts.device(name).effective_config(parts.config(name)).get("PERF_COUNT") == "YES" for name in ready)
        return MultiExecutable(ready, numbers, counts)
