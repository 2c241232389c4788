"""The only module that knows about versions and families of the dependencies.

Two families of distributions provide mmengine, mmcv, mmseg and mmpretrain under the same import names: the maintained
forks and the original packages of OpenMMLab. This module checks that one of them is installed in versions that work. It
also repairs two imports that would fail for the sake of compiled operators that mmwsss does not use: those of
torchvision, if it was compiled for another torch build, and those of mmcv, if ``mmcv-lite`` is installed; and it keeps
messages of the packages away that ask the user for nothing. All functions do nothing if nothing is wrong, and may be
called again.
"""

import functools
import importlib.metadata
import importlib.util
import logging
import re
import sys
import warnings
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Optional

__all__ = [
    'FAMILIES', 'HARMLESS_WARNINGS', 'INSTALL_LINES', 'MissingOperators', 'Requirement', 'check_stack',
    'declare_torchvision_schemas', 'ignore_harmless_messages', 'installed_distributions', 'installed_version',
    'name_config_packages', 'stand_in_for_mmcv_operators'
]


class Requirement(NamedTuple):
    """The versions of a package that work.

    Attributes:
        distributions (tuple[str, ...]): Names of the distributions that provide it.
        minimum (str): Oldest version that works.
        below (str, optional): First version that does not work any more; None if none is known.
    """

    distributions: tuple[str, ...]
    minimum: str
    below: Optional[str] = None

    def describe(self) -> str:
        """Return the bounds in words."""
        return f'{self.minimum} or newer' + (f', but older than {self.below},' if self.below else '')

    def problem(self, name: str, version: Optional[str]) -> Optional[str]:
        """Return what is wrong with a version of the package, or None."""
        if version is None:
            return f'{name} is not installed, {self.describe()} is needed'
        too_new = self.below is not None and _release(version) and not _is_older(version, self.below)
        if too_new or _is_older(version, self.minimum):
            return f'{name} {version} is installed, {self.describe()} is needed'
        return None


_TORCH = ('torch', 'torchvision')
FAMILIES = {
    'maintained': {
        'torch': Requirement(('torch',), '2.4.0'),
        'torchvision': Requirement(('torchvision',), '0.19.0'),
        'mmengine': Requirement(('onedl-mmengine',), '0.10.8', '0.11'),
        'mmcv': Requirement(('onedl-mmcv',), '2.2.0', '3'),
        'mmseg': Requirement(('onedl-mmsegmentation',), '1.3.0', '2'),
        'mmpretrain': Requirement(('onedl-mmpretrain',), '1.3.0', '2'),
    },
    'original': {
        'torch': Requirement(('torch',), '2.1.0'),
        'torchvision': Requirement(('torchvision',), '0.16.0'),
        'mmengine': Requirement(('mmengine', 'mmengine-lite'), '0.10.0', '0.11'),
        'mmcv': Requirement(('mmcv', 'mmcv-lite'), '2.0.1', '2.2.0'),
        'mmseg': Requirement(('mmsegmentation',), '1.2.0', '1.3'),
        'mmpretrain': Requirement(('mmpretrain',), '1.2.0', '1.3'),
    },
}
"""Requirements of each family by import name."""
INSTALL_LINES = {
    'maintained': 'pip install onedl-mmengine onedl-mmcv onedl-mmsegmentation onedl-mmpretrain torchvision',
    'original': 'pip install mmengine==0.10.7 mmcv-lite==2.1.0 mmsegmentation==1.2.2 mmpretrain==1.2.0 torchvision '
                'ftfy regex "numpy<2" "opencv-python<4.12" "pandas<3" "setuptools<81"',
}
"""Commands that install the MM packages of each family beside an installed torch."""


