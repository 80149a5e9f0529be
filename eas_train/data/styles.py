"""The ten emoji styles and the label data: pinned packages, licences and authors.

Every style draws the same objects in the hand of another design team; nine are whole emoji sets and decide which
classes there are, the tenth draws a part of them and only adds to the training. Splits are by style, never by image,
so that a test drawing comes from an artist whose work was not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Package:
    """One exact version of an npm package; `integrity` is npm's `dist.integrity` (SHA-512, base64)."""

    name: str
    version: str
    integrity: str


@dataclass(frozen=True)
class Style:
    """One design team's drawings: where they come from, who made them, and the split that they are for."""

    name: str
    package: Package
    split: Split
    title: str
    author: str
    url: str
    licence: str
    licence_url: str
    whole: bool = True
    """Whether it is a whole emoji set: only these count where classes are chosen (see labels.py)."""
    misnamed: tuple[str, ...] = ()
    """Icons that show something else than their name says."""

    @property
    def attribution(self) -> str:
        """The notice to keep with this style's pixels, and with weights trained on them."""
        return (
            f"{self.title} by {self.author} ({self.url}), {self.licence} ({self.licence_url}); "
            f"from {self.package.name} {self.package.version}, rasterised."
        )


EMOJIBASE = Package(
    "emojibase-data",
    "17.0.0",
    "sha512-Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
)

_APACHE = ("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")
_MIT = ("MIT", "https://github.com/microsoft/fluentui-emoji/blob/main/LICENSE")
_CC_BY = ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/")
_CC_BY_SA = ("CC-BY-SA-4.0", "https://creativecommons.org/licenses/by-sa/4.0/")


def _style(
    name: str,
    version: str,
    integrity: str,
    split: Split,
    title: str,
    author: str,
    repository: str,
    licence: tuple[str, str],
    whole: bool = True,
    misnamed: tuple[str, ...] = (),
) -> Style:
    package = Package(f"@iconify-json/{name}", version, integrity)
    return Style(name, package, split, title, author, f"https://github.com/{repository}", *licence, whole, misnamed)


STYLES: tuple[Style, ...] = (
    _style(
        "noto", "1.2.9",
        "sha512-DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
        "train", "Noto Emoji", "Google Inc", "googlefonts/noto-emoji", _APACHE,
    ),
    _style(
        "noto-v1", "1.2.5",
        "sha512-/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
        "train", "Noto Emoji (v1)", "Google Inc", "googlefonts/noto-emoji", _APACHE,
    ),
    _style(
        "twemoji", "1.2.5",
        "sha512-uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
        "train", "Twemoji", "Twitter, Inc and other contributors", "jdecked/twemoji", _CC_BY,
    ),
    _style(
        "openmoji", "1.2.29",
        "sha512-vXdhkqcXVSO6suy+m9LbcUM3OdVyuNOtpV8/als/WqfkQIRxevL5Geb/g+6GH/Qwnq1OqksEmaDGTCmZ5nFKJQ==",
        "train", "OpenMoji", "OpenMoji", "hfg-gmuend/openmoji", _CC_BY_SA,
    ),
    _style(
        "fluent-emoji-flat", "1.2.6",
        "sha512-RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
        "train", "Fluent Emoji Flat", "Microsoft Corporation", "microsoft/fluentui-emoji", _MIT,
    ),
    _style(
        "fluent-emoji", "1.2.7",
        "sha512-D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OBv4hz4Hc/QA==",
        "train", "Fluent Emoji", "Microsoft Corporation", "microsoft/fluentui-emoji", _MIT,
    ),
    _style(
        "fxemoji", "1.2.2",
        "sha512-UAasRaxzFUKfIGSmLwnoarsssA4LX0VLLuEmplIqM6ZNQqIQRtav8tZ4H1neTlBreXuMQyAifr5jP4kn78DpiQ==",
        "train", "Firefox OS Emoji", "Mozilla", "mozilla/fxemoji", _APACHE,
    ),
    _style(
        "streamline-emojis", "1.2.4",
        "sha512-iNr9T9XuZVTyQPJO8ZlLxBzPkpi7qMl+z1l0C31vpEMqhPMelth3n7CeWQYtixdetDPdI81yeG4ROqjWpYJE6A==",
        "train", "Streamline Emojis", "Streamline", "webalys-hq/streamline-vectors", _CC_BY,
        whole=False, misnamed=("turkey",),  # the flag
    ),
    _style(
        "emojione-v1", "1.2.3",
        "sha512-UjI2VQEXVtGlPBvQuxEizro7QCgBcJDOYwKUupquvvZ8UV4xOlvm45IU82JYWegiAWLerY79gFLMZ26U6Ms+ww==",
        "validation", "Emoji One (v1)", "Emoji One", "joypixels/emojione-legacy", _CC_BY_SA,
    ),
    _style(
        "emojione", "1.2.3",
        "sha512-T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
        "test", "Emoji One / EmojiTwo", "Emoji One", "EmojiTwo/emojitwo", _CC_BY,
    ),
)  # fmt: skip


ATTRIBUTIONS: dict[str, str] = {style.name: style.attribution for style in STYLES}
