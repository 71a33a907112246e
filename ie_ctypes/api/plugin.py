# SPDX-License-Identifier: Apache-2.0
"""IEPlugin: one device, the way of loading networks before IECore."""

from __future__ import annotations

from collections.abc import Sequence

from ie_ctypes._version import __version__
from ie_ctypes.api.constants import known_plugins
from ie_ctypes.api.core import IECore
from ie_ctypes.api.errors import check_config, check_type
from ie_ctypes.api.executable import ExecutableNetwork
from ie_ctypes.api.network import IENetwork
from ie_ctypes.api.registry import COMPOSITE, split_name
from ie_ctypes.errors import IEError, NotFoundError, ParameterMismatchError


class IEPlugin:
    """A device. ``plugin_dirs`` is accepted and not needed: drivers come from installed packages.

    ``ValueError`` for a name that is not in ``known_plugins`` and not registered, :class:`~ie_ctypes.errors.NotFoundError` for a known
    device that no plugin provides.
    """

    def __init__(self, device: str, plugin_dirs: str | Sequence[str] | None = None):
        check_type(device, str, "device")
        self._core = IECore()
        base = device.partition(":")[0].partition(".")[0]
        registered = self._core._registry.names()
        if base not in known_plugins and base not in registered:
            names = [*known_plugins, *(n for n in registered if n not in known_plugins)]
            raise ParameterMismatchError(f"Unknown plugin: {base}, expected one of: {','.join(names)}")
        if base not in registered:
            raise NotFoundError(f"Cannot find plugin to use :no installed plugin provides device {base}, there are {', '.join(registered)}")
        self._device = device
        self._name = device  # of the registry: what a composite device is made of is one of its settings here
        if device.partition(":")[0] in COMPOSITE:
            self._name, config = split_name(device, {})
            self._core._registry.device(self._core._registry.entry(self._name)).set_config(config)

    @property
    def device(self) -> str:
        """The name given to the constructor."""
        return self._device

    @property
    def version(self) -> str:
        """``major.minor.build`` of the device."""
        base = self._device.partition(":")[0].partition(".")[0]
        version = self._core.get_versions(base)[base]
        return f"{version.major}.{version.minor}.{version.build_number or __version__}"

    def load(self, network: IENetwork, num_requests: int = 1, config: dict[str, str] | None = None) -> ExecutableNetwork:
        """Load a network; see :meth:`IECore.load_network`."""
        return self._core.load_network(network, self._name, config, num_requests)

    def set_config(self, config: dict[str, str]) -> None:
        """Settings for later loads, here ``TARGET_FALLBACK`` and ``MULTI_DEVICE_PRIORITIES`` too. Unknown keys and bad values raise."""
        config = check_config(config)
        if self._name in COMPOSITE:
            self._core._registry.device(self._core._registry.entry(self._name)).set_config(config)
        else:
            self._core.set_config(config, self._name)

    def get_supported_layers(self, net: IENetwork) -> set[str]:
        """Names of the layers that the device can run."""
        return set(self._core.query_network(net, self._name))

    def set_initial_affinity(self, net: IENetwork) -> None:
        """Write the device that HETERO would choose into the affinity of every layer. IEError on other devices."""
        if not self._device.startswith("HETERO"):
            raise IEError("set_initial_affinity method applicable only for HETERO device")
        layers = net.layers
        for name, device in self._core.query_network(net, self._name).items():
            layers[name].affinity = device

    def add_cpu_extension(self, extension_path: str) -> None:
        """See :meth:`IECore.add_extension`. IEError unless the device is CPU or HETERO with CPU."""
        if "CPU" not in self._device:
            raise IEError("add_cpu_extension method applicable only for CPU or HETERO devices")
        self._core.add_extension(extension_path, "CPU")
