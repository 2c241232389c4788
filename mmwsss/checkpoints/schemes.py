"""Load checkpoints by the prefixes of their paths with the safe loader, and find those that come with the package.

mmengine looks a path's prefix up in its ``CheckpointLoader`` wherever it reads a checkpoint: ``load_from``, ``resume``,
``init_cfg``, the ``init_model`` and ``get_model`` of mmseg and mmpretrain. :func:`install_safe_loader` puts loaders of
this module in place of all loaders of mmengine, which fall back to unpickling anything.
"""

import os
import tempfile
from pathlib import Path
from typing import Any, Optional
from urllib.parse import unquote, urlparse

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.fileio import get_file_backend
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint

from mmwsss.utils import first_few

from .backbone_layouts import read_backbone
from .foreign_formats import is_mxnet_params, read_augreg_vit, read_mxnet_params
from .key_mapping import KeyLayout, KeyRule, rename_weights
from .loader import CheckpointError, MapLocation, read_checkpoint, read_checkpoint_file, weights_of
from .official_layouts import mxnet_resnet38_rules, resnet38_blocks, resnet38_rules, vit_rules
from .pypi_starts import fetch_command, start_path

__all__ = [
    'asset_path', 'cached_download', 'check_start', 'install_safe_loader', 'list_assets', 'load_augreg_vit',
    'load_backbone', 'load_mmpretrain_classifier', 'load_resnet38', 'load_start', 'load_timm_vit', 'local_path',
    'require_checkpoint'
]

SHIPPED = 'mmwsss://'
FETCHED = 'start://'
_ASSETS = Path(__file__).parent / 'assets'
_URLS = ('http://', 'https://')
_CONVERTED = ('auto+', 'timm+', 'resnet38+', 'augreg+', 'mmpretrain+')
_TIMM_VIT = KeyLayout("ViT in timm's naming", vit_rules(target=''))
_RESNET38 = KeyLayout("Wide-ResNet-38 (PSA's names)", (
    *resnet38_rules(''), KeyRule(r'fc8\.weight', None, required=False)), blocks=resnet38_blocks(''))
_MXNET_RESNET38 = KeyLayout('Wide-ResNet-38 (MXNet)', mxnet_resnet38_rules(''), blocks=resnet38_blocks(''))


def install_safe_loader() -> None:
    """Make mmengine read every checkpoint with the safe loader of this package; may be called again."""
    loaders = {
        '': load_from_local,
        _URLS: load_from_url,
        ('torchvision://', 'modelzoo://', 'open-mmlab://', 'openmmlab://', 'mmcls://'): load_from_model_zoo,
        (r'(\S+\:)?s3://', r'(\S+\:)?petrel://'): load_from_object_store,
        'pavi://': load_from_pavi,
        SHIPPED: load_from_package,
        FETCHED: load_start,
        r'auto\+': load_backbone,
        r'timm\+': load_timm_vit,
        r'resnet38\+': load_resnet38,
        r'augreg\+': load_augreg_vit,
        r'mmpretrain\+': load_mmpretrain_classifier,
    }
    for prefixes, loader in loaders.items():
        CheckpointLoader.register_scheme(prefixes, loader, force=True)
    # What calls mmengine's functions behind the prefixes directly gets the safe loader, too.
    by_name = dict(local=load_from_local, http=load_from_url, torchvision=load_from_model_zoo,
                   openmmlab=load_from_model_zoo, mmcls=load_from_model_zoo, ceph=load_from_object_store,
                   pavi=load_from_pavi)
    for name, loader in by_name.items():
        setattr(mmengine_checkpoint, f'load_from_{name}', loader)


def list_assets() -> list[str]:
    """Return the file names of the checkpoints that come with the package."""
    return sorted(path.name for path in _ASSETS.iterdir() if path.suffix in ('.pth', '.safetensors'))


