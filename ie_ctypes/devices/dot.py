# SPDX-License-Identifier: Apache-2.0
"""What HETERO decided, in the language of graphviz: ``hetero_affinity_NET.dot`` and ``hetero_subgraphs_NET.dot``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ie_ctypes.devices.affinity import layer_nodes
from ie_ctypes.devices.partition import Part, producers
from ie_ctypes.model.program import Program

_COLOURS = ("#FFC405", "#20F608", "#F1F290", "#C405FF", "#BCFF05", "#05FFC4", "#FFC405", "#5A5DF0", "#FF2E05", "#05B7FF")


def write_dots(program: Program, devices: Mapping[str, str], parts: Sequence[Part]) -> None:
    """Write both files to the working directory; a network whose name is no file name gets underscores."""
    name = re.sub(r"[^\w.\-]", "_", program.name)
    by_device = {layer: (device, device) for layer, device in devices.items()}
    by_part: dict[str, tuple[str, str]] = {}
    for i, part in enumerate(parts):
        for node in part.program.nodes:
            by_part.setdefault(node.layer, (str(i), f"{part.device} subgraph{i}"))
    from pathlib import Path

    Path(f"hetero_affinity_{name}.dot").write_text(_dot(program, by_device), encoding="utf-8")
    Path(f"hetero_subgraphs_{name}.dot").write_text(_dot(program, by_part), encoding="utf-8")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _dot(program: Program, groups: Mapping[str, tuple[str, str]]) -> str:
    """Layers and what flows between them. ``groups``: layer -> what decides its colour, and a line of its label."""
    layers, makers = layer_nodes(program), producers(program)
    colours: dict[str, str] = {}
    lines = ["strict digraph Network {", "  node [shape=box, style=filled];"]
    for layer, nodes in layers.items():
        key, text = groups[layer]
        colour = colours.setdefault(key, _COLOURS[len(colours) % len(_COLOURS)])
        label = f"{layer}\nType: {program.nodes[nodes[0]].layer_type}\n{text}"
        lines.append(f"  {_quoted(layer)} [label={_quoted(label)}, fillcolor={_quoted(colour)}];")
    for layer, nodes in layers.items():
        sources = (program.nodes[makers[t]].layer for i in nodes for t in program.nodes[i].inputs if t in makers)
        lines += [f"  {_quoted(s)} -> {_quoted(layer)};" for s in dict.fromkeys(sources) if s in layers and s != layer]
    return "\n".join([*lines, "}", ""])
