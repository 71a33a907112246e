# SPDX-License-Identifier: Apache-2.0
"""The layer catalogue: importing it fills the tables of :mod:`ie_ctypes.model.ops.registry`, one module a family."""
