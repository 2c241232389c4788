"""Pack the results of a pipeline into model inputs and a data sample."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import to_tensor
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs

from mmwsss.registry import TRANSFORMS

__all__ = ['PackWSSSInputs']

META_KEYS = ('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor',
             'flip', 'flip_direction', 'reduce_zero_label', 'image_id', 'sample_seed', 'valid_box', 'image')


@TRANSFORMS.register_module()
class PackWSSSInputs(PackSegInputs):
    """mmseg's ``PackSegInputs`` plus image-level labels and extra views.

    Reads, besides what the parent reads (each only where present):

    - ``gt_label`` (ndarray (C,)): becomes the float tensor ``data_sample.gt_label``.
    - ``views`` (dict of name -> uint8 ndarray (H, W, 3)): ``inputs`` is then
      ``dict(main=(3, H, W) tensor of img, **{name: (3, H, W) tensor})`` instead of one tensor.
    - ``image_id`` (str), ``sample_seed`` (int), ``image`` (the decoded image, see :class:`KeepImage`): copied into the
      meta information.
    - ``gt_true_map`` (ndarray (H, W)): becomes ``data_sample.true_sem_seg``, as ``gt_seg_map`` becomes ``gt_sem_seg``.
    - ``valid_box`` (4 ints, ``y0, y1, x0, x1``, the part of the crop that is image and not
      padding, end exclusive): copied into the meta information as a tuple of ints.

    Args:
        meta_keys (Sequence[str]): Keys copied into the sample's meta information.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__(meta_keys=tuple(meta_keys))

    def transform(self, results: dict) -> dict:
        """Pack one sample.

        Args:
            results (dict): The results of the pipeline.

        Returns:
            dict: ``inputs`` (tensor, or dict of tensors) and ``data_samples`` (SegDataSample).

        Raises:
            ValueError: A view is called ``main``, a view is not (H, W, 3), or ``valid_box`` does
                not have four entries.
        """
        if 'valid_box' in results:
            results['valid_box'] = _as_box(results['valid_box'])
        packed = super().transform(results)
        if 'gt_label' in results:
            label = np.asarray(results['gt_label'], dtype=np.float32)
            packed['data_samples'].gt_label = torch.from_numpy(label.copy())
        if 'gt_true_map' in results:
            truth = to_tensor(results['gt_true_map'][None].astype(np.int64))
            packed['data_samples'].true_sem_seg = PixelData(data=truth)
        if 'views' in results:
            packed['inputs'] = dict(main=packed['inputs'], **_pack_views(results['views']))
        return packed


def _as_box(box: Sequence[int]) -> tuple[int, ...]:
    """Return the box as four plain ints."""
    box = tuple(int(edge) for edge in box)
    if len(box) != 4:
        raise ValueError(f'valid_box must be (y0, y1, x0, x1), got {box}')
    return box


def _pack_views(views: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Turn (H, W, 3) arrays into (3, H, W) tensors."""
    packed = {}
    for name, view in views.items():
        if name == 'main':
            raise ValueError("a view must not be called 'main': that is the pipeline's img")
        if view.ndim != 3:
            raise ValueError(f'view {name!r} must have the shape (H, W, 3), got {view.shape}')
        packed[name] = to_tensor(np.ascontiguousarray(view.transpose(2, 0, 1)))
    return packed
