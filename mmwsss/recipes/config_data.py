"""What a stage needs to know of its config's data: lists of images, masks, classes, folders of pseudo labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from mmwsss.datasets.coco import COCO2014SlotDataset
from mmwsss.datasets.config import dataset_configs, masks_beside
from mmwsss.registry import DATASETS
from mmwsss.utils.commands import relative_path

from .schema import RecipeError, Stage

__all__ = [
    'class_arguments', 'data_files', 'has_category_ids', 'label_dir_key', 'list_datasets', 'mask_dir', 'split_file'
]


def data_files(cfg: Config) -> list[Path]:
    """Return the lists of images and the files of image labels that a config names, sorted."""
    files = []
    for _, root, dataset, wrappers in list_datasets(cfg):
        names = [dataset.get('ann_file'), *(wrapper.get('label_file') for wrapper in wrappers)]
        files += [root / name for name in names if isinstance(name, str) and name]
    return sorted(set(files))


def list_datasets(cfg: Config) -> Iterator[tuple]:
    """Yield split, data root, config and wrappers of each dataset of a config."""
    for split, dataset, wrappers in dataset_configs(cfg):
        yield split, Path(dataset.get('data_root') or ''), dataset, wrappers


def label_dir_key(cfg: Config, stage: Stage) -> str:
    """Return the key of the folder of pseudo labels in the config of a training.

    Raises:
        RecipeError: The training data take no pseudo labels.
    """
    node, key = cfg.train_dataloader.dataset, 'train_dataloader.dataset'
    while node is not None:
        if 'pseudo_label_dir' in node:
            return f'{key}.pseudo_label_dir'
        node, key = node.get('dataset'), f'{key}.dataset'
    raise RecipeError(f'stage {stage.name} has labels to train on, but train_dataloader.dataset of its config is not a '
                      'PseudoLabelDataset')


def split_file(cfg: Config, split: str) -> Path:
    """Return the list of images of ``train``, ``val`` or ``test``; any other value is the path of a list.

    Raises:
        RecipeError: The config has no such list.
    """
    if split not in ('train', 'val', 'test'):
        return Path(split)
    for name, root, dataset, _ in list_datasets(cfg):
        if name == split and dataset.get('ann_file'):
            return root / dataset.ann_file
    raise RecipeError(f'{cfg.filename} has no list of {split} images')


def mask_dir(cfg: Config, images: Path) -> Path:
    """Return the folder of the masks of a list of images.

    It is the folder that the config validates with or, for training images in a folder of their own, the one beside it.

    Raises:
        RecipeError: The config names no masks.
    """
    datasets = list(list_datasets(cfg))
    with_masks = [(root, dataset) for split, root, dataset, _ in datasets
                  if split != 'train' and (dataset.get('data_prefix') or {}).get('seg_map_path')]
    if not with_masks:
        raise RecipeError(f'{cfg.filename} names no folder of masks')
    validated = any(root / (dataset.get('ann_file') or '') == images for root, dataset in with_masks)
    root, dataset = with_masks[0]
    photos = (dataset if validated else datasets[0][2]).data_prefix['img_path']
    return root / masks_beside(dataset, photos)


def has_category_ids(cfg: Config) -> bool:
    """Return whether labels made with a config hold COCO's category ids instead of the 80 classes of the masks."""
    _, _, dataset, _ = next(list_datasets(cfg))
    kind = DATASETS.get(dataset['type']) if isinstance(dataset['type'], str) else dataset['type']
    return isinstance(kind, type) and issubclass(kind, COCO2014SlotDataset)


def class_arguments(cfg: Config) -> list[str]:
    """Return the flags of ``eval_pseudo_labels.py`` that name or count the classes and say how labels number them.

    Raises:
        RecipeError: The config does not say how many classes there are.
    """
    _, root, dataset, _ = next(list_datasets(cfg))
    ids = ['--category-ids'] if has_category_ids(cfg) else []
    if isinstance(dataset.get('classes'), str) and dataset.classes.endswith(('.txt', '.json')):
        return ['--classes', relative_path(root / dataset.classes)]
    if 'num_classes' not in cfg:
        raise RecipeError(f'{cfg.filename} has no num_classes, the number of foreground classes of its data')
    return ['--num-classes', str(cfg.num_classes + 1), *ids]
