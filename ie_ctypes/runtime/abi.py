# SPDX-License-Identifier: Apache-2.0
"""The structures and constants of csrc/include/iec as ctypes sees them."""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint16, c_uint32, c_void_p

ABI_MAJOR = 1
ABI_MINOR = 1
MAX_NDIM = 8

OK = 0
NOT_IMPLEMENTED = -2
RESULT_NOT_READY = -9
INFER_NOT_STARTED = -11

#: numpy type name -> element type code
DTYPE_CODES = {
    "float32": 10,
    "float16": 11,
    "float64": 13,
    "int16": 30,
    "uint8": 40,
    "bool": 41,
    "int8": 50,
    "uint16": 60,
    "int32": 70,
    "int64": 72,
    "uint64": 73,
    "uint32": 74,
}

ATTR_INT = 1
ATTR_FLOAT = 2
ATTR_STR = 3
ATTR_INTS = 4
ATTR_FLOATS = 5
ATTR_GRAPH = 6

GRAPH_WORDS = 5
TENSOR_WORDS = 5
NODE_WORDS = 7
ATTR_WORDS = 4


class Error(ctypes.Structure):
    """iec_error."""

    _fields_ = (("struct_size", c_uint32), ("code", c_int32), ("where", c_char * 48), ("message", c_char * 968))


class KeyValue(ctypes.Structure):
    """iec_kv."""

    _fields_ = (("key", c_char_p), ("value", c_char_p))


class Tensor(ctypes.Structure):
    """iec_tensor."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("dtype", c_uint16),
        ("layout", c_uint16),
        ("ndim", c_int32),
        ("flags", c_uint32),
        ("shape", c_int64 * MAX_NDIM),
        ("strides", c_int64 * MAX_NDIM),
        ("data", c_void_p),
        ("size_bytes", c_size_t),
    )


class GraphDesc(ctypes.Structure):
    """iec_graph_desc. The tables are given as addresses: whoever fills it keeps them alive."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("reserved", c_uint32),
        ("strings", c_void_p),
        ("ints", c_void_p),
        ("doubles", c_void_p),
        ("ports", c_void_p),
        ("graphs", c_void_p),
        ("tensors", c_void_p),
        ("nodes", c_void_p),
        ("attrs", c_void_p),
        ("strings_size", c_size_t),
        ("int_count", c_size_t),
        ("double_count", c_size_t),
        ("port_count", c_size_t),
        ("graph_count", c_size_t),
        ("tensor_count", c_size_t),
        ("node_count", c_size_t),
        ("attr_count", c_size_t),
    )


class CpuInfo(ctypes.Structure):
    """iec_cpu_info."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("logical", c_int32),
        ("usable", c_int32),
        ("physical", c_int32),
        ("sockets", c_int32),
        ("reserved", c_uint32),
        ("brand", c_char * 64),
        ("isa", c_char * 256),
    )


class GraphApi(ctypes.Structure):
    """iec_graph_api. Python calls ``attr_i64`` only."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("reserved", c_uint32),
        ("name", c_void_p),
        ("tensor_count", c_void_p),
        ("tensor", c_void_p),
        ("tensor_name", c_void_p),
        ("input_count", c_void_p),
        ("input_at", c_void_p),
        ("output_count", c_void_p),
        ("output_at", c_void_p),
        ("node_count", c_void_p),
        ("node_at", c_void_p),
        ("node_kind", c_void_p),
        ("node_name", c_void_p),
        ("node_layer", c_void_p),
        ("node_layer_type", c_void_p),
        ("port_count", c_void_p),
        ("port", c_void_p),
        ("attr_i64", ctypes.CFUNCTYPE(c_int32, c_void_p, c_char_p, ctypes.POINTER(c_int64))),
        ("attr_f64", c_void_p),
        ("attr_str", c_void_p),
        ("attr_i64s", c_void_p),
        ("attr_f64s", c_void_p),
        ("attr_graph", c_void_p),
        ("fingerprint", c_void_p),
    )


class HostApi(ctypes.Structure):
    """iec_host_api."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("abi_version", c_uint32),
        ("self", c_void_p),
        ("alloc", c_void_p),
        ("release", c_void_p),
        ("log", c_void_p),
        ("graph", ctypes.POINTER(GraphApi)),
        ("team_create", c_void_p),
        ("team_release", c_void_p),
        ("team_run", c_void_p),
        ("team_barrier", c_void_p),
        ("hash", c_void_p),
        ("team_share", c_void_p),
        ("team_settle", c_void_p),
    )


_host, _view = ctypes.POINTER(HostApi), ctypes.POINTER(ctypes.POINTER(Tensor))
SupportsFunction = ctypes.CFUNCTYPE(c_int32, _host, c_void_p, c_void_p)
PrepareFunction = ctypes.CFUNCTYPE(
    c_int32, _host, c_void_p, c_void_p, ctypes.POINTER(c_void_p), ctypes.POINTER(c_size_t), ctypes.POINTER(Error)
)
RunFunction = ctypes.CFUNCTYPE(c_int32, c_void_p, _view, c_size_t, _view, c_size_t, c_void_p, ctypes.POINTER(Error))
ReleaseFunction = ctypes.CFUNCTYPE(None, c_void_p)


class KernelDef(ctypes.Structure):
    """iec_kernel_def."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("priority", c_int32),
        ("device", c_char_p),
        ("kind", c_char_p),
        ("impl_name", c_char_p),
        ("supports", SupportsFunction),
        ("prepare", PrepareFunction),
        ("run", RunFunction),
        ("release", ReleaseFunction),
    )


