# SPDX-License-Identifier: Apache-2.0
"""Writes OpenCL sources into a C file as texts: ``embed.py OUT FILE...``."""

import sys
from pathlib import Path


def literal(text: str) -> str:
    """The text as C string literals, one a line."""
    lines = []
    for line in text.splitlines():
        escaped = line.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'    "{escaped}\\n"')
    return "\n".join(lines)


def main() -> None:
    """Entry point."""
    out, files = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    rows = [f'  {{"{f.stem}",\n{literal(f.read_text(encoding="utf-8"))}}},' for f in files]
    head = '#include "opencl/context.h"\n\nconst gpu_source gpu_sources[] = {\n'
    out.write_text(head + "\n".join(rows) + "\n  {0, 0}};\n", encoding="utf-8")


main()
