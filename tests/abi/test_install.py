# SPDX-License-Identifier: Apache-2.0
"""What the build installs is the package as it lies in the folder, the library and the headers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_file_of_the_package_is_installed(tmp_path: Path) -> None:
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    meson = shutil.which("meson", path=search)
    if not meson:
        pytest.skip("meson is not installed")
    environment = os.environ | {"PATH": search}
    done = subprocess.run([meson, "setup", str(tmp_path), str(ROOT), "-Dtests=false"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    plan = json.loads(
        subprocess.run([meson, "introspect", "--install-plan", str(tmp_path)], capture_output=True, check=True, env=environment).stdout
    )
    installed = {Path(entry["destination"]) for kind in plan.values() for entry in kind.values()}
    inside = {p.relative_to(p.parts[0]) for p in installed if "ie_ctypes" in p.parts}
    package = {
        p.relative_to(ROOT)
        for p in (ROOT / "ie_ctypes").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts and p.suffix not in (".pyc", ".so")
    }
    assert package <= inside
    assert inside - package == {Path("ie_ctypes/libiec.so"), Path("ie_ctypes/include")}
