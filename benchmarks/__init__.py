# SPDX-License-Identifier: Apache-2.0
"""Measurements: run them as `python -m benchmarks.<name>` or as scripts."""
