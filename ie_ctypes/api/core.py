# SPDX-License-Identifier: Apache-2.0
"""IECore: devices, reading networks, loading them."""

from __future__ import annotations

import functools
import os
import re
import warnings
from collections import namedtuple
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ie_ctypes.api.errors import check_config, check_type
from ie_ctypes.api.registry import COMPOSITE, Registry, split_name
from ie_ctypes.errors import IEError, NotFoundError, ParameterMismatchError

if TYPE_CHECKING:
    from ie_ctypes.api.executable import ExecutableNetwork
    from ie_ctypes.api.network import IENetwork, Source
    from ie_ctypes.devices.base import Parameter
    from ie_ctypes.plugins.manager import PluginManager
    from ie_ctypes.plugins.records import Kernel

#: The name that leaves the choice of the device to plugins.
AUTO = "AUTO"

#: Version of a device: ``major``, ``minor``, ``build_number``, ``description``.
Versions = namedtuple("Versions", "major minor build_number description")

#: Libraries of 2019 whose layers the CPU device has; adding them does nothing.
_RETIRED = r"(lib)?cpu_extension(_sse4|_avx2|_avx512)?\.(so|dylib|dll)"


@functools.cache
def _warn_once_of_retired() -> None:
    warnings.warn("libraries called cpu_extension are not loaded: CPU has their layers", DeprecationWarning, stacklevel=3)


