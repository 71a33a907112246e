# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the CPU tests."""

from kernel_checks import isa  # noqa: F401  a fixture
