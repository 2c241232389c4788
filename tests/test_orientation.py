"""A photograph with an EXIF orientation has one frame everywhere: that in which it is displayed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmwsss.analysis import draw_label_sheet
from mmwsss.apis import expand_short_forms, inference_cams, init_model, labelled_images, make_pseudo_labels
from mmwsss.datasets.map_files import read_label_map
from mmwsss.registry import DATASETS

from .color_cam import color_cam_config
from .helpers import CLASSES, COLORS

ORIENTATION = 0x0112
STORE = {  # orientation -> how a displayed picture is stored
    1: lambda picture: picture,
    3: lambda picture: picture.transpose(Image.Transpose.ROTATE_180),
    6: lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
}


def write_data(root: Path, orientation: int) -> np.ndarray:
    """Write a data set of one photograph, with an object in a corner; return its mask, of the displayed size."""
    mask = np.zeros((30, 20) if orientation == 6 else (20, 30), np.uint8)
    mask[2:12, 2:8] = 1
    picture = np.full((*mask.shape, 3), 128, np.uint8)
    picture[mask == 1] = COLORS[0]
    for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / folder).mkdir(parents=True)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = STORE[orientation](Image.fromarray(picture))
    assert stored.size == (30, 20)
    stored.save(root / 'JPEGImages/a.jpg', exif=exif, quality=100, subsampling=0)
    Image.fromarray(mask).save(root / 'SegmentationClass/a.png')
    for split in ('train', 'val'):
        (root / f'ImageSets/Segmentation/{split}.txt').write_text('a\n')
    return mask


def overlap(found: np.ndarray, mask: np.ndarray) -> float:
    """Return the intersection over union of two binary masks of one size."""
    assert found.shape == mask.shape
    return (found & (mask == 1)).sum() / (found | (mask == 1)).sum()


@pytest.mark.parametrize('orientation', STORE)
def test_training_label_making_and_prediction_share_one_frame(tmp_path, orientation):
    mask = write_data(tmp_path / 'data', orientation)
    cfg = Config(color_cam_config(tmp_path / 'data'))
    model = init_model(cfg)
    # Training on image labels, and label making
    sample = labelled_images(cfg)[0]
    assert sample['inputs'].shape == (3, *mask.shape)
    make_pseudo_labels(model, labelled_images(cfg), tmp_path / 'labels', expand_short_forms(threshold=.5, post='crf'))
    labels = read_label_map(tmp_path / 'labels/a.png')
    assert overlap(labels == 1, mask) > .8
    # Training on these labels: image and label are turned alike.
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackWSSSInputs')]
    inner = dict(cfg.train_dataloader.dataset.dataset)
    second = DATASETS.build(dict(type='PseudoLabelDataset', pseudo_label_dir=str(tmp_path / 'labels'), dataset=inner,
                                 pipeline=steps))[0]
    red = (second['inputs'] - torch.tensor(COLORS[0][::-1])[:, None, None]).abs().amax(0) < 40
    assert overlap(red.numpy(), second['data_samples'].gt_sem_seg.data[0].numpy()) > .8
    # Prediction, and evaluation against the mask
    cams = inference_cams(model, tmp_path / 'data/JPEGImages/a.jpg', image_labels=[CLASSES[0]])
    assert overlap(cams[0] > .5, mask) > .8
    shown = DATASETS.build(cfg.val_dataloader.dataset)[0]
    prediction = model.test_step(dict(inputs=[shown['inputs']], data_samples=[shown['data_samples']]))[0]
    assert prediction.pred_sem_seg.data.shape[1:] == prediction.gt_sem_seg.data.shape[1:] == mask.shape
    assert overlap((prediction.cams.data[0] > .5).numpy(), mask) > .8


def test_figures_show_the_photograph_as_its_label(tmp_path):
    sheets = []
    for orientation in (1, 6):
        root = tmp_path / str(orientation)
        mask = write_data(root, orientation)
        masks, split = root / 'SegmentationClass', root / 'ImageSets/Segmentation/train.txt'
        assert draw_label_sheet(root / 'JPEGImages', masks, masks, split, root / 'sheet.png')
        sheet = np.array(Image.open(root / 'sheet.png')).astype(int)
        red = np.abs(sheet - COLORS[0]).max(axis=2) < 40
        rows, columns = np.nonzero(red[:, :red.shape[1] // 3])
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        sheets.append(height / width)
        assert mask.shape == ((30, 20) if orientation == 6 else (20, 30))
    assert sheets == pytest.approx([10 / 6, 10 / 6], rel=.15)