class IECore:
    """The entry point: devices by name, networks read and loaded on them. May be used by many threads.

    ``xml_config_file`` is a plugins.xml; "" stands for the devices that installed plugins provide. Drivers are opened at first use.
    ``plugin_manager`` replaces the plugins of this process, for tests.
    """

    def __init__(self, xml_config_file: str = "", *, plugin_manager: PluginManager | None = None):
        from ie_ctypes.plugins.manager import default_manager

        check_type(xml_config_file, str, "xml_config_file")
        self._plugins = plugin_manager or default_manager()
        self._registry = Registry(xml_config_file, self._plugins)

    # -- devices ---------------------------------------------------------------------------------------------------------
    @property
    def available_devices(self) -> list[str]:
        """Devices that are there, sorted; ``NAME.id`` for each unit when a device has several.

        A device that does not open is left out with a ``RuntimeWarning``; REFERENCE, which is for tests, is not listed.
        """
        found: list[str] = []
        for name in self._registry.names():
            try:
                device = self._registry.device(self._registry.entry(name))
            except RuntimeError as e:
                warnings.warn(f"device {name} is not available: {e}", RuntimeWarning, stacklevel=2)
                continue
            try:
                ids = device.get_metric("AVAILABLE_DEVICES")
            except RuntimeError:
                continue  # devices made of others have no units
            if isinstance(ids, (list, tuple)):
                found += [name] if len(ids) == 1 else [f"{name}.{i}" for i in ids]
        return found

    def get_versions(self, device_name: str) -> dict[str, Any]:
        """Versions of a device by base name; ``HETERO:A,B`` gives those of A, B and HETERO. Raises NotFoundError."""
        check_type(device_name, str, "device_name")
        base, colon, rest = device_name.partition(":")
        names = {base.partition(".")[0]} | {n.partition("(")[0].partition(".")[0] for n in rest.split(",") if colon and n}
        result: dict[str, Any] = {}
        for name in sorted(names, key=str.encode):
            device = self._registry.device(self._registry.entry(name))
            result[name] = Versions(*device.version, device.build_number, device.description)
        return result

    def set_config(self, config: dict[str, str], device_name: str) -> None:
        """Settings for later loads on a device; "" is every registered one. Raises for unknown keys, bad values and unknown devices."""
        config = check_config(config)
        check_type(device_name, str, "device_name")
        base, colon, _ = device_name.partition(":")
        if colon and base in COMPOSITE:
            raise IEError(
                f"SetConfig is supported only for {base} itself (without devices). "
                f"You can configure the devices with SetConfig before creating the {base} on top."
            )
        for key, option in (("TARGET_FALLBACK", "TARGET_FALLBACK"), ("MULTI_DEVICE_PRIORITIES", "DEVICE_PRIORITIES")):
            if key in config:
                raise IEError(f"Please, specify {option} to the LoadNetwork directly, as you will need to pass the same {option} anyway.")
        if not device_name:
            for name in self._registry.names():
                self._registry.device(self._registry.entry(name)).set_config(config)
            return
        name, config = split_name(device_name, config)
        self._registry.device(self._registry.entry(name)).set_config(config)

    def get_config(self, device_name: str, config_name: str = "", metric_name: str = "") -> Parameter:
        """A setting of a device. ``metric_name`` is another spelling of ``config_name``. Raises NotFoundError."""
        return self._registry.device(self._registry.entry(self._single(device_name, "config"))).get_config(config_name or metric_name)

    def get_metric(self, device_name: str, metric_name: str) -> Parameter:
        """A metric of a device, as str, int, float, bool, list, tuple or dict. Raises NotFoundError."""
        return self._registry.device(self._registry.entry(self._single(device_name, "metric"))).get_metric(metric_name)

    def _single(self, device_name: str, what: str) -> str:
        check_type(device_name, str, "device_name")
        base, colon, _ = device_name.partition(":")
        if colon and base in COMPOSITE:
            if what == "metric":
                raise IEError(
                    f"You can get specific metrics with the GetMetric only for the {base} itself (without devices). "
                    "To get individual devices's metrics call GetMetric for each device separately"
                )
            raise IEError(
                f"You can only GetConfig of the {base} itself (without devices). "
                f"GetConfig is also possible for the individual devices before creating the {base} on top."
            )
        return split_name(device_name, {})[0]

    def register_plugin(self, plugin_name: str, device_name: str = "") -> None:
        """Add a device: ``plugin_name`` is a library name without prefix and suffix, or a path, or the dotted name of a device class.

        It is opened at first use.

        Without ``device_name`` the device is called as the plugin. Raises IEError for a name that is taken or has a dot.
        """
        check_type(plugin_name, str, "plugin_name")
        check_type(device_name, str, "device_name")
        self._registry.add(plugin_name, device_name or os.path.splitext(os.path.basename(plugin_name))[0])

    def register_plugins(self, xml_config_file: str) -> None:
        """Add the devices of a plugins.xml; entries of names that exist replace them."""
        check_type(xml_config_file, str, "xml_config_file")
        self._registry.add_xml(xml_config_file)

    def unregister_plugin(self, device_name: str = "") -> None:
        """Drop the instance of a device, its settings with it; the next use makes a new one. Raises NotFoundError when there is none."""
        self._registry.forget(device_name)

    def add_extension(self, extension_path: str | os.PathLike[str] | Kernel | Sequence[Kernel], device_name: str) -> None:
        """Give a device layers: the path of an extension library, or kernels in Python (:func:`ie_ctypes.plugins.kernel`).

        They last as long as the device's instance. The retired ``cpu_extension`` libraries are accepted and not loaded: CPU has their
        layers. IEError for what cannot be loaded, and for HETERO and MULTI; NotImplementedIEError for a device without extensions.
        """
        from ie_ctypes.plugins.records import Kernel

        kernels = [extension_path] if isinstance(extension_path, Kernel) else extension_path
        path = os.fspath(kernels) if isinstance(kernels, (str, os.PathLike)) else ""
        if not path and not (isinstance(kernels, Sequence) and kernels and all(isinstance(k, Kernel) for k in kernels)):
            found = type(extension_path).__name__
            raise TypeError(f"Argument 'extension_path' has incorrect type (expected str, got {found})")
        check_type(device_name, str, "device_name")
        base = device_name.partition(":")[0]
        if base in COMPOSITE:
            raise IEError(f"{base} device does not support extensions. Please, set extensions directly to fallback devices")
        entry = self._registry.entry(split_name(device_name, {})[0])
        if re.fullmatch(_RETIRED, os.path.basename(path)):
            _warn_once_of_retired()
        elif path:
            self._registry.extend(entry, libraries=[path])
        else:
            self._registry.extend(entry, kernels=kernels)  # type: ignore[arg-type]

    # -- networks --------------------------------------------------------------------------------------------------------
    def read_network(self, model: Source, weights: Source = "", init_from_buffer: bool = False) -> IENetwork:
        """Read a network, IR or ONNX: paths, bytes-like or file objects. Without weights the .bin beside an IR is taken, if there is one.

        Raises :class:`~ie_ctypes.api.errors.MissingFileError` and :class:`~ie_ctypes.errors.ModelError`.
        """
        from ie_ctypes.collector import collector_paused

        with collector_paused():  # the first time this makes objects by the ten thousand, too
            from ie_ctypes.api.network import IENetwork, _read

        if init_from_buffer and not isinstance(model, (bytes, bytearray, memoryview)):
            raise TypeError(f"expected bytes, {type(model).__name__} found")
        return IENetwork._of(_read(model, weights, "exist", self._plugins), self._registry)

    def load_network(
        self, network: IENetwork | str | os.PathLike[str], device_name: str, config: dict[str, str] | None = None, num_requests: int = 1
    ) -> ExecutableNetwork:
        """Load a network, or the model file of that path, on a device.

        ``num_requests`` 0 asks the device for its optimal number. Later changes of ``network`` do not reach what is loaded. The device
        ``AUTO``, or ``AUTO:A,B`` for one of those, is the one that a plugin prefers, else CPU, else the first.
        Raises NotFoundError for an unknown device or key, ``ValueError`` for a negative number of requests, IEError for layers that the
        device cannot run: the text lists them all.
        """
        return self._load(network, device_name, config, num_requests, None)

    def _load(
        self,
        network: IENetwork | str | os.PathLike[str],
        device_name: str,
        config: dict[str, str] | None,
        num_requests: int,
        compiled: tuple[str, int] | None,
    ) -> ExecutableNetwork:
        """``compiled``: file and offset of what the device wrote when the network was exported."""
        from ie_ctypes.api.network import IENetwork
        from ie_ctypes.collector import collector_paused

        with collector_paused():  # as in read_network
            from ie_ctypes.api.executable import ExecutableNetwork
            from ie_ctypes.api.loaded import Loaded

        if isinstance(network, (str, os.PathLike)):
            network = self.read_network(network)
        check_type(network, IENetwork, "network")
        check_type(device_name, str, "device_name")
        config = check_config(config)
        if num_requests < 0:
            raise ParameterMismatchError(
                f"Incorrect number of requests specified: {num_requests}. Expected positive integer number or zero for auto detection"
            )
        name, config = split_name(self._resolve(device_name), config)
        entry = self._registry.entry(name)
        device = self._registry.device(entry)
        model = network._need()
        if not model.outputs:
            raise IEError("The network doesn't have inputs/outputs.")
        layers = self._registry.layers(entry, config)
        loaded = Loaded(model, network._preprocess, entry.name, device, config, entry.exclusive, layers, compiled)
        exec_network = ExecutableNetwork(loaded, num_requests)
        self._plugins.network_compiled(exec_network)
        return exec_network

    def _resolve(self, device_name: str) -> str:
        """``device_name``, or what ``AUTO`` stands for unless a device of that name is registered."""
        base, _, rest = device_name.partition(":")
        if base != AUTO or AUTO in self._registry.names():
            return device_name
        wanted = [name.strip() for name in rest.split(",") if name.strip()]
        if self._plugins.chooses_devices:  # drivers are not opened only to count them
            available = wanted or self.available_devices
            chosen = self._plugins.default_device(available)
            if chosen is not None and chosen not in available:
                raise IEError(f"a plugin chose {chosen} for {device_name}, expected one of {', '.join(available)}")
            if chosen is not None:
                return chosen
        return wanted[0] if wanted and "CPU" not in wanted else "CPU"

    def import_network(
        self, model_file: str | os.PathLike[str], device_name: str, config: dict[str, str] | None = None, num_requests: int = 1
    ) -> ExecutableNetwork:
        """Load what :meth:`ExecutableNetwork.export` wrote; device "" is the one it was exported from.

        ``config`` goes over the stored one. Raises NotFoundError for a missing file, ModelError for a faulty one, IEError when the device
        cannot use what it wrote into the file: it was made by another version, or for another instruction set.
        """
        from pathlib import Path

        from ie_ctypes.api.portable import unpack

        check_type(device_name, str, "device_name")
        if device_name.partition(":")[0] in COMPOSITE:
            raise IEError(f"{device_name.partition(':')[0]} device does not support ImportNetwork")
        try:
            data = Path(model_file).read_bytes()
        except OSError as e:
            raise NotFoundError(f"Cannot open file {os.fspath(model_file)}: {e.strerror}") from None
        stored, network, settings, own = unpack(data, self._registry)
        compiled = (os.path.abspath(model_file), own) if own and device_name in ("", stored) else None
        return self._load(network, device_name or stored, settings | check_config(config), num_requests, compiled)

    def query_network(self, network: IENetwork, device_name: str, config: dict[str, str] | None = None) -> dict[str, str]:
        """Layer name -> device name for every layer that the device can run, sorted; others are absent.

        For ``HETERO:A,B`` the name is that of the first device in the list that can run the layer; affinities are not looked at.
        """
        from ie_ctypes.api.network import IENetwork
        from ie_ctypes.api.query import query

        check_type(network, IENetwork, "network")
        check_type(device_name, str, "device_name")
        device_name = self._resolve(device_name)
        name = device_name.partition(":")[0]
        if name == "MULTI":
            raise IEError("MULTI device does not support QueryNetwork")
        base, config = split_name(device_name, check_config(config))
        entry = self._registry.entry(base)
        device = self._registry.device(entry)
        return query(network._need(), network._preprocess, device, entry.name, config, self._registry.layers(entry, config))
