# SPDX-License-Identifier: Apache-2.0
"""``ie_ctypes query``: the devices, their metrics and their settings."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ie_ctypes.cli.table import table
from ie_ctypes.plugins.records import Subcommand


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("device", nargs="*", help="devices to ask; without any, those that are available")


def run(arguments: argparse.Namespace) -> int:
    """Print every metric and setting of the devices."""
    from ie_ctypes.api.core import IECore

    core = IECore(plugin_manager=arguments.manager)
    for name in arguments.device or core.available_devices:
        (version,) = core.get_versions(name.partition(".")[0]).values()
        rows = [(name, f"{version.description} {version.major}.{version.minor}.{version.build_number}".strip())]
        for what, ask, listed in (("metric", core.get_metric, "SUPPORTED_METRICS"), ("setting", core.get_config, "SUPPORTED_CONFIG_KEYS")):
            try:
                keys = core.get_metric(name, listed)
            except RuntimeError:
                continue  # a device may have no list
            rows += [(f"  {what} {key}", _answer(ask, name, str(key))) for key in (keys if isinstance(keys, list) else str(keys).split())]
        print(table(rows))
    return 0


def _answer(ask: Callable[[str, str], object], name: str, key: str) -> str:
    """A value as text; "-" for what HETERO and MULTI take at a load only."""
    try:
        return _text(ask(name, key))
    except RuntimeError:
        return "-"


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


COMMAND = Subcommand(name="query", help="list the devices with their metrics and settings", run=run, configure=configure)
