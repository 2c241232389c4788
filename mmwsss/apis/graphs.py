"""Models as functions of one tensor, which exporters can record."""

import math
from collections.abc import Sequence
from itertools import count
from typing import Any, Optional

import torch
from mmseg.models import BaseSegmentor
from torch import Tensor, nn

from mmwsss.models.utils import normalize_cams, resize_maps
from mmwsss.utils.errors import UserError

from .inference import choose_source

__all__ = ['CAMGraph', 'SegmentationGraph', 'build_graph', 'example_images', 'export_program', 'size_multiple',
           'varied_shapes']

_LARGEST_SIDE = 8192


class SegmentationGraph(nn.Module):
    """The segmentation of whole images, without sliding windows and test-time augmentation.

    Args:
        model (BaseSegmentor): In eval mode.
    """

    output_names = ('seg_logits', )

    def __init__(self, model: BaseSegmentor) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Compute logits (B, K, H, W), background first, of normalized images (B, 3, H, W)."""
        size = images.shape[2:]
        logits = self.model.encode_decode(images, [dict(img_shape=size, ori_shape=size, pad_shape=size)])
        return (resize_maps(logits, size, align_corners=self.model.align_corners), )


class CAMGraph(nn.Module):
    """Class scores and class activation maps of one view, as ``predict_cams(images, scales=(1., ), flip=False)``.

    Args:
        model (nn.Module): With ``extract_cams``, in eval mode.
    """

    output_names = ('logits', 'cams')

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits (B, C) and maps (B, C, H, W) in [0, 1] of normalized images (B, 3, H, W)."""
        found = self.model.extract_cams(images)
        cfg = self.model.test_cfg.get('cams') or {}
        cams = resize_maps(found['cams'], images.shape[2:])
        cams = cams.relu() if cfg.get('relu', True) else cams
        cams = normalize_cams(cams, cfg.get('normalize', 'minmax'), cfg.get('eps', 1e-5))
        return found['logits'], cams.clamp(min=0)


def build_graph(model: nn.Module, source: Optional[str] = None) -> nn.Module:
    """Build the function of one tensor that an exporter records.

    Args:
        model (nn.Module): From :func:`init_model`.
        source (str, optional): ``'seg'`` or ``'cam'``. Defaults to ``'seg'`` if the model is a segmentor.

    Returns:
        nn.Module: A :class:`SegmentationGraph` or a :class:`CAMGraph`.

    Raises:
        UserError: The model does not predict what is asked for.
    """
    source = choose_source(model, source)
    if source == 'seg' and not hasattr(model, 'encode_decode'):
        raise UserError(f'{type(model).__name__} has no encode_decode, which segments a whole image in one pass')
    return SegmentationGraph(model) if source == 'seg' else CAMGraph(model)


def size_multiple(model: nn.Module) -> int:
    """Return the number of pixels of which the sides of images must be a multiple.

    Models pad other images, or cut their edges off, and a recorded graph does neither.

    Args:
        model (nn.Module): From :func:`init_model`.

    Returns:
        int: 1 where every size can be used.
    """
    patch = getattr(model.backbone, 'patch_size', 1)
    sides = patch if isinstance(patch, (tuple, list)) else (patch, )
    cams = (model.test_cfg or {}).get('cams') or {}
    return math.lcm(*(int(side) for side in sides), cams.get('pad_divisor', 1), cams.get('divisor', 1))


def varied_shapes(size: Sequence[int], multiple: int) -> list[tuple[int, ...]]:
    """Return shapes (B, 3, H, W) that differ in every size, to check what was recorded for free sizes.

    Args:
        size (Sequence[int]): (H, W) of the smallest.
        multiple (int): Of :func:`size_multiple`.

    Returns:
        list[tuple[int, ...]]: Three shapes.
    """
    height, width = size
    step = multiple * max(1, 23 // multiple)
    return [(2, 3, height, width + 2 * step), (1, 3, height + step, width), (3, 3, height, width)]


def example_images(graph: nn.Module, size: Sequence[int], free: bool) -> Tensor:
    """Return images with which a graph is recorded.

    Args:
        graph (nn.Module): From :func:`build_graph`.
        size (Sequence[int]): (H, W).
        free (bool): Whether batches and sides are free. There are then two images, not square, and with other numbers
            of patches than the position embedding has: exporters and models treat these cases in a special way, which
            must not be recorded.

    Returns:
        Tensor: (B, 3, H, W) of zeros.
    """
    if not free:
        return torch.zeros(1, 3, *size)
    multiple = size_multiple(graph.model)
    special = getattr(graph.model.backbone, 'patch_resolution', ())
    numbers = (number for number in count(-(-max(size) // multiple)) if number not in special)
    return torch.zeros(2, 3, next(numbers) * multiple, next(numbers) * multiple)


def export_program(graph: nn.Module, size: Sequence[int], free: bool) -> Any:
    """Record a graph with ``torch.export``.

    Args:
        graph (nn.Module): From :func:`build_graph`.
        size (Sequence[int]): (H, W) of the images.
        free (bool): Whether batches and sides of images are free, instead of single images of ``size``.

    Returns:
        torch.export.ExportedProgram: What was recorded; needs PyTorch 2.6 or newer.
    """
    if not free:
        return torch.export.export(graph, (example_images(graph, size, False), ), strict=False)
    dim, multiple = torch.export.Dim, size_multiple(graph.model)
    if multiple == 1:
        sides = [dim(name, min=16, max=_LARGEST_SIDE) for name in ('height', 'width')]
    else:
        sides = [multiple * dim(name, min=2, max=_LARGEST_SIDE // multiple) for name in ('rows', 'columns')]
    symbols = ({0: dim('batch', min=1, max=1024), 2: sides[0], 3: sides[1]}, )
    return torch.export.export(graph, (example_images(graph, size, True), ), strict=False, dynamic_shapes=symbols)
