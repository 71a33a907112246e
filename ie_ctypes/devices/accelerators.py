# SPDX-License-Identifier: Apache-2.0
"""Records of the retired accelerators: what the documents of 2019 and 2020 say of MYRIAD, FPGA and GNA."""

from __future__ import annotations

from ie_ctypes.devices.rounding import Fixed, Half
from ie_ctypes.devices.virtual import Accelerator


def _types(*texts: str) -> frozenset[str]:
    return frozenset(" ".join(texts).split())


#: what every one of them takes: names of both dialects for what costs nothing or is data
_PLAIN = "Const Constant Concat Split VariadicSplit Slice Copy"

MYRIAD = Accelerator(
    name="MYRIAD",
    full_name="Intel Movidius Myriad X VPU",
    arithmetic=Half(),
    layers=_types(
        _PLAIN,
        "Activation Clamp ELU Elu ReLU Relu ReLU6 PReLU PRelu Sigmoid Logistic TanH Tanh Not LogicalNot Exp Log Abs Ceil Ceiling",
        "Floor Erf Sign SoftPlus",
        "Convolution GroupConvolution Deconvolution ConvolutionBackpropData GroupConvolutionBackpropData Pooling MaxPool AvgPool Norm LRN",
        "FullyConnected InnerProduct MatMul Gemm ScaleShift Power BatchNormalization BatchNormInference Bias",
        "Eltwise Add Subtract Multiply Divide Maximum Minimum Mod FloorMod SquaredDifference Equal NotEqual Greater GreaterEqual",
        "Less LessEqual",
        "LogicalAnd LogicalOr LogicalXor And Or Xor Select",
        "ArgMax TopK ReduceAnd ReduceLogicalAnd ReduceMax ReduceMean ReduceMin ReduceSum Broadcast Tile OneHot Gather ScatterUpdate",
        "Crop Pad Permute Transpose Reshape Flatten Squeeze Unsqueeze StridedSlice ReverseSequence Interp Interpolate Resample Upsampling",
        "SoftMax Softmax MVN GRN Normalize NormalizeL2 NormalizeIE RNN LSTMCell LSTMSequence TensorIterator",
        "DetectionOutput PriorBox PriorBoxClustered Proposal PSROIPooling ROIPooling RegionYolo ReorgYolo NonMaxSuppression",
        "CTCGreedyDecoder",
        "ShapeOf Convert",
    ),
    spatial_axes=2,
    unit="1.{1}-ma2480",
    settings={
        "LOG_LEVEL": "LOG_NONE",
        "VPU_LOG_LEVEL": "LOG_NONE",
        "CONFIG_FILE": "",
        "VPU_HW_STAGES_OPTIMIZATION": "YES",
        "VPU_PRINT_RECEIVE_TENSOR_TIME": "NO",
        "VPU_NETWORK_CONFIG": "",
        "VPU_COMPUTE_LAYOUT": "VPU_AUTO",
        "VPU_CUSTOM_LAYERS": "",
        "VPU_IGNORE_IR_STATISTIC": "NO",
        "VPU_INPUT_NORM": "",
        "VPU_INPUT_BIAS": "",
        "VPU_FORCE_RESET": "NO",
        "VPU_PLATFORM": "",
        "VPU_MYRIAD_FORCE_RESET": "NO",
        "VPU_MYRIAD_PLATFORM": "",
        "VPU_MYRIAD_PROTOCOL": "",
        "VPU_MYRIAD_THROUGHPUT_STREAMS": "-1",
        "VPU_MYRIAD_MOVIDIUS_DDR_TYPE": "",
        "MYRIAD_ENABLE_FORCE_RESET": "NO",
        "MYRIAD_ENABLE_HW_ACCELERATION": "YES",
        "MYRIAD_ENABLE_RECEIVING_TENSOR_TIME": "NO",
        "MYRIAD_CUSTOM_LAYERS": "",
        "MYRIAD_DDR_TYPE": "",
        "MYRIAD_PROTOCOL": "",
        "MYRIAD_THROUGHPUT_STREAMS": "-1",
    },
    choices={
        "LOG_LEVEL": ("LOG_NONE", "LOG_ERROR", "LOG_WARNING", "LOG_INFO", "LOG_DEBUG", "LOG_TRACE"),
        "VPU_LOG_LEVEL": ("LOG_NONE", "LOG_ERROR", "LOG_WARNING", "LOG_INFO", "LOG_DEBUG", "LOG_TRACE"),
        "VPU_COMPUTE_LAYOUT": ("VPU_AUTO", "VPU_NCHW", "VPU_NHWC", "VPU_NCDHW", "VPU_NDHWC"),
        "VPU_PLATFORM": ("", "VPU_2450", "VPU_2480"),
        "VPU_MYRIAD_PLATFORM": ("", "VPU_MYRIAD_2450", "VPU_MYRIAD_2480"),
        "VPU_MYRIAD_PROTOCOL": ("", "VPU_MYRIAD_USB", "VPU_MYRIAD_PCIE"),
    },
    metrics={
        "OPTIMIZATION_CAPABILITIES": ["FP16"],
        "RANGE_FOR_ASYNC_INFER_REQUESTS": (3, 6, 1),
        "DEVICE_THERMAL": 25.0,  # there is nothing that could grow warm
    },
    network_metrics={"DEVICE_THERMAL": 25.0},
    optimal_requests=4,
)

