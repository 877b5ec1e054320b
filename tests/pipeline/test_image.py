import contextlib
import io
import struct
import sys
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mesh.errors import BadPayloadError, RequestError, TooLargeError
from mesh.model.tensor import DataType, TensorSpec
from mesh.pipeline.image import image_input, to_tensor
from mesh.store.manifest import ChannelOrder, ImageOptions, ResizeMode
from mesh.wire.infer import ImageFormat, ImagePayload

Pixels = npt.NDArray[np.uint8]


def spec(*shape: int, data_type: DataType = DataType.UINT8) -> TensorSpec:
    return TensorSpec(index=0, name="x", data_type=data_type, shape=shape)


def png(image: Image.Image) -> ImagePayload:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return ImagePayload(format=ImageFormat.PNG, data=buffer.getvalue())


def jpeg(image: Image.Image, exif: Image.Exif | None = None) -> ImagePayload:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, exif=exif or Image.Exif())
    return ImagePayload(format=ImageFormat.JPEG, data=buffer.getvalue())


def tensor(
    payload: ImagePayload, one: TensorSpec, options: ImageOptions | None = None
) -> npt.NDArray[np.generic]:
    raw = to_tensor(payload, (one,), options)
    assert len(raw) == one.size_bytes
    found: npt.NDArray[np.generic] = np.frombuffer(raw, one.data_type.numpy_name).reshape(one.shape)
    return found


@pytest.fixture
def picture() -> Image.Image:
    """4 wide, 2 high: left half pure red, right half pure blue."""
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[:, :2, 0] = 255
    pixels[:, 2:, 2] = 255
    return Image.fromarray(pixels)


def test_pixels_stay_as_they_are_at_the_models_size(picture: Image.Image) -> None:
    found = tensor(png(picture), spec(1, 2, 4, 3))
    assert (found[0] == np.asarray(picture)).all()


def test_channels_may_be_swapped(picture: Image.Image) -> None:
    found = tensor(png(picture), spec(1, 2, 4, 3), ImageOptions(channels=ChannelOrder.BGR))
    assert (found[0] == np.asarray(picture)[..., ::-1]).all()


def test_floats_are_scaled_and_offset(picture: Image.Image) -> None:
    found = tensor(
        png(picture),
        spec(1, 2, 4, 3, data_type=DataType.FP32),
        ImageOptions(scale=2 / 255, offset=-1),
    )
    assert set(np.unique(found)) == {-1.0, 1.0}
    assert tensor(png(picture), spec(1, 2, 4, 3, data_type=DataType.FP32)).max() == 1.0


def test_signed_pixels_are_less_128(picture: Image.Image) -> None:
    found = tensor(png(picture), spec(1, 2, 4, 3, data_type=DataType.INT8))
    assert (found[0].astype(int) == np.asarray(picture).astype(int) - 128).all()


def test_grey_models_get_grey(picture: Image.Image) -> None:
    found = tensor(png(picture), spec(1, 2, 4, 1))
    assert found[0, 0, 0, 0] == 76  # ITU-R 601-2: L = 0.299 R + …


@pytest.mark.parametrize(
    ("mode", "corner", "middle"),
    [
        (ResizeMode.STRETCH, [255, 0, 0], [255, 0, 0]),
        (ResizeMode.LETTERBOX, [0, 0, 0], [255, 0, 0]),
        (ResizeMode.CROP, [255, 0, 0], [255, 0, 0]),
    ],
)
def test_the_ways_to_resize(mode: ResizeMode, corner: list[int], middle: list[int]) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20, 0] = 255
    found = tensor(png(Image.fromarray(pixels)), spec(1, 20, 20, 3), ImageOptions(mode=mode))
    assert found[0, 0, 0].tolist() == corner
    assert found[0, 10, 2].tolist() == middle
    assert found[0, 10, 17].tolist() == [0, 0, 0]


def test_a_photo_is_turned_upright(picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # EXIF 2.3, Orientation: the top of the picture is on the right
    big = picture.resize((64, 32), Image.Resampling.NEAREST)
    found = tensor(jpeg(big, exif), spec(1, 64, 32, 3))
    assert found[0, 5, 16, 0] > 200
    assert found[0, 60, 16, 2] > 200


def test_a_large_jpeg_keeps_its_picture() -> None:
    pixels = np.zeros((1000, 2000, 3), np.uint8)
    pixels[:, 1000:] = 255
    found = tensor(jpeg(Image.fromarray(pixels)), spec(1, 8, 16, 3))
    assert found[0, 4, 2].max() < 10
    assert found[0, 4, 13].min() > 245


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_other_kinds_of_png_are_converted(mode: str) -> None:
    wide = np.full((4, 4), 0x8000, np.uint16)
    image = Image.fromarray(wide) if mode == "I;16" else Image.new("L", (4, 4), 128).convert(mode)
    assert image.mode == mode
    found = tensor(png(image), spec(1, 4, 4, 3))
    assert mode == "1" or (found == 128).all()


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        (spec(1, 2, 2, 3), spec(1, 2, 2, 3)),
        (spec(1, 8),),
        (spec(2, 8, 8, 3),),
        (spec(1, 3, 8, 8),),
        (spec(1, 8, 8, 4),),
        (spec(1, 8, 8, 3, data_type=DataType.INT32),),
    ],
)
def test_models_without_an_image_input_are_said(inputs: tuple[TensorSpec, ...]) -> None:
    with pytest.raises(BadPayloadError, match="takes no pictures"):
        image_input(inputs)


def test_a_missing_pillow_is_said(picture: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = png(picture)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(BadPayloadError, match=r"edge-mesh\[image\]"):
        to_tensor(payload, (spec(1, 2, 2, 3),), None)


def bomb(width: int, height: int) -> ImagePayload:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )
    return ImagePayload(format=ImageFormat.PNG, data=data)


@pytest.mark.parametrize("side", [6400, 9500, 30_000, 2**31 - 1])
def test_a_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    with pytest.raises((TooLargeError, BadPayloadError)):
        to_tensor(bomb(side, side), (spec(1, 8, 8, 3),), None)


def test_a_picture_of_another_format_is_refused(picture: Image.Image) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, "GIF")
    with pytest.raises(BadPayloadError, match="cannot be decoded"):
        to_tensor(
            ImagePayload(format=ImageFormat.PNG, data=buffer.getvalue()), (spec(1, 8, 8, 3),), None
        )


SMALL = Image.linear_gradient("L").resize((40, 30)).convert("RGB")


@settings(max_examples=60)
@given(
    st.sampled_from([png(SMALL), jpeg(SMALL)]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255))),
    st.integers(1, 2000),
)
def test_damaged_pictures_give_a_tensor_or_a_request_error(
    good: ImagePayload, changes: list[tuple[int, int]], size: int
) -> None:
    data = bytearray(good.data)
    for position, value in changes:
        data[position % len(data)] = value
    payload = ImagePayload(format=good.format, data=bytes(data[:size]))
    with contextlib.suppress(RequestError):
        assert len(to_tensor(payload, (spec(1, 8, 8, 3),), None)) == 192
