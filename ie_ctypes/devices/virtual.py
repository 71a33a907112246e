# SPDX-License-Identifier: Apache-2.0
"""Virtual accelerators: a record says what a device is called, which layers it runs and how it rounds; the CPU device computes.

``IE_CTYPES_VIRTUAL_DEVICES="MYRIAD:2,FPGA"`` provides those of ``accelerators.py`` to every IECore; docs/virtual-devices.md has the
other ways.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from ie_ctypes.devices.base import Device, Executable, Parameter, Request, refuse_layers, unsupported_layers
from ie_ctypes.devices.cpu import CpuDevice
from ie_ctypes.devices.rounding import Arithmetic, Fixed, emulated
from ie_ctypes.errors import NotFoundError, ParameterMismatchError
from ie_ctypes.model.program import Program, ProgramNode
from ie_ctypes.record import Record, field, replace

#: a setting of every virtual device, for plugins.xml: how many units there are
UNITS = "VIRTUAL_UNITS"
_COMMON = {"DEVICE_ID": "", "EXCLUSIVE_ASYNC_REQUESTS": "NO", "PERF_COUNT": "NO"}
_SWITCH = ("YES", "NO")
LIMIT = 64  # of units


class Accelerator(Record, frozen=True, kw_only=True):
    """A kind of device.

    ``layers`` are the layer types that it runs, as files spell them; ``Eltwise:add`` restricts what is computed of two computed values to
    an op of Binary, ``MatMul:const`` to nothing: one of them is constant; None stands for all layers. ``unit`` makes the id of a unit,
    from its number counted from 0 as ``{}`` and from 1 as ``{1}``; ``choices`` are the values that a setting may have, ``families`` the
    beginnings of further keys.
    """

    name: str
    full_name: str
    arithmetic: Arithmetic | None = None  # None: float32
    layers: frozenset[str] | None = None
    spatial_axes: int = 3  # of convolutions and pools, at most
    dilated: bool = True  # convolutions may be
    unit: str = "{}"
    settings: Mapping[str, str] = field(default_factory=dict)  # key -> default
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    families: tuple[str, ...] = ()
    metrics: Mapping[str, Parameter] = field(default_factory=dict)
    network_metrics: Mapping[str, Parameter] = field(default_factory=dict)
    optimal_requests: int = 1


class VirtualExecutable(Executable):
    """What CPU runs, with the figures of the accelerator."""

    def __init__(self, inner: Executable, record: Accelerator):
        self._inner = inner
        self._record = record
        self.streams = inner.streams
        self.optimal_requests = record.optimal_requests

    def create_request(self) -> Request:
        return self._inner.create_request()

    def exec_graph(self) -> list[dict[str, str]]:
        return self._inner.exec_graph()

    def metrics(self) -> dict[str, Parameter]:
        return dict(self._record.network_metrics)

    def close(self) -> None:
        self._inner.close()


class VirtualDevice(Device):
    """An accelerator of ``units`` units, emulated. All units share the processor."""

    def __init__(self, record: Accelerator, units: int = 1):
        self.record = record
        self.name = record.name
        self.description = f"virtual {record.name}"
        self.build_number = "virtual"
        self._cpu = CpuDevice()
        self._defaults = _COMMON | dict(record.settings)
        self._config: dict[str, str] = {}
        self._units = 1
        self.set_config({UNITS: str(units)})

    # -- settings --------------------------------------------------------------------------------------------------------
    @property
    def units(self) -> list[str]:
        """Ids of the units."""
        return [self.record.unit.format(i, i + 1) for i in range(self._units)]

    def _check(self, key: str, value: str) -> None:
        if key not in self._defaults and key != UNITS and not any(key.startswith(f) for f in self.record.families):
            raise NotFoundError(f"[NOT_FOUND] Unsupported property {key} by {self.name} plugin")
        choices = self.record.choices.get(key, _SWITCH if self._defaults.get(key) in _SWITCH else ())
        if choices and value not in choices:
            raise ParameterMismatchError(f"Wrong value for property key {key}. Expected only {'/'.join(choices)}")
        if key == UNITS and not (value.isascii() and value.isdigit() and 1 <= int(value) <= LIMIT):
            raise ParameterMismatchError(f"Wrong value for property key {key}. Expected only numbers from 1 to {LIMIT}, got {value!r}")
        if key == "DEVICE_ID" and value:
            self.unit_of(value)

    def unit_of(self, text: str) -> str:
        """The unit of an id, of its number, or of how only its id begins. NotFoundError for any other text."""
        units = self.units
        if text in units:
            return text
        if text.isascii() and text.isdigit() and int(text) < len(units):
            return units[int(text)]
        found = [unit for unit in units if unit.startswith(text)]
        if len(found) != 1:
            raise NotFoundError(f"[NOT_FOUND] {self.name} has no device {text}, there are {', '.join(units)}")
        return found[0]

    def set_config(self, config: Mapping[str, str]) -> None:
        for key, value in config.items():
            self._check(key, value)
        self._config |= config
        self._units = int(self._config[UNITS])

    def get_config(self, name: str) -> Parameter:
        if name not in self._defaults and name not in self._config:
            raise NotFoundError(f"Unsupported config key {name}")
        return self._config.get(name, self._defaults.get(name, ""))

    def effective_config(self, config: Mapping[str, str]) -> dict[str, Parameter]:
        for key, value in config.items():
            self._check(key, value)
        own = {key: value for key, value in self._config.items() if key != UNITS}
        return {**self._defaults, **own, **config}

    def get_metric(self, name: str) -> Parameter:
        metrics: dict[str, Parameter] = {
            "AVAILABLE_DEVICES": self.units,
            "FULL_DEVICE_NAME": f"{self.record.full_name} (virtual, emulated on CPU)",
            **self.record.metrics,
            "SUPPORTED_CONFIG_KEYS": sorted(self._defaults),
        }
        metrics["SUPPORTED_METRICS"] = sorted([*metrics, "SUPPORTED_METRICS"])
        if name not in metrics:
            raise NotFoundError(f"Unsupported metric key {name}")
        return metrics[name]

    # -- networks --------------------------------------------------------------------------------------------------------
    def query(self, program: Program) -> list[bool]:
        verdicts = zip(program.nodes, self._cpu.query(program), strict=True)
        return [runs and self._accepts(program, node) for node, runs in verdicts]

    def _accepts(self, program: Program, node: ProgramNode) -> bool:
        """Does the record allow the node? Input layers always are: they only convert."""
        record = self.record
        if node.kind in ("Conv", "Deconv", "Pool") and len(program.tensors[node.inputs[0]].type.shape) - 2 > record.spatial_axes:
            return False
        dilations = node.attrs.get("dilations", ())
        if not record.dilated and isinstance(dilations, tuple) and any(d != 1 for d in dilations):
            return False
        if record.layers is None or node.layer_type in record.layers or node.layer_type.lower() in ("input", "parameter"):
            return True
        allowed = {op for type, _, op in (entry.partition(":") for entry in record.layers) if op and type == node.layer_type}
        if not allowed:
            return False
        computed = [t for t in node.inputs if t >= 0 and program.tensors[t].data is None]
        return node.kind not in ("Binary", "MatMul") or len(computed) < 2 or node.attrs.get("op") in allowed

    def compile(self, program: Program, config: Mapping[str, str]) -> Executable:
        settings = {key: str(value) for key, value in self.effective_config(config).items()}
        refuse_layers(unsupported_layers(self, program))
        arithmetic = self.arithmetic(settings)
        rewritten = program if arithmetic is None else emulated(program, arithmetic)
        inner = self._cpu.compile(rewritten, {"PERF_COUNT": settings["PERF_COUNT"]})
        return VirtualExecutable(inner, self.loaded(settings))

    def arithmetic(self, settings: Mapping[str, str]) -> Arithmetic | None:
        """The arithmetic that a load with these settings has; subclasses know settings that change it."""
        return self.record.arithmetic

    def loaded(self, settings: Mapping[str, str]) -> Accelerator:
        """The record of a network loaded with these settings."""
        return self.record


class Myriad(VirtualDevice):
    """MYRIAD: two executors, or as many as ``VPU_MYRIAD_THROUGHPUT_STREAMS`` says."""

    def __init__(self, units: int = 1):
        from ie_ctypes.devices.accelerators import MYRIAD

        super().__init__(MYRIAD, units)

    def _streams(self, settings: Mapping[str, str]) -> int:
        text = settings.get("VPU_MYRIAD_THROUGHPUT_STREAMS", "")
        return int(text) if text.isascii() and text.isdigit() else 0

    def _check(self, key: str, value: str) -> None:
        super()._check(key, value)
        if key.endswith("THROUGHPUT_STREAMS") and value not in ("", "-1") and not (value.isascii() and value.isdigit() and int(value)):
            raise ParameterMismatchError(f"Wrong value for property key {key}. Expected only numbers >= 1, got {value!r}")

    def get_metric(self, name: str) -> Parameter:
        streams = self._streams(self._config)
        if name == "RANGE_FOR_ASYNC_INFER_REQUESTS" and streams:
            return (streams + 1, 3 * streams, 1)
        return super().get_metric(name)

    def loaded(self, settings: Mapping[str, str]) -> Accelerator:
        return replace(self.record, optimal_requests=2 * (self._streams(settings) or 2))


class Fpga(VirtualDevice):
    """FPGA."""

    def __init__(self, units: int = 1):
        from ie_ctypes.devices.accelerators import FPGA

        super().__init__(FPGA, units)


class Gna(VirtualDevice):
    """GNA: 16-bit integers, weights of 8 bits with ``GNA_PRECISION=I8``, float32 with ``GNA_DEVICE_MODE=GNA_SW_FP32``."""

    def __init__(self, units: int = 1):
        from ie_ctypes.devices.accelerators import GNA

        super().__init__(GNA, units)

    def _check(self, key: str, value: str) -> None:
        super()._check(key, value)
        if key.startswith("GNA_SCALE_FACTOR"):
            try:
                right = 0 < float(value) < float("inf")
            except ValueError:
                right = False
            if not right:
                raise ParameterMismatchError(f"Wrong value for property key {key}. Expected only positive numbers, got {value!r}")

    def arithmetic(self, settings: Mapping[str, str]) -> Arithmetic | None:
        if settings["GNA_DEVICE_MODE"] == "GNA_SW_FP32":
            return None
        scales = {k.removeprefix("GNA_SCALE_FACTOR").removeprefix("_"): float(v) for k, v in settings.items() if k.startswith("GNA_SCALE")}
        if scales.get("") == 1.0:
            del scales[""]  # the default: nobody chose a scale
        return Fixed(bits=16, weight_bits=8 if settings["GNA_PRECISION"] == "I8" else 16, scales=scales)


KNOWN: Mapping[str, Callable[[int], VirtualDevice]] = {"FPGA": Fpga, "GNA": Gna, "MYRIAD": Myriad}
VARIABLE = "IE_CTYPES_VIRTUAL_DEVICES"


def requested(text: str) -> dict[str, Callable[[], VirtualDevice]]:
    """``MYRIAD:2,FPGA`` as name -> what makes the device. ParameterMismatchError for a device that is not known or a wrong number."""
    found: dict[str, Callable[[], VirtualDevice]] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        name, _, number = item.partition(":")
        if name not in KNOWN or not (not number or (number.isascii() and number.isdigit() and 1 <= int(number) <= LIMIT)):
            raise ParameterMismatchError(
                f"{VARIABLE}: {item!r}, expected DEVICE or DEVICE:units with 1 to {LIMIT} units of {', '.join(KNOWN)}"
            )
        found[name] = functools.partial(KNOWN[name], int(number or 1))
    return found
