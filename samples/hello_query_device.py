#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print the available devices, their metrics and the default values of their configuration."""

from __future__ import annotations

import sys

from ie_ctypes import IECore


def main() -> int:
    if len(sys.argv) != 1:
        print(f"Usage: {sys.argv[0]}")
        return 1
    ie = IECore()
    print("Available devices:")
    for device in ie.available_devices:
        print(f"\tDevice: {device}")
        print("\tMetrics:")
        for metric in ie.get_metric(device, "SUPPORTED_METRICS"):
            print(f"\t\t{metric}: {ie.get_metric(device, metric)}")
        print("\n\tDefault values for device configuration keys:")
        for key in ie.get_metric(device, "SUPPORTED_CONFIG_KEYS"):
            print(f"\t\t{key}: {ie.get_config(device, key)}")
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
