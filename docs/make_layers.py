# SPDX-License-Identifier: Apache-2.0
"""Write docs/layers.md: every layer type that can be read, in which versions of IR, on which devices, with which numbers, where its code
and its tests are.

    python docs/make_layers.py

The numbers come from docs/layers.json, which docs/probe_layers.py makes.
"""

from __future__ import annotations

import inspect
import json
import pathlib
import re

from ie_ctypes.model.ops import KINDS, import_all
from ie_ctypes.model.ops.registry import LEGACY, OPSET, Translator

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "layers.md"
NUMBERS = ROOT / "docs" / "layers.json"
HEAD = """# Layer types

Made by `python docs/make_layers.py`; a test fails when this page and the code disagree. *v2-v7*: the type is one of the layer dialect of
those IR versions. *v10, v11*: the operation sets of these versions for which it has a translator of its own ("all": one serves every
set). Types are matched in any case.

*CPU* and *GPU* list the numbers with which the device was seen to take the layer, by those of its first input; nothing: HETERO gives it
to another device. A network of FP16 runs in FP32. Every type runs on `REFERENCE` as well. The lists are what `python docs/probe_layers.py`
tried with the layers of the tests (docs/layers.json): other numbers may do too. "-": the layer is computed at load or is a state, and
leaves nothing to be run.

Code lies in `ie_ctypes/model/ops/`, tests in `tests/ops/` and `tests/onnx/`, that of states in `tests/api/`.

| type | v2-v7 | v10, v11 | CPU | GPU | code | tests |
|---|---|---|---|---|---|---|
"""


def kernels() -> set[str]:
    """Kinds for which the CPU driver has a kernel."""
    sources = (ROOT / "csrc" / "cpu" / "kernels").glob("*.c")
    return {name for path in sources for name in re.findall(r'\.kind = "(\w+)"', path.read_text())}


def spelling() -> dict[str, str]:
    """lower-case type -> the spelling in the decorators."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "ie_ctypes" / "model" / "ops").glob("*.py")):
        for name in re.findall(r'"([A-Za-z]\w+)"', path.read_text()):
            if name.lower() != name or name.lower() not in found:
                found[name.lower()] = name
    return found


def module(translator: Translator) -> str:
    return pathlib.Path(inspect.getfile(inspect.unwrap(translator))).name


def page() -> str:
    """The text of the page."""
    import_all()
    names = spelling()
    folders = [(ROOT / "tests" / name).glob("test_*.py") for name in ("ops", "onnx")]
    tests = {path.name: path.read_text() for folder in folders for path in sorted(folder)}
    tests["test_states.py"] = (ROOT / "tests" / "api" / "test_states.py").read_text()
    tried = json.loads(NUMBERS.read_text())
    rows = []
    for key in sorted({*LEGACY, *(t for t, _ in OPSET)}):
        versions = [v for t, v in OPSET if t == key]
        numbers = sorted(int(v.removeprefix("opset")) for v in versions if v)
        opsets = ", ".join([*(["all"] if "" in versions else []), *map(str, numbers)])
        files = {module(f) for f in (LEGACY.get(key), *(f for (t, _), f in OPSET.items() if t == key)) if f is not None}
        found = [name for name, text in tests.items() if f'"{key}"' in text.lower()]
        near = [name for name in tests if name.removeprefix("test_") in files and name not in found]
        takes = [tried[key].get(device, "") if key in tried else "-" for device in ("CPU", "GPU")]
        row = (names.get(key, key), "yes" if key in LEGACY else "", opsets, *takes, ", ".join(sorted(files)), ", ".join(found or near))
        rows.append("| " + " | ".join(row) + " |")
    missing = sorted(set(KINDS) - kernels() - {"Reshape"})
    tail = f"\nKinds without a kernel of their own on CPU: {', '.join(missing) or 'none'}.\n"
    return HEAD + "\n".join(rows) + "\n" + tail


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(ROOT)}: {page().count(chr(10))} lines")
