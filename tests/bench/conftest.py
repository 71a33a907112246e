# SPDX-License-Identifier: Apache-2.0
"""Makes ``benchmarks`` importable; at the end of the path, so that the tests keep the ie_ctypes that they were started with."""

from __future__ import annotations

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
