"""Image files to pixels: those that a person sees, in every format and mode, or an explanation."""

from __future__ import annotations

import os
import random
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("PIL")

from PIL import Image

from eas_sdk.errors import ImageError
from eas_sdk.image_file import LONGEST, decode, image_files, read_image, read_rgba, to_pixels
from eas_sdk.images import as_float_batch

SIZE = 32
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    """A picture whose corners differ, of few enough colours for a palette."""
    return np.random.default_rng(1).integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)


def saved(folder: Path, image: Image.Image, name: str = "x.png", **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_grey_images_of_8_and_16_bits(pixels: Pixels, tmp_path: Path) -> None:
    grey = pixels[..., 0]
    wanted = grey[..., None].repeat(3, 2)
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    for image in (Image.fromarray(grey), deep):
        assert np.array_equal(read_image(saved(tmp_path, image)), wanted)


def test_transparent_pixels_become_white(pixels: Pixels, tmp_path: Path) -> None:
    alpha = np.full((SIZE, SIZE, 1), 255, np.uint8)
    alpha[:16] = 0
    drawing = Image.fromarray(np.concatenate([pixels, alpha], 2))
    wanted = np.where(alpha == 0, 255, pixels)
    assert np.array_equal(read_image(saved(tmp_path, drawing)), wanted)
    half = np.concatenate([pixels, np.full_like(alpha, 128)], 2)
    got = read_image(saved(tmp_path, Image.fromarray(half))).astype(float)
    assert np.abs(got - (pixels * (128 / 255) + 127)).max() <= 1.5


def test_transparency_of_palettes_and_of_grey(pixels: Pixels, tmp_path: Path) -> None:
    palette = Image.fromarray(pixels).quantize(16)
    clear = palette.getpixel((0, 0))
    shown = read_image(saved(tmp_path, palette, transparency=clear))
    assert (shown[0, 0] == 255).all()
    assert np.array_equal(shown[-1, -1], pixels[-1, -1])
    grey = np.dstack([pixels[..., 0], np.zeros((SIZE, SIZE), np.uint8)])
    assert (read_image(saved(tmp_path, Image.fromarray(grey, "LA"))) == 255).all()


@pytest.mark.parametrize(
    ("orientation", "turn"), [(3, lambda p: p[::-1, ::-1]), (6, lambda p: np.rot90(p)), (8, lambda p: np.rot90(p, -1))]
)
def test_photos_are_turned_upright(pixels: Pixels, tmp_path: Path, orientation: int, turn: Callable) -> None:
    """`turn` makes the stored pixels out of the upright ones."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(turn(pixels))
    assert np.array_equal(read_image(saved(tmp_path, Image.fromarray(stored), exif=exif)), pixels)


def test_a_photograph_comes_as_it_is(pixels: Pixels, tmp_path: Path) -> None:
    wide = np.concatenate([pixels, pixels[:, :5]], axis=1)
    assert np.array_equal(read_image(saved(tmp_path, Image.fromarray(wide))), wide)
    assert read_rgba(tmp_path / "x.png").size == wide.shape[1::-1]


@pytest.mark.parametrize("tall", [False, True])
def test_a_drawing_that_is_not_square_is_kept_whole(pixels: Pixels, tmp_path: Path, tall: bool) -> None:
    """As training does: only what is opaque is cropped."""
    alpha = np.full((SIZE, SIZE, 1), 255, np.uint8)
    alpha[0, 0] = 0
    drawing = np.concatenate([pixels, alpha], 2)[: SIZE // 2]
    expected = np.full_like(pixels, 255)
    expected[SIZE // 4 : SIZE // 4 + SIZE // 2] = np.where(drawing[..., 3:] == 0, 255, drawing[..., :3])
    if tall:
        drawing, expected = drawing.transpose(1, 0, 2), expected.transpose(1, 0, 2)
    made = read_image(saved(tmp_path, Image.fromarray(np.ascontiguousarray(drawing))))
    assert np.array_equal(made, expected)


def test_an_image_that_says_it_is_huge_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side in (10_000, 100_000):  # above Pillow's limit, and above the double of it
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        bomb = tmp_path / "bomb.png"
        bomb.write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        )
        with pytest.raises(ImageError, match="decoded safely"):
            read_image(bomb)


def test_formats_that_run_another_program_are_refused(tmp_path: Path) -> None:
    script = tmp_path / "page.png"
    script.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(ImageError, match="format that holds pixels"):
        read_image(script)


def thin_drawing(path: Path, side: int = 20_000) -> Path:
    """A PNG of a few hundred bytes, whose square would have `side` x `side` pixels."""
    Image.new("LA", (1, side)).save(path, optimize=True)
    return path


def test_a_thin_drawing_is_reduced_before_it_becomes_a_square(tmp_path: Path) -> None:
    path = thin_drawing(tmp_path / "x.png")
    assert path.stat().st_size < 300
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_image(path).shape == (LONGEST, LONGEST, 3)
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)
    assert taken < 10 * 4 * LONGEST**2


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (Image.new("F", (4, 4), 0.5), "fractions"),
        (Image.fromarray(np.full((4, 4), 1 << 20, np.int32)), "8 or 16 bits"),
        (Image.fromarray(np.full((4, 4), -1, np.int32)), "8 or 16 bits"),
    ],
)
def test_pixels_that_would_be_clipped_are_refused(image: Image.Image, told: str, tmp_path: Path) -> None:
    path = saved(tmp_path, image, "x.tif")
    with pytest.raises(ImageError, match=rf"x\.tif cannot be read as an image: .*{told}"):
        read_image(path)
    with pytest.raises(ImageError, match=told):
        to_pixels(image)


@pytest.mark.filterwarnings("ignore")
def test_broken_exif_leaves_the_pixels_as_they_are(pixels: Pixels, tmp_path: Path) -> None:
    """Bytes of the EXIF part are altered; the picture itself is not touched."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a maker"
    Image.fromarray(pixels).save(tmp_path / "x.jpg", exif=exif)
    content = (tmp_path / "x.jpg").read_bytes()
    begin = content.index(b"Exif\0\0") + 6
    end = begin + len(exif.tobytes()) - 6
    stored = np.asarray(Image.open(tmp_path / "x.jpg"))
    turned = [np.rot90(stored, turns) for turns in range(4)]
    wanted = [made for way in turned for made in (way, way[::-1])]
    rng = random.Random(0)
    for _ in range(300):
        broken = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(begin, end)] = rng.randrange(256)
        got = decode(bytes(broken))
        assert any(np.array_equal(got, one) for one in wanted)


