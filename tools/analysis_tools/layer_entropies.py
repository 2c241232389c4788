"""Print the fixed layer weights of AReAM's first version, from a trained MCTformer-V2 or AReAM.

Every training image is resized to the training size by Pillow's bicubic filter, and the rectified map of the patch
classifier is refined by each layer alone. The entropies of these maps, summed over classes, are averaged over the data
set and scaled to [0, 1]. Set ``model.auxiliary.reactivation.counterparts`` to the result, together with
``model.auxiliary.reactivation.entropy_mode=offline``.
"""

import argparse
from typing import Optional

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import track

from mmwsss.apis import init_model
from mmwsss.datasets.config import load_config
from mmwsss.models import CAMClassifier, Request, extract_features
from mmwsss.models.backbones import PatchAttention
from mmwsss.models.utils import entropy_weights, layer_entropies
from mmwsss.utils.cli import add_config_arguments
from mmwsss.utils.errors import run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint of the config')
    parser.add_argument('--max-images', type=int, help='use only the first of the training images')
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def plain_dataset(cfg: Config) -> dict:
    """Return the dataloader config of the training images, resized to the training size without augmentation."""
    height, width = cfg.model.data_preprocessor['size']
    dataset = dict(cfg.train_dataloader.dataset)
    dataset['pipeline'] = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(width, height), keep_ratio=False, backend='pillow', interpolation='bicubic'),
        dict(type='PackWSSSInputs')
    ]
    return dict(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dataset)


@torch.no_grad()
def mean_entropies(model: CAMClassifier, cfg: Config, max_images: Optional[int] = None) -> torch.Tensor:
    """Average the entropies (L,), relative to ln N, over the training images."""
    loader = Runner.build_dataloader(plain_dataset(cfg))
    count = min(len(loader), max_images or len(loader))
    total = 0.
    for batch, _ in zip(track(loader, total=count), range(count)):
        data = model.data_preprocessor(batch, False)
        images = data['inputs']
        labels = torch.stack([sample.gt_label for sample in data['data_samples']]).to(images)
        request = model.cam_head.request(['patch_cams']) + Request(observations=(PatchAttention(), ))
        features = extract_features(model.backbone, images, request)
        maps = model.cam_head.maps(features, ['patch_cams'])['patch_cams']
        total = total + layer_entropies(
            maps, features[PatchAttention()], labels, reduce_classes='sum', relative=True)[0]
    return total / count


def main() -> None:
    """Print one number for each layer."""
    args = parse_args()
    cfg = load_config(args)
    model = init_model(cfg, args.checkpoint, args.device)
    counterparts = entropy_weights(mean_entropies(model, cfg, args.max_images))[1]
    Console().print(f'counterparts=[{",".join(f"{value:.4f}" for value in counterparts.tolist())}]', highlight=False)


if __name__ == '__main__':
    run_tool(main)