def installed_version(name: str) -> Optional[str]:
    """Find the version of a package without importing it.

    The version in the package that Python would import takes precedence over the metadata of the installed
    distributions.

    Args:
        name (str): Import name, as in :data:`FAMILIES`.

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
    for distribution in installed_distributions(name) or [name]:
        if _is_installed(distribution):
            return importlib.metadata.version(distribution)
    return 'unknown'


def installed_distributions(name: str) -> list[str]:
    """Find the installed distributions of either family that provide a package.

    Args:
        name (str): Import name.

    Returns:
        list[str]: Names of distributions; empty if the package was not installed by pip.
    """
    return [distribution for family in FAMILIES.values() if name in family
            for distribution in family[name].distributions if _is_installed(distribution)]


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


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


def check_stack(find_version: Callable[[str], Optional[str]] = installed_version,
                find_distributions: Callable[[str], list[str]] = installed_distributions) -> None:
    """Check that one family of the MM packages is installed, not both, in versions that work.

    Args:
        find_version (Callable): Gives the version for an import name, or None for a missing
            package. Defaults to :func:`installed_version`, which imports nothing.
        find_distributions (Callable): Gives the names of the distributions that provide an import name.
            Defaults to :func:`installed_distributions`.

    Raises:
        ImportError: Packages of both families are installed, or something is missing, too old or too new. One
            message names every such package, the version found, the one needed, and the install line of
            both families.
    """
    names = FAMILIES['original']
    versions = {name: find_version(name) for name in names}
    mixture = _mixture({name: find_distributions(name) for name in names if name not in _TORCH})
    problems = [mixture] if mixture else min(
        (_problems(family, versions) for family in _families(find_distributions)), key=len)
    problems += _numpy_problem(versions['torch'], find_version('numpy'))
    if problems:
        raise ImportError(_install_help(problems))


def _families(find_distributions: Callable[[str], list[str]]) -> list[dict[str, Requirement]]:
    """Return the family that is installed, or both if only versions can tell."""
    found = {distribution for name in FAMILIES['original'] if name not in _TORCH
             for distribution in find_distributions(name)}
    return [family for family in FAMILIES.values()
            if any(found & set(requirement.distributions) for requirement in family.values())] or [*FAMILIES.values()]


def _problems(family: dict[str, Requirement], versions: dict[str, Optional[str]]) -> list[str]:
    found = [requirement.problem(name, versions[name]) for name, requirement in family.items()]
    return [problem for problem in found if problem]


def _mixture(distributions: dict[str, list[str]]) -> Optional[str]:
    """Return the problem if several distributions overwrite each other or belong to different families."""
    found = [name for names in distributions.values() for name in names]
    twice = any(len(names) > 1 for names in distributions.values())
    forks = [name for name in found if name.startswith('onedl-')]
    if not twice and len(forks) in (0, len(found)):
        return None
    kind = 'several distributions of the same package' if len(forks) in (0, len(found)) else \
        'distributions of both families'
    return (f'{kind} are installed: {", ".join(found)}. They overwrite each other: remove all with '
            f'`pip uninstall -y {" ".join(found)}`, then install one family')


def _numpy_problem(torch_version: Optional[str], numpy_version: Optional[str]) -> list[str]:
    """Return the problem if NumPy is too new for torch: before 2.3, torch was compiled for NumPy 1."""
    if torch_version is None or numpy_version is None:
        return []
    if not _is_older(torch_version, '2.3') or _is_older(numpy_version, '2'):
        return []
    return [f'numpy {numpy_version} is installed, but torch {torch_version} was compiled for NumPy 1: '
            'run `pip install "numpy<2" "opencv-python<4.12" "pandas<3"`']


def _install_help(problems: list[str]) -> str:
    """Build the message of :func:`check_stack`."""
    return '\n'.join([
        'mmwsss cannot start:', *(f'  {problem}' for problem in problems),
        'Two families of distributions provide mmengine, mmcv, mmseg and mmpretrain under the same '
        'import names. Install one of them, not both. Install torch first:',
        f'  maintained: {INSTALL_LINES["maintained"]}',
        f'  original:   {INSTALL_LINES["original"]}',
        'In a checkout, `bash tools/setup_env.sh` makes a new environment with the maintained family, and '
        '`bash tools/setup_env.sh --original` one with the original family and compiled operators of mmcv.'
    ])


def name_config_packages() -> None:
    """Let configs inherit from ``'mmseg::...'``, ``'mmpretrain::...'`` and ``'mmwsss::...'`` in both families.

    mmengine looks up which distribution provides a package, and knows the distributions of the original family only.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE['mmwsss'] = 'mmwsss'
    for name in ('mmseg', 'mmpretrain'):
        installed = installed_distributions(name)
        if installed:
            MODULE2PACKAGE[name] = installed[0]


