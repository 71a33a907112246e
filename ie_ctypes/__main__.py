# SPDX-License-Identifier: Apache-2.0
"""``python -m ie_ctypes``."""

from ie_ctypes.cli import main

raise SystemExit(main())
