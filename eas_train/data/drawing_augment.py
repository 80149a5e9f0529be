"""Batched augmentation of RGBA drawings in torch: geometry, drawing style, colour, background, erasing.

Everything works on a whole batch at once, each sample with its own random parameters, so that two cores are
enough. Colours are premultiplied by alpha while they are resampled, lest transparent pixels bleed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from eas_train.data.ranges import check_ranges
from eas_train.distributed import Share

WHOLE = Share()


@dataclass(frozen=True)
class DrawingAugmentation:
    """Strengths; a probability is written p_..., all else is the greatest magnitude of a uniform draw."""

    kind: Literal["drawing"] = "drawing"
    rotation_degrees: float = 25.0
    log_scale: float = 0.3
    log_aspect: float = 0.2
    shear: float = 0.2
    shift: float = 0.12
    warp: float = 0.06
    p_flip: float = 0.5
    p_outline: float = 0.25
    p_blur: float = 0.15
    p_blend: float = 0.2
    hue_turns: float = 0.08
    p_any_hue: float = 0.15
    saturation: float = 0.7
    brightness: float = 0.35
    contrast: float = 0.4
    p_grey: float = 0.12
    p_white_background: float = 0.35
    p_noise: float = 0.2
    p_erase: float = 0.3
    erase_area: float = 0.2

    def __post_init__(self) -> None:
        def bounds(name: str) -> tuple[float, float]:
            return 0, 1 if name.startswith("p_") or name == "erase_area" else math.inf

        check_ranges(self, bounds)


def as_tensor(images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """Pixels [N, S, S, C] as N x C x S x S in [0, 1] on a device."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float().div_(255)


def augment(
    drawings: Tensor, size: int, settings: DrawingAugmentation, generator: torch.Generator, share: Share = WHOLE
) -> Tensor:
    """Random views of drawings, each composed on a random background.

    Args:
        drawings: N x 4 x S x S float32 in [0, 1], RGBA with straight alpha.
        size: side of the result.
        generator: source of all randomness, on the drawings' device.
        share: which part of a batch these drawings are; they get what they would get in the whole.

    Returns:
        N x 3 x size x size in [0, 1].
    """
    rng = _Rng(generator, drawings.device, share)
    alpha = drawings[:, 3:]
    premultiplied = torch.cat([drawings[:, :3] * alpha, alpha], 1)
    premultiplied = _geometry(premultiplied, size, settings, rng)
    premultiplied = _style(premultiplied, settings, rng)
    rgb, alpha = _straight(premultiplied)
    rgb = _colour(rgb, settings, rng)
    image = rgb * alpha + _background(len(rgb), size, settings, rng) * (1 - alpha)
    return _damage(image, settings, rng).clamp_(0, 1)


def blend_partners(
    drawings: Tensor, partners: Tensor, probability: float, generator: torch.Generator, share: Share = WHOLE
) -> Tensor:
    """Some drawings mixed with another drawing of the same class: an artist between two artists.

    Args:
        drawings, partners: N x 4 x S x S RGBA in [0, 1]; `partners[i]` shows the same class as `drawings[i]`.
        probability: of a mixture.
        share: which part of a batch these are.
    """
    rng = _Rng(generator, drawings.device, share)
    n = len(drawings)
    weight = rng.uniform(n, 1, 1, 1) * rng.chance(probability, n)
    alpha, other = drawings[:, 3:], partners[:, 3:]
    mixed_alpha = torch.lerp(alpha, other, weight)
    mixed = torch.lerp(drawings[:, :3] * alpha, partners[:, :3] * other, weight) / mixed_alpha.clamp(min=1e-4)
    return torch.cat([mixed, mixed_alpha], 1)


class _Rng:
    """Uniform draws on one device from one generator; the first axis of every shape is that of the batch."""

    def __init__(self, generator: torch.Generator, device: torch.device, share: Share) -> None:
        self.generator = generator
        self.device = device
        self.share = share

    def uniform(self, n: int, *shape: int) -> Tensor:
        whole = torch.rand(n * self.share.size, *shape, generator=self.generator, device=self.device)
        return self.share.of(whole)

    def around_zero(self, magnitude: float, n: int, *shape: int) -> Tensor:
        return (self.uniform(n, *shape) * 2 - 1) * magnitude

    def chance(self, probability: float, n: int) -> Tensor:
        """[n, 1, 1, 1] of zeros and ones."""
        return (self.uniform(n, 1, 1, 1) < probability).float()