class OpDef(ctypes.Structure):
    """iec_op_def; its function is called through iec_extension_infer_shapes."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("priority", c_int32),
        ("type", c_char_p),
        ("opset", c_char_p),
        ("infer_shapes", c_void_p),
    )


class ExtensionApi(ctypes.Structure):
    """iec_extension_api."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("abi_version", c_uint32),
        ("name", c_char_p),
        ("version", c_char_p),
        ("kernels", ctypes.POINTER(ctypes.POINTER(KernelDef))),
        ("kernel_count", c_size_t),
        ("ops", ctypes.POINTER(ctypes.POINTER(OpDef))),
        ("op_count", c_size_t),
    )


class GraphHandle(ctypes.Structure):
    """iec_graph, opaque."""


class DeviceHandle(ctypes.Structure):
    """iec_device, opaque."""


class ExecutableHandle(ctypes.Structure):
    """iec_executable, opaque."""


class RequestHandle(ctypes.Structure):
    """iec_infer_request, opaque."""


P = ctypes.POINTER
DoneFunction = ctypes.CFUNCTYPE(None, c_void_p, P(Error))

_graph, _device, _executable, _request = P(GraphHandle), P(DeviceHandle), P(ExecutableHandle), P(RequestHandle)
_extension = P(ExtensionApi)
_err, _text, _size, _tensors, _pairs = P(Error), c_char_p, P(c_size_t), P(Tensor), P(KeyValue)

#: function -> (type of its result, types of its arguments): runtime.h, in its order
PROTOTYPES: dict[str, tuple[object, tuple[object, ...]]] = {
    "iec_abi_version": (c_uint32, ()),
    "iec_version": (c_char_p, ()),
    "iec_cpu_info_get": (c_int32, (P(CpuInfo), _err)),
    "iec_graph_create": (c_int32, (P(GraphDesc), P(_graph), _err)),
    "iec_graph_release": (None, (_graph,)),
    "iec_device_open": (c_int32, (_text, _text, _pairs, c_size_t, P(_device), _err)),
    "iec_device_release": (None, (_device,)),
    "iec_device_name": (c_char_p, (_device,)),
    "iec_device_version": (c_char_p, (_device,)),
    "iec_device_description": (c_char_p, (_device,)),
    "iec_device_query": (c_int32, (_device, _graph, P(ctypes.c_uint8), c_size_t, _err)),
    "iec_device_compile": (c_int32, (_device, _graph, _pairs, c_size_t, P(_executable), _err)),
    "iec_device_import": (c_int32, (_device, c_void_p, c_size_t, _pairs, c_size_t, P(_executable), _err)),
    "iec_device_get_property": (c_int32, (_device, _text, c_void_p, _size, _err)),
    "iec_device_set_property": (c_int32, (_device, _text, _text, _err)),
    "iec_extension_open": (c_int32, (_text, P(_extension), _err)),
    "iec_extension_adopt": (c_int32, (_extension, P(_extension), _err)),
    "iec_extension_infer_shapes": (c_int32, (_extension, c_size_t, _graph, _tensors, c_size_t, _err)),
    "iec_device_set_extensions": (c_int32, (_device, P(_extension), c_size_t, _err)),
    "iec_executable_release": (None, (_executable,)),
    "iec_executable_streams": (c_int32, (_executable,)),
    "iec_executable_get_property": (c_int32, (_executable, _text, c_void_p, _size, _err)),
    "iec_executable_set_property": (c_int32, (_executable, _text, _text, _err)),
    "iec_executable_export": (c_int32, (_executable, c_void_p, _size, _err)),
    "iec_request_create": (c_int32, (_executable, P(_request), _err)),
    "iec_request_release": (None, (_request,)),
    "iec_request_bind": (c_int32, (_request, _tensors, c_size_t, _tensors, c_size_t, _err)),
    "iec_request_infer": (c_int32, (_request, _err)),
    "iec_request_start": (c_int32, (_request, DoneFunction, c_void_p, _err)),
    "iec_request_wait": (c_int32, (_request, c_int64, _err)),
    "iec_request_cancel": (c_int32, (_request, _err)),
    "iec_request_perf_counts": (c_int32, (_request, c_void_p, _size, _err)),
}
