# SPDX-License-Identifier: Apache-2.0
"""PreProcessInfo: mean, scale, resizing and colour order of an input."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from ie_ctypes.errors import OutOfBoundsError, ParameterMismatchError
from ie_ctypes.model.graph import MeanChannel, PreProcess

if TYPE_CHECKING:
    from ie_ctypes.api.blob import Blob
    from ie_ctypes.api.codes import ColorFormat, MeanVariant, ResizeAlgorithm


class PreProcessChannel:
    """Mean and scale of one channel: x becomes (x - mean) / std_scale."""

    def __init__(self, mean_value: float = 0.0, std_scale: float = 1.0, mean_data: Blob | None = None):
        self._mean_value = float(mean_value)
        self._std_scale = float(std_scale)
        self._divides = True  # false for the <scale> of a file, which the original read and did not use
        self.mean_data = mean_data

    @property
    def mean_value(self) -> float:
        """Used when the ``mean_variant`` is MEAN_VALUE."""
        return self._mean_value

    @mean_value.setter
    def mean_value(self, value: float) -> None:
        self._mean_value = float(value)

    @property
    def std_scale(self) -> float:
        """Divisor after the mean; used when the ``mean_variant`` is not NONE."""
        return self._std_scale

    @std_scale.setter
    def std_scale(self, value: float) -> None:
        if float(value) == 0:
            raise ParameterMismatchError("std_scale is 0, expected any other number")
        self._std_scale, self._divides = float(value), True

    @property
    def _divisor(self) -> float:
        return self._std_scale if self._divides else 1.0


class PreProcessInfo:
    """Pre-processing of an input. The one of ``InputInfoPtr.preprocess_info`` is live; the one of a request is constant.

    Setters of a constant object raise ``TypeError``.
    """

    def __init__(self) -> None:
        self._channels: list[PreProcessChannel] = []
        # None: NONE, NO_RESIZE and RAW, so that networks without pre-processing do not wait for the enumerations.
        self._mean_variant: MeanVariant | None = None
        self._resize: ResizeAlgorithm | None = None
        self._color: ColorFormat | None = None
        self._const = False

    def init(self, number_of_channels: int) -> None:
        """Start anew with that many channels of mean 0 and scale 1."""
        self._check("Cannot initialized when created from constant")
        if number_of_channels < 0:
            raise ParameterMismatchError(f"number of channels is {number_of_channels}, expected >= 0")
        self._channels = [PreProcessChannel() for _ in range(number_of_channels)]

    def get_number_of_channels(self) -> int:
        return len(self._channels)

    def __getitem__(self, channel: int) -> PreProcessChannel:
        """A channel; :class:`~ie_ctypes.errors.OutOfBoundsError` (``IndexError``) outside."""
        if not 0 <= channel < len(self._channels):
            raise OutOfBoundsError(f"pre-process channel {channel} does not exist, there are {len(self._channels)}")
        found = self._channels[channel]
        return copy.copy(found) if self._const else found

    def set_mean_image(self, mean_image: Blob) -> None:
        """Mean image of all channels: a blob of dims [C, H, W]. Sets MEAN_IMAGE."""
        from ie_ctypes.api.blob import Blob, TensorDesc

        self._check("Cannot set mean image when called from constant")
        dims = mean_image.tensor_desc.dims
        if len(dims) != 3:
            raise ParameterMismatchError(f"mean image has dims {dims}, expected 3: C, H, W")
        if dims[0] != len(self._channels):
            raise ParameterMismatchError(f"mean image has {dims[0]} channels, expected {len(self._channels)} (see init)")
        planes = mean_image.buffer.reshape(dims)
        for i, channel in enumerate(self._channels):
            channel.mean_data = Blob(TensorDesc(mean_image.tensor_desc.precision, dims[1:], "HW"), planes[i].copy())
        self._mean_variant = _mean_image()

    def set_mean_image_for_channel(self, mean_image: Blob, channel: int) -> None:
        """Mean image of one channel: a blob of dims [H, W]. Sets MEAN_IMAGE."""
        self._check("Cannot set mean image for channel when called from constant")
        dims = mean_image.tensor_desc.dims
        if len(dims) != 2:
            raise ParameterMismatchError(f"mean image of a channel has dims {dims}, expected 2: H, W")
        self[channel].mean_data = copy.deepcopy(mean_image)
        self._mean_variant = _mean_image()

    @property
    def mean_variant(self) -> MeanVariant:
        from ie_ctypes.api.codes import MeanVariant

        return MeanVariant.NONE if self._mean_variant is None else self._mean_variant

    @mean_variant.setter
    def mean_variant(self, value: MeanVariant) -> None:
        from ie_ctypes.api.codes import MeanVariant

        self._check("Cannot set mean image when called from constant")
        self._mean_variant = None if MeanVariant(value) is MeanVariant.NONE else MeanVariant(value)

    @property
    def resize_algorithm(self) -> ResizeAlgorithm:
        from ie_ctypes.api.codes import ResizeAlgorithm

        return ResizeAlgorithm.NO_RESIZE if self._resize is None else self._resize

    @resize_algorithm.setter
    def resize_algorithm(self, value: ResizeAlgorithm) -> None:
        from ie_ctypes.api.codes import ResizeAlgorithm

        self._check("Cannot set resize algorithm when called from constant")
        self._resize = None if ResizeAlgorithm(value) is ResizeAlgorithm.NO_RESIZE else ResizeAlgorithm(value)

    @property
    def color_format(self) -> ColorFormat:
        from ie_ctypes.api.codes import ColorFormat

        return ColorFormat.RAW if self._color is None else self._color

    @color_format.setter
    def color_format(self, value: ColorFormat) -> None:
        from ie_ctypes.api.codes import ColorFormat

        self._check("Cannot set color format when called from constant")
        self._color = None if ColorFormat(value) is ColorFormat.RAW else ColorFormat(value)

    @property
    def _recolors(self) -> bool:
        """Has the blob given another colour order than the network?"""
        return self._color is not None and self._color.name != "BGR"

    def _check(self, text: str) -> None:
        if self._const:
            raise TypeError(text)

    def _constant(self) -> PreProcessInfo:
        """A constant copy."""
        twin = copy.deepcopy(self)
        twin._const = True
        return twin

    @staticmethod
    def _from_model(section: PreProcess | None) -> PreProcessInfo:
        """The pre-processing that a network file brings. Its ``<scale>`` is kept but, as in the original, not applied."""
        info = PreProcessInfo()
        if section is None:
            return info
        from ie_ctypes.api.blob import Blob, TensorDesc
        from ie_ctypes.api.codes import MeanVariant

        info.init(len(section.channels))
        for channel, row in zip(info._channels, section.channels, strict=True):
            channel._mean_value = row.mean or 0.0
            channel._std_scale, channel._divides = (1.0 if row.scale is None else row.scale), False
            if row.image is not None:
                height, width = row.image.shape
                channel.mean_data = Blob(TensorDesc("FP32", (height, width), "HW"), np.array(row.image, np.float32))
                info._mean_variant = MeanVariant.MEAN_IMAGE
            elif row.mean is not None and info._mean_variant is None:
                info._mean_variant = MeanVariant.MEAN_VALUE
        return info

    def _to_model(self, reference: str, dims: list[int]) -> PreProcess | None:
        """Mean section for the input ``reference`` of ``dims``, or None without a mean."""
        if self._mean_variant is None:
            return None
        from ie_ctypes.api.codes import MeanVariant

        if len(dims) != 4 or len(self._channels) != dims[1]:
            raise ParameterMismatchError(
                f"input {reference}: {len(self._channels)} pre-process channels for dims {dims}, expected [N, C, H, W] and one for each C"
            )
        rows: list[MeanChannel] = []
        for i, channel in enumerate(self._channels):
            if self._mean_variant == MeanVariant.MEAN_VALUE:
                rows.append(MeanChannel(mean=channel.mean_value))
                continue
            if channel.mean_data is None:
                raise ParameterMismatchError(f"input {reference}: no mean image for channel {i}")
            image = channel.mean_data.buffer.reshape(channel.mean_data.tensor_desc.dims)
            if list(image.shape) != dims[2:]:
                raise ParameterMismatchError(f"input {reference}: mean image of channel {i} is {list(image.shape)}, the input {dims[2:]}")
            rows.append(MeanChannel(image=image.astype(np.float32)))
        return PreProcess(reference, rows)

    def _divisors(self) -> tuple[float, ...]:
        """What every channel is divided by after the mean; empty when nothing is."""
        if self._mean_variant is None or all(c._divisor == 1 for c in self._channels):
            return ()
        return tuple(c._divisor for c in self._channels)

    def _to_json(self) -> list[Any]:
        channels = [[c._mean_value, c._std_scale, c._divides, image_to_json(c.mean_data)] for c in self._channels]
        return [int(self.mean_variant), int(self.resize_algorithm), int(self.color_format), channels]

    @staticmethod
    def _from_json(value: list[Any]) -> PreProcessInfo:
        info = PreProcessInfo()
        info.mean_variant, info.resize_algorithm, info.color_format, channels = value
        for mean, scale, divides, image in channels:
            channel = PreProcessChannel(mean, scale, image_from_json(image))
            channel._divides = bool(divides)
            info._channels.append(channel)
        return info


def _mean_image() -> MeanVariant:
    from ie_ctypes.api.codes import MeanVariant

    return MeanVariant.MEAN_IMAGE


def image_to_json(blob: Blob | None) -> Any:
    """A mean image as text."""
    if blob is None:
        return None
    import binascii

    desc = blob.tensor_desc
    return [desc.precision, desc.dims, binascii.b2a_base64(blob.buffer.tobytes(), newline=False).decode()]


def image_from_json(value: Any) -> Blob | None:
    """The mean image again."""
    if value is None:
        return None
    import binascii

    from ie_ctypes.api.blob import Blob, TensorDesc

    desc = TensorDesc(value[0], value[1], "HW")
    return Blob(desc, np.frombuffer(binascii.a2b_base64(value[2]), Blob(desc).buffer.dtype).reshape(value[1]).copy())