@pytest.mark.parametrize(
    ("orientation", "kind", "count", "value"),
    [(0x0112, 3, 0, 0), (0x0112, 5, 1, 900), (0x0112, 2, 7, 4), (0x8769, 4, 1, 5)],
)
def test_exif_of_a_wrong_type_is_passed_over(
    pixels: Pixels, orientation: int, kind: int, count: int, value: int, tmp_path: Path
) -> None:
    tiff = b"MM\0*" + struct.pack(">IHHHIII", 8, 1, orientation, kind, count, value, 0)
    path = saved(tmp_path, Image.fromarray(pixels), exif=b"Exif\0\0" + tiff)
    assert np.array_equal(read_image(path), pixels)


def test_whatever_is_cut_or_altered_is_read_or_named(pixels: Pixels, tmp_path: Path) -> None:
    rng, read, told = random.Random(0), 0, []
    for suffix in ("png", "jpg", "webp", "bmp", "gif", "tif"):
        whole = saved(tmp_path, Image.fromarray(pixels), f"x.{suffix}").read_bytes()
        for _ in range(60):
            broken = bytearray(whole)
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            path = tmp_path / f"y.{suffix}"
            path.write_bytes(broken[: rng.randint(len(broken) // 2, len(broken))])
            try:
                read += read_image(path).dtype == np.uint8
            except ImageError as error:
                told.append(str(error).removeprefix(f"{path} "))
    assert read > 0
    assert told
    assert all(text.startswith("cannot be read as an image: ") for text in told)


def test_a_path_an_image_of_pillow_s_and_an_array_are_one(pixels: Pixels, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    path = saved(tmp_path, Image.fromarray(pixels), exif=exif)
    expected = as_float_batch(read_image(path)[None], 16)
    for images in (path, str(path), [path], Image.open(path), read_image(path), (read_image(path),)):
        np.testing.assert_array_equal(as_float_batch(images, 16), expected)
    mixed = as_float_batch([pixels, str(path), Image.open(path)], 16)
    np.testing.assert_array_equal(mixed[1:], expected.repeat(2, 0))


def test_a_large_jpeg_may_be_decoded_at_a_part_of_its_size(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (800, 640)), "x.jpg")
    assert read_image(path).shape == (640, 800, 3)
    assert read_image(path, at_least=64).shape == (160, 200, 3)
    assert decode(path.read_bytes(), at_least=640).shape == (640, 800, 3)


def test_the_images_of_a_folder(tmp_path: Path) -> None:
    wanted = ["a.PNG", "b/c.jpeg", "b/d/e.tiff", "linked/f.gif"]
    for name in (*wanted[:3], "._a.png", ".hidden/x.png", "b/.ipynb_checkpoints/c.png", "x.txt", "jpg"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "f.gif").write_bytes(b"")
    (tmp_path / "set" / "folder.png").mkdir()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "other", target_is_directory=True)
    (tmp_path / "set" / "b" / "up").symlink_to(tmp_path / "set", target_is_directory=True)
    found = [os.path.relpath(path, tmp_path / "set") for path in image_files(tmp_path / "set")]
    assert found == wanted
    for missing in (tmp_path / "none", tmp_path / "set" / "x.txt"):
        with pytest.raises(ImageError, match=f"{missing.name} is none"):
            image_files(missing)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(ImageError, match=r"x\.png cannot be read as an image: (it is a folder|there is no such file)"):
        read_image(path)


def test_arrays_need_no_pillow() -> None:
    script = (
        "import sys; sys.modules['PIL'] = None\n"
        "import numpy as np; from eas_sdk.images import as_float_batch; from eas_sdk.errors import MissingDependency\n"
        "print(as_float_batch(np.zeros((5, 7, 3), np.uint8), 4).shape)\n"
        "try: as_float_batch([__file__ if '__file__' in globals() else sys.executable], 4)\n"
        "except MissingDependency as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    shape, told = done.stdout.splitlines()
    assert shape == "(1, 4, 4, 3)"
    assert "Pillow" in told
    assert "[cli]" in told
