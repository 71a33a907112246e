# SPDX-License-Identifier: Apache-2.0
"""What devices made of others share: their parts' configuration."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping

from ie_ctypes.devices.base import Device, DeviceSource

#: served above the devices, so that no part needs to know them
_ANYWHERE = ("DYN_BATCH_ENABLED", "DYN_BATCH_LIMIT")


def config_keys(device: Device) -> set[str]:
    """Keys that the device says it knows; none when it does not say."""
    try:
        keys = device.get_metric("SUPPORTED_CONFIG_KEYS")
    except RuntimeError:
        return set()
    return set(map(str, keys)) if isinstance(keys, (list, tuple)) else set()


class Parts:
    """The devices that a composite one is made of, each opened at its first use, with what of a load's configuration each is told."""

    def __init__(self, find: DeviceSource, names: Iterable[str], config: Mapping[str, str], own: Collection[str]):
        """A key that no part knows is left out, with a ``RuntimeWarning`` unless it is one of the composite device's ``own``."""
        self._find = find
        self._config = dict(config)
        self._found: dict[str, tuple[Device, dict[str, str]]] = {}
        known = {key for name in names for key in config_keys(self.device(name))}
        for key in set(config) - known - {*own, *_ANYWHERE}:
            warnings.warn(f"{key} is left out: none of the devices {', '.join(self._found)} knows it", RuntimeWarning, stacklevel=4)

    def _get(self, name: str) -> tuple[Device, dict[str, str]]:
        if name not in self._found:
            device, config = self._find(name)
            keys = config_keys(device)
            self._found[name] = device, config | {k: v for k, v in self._config.items() if k in keys}
        return self._found[name]

    def device(self, name: str) -> Device:
        """The device of that name. NotFoundError for one that is not registered."""
        return self._get(name)[0]

    def config(self, name: str) -> dict[str, str]:
        """What the device is told when it loads."""
        return self._get(name)[1]
