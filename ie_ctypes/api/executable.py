# SPDX-License-Identifier: Apache-2.0
"""ExecutableNetwork: a network loaded on a device, with its infer requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ie_ctypes.api.data import CDataPtr, DataPtr, InputInfoCPtr
from ie_ctypes.api.errors import check_config
from ie_ctypes.api.request import InferRequest
from ie_ctypes.devices.base import Parameter
from ie_ctypes.errors import IEError, OutOfBoundsError, ParameterMismatchError

if TYPE_CHECKING:
    import os

    from ie_ctypes.api.loaded import Loaded
    from ie_ctypes.api.network import IENetwork

V = TypeVar("V")


class NameMap(dict[str, V]):
    """A dictionary by name that also answers to positions with the name there: ``exec_net.outputs[0]`` of 2019, when it was a list."""

    def __missing__(self, key: object) -> Any:
        if isinstance(key, int):
            return list(self)[key]
        raise KeyError(key)


class ExecutableNetwork:
    """A network loaded on a device. Made by :meth:`IECore.load_network`; may be used by many threads at once."""

    def __init__(self, loaded: Loaded, num_requests: int):
        self._loaded = loaded
        if num_requests == 0:
            num_requests = int(loaded.get_metric("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))  # type: ignore[arg-type]
        self._requests = tuple(InferRequest(loaded, i) for i in range(num_requests))
        loaded.idle.update(dict.fromkeys(range(num_requests)))

    @property
    def inputs(self) -> NameMap[DataPtr]:
        """Inputs by name, sorted; iterating gives the names."""
        return NameMap({name: DataPtr(state) for name, state in self._loaded.inputs.items()})  # type: ignore[arg-type]

    @property
    def input_info(self) -> NameMap[InputInfoCPtr]:
        """Read-only descriptions of the inputs by name, sorted."""
        return NameMap({name: InputInfoCPtr(state) for name, state in self._loaded.inputs.items()})

    @property
    def outputs(self) -> NameMap[CDataPtr]:
        """Read-only descriptions of the outputs by name, sorted; iterating gives the names."""
        return NameMap({name: CDataPtr(state) for name, state in self._loaded.outputs.items()})

    @property
    def requests(self) -> tuple[InferRequest, ...]:
        """The infer requests: the same objects at every access."""
        return self._requests

    def infer(self, inputs: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
        """Run request 0 and return copies of its outputs by name, sorted. Threads that call it at once take turns."""
        if not self._requests:
            raise OutOfBoundsError("Incorrect request_id specified! The network was loaded without requests")
        request = self._requests[0]
        with request._lock:
            request.infer(inputs)
            return {name: slot.view.copy() for name, slot in request._outputs.items()}

    def start_async(self, request_id: int, inputs: Mapping[str, Any] | None = None) -> InferRequest:
        """Start request ``request_id`` and return it at once. ``ValueError`` for an id that does not exist."""
        if not isinstance(request_id, int) or not 0 <= request_id < len(self._requests):
            raise ParameterMismatchError(f"Incorrect request_id specified! Given {request_id}, there are {len(self._requests)} requests")
        request = self._requests[request_id]
        request.async_infer(inputs)
        return request

    def wait(self, num_requests: int | None = None, timeout: float | None = None) -> int:
        """Wait until at least ``num_requests`` requests (None: all) are idle: OK, or RESULT_NOT_READY after ``timeout`` milliseconds.

        A timeout of None, 0 or less waits without limit.
        """
        from ie_ctypes.api.codes import StatusCode

        wanted = len(self._requests) if num_requests is None else int(num_requests)
        if not 0 <= wanted <= len(self._requests):
            raise ParameterMismatchError(f"num_requests is {wanted}, there are {len(self._requests)} requests")
        seconds = None if timeout is None or timeout <= 0 else timeout / 1000
        changed = self._loaded.changed
        with changed:
            ready = changed.wait_for(lambda: sum(not _busy(r) for r in self._requests) >= wanted, seconds)
        return StatusCode.OK if ready else StatusCode.RESULT_NOT_READY

    def get_idle_request_id(self) -> int:
        """Id of the request that has been idle longest, or -1."""
        with self._loaded.changed:
            if self._loaded.idle:
                return next(iter(self._loaded.idle))
            return next((r._id for r in self._requests if not _busy(r)), -1)

    def get_exec_graph_info(self) -> IENetwork:
        """The executed steps as a network: layer params ``execOrder``, ``execTimeMcs``, ``originalLayersNames``, ``primitiveType``..."""
        from ie_ctypes.api.network import exec_graph

        return exec_graph(self._loaded)

    def get_metric(self, metric_name: str) -> Parameter:
        """A metric of the loaded network; :class:`~ie_ctypes.errors.NotFoundError` for an unknown one."""
        return self._loaded.get_metric(metric_name)

    def get_config(self, config_name: str) -> Parameter:
        """A configuration value; :class:`~ie_ctypes.errors.NotFoundError` for an unknown key."""
        return self._loaded.get_config(config_name)

    def set_config(self, config: dict[str, str]) -> None:
        """Change settings while loaded. Of the built-in devices only MULTI can: ``MULTI_DEVICE_PRIORITIES``."""
        self._loaded.set_config(check_config(config))

    def export(self, model_file: str | os.PathLike[str]) -> None:
        """Write the loaded network to a file for :meth:`IECore.import_network`: the network, its settings, packed weights.

        CPU takes the file only with the version and the instruction set that wrote it. Devices that pack no weights compile the network
        again, everywhere.
        """
        import os
        import threading
        from pathlib import Path

        data = self._loaded.export()
        part = Path(f"{os.fspath(model_file)}.{os.getpid()}-{threading.get_ident()}.part")
        try:
            # Renamed when complete: networks imported from an older file of that name have it mapped.
            try:
                part.write_bytes(data)
                part.replace(model_file)
            finally:
                part.unlink(missing_ok=True)
        except OSError as e:
            raise IEError(f"Cannot open file {model_file}: {e.strerror}") from None


def _busy(request: InferRequest) -> bool:
    run = request._run
    return run is not None and run.blocks()