FPGA = Accelerator(
    name="FPGA",
    full_name="Intel Arria 10 GX FPGA",
    arithmetic=Half(),
    layers=_types(
        _PLAIN,
        "Activation Clamp ELU Elu ReLU Relu PReLU PRelu Convolution GroupConvolution Pooling MaxPool AvgPool Norm LRN",
        "Deconvolution ConvolutionBackpropData GroupConvolutionBackpropData FullyConnected InnerProduct MatMul:const",
        "ScaleShift Power BatchNormalization BatchNormInference Eltwise:add Add Multiply:const Subtract:const",
    ),
    spatial_axes=2,
    dilated=False,
    settings={
        "DLIA_IO_TRANSFORMATIONS_NATIVE": "NO",
        "DLIA_ARCH_ROOT_DIR": "",
        "DLIA_PERF_ESTIMATION": "NO",
        "DLIA_ENABLE_STREAMING": "NO",
        "DLIA_DUMP_SUPPORTED_LAYERS_INFORMATION": "NO",
    },
    metrics={"OPTIMIZATION_CAPABILITIES": ["FP16"]},
)

GNA = Accelerator(
    name="GNA",
    full_name="Intel Gaussian and Neural Accelerator",
    arithmetic=Fixed(),
    layers=_types(
        _PLAIN,
        "Activation Clamp ReLU Relu Sigmoid Logistic TanH Tanh Exp Log Softsign SoftSign Convolution Pooling MaxPool",
        "FullyConnected InnerProduct MatMul:const",
        "ScaleShift Power Eltwise:add Eltwise:sub Eltwise:mul Add Subtract Multiply Crop Permute Transpose Reshape Squeeze Unsqueeze",
        "LSTMCell TensorIterator Memory ReadValue Assign",
    ),
    spatial_axes=2,
    dilated=False,
    unit="GNA_SW",
    settings={
        "GNA_SCALE_FACTOR": "1.0",
        "GNA_PRECISION": "I16",
        "GNA_FIRMWARE_MODEL_IMAGE": "",
        "GNA_DEVICE_MODE": "GNA_AUTO",
        "GNA_COMPACT_MODE": "YES",
        "GNA_PWL_UNIFORM_DESIGN": "NO",
        "GNA_LIB_N_THREADS": "1",
        "SINGLE_THREAD": "YES",
    },
    choices={
        "GNA_PRECISION": ("I16", "I8"),
        "GNA_DEVICE_MODE": ("GNA_AUTO", "GNA_HW", "GNA_SW", "GNA_SW_EXACT", "GNA_SW_FP32"),
        "GNA_LIB_N_THREADS": tuple(map(str, range(1, 128))),
    },
    families=("GNA_SCALE_FACTOR_",),
    metrics={"RANGE_FOR_ASYNC_INFER_REQUESTS": (1, 1, 1)},
)
