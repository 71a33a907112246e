# SPDX-License-Identifier: Apache-2.0
"""Retag the wheel in a folder: one library serves every CPython, so its tag is py3-none-<platform>. Checks tag and size.

python .ci/retag.py FOLDER
"""

from __future__ import annotations

import pathlib
import subprocess
import sys

LIMIT_MB = 3.0


def main(folder: pathlib.Path) -> int:
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "wheel", "tags", "--python-tag", "py3", "--abi-tag", "none", "--remove", str(wheel)], check=True)
    (wheel,) = folder.glob("*.whl")
    size = wheel.stat().st_size / 1e6
    print(f"{wheel.name}: {size:.2f} MB (limit {LIMIT_MB} MB)")
    if "-py3-none-" not in wheel.name:
        print("the tag is not py3-none")
        return 1
    return int(size > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
