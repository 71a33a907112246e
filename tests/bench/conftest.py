# SPDX-License-Identifier: Apache-2.0
"""Makes ``benchmarks`` importable; at the end of the path, so that the tests keep the ie_ctypes that they were started with.

Without the package onnx the tests of this folder are skipped, by name.
"""

from __future__ import annotations

import pathlib
import sys

from optional_packages import skipped_without

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
pytest_pycollect_makemodule = skipped_without("onnx.helper", "ie_ctypes[benchmarks]")
