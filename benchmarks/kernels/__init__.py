# SPDX-License-Identifier: Apache-2.0
"""Speed of single kernels."""
