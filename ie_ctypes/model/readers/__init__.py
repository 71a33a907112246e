# SPDX-License-Identifier: Apache-2.0
"""Readers of network files."""

from ie_ctypes.model.readers.ir import read_ir, sniff_version

__all__ = ["read_ir", "sniff_version"]
