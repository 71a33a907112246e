# SPDX-License-Identifier: Apache-2.0
"""One runtime with one network loaded, in a process of its own. Runs in any interpreter: needs numpy and the runtime, nothing of ours.

It reads one request a line (JSON) from stdin and answers with one line:

    {"do": "load", "engine": NAME, "model": PATH, "threads": N, "streams": N, "inputs": FILE.npz, "outputs": FILE.npz or null,
     "pause": seconds to wait first}
    {"do": "run", "seconds": S}        -> {"times": [seconds of an inference, ...]}; with streams, the mean of each tenth of the turn
    {"do": "calls"}                    -> {"calls": {kind of call: seconds}}
    {"do": "memory"}                   -> {"peak": bytes, "now": bytes}
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

#: fewest inferences of a turn that count, and how many before it only warm the caches
LEAST, WARM = 3, 1


class Engine:
    """A loaded network: ``infer`` runs it once, ``outputs`` has the last results by name, ``stream`` runs it ``count`` times overlapped."""

    version: str

    def __init__(self, model: str, inputs: dict[str, np.ndarray], threads: int, streams: int):
        raise NotImplementedError

    def infer(self) -> None:
        raise NotImplementedError

    def outputs(self) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def stream(self, count: int) -> None:
        raise NotImplementedError

    def calls(self) -> dict[str, Callable[[], object]]:
        """The ways to run one inference, by the name that the legacy API has for them."""
        raise NotImplementedError


class InferenceEngine(Engine):
    """The legacy API, ours or OpenVINO 2023.3's: the same calls."""

    module = "ie_ctypes"

    def __init__(self, model: str, inputs: dict[str, np.ndarray], threads: int, streams: int):
        if self.module == "ie_ctypes":
            import ie_ctypes as api
        else:
            from openvino import inference_engine as api
        self.version = getattr(api, "__version__", "")
        if self.module == "ie_ctypes":
            from ie_ctypes.runtime import library_path

            self.version += f" ({library_path()})"
        core = api.IECore()
        start = time.perf_counter()
        net = core.read_network(model=model)
        self.read_time = time.perf_counter() - start
        config = {"CPU_THREADS_NUM": str(threads), "CPU_THROUGHPUT_STREAMS": str(streams)}
        self.net = core.load_network(net, "CPU", config, num_requests=max(1, streams))
        self.load_time = time.perf_counter() - start
        self.inputs, self.result = inputs, {}

    def infer(self) -> None:
        self.result = self.net.infer(self.inputs)

    def outputs(self) -> dict[str, np.ndarray]:
        return dict(self.result)

    def stream(self, count: int) -> None:
        requests = self.net.requests
        for i in range(count):
            request = requests[i % len(requests)]
            request.wait()
            request.async_infer(self.inputs)
        for request in requests:
            request.wait()

    def calls(self) -> dict[str, Callable[[], object]]:
        net, request, inputs = self.net, self.net.requests[0], self.inputs

        def start_and_wait() -> None:
            net.start_async(0, inputs)
            request.wait()

        return {"infer({x})": lambda: net.infer(inputs), "request.infer()": request.infer, "start_async + wait": start_and_wait}


class Legacy(InferenceEngine):
    module = "openvino.inference_engine"


class OpenVino(Engine):
    def __init__(self, model: str, inputs: dict[str, np.ndarray], threads: int, streams: int):
        import openvino

        self.version = openvino.__version__.partition("-")[0]
        core = openvino.Core()
        start = time.perf_counter()
        net = core.read_model(model)
        self.read_time = time.perf_counter() - start
        config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": streams, "INFERENCE_PRECISION_HINT": "f32"}
        self.net = core.compile_model(net, "CPU", config)
        self.load_time = time.perf_counter() - start
        self.inputs = inputs
        self.names = [output.get_node().input_value(0).get_node().get_friendly_name() for output in net.outputs]
        self.requests = [self.net.create_infer_request() for _ in range(max(1, streams))]
        for request in self.requests:
            for i, port in enumerate(self.net.inputs):
                request.set_input_tensor(i, openvino.Tensor(inputs[port.get_node().get_friendly_name()], shared_memory=True))

    def infer(self) -> None:
        self.requests[0].infer(share_inputs=True, share_outputs=True)

    def outputs(self) -> dict[str, np.ndarray]:
        return {name: np.array(self.requests[0].get_output_tensor(i).data) for i, name in enumerate(self.names)}

    def stream(self, count: int) -> None:
        for i in range(count):
            request = self.requests[i % len(self.requests)]
            request.wait()
            request.start_async(share_inputs=True)
        for request in self.requests:
            request.wait()

    def calls(self) -> dict[str, Callable[[], object]]:
        net, request, inputs = self.net, self.requests[0], dict(self.inputs)

        def start_and_wait() -> None:
            request.start_async(share_inputs=True)
            request.wait()

        return {"infer({x})": lambda: net(inputs), "request.infer()": self.infer, "start_async + wait": start_and_wait}