def asset_path(name: str) -> Path:
    """Find a checkpoint that comes with the package.

    Args:
        name: File name, with or without the ``mmwsss://`` in front and the hash and suffix at the end.

    Returns:
        Its path.

    Raises:
        FileNotFoundError: No such checkpoint is shipped, or several differ in the hash only; the message lists all.
    """
    bare = name[len(SHIPPED):] if name.startswith(SHIPPED) else name
    found = [asset for asset in list_assets() if bare in (asset, asset.rpartition('-')[0])]
    if len(found) != 1:
        shipped = ', '.join(SHIPPED + asset for asset in list_assets()) or 'none'
        raise FileNotFoundError(f'{name!r} names {len(found)} of the checkpoints that come with mmwsss: {shipped}')
    return _ASSETS / found[0]


def local_path(checkpoint: str) -> Optional[Path]:
    """Return the file on this machine that a checkpoint path refers to, whether or not it exists.

    Args:
        checkpoint: A path with or without a prefix.

    Returns:
        The file; None for a URL, a ``start://`` that was not fetched, and other places outside this machine.

    Raises:
        FileNotFoundError: It begins with ``mmwsss://``, and no such checkpoint comes with the package.
    """
    for prefix in _CONVERTED:
        if checkpoint.startswith(prefix):
            checkpoint = checkpoint[len(prefix):]
    if checkpoint.startswith(SHIPPED):
        return asset_path(checkpoint)
    if checkpoint.startswith(FETCHED):
        path = start_path(checkpoint[len(FETCHED):])
        return path if path.is_file() else None
    return None if '://' in checkpoint else Path(checkpoint).expanduser()


def require_checkpoint(checkpoint: str) -> None:
    """Check that the file that a checkpoint path refers to exists; other places are not looked at.

    Args:
        checkpoint: A path with or without a prefix.

    Raises:
        FileNotFoundError: There is no such file on this machine.
    """
    file = local_path(checkpoint)
    if file is not None and not file.is_file():
        raise FileNotFoundError(f'no checkpoint {checkpoint}')


def cached_download(url: str) -> str:
    """Download a file once, by the first process of a run, into torch's cache of checkpoints.

    Args:
        url: An http(s) URL, whose path ends with the name of the file.

    Returns:
        Path of the file in the cache.

    Raises:
        CheckpointError: The URL cannot be read, or names no file.
    """
    name = Path(unquote(urlparse(url).path)).name
    if not name:
        raise CheckpointError(f'{url} names no file')
    path = Path(torch.hub.get_dir(), 'checkpoints', name)
    try:
        if is_main_process():
            _download(url, path)
    finally:
        barrier()
    _download(url, path)  # the first process of another machine
    return str(path)


def _download(url: str, path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), progress=False)
    except (OSError, ValueError) as error:  # URLError and HTTPError are OSErrors
        raise CheckpointError(
            f'{url} cannot be downloaded: {error}. On a machine with a network, type `curl -L -o {path.name} {url}`, '
            f'and put the file at {path}, or name it on the command line: `python tools/train.py CONFIG --init-from '
            f'{path.name}`. Where only PyPI can be reached, see docs/photographs.md for backbones that it has'
        ) from error


def check_start(init_cfg: Any) -> None:
    """Make sure that the checkpoint from which a backbone starts is on this machine; download it if it has a URL.

    Tools call this function before they build a model, so that a missing file is reported at once.

    Args:
        init_cfg: The ``init_cfg`` of a backbone's config. Anything but a ``Pretrained`` one is not looked at.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It has a URL, and cannot be downloaded, or it was not fetched; the message names the command
            to type.
    """
    if not isinstance(init_cfg, dict) or init_cfg.get('type') != 'Pretrained':
        return
    checkpoint = init_cfg['checkpoint']
    for prefix in _CONVERTED:
        checkpoint = checkpoint.removeprefix(prefix)
    if checkpoint.startswith(_URLS):
        cached_download(checkpoint)
    elif checkpoint.startswith(FETCHED):
        _fetched_path(checkpoint)
    elif '://' not in checkpoint and not Path(checkpoint).expanduser().is_file():
        raise FileNotFoundError(f'checkpoint {checkpoint}, from which the backbone starts, does not exist: name '
                                'another one by --init-from FILE')


