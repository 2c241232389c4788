"""The only module that knows about versions of the dependencies.

It checks that the packages that mmwsss depends on are installed and new enough, and it declares the schemas of
torchvision's operators if torchvision was compiled for another torch build. Both functions do nothing if nothing is
wrong, and may be called again.
"""

import importlib.metadata
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Optional

__all__ = ['REQUIREMENTS', 'check_stack', 'declare_torchvision_schemas', 'installed_version', 'name_config_packages']


class Requirement(NamedTuple):
    """The oldest version of a package that works, and its distributions.

    Attributes:
        minimum (str): Oldest version that is meant to work.
        onedl (str): Requirement line of the maintained family.
        original (str): Requirement line of the original family.
    """

    minimum: str
    onedl: str
    original: str


REQUIREMENTS = {
    'torch': Requirement('2.1.0', 'torch', 'torch'),
    'torchvision': Requirement('0.16.0', 'torchvision', 'torchvision'),
    'mmengine': Requirement('0.10.0', 'onedl-mmengine', 'mmengine>=0.10.0'),
    'mmcv': Requirement('2.0.1', 'onedl-mmcv', 'mmcv>=2.0.1,<2.2.0'),
    'mmseg': Requirement('1.2.0', 'onedl-mmsegmentation', 'mmsegmentation>=1.2.0'),
    'mmpretrain': Requirement('1.2.0', 'onedl-mmpretrain', 'mmpretrain>=1.2.0'),
}
"""Packages by import name. Both families provide the same import names and version counts."""


def installed_version(name: str) -> Optional[str]:
    """Find the version of a package without importing it.

    The version in the package that Python would import takes precedence over the metadata of the installed
    distributions.

    Args:
        name (str): Import name, a key of :data:`REQUIREMENTS`.

    Returns:
        str or None: The version; ``'unknown'`` if the package states none; None if Python
        finds no such package.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    source = Path(spec.origin).with_name('version.py')
    if source.is_file():
        literal = re.search(r'^__version__\s*(?::[^=]*)?=\s*["\']([^"\']+)["\']',
                            source.read_text(encoding='utf-8'), re.MULTILINE)
        if literal:
            return literal.group(1)
    for line in (REQUIREMENTS[name].onedl, REQUIREMENTS[name].original):
        try:
            return importlib.metadata.version(re.split('[<>=]', line)[0])
        except importlib.metadata.PackageNotFoundError:
            continue
    return 'unknown'


def _release(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: ``'2.13.0+cpu'`` is ``(2, 13, 0)``."""
    numbers = re.match(r'\d+(\.\d+)*', version)
    return tuple(int(part) for part in numbers.group().split('.')) if numbers else ()


def _is_older(version: str, minimum: str) -> bool:
    """Return whether a version is older than ``minimum``; one without numbers is not."""
    found, needed = _release(version), _release(minimum)
    width = max(len(found), len(needed))
    return bool(found) and (found + (0,) * (width - len(found)) <
                            needed + (0,) * (width - len(needed)))


def check_stack(find_version: Callable[[str], Optional[str]] = installed_version) -> None:
    """Check that every package that mmwsss depends on is installed and new enough.

    Args:
        find_version (Callable): Gives the version for an import name, or None for a missing
            package. Defaults to :func:`installed_version`, which imports nothing.

    Raises:
        ImportError: Something is missing or too old. One message names every such package, the
            version found, the one needed, and the install line of both families.
    """
    problems = []
    for name, requirement in REQUIREMENTS.items():
        version = find_version(name)
        if version is None:
            problems.append(f'{name} is not installed, {requirement.minimum} or newer is needed')
        elif _is_older(version, requirement.minimum):
            problems.append(f'{name} {version} is installed, {requirement.minimum} or newer is needed')
    if problems:
        raise ImportError(_install_help(problems))


def _install_help(problems: list[str]) -> str:
    """Build the message of :func:`check_stack`."""
    onedl = ' '.join(requirement.onedl for requirement in REQUIREMENTS.values())
    original = ' '.join(f'"{requirement.original}"' for requirement in REQUIREMENTS.values())
    return '\n'.join([
        'mmwsss cannot start:', *(f'  {problem}' for problem in problems),
        'Two families of distributions provide mmengine, mmcv, mmseg and mmpretrain under the same '
        'import names. Install one of them, not both:',
        f'  maintained: pip install {onedl}',
        f'  original:   pip install {original} ftfy regex'
    ])


def name_config_packages() -> None:
    """Let configs inherit from ``'mmseg::...'``, ``'mmpretrain::...'`` and ``'mmwsss::...'`` in both families.

    mmengine looks up which distribution provides a package, and knows the distributions of the original family only.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE['mmwsss'] = 'mmwsss'
    for name in ('mmseg', 'mmpretrain'):
        for line in (REQUIREMENTS[name].onedl, REQUIREMENTS[name].original):
            distribution = re.split('[<>=]', line)[0]
            if is_distributed(distribution):
                MODULE2PACKAGE[name] = distribution
                break


def is_distributed(distribution: str) -> bool:
    """Return whether a distribution is installed."""
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


_TORCHVISION_SCHEMAS = {
    'nms': 'nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'qnms': 'qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
}
_libraries = []  # a torch.library.Library takes its declarations back when it is collected


def declare_torchvision_schemas() -> bool:
    """Make ``import torchvision`` work beside a torch that its compiled operators do not fit.

    A torchvision wheel built for CUDA cannot load its operators into a CPU build of torch, and
    then fails on its first mention of one of them. Nothing here uses those operators, so it is
    enough that their schemas exist. Where the import works, nothing is declared.

    Returns:
        bool: Whether a schema had to be declared.

    Raises:
        RuntimeError: torchvision fails for another reason, or for an operator not known here.
    """
    missing = dict(_TORCHVISION_SCHEMAS)
    while True:
        try:
            import torchvision  # noqa: F401
            return len(missing) < len(_TORCHVISION_SCHEMAS)
        except RuntimeError as error:
            named = re.search(r'torchvision::(\w+)', str(error))
            if named is None or named.group(1) not in missing:
                raise
        _declare(missing.pop(named.group(1)))


def _declare(schema: str) -> None:
    """Add one operator schema to torchvision's name space, for the life of the process."""
    import torch

    library = torch.library.Library('torchvision', 'FRAGMENT')
    library.define(schema)
    _libraries.append(library)