class OnnxRuntime(Engine):
    """Streams are as many callers of one session, each with its share of the threads."""

    def __init__(self, model: str, inputs: dict[str, np.ndarray], threads: int, streams: int):
        import onnxruntime

        self.version = onnxruntime.__version__
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, threads // streams)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        start = time.perf_counter()
        self.model = os.path.splitext(model)[0] + ".onnx"
        self.net = onnxruntime.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])
        self.read_time = 0.0
        self.load_time = time.perf_counter() - start
        self.inputs, self.streams = inputs, streams
        self.names = [output.name for output in self.net.get_outputs()]
        self.result: list[np.ndarray] = []

    def infer(self) -> None:
        self.result = self.net.run(None, self.inputs)

    def outputs(self) -> dict[str, np.ndarray]:
        """Of a quantised network by the session that computes it as it is written, in float32: without VNNI the sums of bytes saturate."""
        if "_int8_" in self.model:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            self.result = onnxruntime.InferenceSession(self.model, options, providers=["CPUExecutionProvider"]).run(None, self.inputs)
        return dict(zip(self.names, self.result))  # noqa: B905  both have one entry an output

    def calls(self) -> dict[str, Callable[[], object]]:
        return {"infer({x})": self.infer}

    def stream(self, count: int) -> None:
        def work(runs: int) -> None:
            for _ in range(runs):
                self.net.run(None, self.inputs)

        shares = [count // self.streams + (i < count % self.streams) for i in range(self.streams)]
        threads = [threading.Thread(target=work, args=(share,)) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


ENGINES: dict[str, type[Engine]] = {"ie_ctypes": InferenceEngine, "openvino": OpenVino, "legacy": Legacy, "onnxruntime": OnnxRuntime}


def typical(call: Callable[[], object], count: int = 3000) -> float:
    """Median seconds of a short call, the warm ones."""
    times, clock = [], time.perf_counter
    for _ in range(count + count // 10):
        start = clock()
        call()
        times.append(clock() - start)
    return sorted(times[count // 10 :])[count // 2]


def peak_memory() -> dict[str, int]:
    """Peak and present resident set of this process, in bytes."""
    with open("/proc/self/status") as file:
        rows = dict(line.split(":", 1) for line in file)
    return {key: int(rows[field].split()[0]) * 1024 for key, field in (("peak", "VmHWM"), ("now", "VmRSS"))}


class Worker:
    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.streams = 1
        self.pace = 0.0  # seconds of an inference, as of the last turn

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        with np.load(request["inputs"]) as file:
            inputs = {name: file[name] for name in file.files}
        time.sleep(request.get("pause", 0))
        self.streams = request["streams"]
        self.engine = engine = ENGINES[request["engine"]](request["model"], inputs, request["threads"], self.streams)
        engine.infer()
        start = time.perf_counter()
        engine.infer()
        self.pace = time.perf_counter() - start
        if request["outputs"]:
            np.savez(request["outputs"], **engine.outputs())
        return {"version": engine.version, "read": engine.read_time, "load": engine.load_time}  # type: ignore[attr-defined]

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.engine is not None
        count = max(LEAST, round(request["seconds"] / max(self.pace, 1e-7)))
        times = self._latencies(self.engine, count) if self.streams == 1 else self._throughput(self.engine, count)
        self.pace = sorted(times)[len(times) // 2]
        return {"times": times}

    def _latencies(self, engine: Engine, count: int) -> list[float]:
        for _ in range(WARM):
            engine.infer()
        times, clock = [], time.perf_counter
        for _ in range(count):
            start = clock()
            engine.infer()
            times.append(clock() - start)
        return times

    def _throughput(self, engine: Engine, count: int) -> list[float]:
        """Both ends of a part run alone, so parts are long: the whole turn is one figure."""
        count = max(count, 4 * self.streams)
        engine.stream(self.streams)
        start = time.perf_counter()
        engine.stream(count)
        return [(time.perf_counter() - start) / count]

    def calls(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.engine is not None
        return {"calls": {kind: typical(call) for kind, call in self.engine.calls().items()}}

    def memory(self, request: dict[str, Any]) -> dict[str, Any]:
        return peak_memory()


def main() -> None:
    worker = Worker()
    answers = os.fdopen(os.dup(1), "w")  # what a runtime prints must not get between the answers
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request["do"])(request)
        except Exception as e:  # the parent reports it beside the network and the runtime
            answer = {"error": f"{type(e).__name__}: {e}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