def _fetched_path(name: str) -> Path:
    path = start_path(name[len(FETCHED):])
    if not path.is_file():
        raise CheckpointError(
            f'{name} was not fetched yet: type `{fetch_command(name[len(FETCHED):])}`, or start from a file of your '
            'own by --init-from FILE')
    return path


def load_from_local(filename: str, map_location: MapLocation = None) -> dict:
    """Load a file on this machine; see :func:`~mmwsss.checkpoints.read_checkpoint`."""
    return read_checkpoint_file(filename, map_location)


def load_from_url(filename: str, map_location: MapLocation = None, *_: Any, **__: Any) -> dict:
    """Load what is behind an http(s) URL, which is downloaded once into torch's cache of checkpoints."""
    return read_checkpoint_file(cached_download(filename), map_location, source=filename)


def load_from_model_zoo(filename: str, map_location: MapLocation = None) -> dict:
    """Load one of the published checkpoints that mmengine knows by name, such as ``torchvision://resnet50``.

    Raises:
        CheckpointError: There is none of this name.
    """
    scheme, _, name = filename.partition('://')
    if scheme in ('torchvision', 'modelzoo'):
        models = mmengine_checkpoint.get_torchvision_models()
    elif scheme == 'mmcls':
        models = mmengine_checkpoint.get_mmcls_models()
    else:
        models = mmengine_checkpoint.get_external_models()
        name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    if name not in models:
        raise CheckpointError(f'{filename} is none of the {len(models)} checkpoints that mmengine knows by name')
    location = models[name]
    if location.startswith(_URLS):
        checkpoint = load_from_url(location, map_location)
    else:
        checkpoint = load_from_local(os.path.join(mmengine_checkpoint._get_mmengine_home(), location), map_location)
    if scheme != 'mmcls':
        return checkpoint
    weights = checkpoint.get('state_dict', checkpoint)
    prefix = 'backbone.'
    return dict(state_dict={key[len(prefix):]: value for key, value in weights.items() if key.startswith(prefix)})


def load_from_object_store(filename: str, map_location: MapLocation = None, backend: str = 'petrel') -> dict:
    """Load an object of S3 or Petrel through mmengine's file backend."""
    content = get_file_backend(filename, backend_args={'backend': backend}).get(filename)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, Path(filename).name)
        path.write_bytes(content)
        return read_checkpoint_file(path, map_location, source=filename)


def load_from_pavi(filename: str, map_location: MapLocation = None) -> dict:
    """Refuse checkpoints of the Pavi service, which mmengine would unpickle without a check.

    Raises:
        CheckpointError: Always.
    """
    raise CheckpointError(f'{filename} is not read: download the file and name its path')


def load_from_package(filename: str, map_location: MapLocation = None) -> dict:
    """Load a checkpoint that comes with the package: ``mmwsss://<name>``, the hash in the file name optional.

    Raises:
        FileNotFoundError: No such checkpoint is shipped.
    """
    return read_checkpoint_file(asset_path(filename), map_location)


def load_start(filename: str, map_location: MapLocation = None, *_: Any, **__: Any) -> dict:
    """Load a backbone that ``tools/model_converters/fetch_start.py`` has fetched: ``start://dinov2-s``.

    Raises:
        CheckpointError: There is no backbone of this name, or it was not fetched; the message names the command.
    """
    return read_checkpoint_file(_fetched_path(filename), map_location)


def load_backbone(filename: str, map_location: MapLocation = None, *_: Any, **__: Any) -> dict:
    """Load a backbone whose layout is recognized by the names of its weights.

    Args:
        filename: ``auto+`` and any path or URL; see :func:`~mmwsss.checkpoints.read_backbone`.
        map_location: As in ``torch.load``.

    Returns:
        ``state_dict``: the backbone's weights; heads are left out.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file is an incomplete or unexpected one of its layout; the message lists the names.
    """
    path = filename[len('auto+'):]
    if path.startswith(_URLS):
        path = cached_download(path)
    return dict(state_dict=read_backbone(path, map_location))


