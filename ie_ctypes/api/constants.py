# SPDX-License-Identifier: Apache-2.0
"""Name lists and tables of the Inference Engine Python API (values: CONFIG.md of the reference texts), without numpy."""

from __future__ import annotations

#: Precisions that inputs and outputs can be set to.
supported_precisions = ["FP32", "FP16", "I32", "I16", "I8", "U32", "U16", "U8", "I64", "U64", "FP64", "BOOL"]

layout_str_to_enum = {
    "ANY": 0, "NCHW": 1, "NHWC": 2, "NCDHW": 3, "NDHWC": 4, "OIHW": 64, "GOIHW": 65, "OIDHW": 66, "GOIDHW": 67, "SCALAR": 95,
    "C": 96, "CHW": 128, "HWC": 129, "HW": 192, "NC": 193, "CN": 194, "BLOCKED": 200,
}  # fmt: skip
layout_int_to_str_map = {code: name for name, code in layout_str_to_enum.items()}
supported_layouts = list(layout_str_to_enum)

#: Rank that each layout demands; layouts that are absent take any rank.
LAYOUT_RANK = {
    "NCHW": 4, "NHWC": 4, "NCDHW": 5, "NDHWC": 5, "OIHW": 4, "GOIHW": 5, "OIDHW": 5, "GOIDHW": 6, "SCALAR": 0, "C": 1, "CHW": 3,
    "HWC": 3, "HW": 2, "NC": 2, "CN": 2,
}  # fmt: skip
#: Devices that ``IEPlugin`` knows by name.
known_plugins = ["CPU", "GPU", "FPGA", "MYRIAD", "HETERO", "HDDL", "MULTI"]
