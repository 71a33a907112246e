# SPDX-License-Identifier: Apache-2.0
"""Without the package onnx the tests of this folder are skipped, by name."""

from __future__ import annotations

from optional_packages import skipped_without

pytest_pycollect_makemodule = skipped_without("onnx.helper", "ie_ctypes[onnx]")