def load_timm_vit(filename: str, map_location: MapLocation = None, logger: Any = 'current') -> dict:
    """Load a published DeiT or ViT file and rename its weights for mmpretrain's ``VisionTransformer``.

    Args:
        filename: ``timm+`` and any path or URL that mmengine loads, as in
            ``init_cfg=dict(type='Pretrained', checkpoint='timm+https://…')``.
        map_location: As in ``torch.load``.
        logger: Not used.

    Returns:
        ``state_dict``: the backbone's weights; the ImageNet head is left out.

    Raises:
        ValueError: If the file holds anything else than such a backbone; the message lists the names.
    """
    checkpoint = read_checkpoint(filename[len('timm+'):], map_location)
    return dict(state_dict=rename_weights(checkpoint, _TIMM_VIT, filename))


def load_resnet38(filename: str, map_location: MapLocation = None, logger: Any = 'current') -> dict:
    """Load a published Wide-ResNet-38 for :class:`~mmwsss.models.WideResNet38`.

    Args:
        filename: ``resnet38+`` and any path or URL: the ``.params`` file of MXNet, or a PyTorch file with PSA's names.
            What comes over http(s) is kept in torch's cache of checkpoints.
        map_location: As in ``torch.load``.
        logger: Not used.

    Returns:
        ``state_dict``: the backbone's weights; a classifier is left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file holds anything else than such a backbone; the message lists the names.
    """
    path = filename[len('resnet38+'):]
    if path.startswith(_URLS):
        path = cached_download(path)
    if os.path.isfile(path) and is_mxnet_params(path):
        return dict(state_dict=rename_weights(read_mxnet_params(path), _MXNET_RESNET38, path))
    return dict(state_dict=rename_weights(read_checkpoint(path, map_location), _RESNET38, path))


def load_augreg_vit(filename: str, map_location: MapLocation = None, logger: Any = 'current') -> dict:
    """Load a published ``.npz`` file of AugReg and rename its arrays for mmpretrain's ``VisionTransformer``.

    Args:
        filename: ``augreg+`` and a path or an http(s) URL, which is downloaded once into torch's cache of checkpoints.
        map_location: Ignored: arrays are read on the CPU.
        logger: Not used.

    Returns:
        ``state_dict``: the backbone's weights; the ImageNet head is left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file lacks an array of such a backbone.
    """
    path = filename[len('augreg+'):]
    if path.startswith(_URLS):
        path = cached_download(path)
    return dict(state_dict=read_augreg_vit(path))


def load_mmpretrain_classifier(filename: str, map_location: MapLocation = None, logger: Any = 'current') -> dict:
    """Load a classifier of mmpretrain as a :class:`~mmwsss.models.CAMClassifier` with a ``CAMHead``.

    A linear layer on the mean of a feature map is the same as a 1x1 convolution of the map and its mean.

    Args:
        filename: ``mmpretrain+`` and any path or URL that mmengine loads.
        map_location: As in ``torch.load``.
        logger: Not used.

    Returns:
        ``state_dict``: the weights of the backbone and of the head, which has a bias; ``meta``: the classes, if the
        checkpoint names them, after the background.

    Raises:
        CheckpointError: If the classifier is more than a backbone and one linear layer.
    """
    checkpoint = read_checkpoint(filename[len('mmpretrain+'):], map_location)
    weights = weights_of(checkpoint)
    others = sorted(key for key in weights if not key.startswith('backbone.'))
    if others != ['head.fc.bias', 'head.fc.weight']:
        raise CheckpointError(f'{filename} is not a backbone with one linear layer on its mean feature map: besides '
                              f'backbone.*, it has {first_few(others) or "no weights"} instead of head.fc.weight and '
                              'head.fc.bias')
    state = {key: value for key, value in weights.items() if key.startswith('backbone.')}
    state['cam_head.classifier.weight'] = weights['head.fc.weight'][:, :, None, None]
    state['cam_head.classifier.bias'] = weights['head.fc.bias']
    classes = ((checkpoint.get('meta') or {}).get('dataset_meta') or {}).get('classes')
    meta = {'dataset_meta': {'classes': ('background', *classes)}} if classes else {}
    return dict(state_dict=state, meta=meta)
