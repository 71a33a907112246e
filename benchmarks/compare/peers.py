# SPDX-License-Identifier: Apache-2.0
"""Where the other runtimes live: interpreters that were named, or virtual environments that this script makes."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

#: runtime -> (environment, packages in it, module that must import)
PEERS = {
    "openvino": ("newest", ("numpy", "openvino"), "openvino"),
    "onnxruntime": ("newest", ("numpy", "onnxruntime"), "onnxruntime"),
    "legacy": ("legacy", ("numpy", "openvino==2023.3.0"), "openvino.inference_engine"),
}


def cache_folder() -> pathlib.Path:
    """Where environments and networks are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "ie_ctypes-benchmarks"


def find(wanted: list[str], named: dict[str, str], install: bool, say: Callable[[str], None]) -> dict[str, str]:
    """Interpreter of each runtime that can be used. What is missing is said, with the reason, and left out.

    ``named`` maps runtimes to interpreters that exist; for others an environment is made in the cache folder when ``install`` is set.
    """
    found = {}
    for name in wanted:
        environment, packages, module = PEERS[name]
        python = named.get(name) or str(cache_folder() / f"{environment}-{sys.version_info[0]}.{sys.version_info[1]}" / "bin" / "python")
        reason = why_not(python, module)
        if reason and name not in named and install:
            reason = _install(python, packages, say) or why_not(python, module)
        if reason:
            hint = "" if name in named or install else " (--install makes an environment with it)"
            say(f"{name} is left out: {reason}{hint}")
        else:
            found[name] = python
    return found


def why_not(python: str, module: str) -> str:
    """Why that interpreter cannot import the module; "" when it can."""
    if not os.access(python, os.X_OK):
        return f"no interpreter {python}"
    code = f"import warnings; warnings.simplefilter('ignore'); import {module}"
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return ""
    return f"{python} cannot import {module}: {(run.stderr.strip().splitlines() or [f'exit status {run.returncode}'])[-1]}"


def _install(python: str, packages: tuple[str, ...], say: Callable[[str], None]) -> str:
    """Make the environment of that interpreter, if need be, and install into it. The reason when that fails."""
    folder = pathlib.Path(python).parent.parent
    say(f"installing {', '.join(packages)} into {folder}")
    steps = [[python, "-m", "pip", "install", "--quiet", *packages]]
    if not os.access(python, os.X_OK):
        steps.insert(0, [sys.executable, "-m", "venv", str(folder)])
    for step in steps:
        run = subprocess.run(step, capture_output=True, text=True, check=False)
        if run.returncode:
            return f"{' '.join(step)}: {(run.stderr.strip().splitlines() or [f'exit status {run.returncode}'])[-1]}"
    return ""
