# SPDX-License-Identifier: Apache-2.0
"""ONNX models of a few lines for the tests."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx", reason="the package onnx is not installed (extra ie_ctypes[onnx])")
