"""Where a recipe runs: folders, configs, and the data they name."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from mmengine.config import Config

from mmwsss.datasets.config import dataset_configs, load_config, masks_beside
from mmwsss.utils.cli import find_config

from .launch import Tools, shown_path
from .recipe import Recipe, RecipeError, Stage

__all__ = ['Place', 'class_words', 'data_files', 'label_dir_key', 'masks_of', 'photos_of', 'split_file']


@dataclass
class Place:
    """What the stages of a recipe share on this machine.

    Args:
        recipe: Its stages.
        out: Folder of all results.
        tools: The commands.
        data_root: The data set that takes the place of the configs'; None leaves them as they are.
    """

    recipe: Recipe
    out: Path
    tools: Tools
    data_root: Optional[str] = None
    _configs: dict = field(default_factory=dict, repr=False)

    def folder(self, stage: Stage) -> Path:
        """Folder of a stage."""
        return self.out / stage.name

    def words(self, stage: Stage) -> list[str]:
        """Further words of a stage's command, with ``{data_root}`` and ``{out}`` filled in.

        Raises:
            RecipeError: ``{data_root}`` is used, and neither the recipe nor the command line says where it is.
        """
        return [self.fill(word, stage) for word in stage.args]

    def fill(self, word: str, stage: Stage) -> str:
        """Fill in ``{data_root}`` and ``{out}``."""
        root = self.data_root or self.recipe.data_root
        if '{data_root}' in word and root is None:
            raise RecipeError(f'stage {stage.name} uses {{data_root}}: give --data-root, or data_root in the recipe')
        return word.replace('{data_root}', root or '').replace('{out}', shown_path(self.out))

    def config_name(self, stage: Stage) -> Optional[str]:
        """The stage's config, or that of the stage whose checkpoint it uses."""
        if stage.config or not stage.checkpoint:
            return stage.config
        return self.config_name(self.recipe.stage(stage.checkpoint))

    def cfg_options(self, stage: Stage) -> dict:
        """The stage's overrides; without a config of its own, on top of those it inherits with it."""
        if stage.config or not stage.checkpoint:
            return stage.cfg_options
        return {**self.cfg_options(self.recipe.stage(stage.checkpoint)), **stage.cfg_options}

    def config(self, stage: Stage) -> Config:
        """Read a stage's config with its overrides and, once it exists, the data root.

        Raises:
            RecipeError: It has none, or it cannot be read; the message names the stage.
        """
        name = self.config_name(stage)
        if name is None:
            raise RecipeError(f'stage {stage.name} has no config')
        exists = self.data_root is not None and Path(self.data_root).is_dir()
        key = stage.name, exists
        if key not in self._configs:
            args = argparse.Namespace(config=name, data_root=self.data_root if exists else None, classes=None,
                                      label_file=None, cfg_options=dict(self.cfg_options(stage)))
            try:
                cfg = load_config(args)
            except (OSError, KeyError, ValueError) as error:
                raise RecipeError(f'stage {stage.name}, config {name}: {error}') from error
            if self.data_root and not exists:  # it will be made by the first stage
                for _, leaf, _ in dataset_configs(cfg):
                    leaf.data_root = self.data_root
            self._configs[key] = cfg
        return self._configs[key]

    def data_flags(self) -> list[str]:
        """The flag that names other data; nothing where the configs' own are used."""
        return ['--data-root', shown_path(self.data_root)] if self.data_root else []

    def shown_config(self, stage: Stage) -> str:
        """Word the config as it is typed."""
        name = self.config_name(stage)
        return name if name.startswith('configs/') else shown_path(find_config(name))


def label_dir_key(cfg: Config, name: str) -> str:
    """Find the key that tells a config's training data where pseudo labels are.

    Args:
        cfg: The config.
        name: What errors call it.

    Raises:
        RecipeError: The training data take none.
    """
    node, key = cfg.train_dataloader.dataset, 'train_dataloader.dataset'
    while node is not None:
        if 'pseudo_label_dir' in node:
            return f'{key}.pseudo_label_dir'
        node, key = node.get('dataset'), f'{key}.dataset'
    raise RecipeError(f'{name} is to be trained on pseudo labels, but train_dataloader.dataset of its config is no '
                      'PseudoLabelDataset')


def _leaves(cfg: Config) -> Iterator[tuple]:
    """Walk over split, data root and config of the data sets."""
    for split, leaf, wrappers in dataset_configs(cfg):
        yield split, Path(leaf.get('data_root') or ''), leaf, wrappers


def data_files(cfg: Config) -> list[Path]:
    """The lists of images and the image labels that a config names."""
    files = []
    for _, root, leaf, wrappers in _leaves(cfg):
        names = [leaf.get('ann_file'), *(wrapper.get('label_file') for wrapper in wrappers)]
        files += [root / name for name in names if isinstance(name, str) and name]
    return sorted(set(files))


def split_file(cfg: Config, split: str) -> Path:
    """The list of images of ``train``, ``val`` or ``test``; a file as it is.

    Raises:
        RecipeError: The config has no list of that split.
    """
    if split not in ('train', 'val', 'test'):
        return Path(split)
    for name, root, leaf, _ in _leaves(cfg):
        if name == split and leaf.get('ann_file'):
            return root / leaf.ann_file
    raise RecipeError(f'{cfg.filename} has no list of {split} images')


def masks_of(cfg: Config, images: Path) -> Path:
    """The folder of masks that a config validates with, or its neighbour for training images in a folder of their own.

    Args:
        cfg: The config.
        images: The list of images.

    Raises:
        RecipeError: It has none.
    """
    leaves = list(_leaves(cfg))
    judged = [(root, leaf) for split, root, leaf, _ in leaves
              if split != 'train' and (leaf.get('data_prefix') or {}).get('seg_map_path')]
    own = any(root / (leaf.get('ann_file') or '') == images for root, leaf in judged)
    if judged:
        root, leaf = judged[0]
        return root / masks_beside(leaf, (leaf if own else leaves[0][2]).data_prefix['img_path'])
    raise RecipeError(f'{cfg.filename} names no folder of masks')


def photos_of(cfg: Config) -> Path:
    """The folder of photographs that a config trains on."""
    _, root, leaf, _ = next(_leaves(cfg))
    return root / (leaf.get('data_prefix') or {}).get('img_path', '')


def class_words(cfg: Config) -> list[str]:
    """The flag of ``eval_pseudo_labels.py`` that says what the classes are.

    Raises:
        RecipeError: The config does not say how many there are.
    """
    _, root, leaf, _ = next(_leaves(cfg))
    if isinstance(leaf.get('classes'), str) and leaf.classes.endswith(('.txt', '.json')):
        return ['--classes', shown_path(root / leaf.classes)]
    if 'num_classes' not in cfg:
        raise RecipeError(f'{cfg.filename} has no num_classes, the number of foreground classes of its data')
    return ['--num-classes', str(cfg.num_classes + 1)]
