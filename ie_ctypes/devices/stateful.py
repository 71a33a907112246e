# SPDX-License-Identifier: Apache-2.0
"""States and true sizes on any device: a request that feeds what a program stored back into it, and keeps the counts of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ie_ctypes.devices.base import Executable, Parameter, PerfCount, Request
from ie_ctypes.model.program import Program, State
from ie_ctypes.record import replace


class Variable:
    """The value of one state in one request."""

    def __init__(self, state: State):
        self.name = state.name
        self._state = state
        self.reset()

    def reset(self) -> None:
        """Back to the initial value, which the program may compute."""
        self.value = self._state.initial.copy()
        self.next = np.empty_like(self.value)
        self.fresh = np.array(True)

    def set(self, value: np.ndarray) -> None:
        """Store a value of the state's shape."""
        self.value = np.array(value, self.value.dtype, order="C").reshape(self.value.shape)
        self.fresh = np.array(False)

    def inputs(self) -> list[np.ndarray]:
        return [self.value] if self._state.fresh < 0 else [self.value, self.fresh]

    def advance(self) -> None:
        """After an inference: what it stored is the value."""
        self.value, self.next = self.next, self.value
        self.fresh = np.array(False)


class StatefulRequest(Request):
    """A request with states of its own. A failed or cancelled inference leaves them as they were."""

    def __init__(self, inner: Request, program: Program):
        self._inner = inner
        self.variables = [Variable(s) for s in program.states]
        types = [program.tensors[program.outputs[place]].type for place in dict.fromkeys(s.count for s in program.sizes)]
        self._counts = [np.zeros(t.shape, t.dtype) for t in types]
        first = min((s.count for s in program.sizes), default=0)
        #: outputs of which only a part is real: place, axis, how much (after an inference)
        self.sizes = [(s.output, s.axis, self._counts[s.count - first]) for s in program.sizes]

    def _inputs(self, given: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [*given, *(a for v in self.variables for a in v.inputs())]

    def _outputs(self, given: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [*given, *(v.next for v in self.variables), *self._counts]

    def _advance(self) -> None:
        for v in self.variables:
            v.advance()

    def infer(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        self._inner.infer(self._inputs(inputs), self._outputs(outputs))
        self._advance()

    def start(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], done: Callable[[BaseException | None], None]) -> None:
        def ended(error: BaseException | None) -> None:
            if error is None:
                self._advance()
            done(error)

        self._inner.start(self._inputs(inputs), self._outputs(outputs), ended)

    def cancel(self) -> None:
        self._inner.cancel()

    def perf_counts(self) -> list[PerfCount]:
        return self._inner.perf_counts()

    def close(self) -> None:
        self._inner.close()


class StatefulExecutable(Executable):
    """A loaded program whose requests keep its states and counts."""

    def __init__(self, inner: Executable, program: Program):
        self._inner = inner
        self._program = program
        self.streams, self.optimal_requests, self.counts = inner.streams, inner.optimal_requests, inner.counts
        self.unknown_metric, self.unknown_config = inner.unknown_metric, inner.unknown_config

    def create_request(self) -> Request:
        return StatefulRequest(self._inner.create_request(), self._program)

    def exec_graph(self) -> list[dict[str, str]]:
        return self._inner.exec_graph()

    def metrics(self) -> dict[str, Parameter]:
        return self._inner.metrics()

    def set_config(self, config: Mapping[str, str]) -> dict[str, Parameter]:
        return self._inner.set_config(config)

    def close(self) -> None:
        self._inner.close()


def without_states(program: Program) -> Program:
    """The program with only those inputs and outputs that a user sees, for one with others."""
    inputs = min((s.input for s in program.states), default=len(program.inputs))
    outputs = min([s.output for s in program.states] + [s.count for s in program.sizes])
    return replace(
        program,
        inputs=program.inputs[:inputs],
        input_names=program.input_names[:inputs],
        outputs=program.outputs[:outputs],
        output_names=program.output_names[:outputs],
    )