def _geometry(x: Tensor, size: int, s: DrawingAugmentation, rng: _Rng) -> Tensor:
    n = len(x)
    angle = rng.around_zero(math.radians(s.rotation_degrees), n)
    scale = torch.exp(rng.around_zero(s.log_scale, n))
    aspect = torch.exp(rng.around_zero(s.log_aspect, n) / 2)
    shear = rng.around_zero(s.shear, n)
    flip = 1 - 2 * (rng.uniform(n) < s.p_flip).float()
    cos, sin = torch.cos(angle), torch.sin(angle)
    rotation = torch.stack([cos, -sin, sin, cos], 1).view(n, 2, 2)
    zero, one = torch.zeros(n, device=x.device), torch.ones(n, device=x.device)
    sheared = torch.stack([one, shear, zero, one], 1).view(n, 2, 2)
    scaled = torch.stack([scale * aspect * flip, zero, zero, scale / aspect], 1).view(n, 2, 2)
    shift = rng.around_zero(s.shift * 2, n, 2, 1)
    grid = F.affine_grid(torch.cat([rotation @ sheared @ scaled, shift], 2), [n, 4, size, size], align_corners=False)
    if s.warp:
        coarse = rng.around_zero(s.warp * 2, n, 2, 4, 4)
        grid = grid + F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _style(x: Tensor, s: DrawingAugmentation, rng: _Rng) -> Tensor:
    """Black or white outlines, and a slight blur: what separates one artist from another."""
    n = len(x)
    grown = F.max_pool2d(x[:, 3:], 3, 1, 1)
    ink = (rng.uniform(n, 1, 1, 1) < 0.3).float()
    outline = torch.cat([ink * grown, ink * grown, ink * grown, grown], 1)
    outlined = x + outline * (1 - x[:, 3:])
    x = torch.lerp(x, outlined, rng.chance(s.p_outline, n))
    return torch.lerp(x, F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), rng.chance(s.p_blur, n))


def _straight(x: Tensor) -> tuple[Tensor, Tensor]:
    alpha = x[:, 3:]
    return x[:, :3] / alpha.clamp(min=1e-3), alpha


def _colour(rgb: Tensor, s: DrawingAugmentation, rng: _Rng) -> Tensor:
    n = len(rgb)
    turns = rng.around_zero(s.hue_turns, n)
    turns = torch.where(rng.uniform(n) < s.p_any_hue, rng.around_zero(0.5, n), turns)
    saturation = 1 + rng.around_zero(s.saturation, n)
    saturation = torch.where(rng.uniform(n) < s.p_grey, torch.zeros_like(saturation), saturation)
    turned = torch.einsum("nij,njhw->nihw", _hue_matrix(turns, saturation), rgb)
    gain = torch.exp(rng.around_zero(s.contrast, n, 1, 1, 1))
    offset = rng.around_zero(s.brightness, n, 1, 1, 1)
    return ((turned - 0.5) * gain + 0.5 + offset * 0.5).clamp(0, 1)


def _hue_matrix(turns: Tensor, saturation: Tensor) -> Tensor:
    """Rotation of colour about the grey axis (Rodrigues), with the part off the axis scaled: [N, 3, 3]."""
    angle = turns * 2 * math.pi
    third = torch.full((3, 3), 1 / 3, device=turns.device)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=turns.device) / math.sqrt(3)
    off_axis = torch.eye(3, device=turns.device) - third
    rotated = torch.cos(angle).view(-1, 1, 1) * off_axis + torch.sin(angle).view(-1, 1, 1) * cross
    return third + saturation.view(-1, 1, 1) * rotated


def _background(n: int, size: int, s: DrawingAugmentation, rng: _Rng) -> Tensor:
    """White, or a smooth field between four random corner colours (equal corners make it plain)."""
    corners = rng.uniform(n, 3, 2, 2)
    plain = corners[:, :, :1, :1].expand_as(corners)
    corners = torch.lerp(corners, plain, rng.uniform(n, 1, 1, 1).sqrt())
    field = F.interpolate(corners, (size, size), mode="bilinear", align_corners=True)
    return torch.lerp(field, torch.ones_like(field), rng.chance(s.p_white_background, n))


def _damage(image: Tensor, s: DrawingAugmentation, rng: _Rng) -> Tensor:
    """Pixel noise, and one rectangle of random colour."""
    n, _, size, _ = image.shape
    noise = rng.around_zero(0.12, *image.shape)
    image = image + noise * rng.chance(s.p_noise, n)
    side = (rng.uniform(n, 2) * s.erase_area).sqrt()
    start = rng.uniform(n, 2) * (1 - side)
    at = (torch.arange(size, device=image.device) + 0.5) / size
    inside = (at >= start.unsqueeze(-1)) & (at < (start + side).unsqueeze(-1))
    box = (inside[:, 0].unsqueeze(2) & inside[:, 1].unsqueeze(1)).unsqueeze(1).float()
    return torch.lerp(image, rng.uniform(n, 3, 1, 1).expand_as(image), box * rng.chance(s.p_erase, n))