HARMLESS_WARNINGS = (
    r'Fail to import ``MultiScaleDeformableAttention``',  # mmcv: no operator of it is used here
    r"Only use 'alpha' for pillow backend",  # mmcv, on every image that mmpretrain's ColorJitter changes
    r'Setting (OMP|MKL)_NUM_THREADS environment variable',  # mmengine, in every process of a distributed run
)
"""tuple[str, ...]: Beginnings of warnings of the MM packages that ask the user for nothing."""


def ignore_harmless_messages() -> None:
    """Ignore :data:`HARMLESS_WARNINGS`, and what mmengine prints although its level says that it should not.

    mmengine's ``print_log`` prints a message that names no logger, whatever its level: each import of mmseg's data sets
    says that an optional package is missing. Messages below INFO are dropped here, and others go to the log of the run
    if there is one.
    """
    import mmengine
    from mmengine.logging import logger as loggers

    for pattern in HARMLESS_WARNINGS:
        warnings.filterwarnings('ignore', pattern, UserWarning)
    print_always = loggers.print_log
    if hasattr(print_always, '__wrapped__'):
        return

    @functools.wraps(print_always)
    def print_log(msg: Any, logger: Any = None, level: int = logging.INFO) -> None:
        if logger is not None:
            print_always(msg, logger, level)
        elif level >= logging.INFO:
            print_always(msg, 'current' if loggers.MMLogger._instance_dict else None, level)

    for module in (mmengine, mmengine.logging, loggers):
        module.print_log = print_log


class MissingOperators(ModuleType):
    """A stand-in for ``mmcv._ext`` without any compiled operator.

    It has an attribute for every operator, so that mmseg can be imported; every operator raises when it is called.
    """

    def __getattr__(self, name: str) -> Callable:
        """Return a function that raises."""
        if name.startswith('__'):
            raise AttributeError(name)

        def missing_operator(*args: Any, **kwargs: Any) -> None:
            raise NotImplementedError(
                f'The operator {name!r} of mmcv is not available: this mmcv was installed without compiled operators, '
                'and mmwsss put a stand-in in their place. Install mmcv with its operators for your torch: '
                '`bash tools/setup_env.sh --original`, or `pip uninstall -y mmcv-lite` and then '
                '`MMCV_WITH_OPS=1 pip install --no-build-isolation --no-binary mmcv "mmcv>=2.1,<2.2"`.')

        return missing_operator


class _StandInFinder:
    """Find ``mmcv._ext`` where nobody else does; stands at the end of ``sys.meta_path``."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        """Return a spec for ``mmcv._ext``, and None for everything else."""
        if name == 'mmcv._ext':
            loader: Any = _StandInFinder
            return ModuleSpec(name, loader, origin='stand-in of mmwsss for the missing operators of mmcv')
        return None

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        """Return the stand-in."""
        return MissingOperators(spec.name, 'A stand-in of mmwsss for the missing compiled operators of mmcv.')

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Do nothing: there is nothing to run."""


def stand_in_for_mmcv_operators(mmcv_version: Optional[str] = None) -> bool:
    """Let the original mmseg be imported although mmcv has no compiled operators, as with ``mmcv-lite``.

    mmseg 1.2 imports operators that mmwsss never calls. The maintained mmseg does not, and is left alone. An
    ``mmcv._ext`` that exists always takes precedence.

    Args:
        mmcv_version (str, optional): Version of mmcv. Defaults to the installed one.

    Returns:
        bool: Whether a stand-in is ready for an import of ``mmcv._ext`` that would fail otherwise.
    """
    version = installed_version('mmcv') if mmcv_version is None else mmcv_version
    if version is None or not _is_older(version, FAMILIES['original']['mmcv'].below):
        return False
    if _StandInFinder not in sys.meta_path:
        sys.meta_path.append(_StandInFinder)
    return True


_TORCHVISION_SCHEMAS = {
    'nms': 'nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'qnms': 'qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
}
_libraries: list = []  # a torch.library.Library takes its declarations back when it is collected


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
