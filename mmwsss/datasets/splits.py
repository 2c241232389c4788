"""The images of a config's splits, for tools that judge or show maps of training and validation images alike."""

from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset

from mmwsss.registry import DATASETS
from mmwsss.utils.errors import UserError

from .config import dataset_configs, masks_beside
from .inference_data import labelled_images

__all__ = ['choose_split', 'split_images']


def choose_split(cfg: Config, split: str) -> None:
    """Let ``test_dataloader`` read the images of a split, with its own pipeline and masks.

    Args:
        cfg (Config): Changed in place.
        split (str): ``'val'``: the images of ``test_dataloader``; ``'train'``: those in ``train.txt`` beside their
            list, or else in the list of ``train_dataloader``; or a list of ids of training images.

    Raises:
        FileNotFoundError: There is no such list.
        UserError: The config has no test data.
    """
    leaves = {kind: leaf for kind, leaf, _ in dataset_configs(cfg)}
    if 'test' not in leaves:
        raise UserError('the config has no test_dataloader with masks, by which maps could be judged')
    if split == 'val':
        return
    leaf, train = leaves['test'], leaves['train']
    leaf.ann_file = _training_list(leaf, train) if split == 'train' else _own_list(split)
    images = train.data_prefix['img_path']
    leaf.data_prefix = dict(img_path=images, seg_map_path=masks_beside(leaf, images))


def _training_list(test: ConfigDict, train: ConfigDict) -> str:
    """Return ``train.txt`` beside the list of the test images if it exists, or else that of the training images."""
    beside = Path(test.ann_file).with_name('train.txt')
    exists = (Path(test.get('data_root') or '') / beside).is_file()
    return str(beside) if exists else train.ann_file


def _own_list(path: str) -> str:
    """Return the absolute path of a list of ids.

    Raises:
        FileNotFoundError: There is no such list.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'--split must be val, train or a list of image ids, and there is no file {path}')
    return str(Path(path).absolute())


def split_images(cfg: Config, split: str) -> BaseDataset:
    """Build the images of a split with the test pipeline, and with masks where the config has any.

    Args:
        cfg (Config): Its dataloaders are changed.
        split (str): See :func:`choose_split`. Without test data only ``'train'``: the training images without masks.

    Returns:
        BaseDataset: The data set.

    Raises:
        FileNotFoundError: The data do not exist.
        UserError: The config has no such data.
    """
    if cfg.get('test_dataloader'):
        choose_split(cfg, split)
        return DATASETS.build(cfg.test_dataloader.dataset)
    if split != 'train':
        raise UserError('the config has no test_dataloader, so that there are no images of val: add --split train')
    return labelled_images(cfg, 'train')
