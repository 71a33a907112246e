# SPDX-License-Identifier: Apache-2.0
"""ie_ctypes beside OpenVINO and ONNX Runtime on the same networks, the same machine, in the same run."""
