"""Turns a JPEG or PNG into the raw tensor of an image model: decode, orient, resize, scale.

Pillow does the decoding and is optional. Which payloads are pictures, `mesh.wire.payload` decides.
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mesh.errors import BadPayloadError, TooLargeError
from mesh.model.tensor import DataType, TensorSpec
from mesh.store.manifest import ChannelOrder, ImageOptions, ResizeMode
from mesh.wire.infer import ImagePayload

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 40_000_000
_FLOATS = frozenset({DataType.FP16, DataType.FP32, DataType.FP64})
_SERVED = _FLOATS | {DataType.UINT8, DataType.INT8}


def image_input(inputs: Sequence[TensorSpec]) -> TensorSpec:
    """Return the input that takes a picture: a model's only one, [1, H, W, 1 or 3] ("NHWC").

    Raises: BadPayloadError when the model has none.
    """
    if len(inputs) == 1 and inputs[0].data_type in _SERVED:
        shape = inputs[0].shape
        if len(shape) == 4 and shape[0] == 1 and shape[3] in {1, 3}:
            return inputs[0]
    listed = ", ".join(f"{spec.name} {spec.data_type.value} {list(spec.shape)}" for spec in inputs)
    raise BadPayloadError(
        f"This model takes no pictures (its inputs: {listed}); send raw tensors or JSON"
    )


def to_tensor(
    payload: ImagePayload, inputs: Sequence[TensorSpec], options: ImageOptions | None
) -> bytes:
    """Decode a picture into the raw little-endian input; `options` None means the defaults.

    Raises: BadPayloadError (no such input, no picture, no Pillow), TooLargeError.
    """
    spec = image_input(inputs)
    chosen = options or ImageOptions()
    pixels = _pixels(payload, spec, chosen.mode)
    if spec.shape[3] == 3 and chosen.channels is ChannelOrder.BGR:
        pixels = pixels[..., ::-1]
    return _values(pixels, spec.data_type, chosen)


def _values(pixels: npt.NDArray[np.uint8], data_type: DataType, options: ImageOptions) -> bytes:
    if data_type is DataType.UINT8:
        return pixels.tobytes()
    if data_type is DataType.INT8:
        flipped: npt.NDArray[np.uint8] = pixels ^ np.uint8(0x80)  # pixel − 128 in two's complement
        return flipped.tobytes()
    wide = pixels.astype(np.float32) * np.float32(options.scale) + np.float32(options.offset)
    raw: bytes = wide.astype(data_type.numpy_name).tobytes()
    return raw


def _pixels(payload: ImagePayload, spec: TensorSpec, mode: ResizeMode) -> npt.NDArray[np.uint8]:
    """Return the picture as uint8 [H, W, C] of the input's size."""
    pillow = _pillow()
    _, height, width, channels = spec.shape
    try:
        with pillow.open(io.BytesIO(payload.data), formats=[payload.format.value]) as image:
            _check_pixels(image)
            # JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the time: keep twice what is needed.
            side = 2 * max(width, height)
            image.draft(None, (side, side))
            upright = _upright(_as_8_bit(image), "L" if channels == 1 else "RGB")
            fitted = _fit(upright, width, height, mode)
    except TooLargeError:
        raise
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise _too_large() from error
    except Exception as error:  # Pillow raises whatever its codecs do on damaged files
        reason = str(error) or type(error).__name__
        raise BadPayloadError(
            f"The {payload.format.value} cannot be decoded: {reason:.200}"
        ) from error
    return np.asarray(fitted, dtype=np.uint8).reshape(height, width, channels)


def _pillow() -> Any:
    try:
        from PIL import Image  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise BadPayloadError(
            "This node cannot decode pictures: pip install 'edge-mesh[image]' there, or send raw tensors"
        ) from error
    return Image


def _check_pixels(image: "Image") -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large()


def _too_large() -> TooLargeError:
    return TooLargeError(f"The picture has more than {MAX_PIXELS} pixels: send a smaller one")


def _as_8_bit(image: "Image") -> "Image":
    """16-bit greys keep their high byte (a plain conversion would clip them)."""
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.uint32) >> 8
        return _pillow().fromarray(np.minimum(wide, 255).astype(np.uint8))  # type: ignore[no-any-return]
    return image


def _upright(image: "Image", mode: str) -> "Image":
    """Turn as EXIF says (a phone's photo is often stored lying), then convert the colours."""
    from PIL import ImageOps  # noqa: PLC0415  (optional)

    return ImageOps.exif_transpose(image).convert(mode)


def _fit(image: "Image", width: int, height: int, mode: ResizeMode) -> "Image":
    from PIL import ImageOps  # noqa: PLC0415  (optional)

    bilinear = _pillow().Resampling.BILINEAR
    if mode is ResizeMode.LETTERBOX:
        return ImageOps.pad(image, (width, height), method=bilinear)
    if mode is ResizeMode.CROP:
        return ImageOps.fit(image, (width, height), method=bilinear)
    return image.resize((width, height), bilinear)
