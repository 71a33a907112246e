# SPDX-License-Identifier: Apache-2.0
"""Which C files may include which: drivers see the public headers and their own files, the core sees no driver."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ie_ctypes

ROOT = Path(__file__).parents[2]
#: folder -> how the headers begin that its files may name in quotes
ALLOWED = {
    "csrc/include/iec": ("iec/",),
    "csrc/core": ("core.h", "iec/"),
    "csrc/api": ("../core/core.h", "iec/"),
    "csrc/cpu": ("iec/", "cpu/"),
    "csrc/opencl": ("iec/", "opencl/"),
    "csrc/driver_null": ("iec/",),
    "samples/plugins": ("iec/",),
    "tests/abi/v1_0": ("iec/",),
}


@pytest.mark.parametrize("folder", ALLOWED)
def test_files_include_only_what_they_may(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.[ch]"))
    assert files
    for path in files:
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), flags=re.MULTILINE):
            assert name.startswith(ALLOWED[folder]), f"{path.relative_to(ROOT)} includes {name}"


def test_get_include_names_the_folder_of_the_headers() -> None:
    assert {"base.h", "driver.h", "extension.h"} <= {p.name for p in (Path(ie_ctypes.get_include()) / "iec").iterdir()}
