"""For maintainers: put a trained bundle into the package.

    python -m eas_train.ship runs/photos
    python -m eas_train.ship runs/emoji

Writes eas_sdk/assets/<name>.safetensors; with the bundle `emoji` the test artist's drawings too, as
eas_sdk/assets/drawings/<superclass>/<label>.png (on white, at the bundle's input size), and their attribution.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image

import eas_sdk
from eas_sdk.bank import bundle as bundles
from eas_sdk.bank.atomic import write_atomically
from eas_sdk.bank.shipped import SHIPPED
from eas_train.data.emoji import load_emoji
from eas_train.data.imageset import ImageSet
from eas_train.data.styles import STYLES
from eas_train.data.views import views
from eas_train.pipeline import BUNDLE

ASSETS = Path(eas_sdk.__file__).parent / "assets"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the training's folder")
    folder = parser.parse_args().folder
    bundle = bundles.read(folder / BUNDLE)
    if bundle.name not in SHIPPED:
        parser.error(f"{' and '.join(SHIPPED)} ship; got a bundle called {bundle.name!r}")
    ASSETS.mkdir(exist_ok=True)
    size = write_atomically(ASSETS / f"{bundle.name}.safetensors", [(folder / BUNDLE).read_bytes()])
    print(f"{size} bytes of bundle in {ASSETS.name}/")
    if bundle.name == "emoji":
        count = write_drawings(load_emoji().test, bundle.input_size, ASSETS / "drawings")
        print(f"{count} drawings in {ASSETS.name}/drawings/")


def write_drawings(data: ImageSet, size: int, folder: Path) -> int:
    """One PNG a drawing, size x size on white, with the attribution of its artist; how many were written."""
    made = views(data.images, 1, size, seed=0)[:, 0]
    for superclass in data.superclasses:
        (folder / superclass.name).mkdir(parents=True, exist_ok=True)
    owner = {label: superclass.name for superclass in data.superclasses for label in superclass.class_names}
    for pixels, target in zip(made, data.targets, strict=True):
        label = data.classes[target]
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
        write_atomically(folder / owner[label] / f"{label}.png", [buffer.getvalue()])
    notices = [style.attribution for style in STYLES if style.name in set(data.sources)]
    text = "# Attribution\n\nDrawings: " + "\n".join(notices) + "\n"
    write_atomically(folder / "ATTRIBUTION.md", [text.encode()])
    return len(made)


if __name__ == "__main__":
    main()
