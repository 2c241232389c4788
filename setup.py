"""Installation of mmwsss; what is constant stands in pyproject.toml.

Configs, tools and model-index.yml travel inside the package as ``mmwsss/.mim``, where ``mim`` and
mmengine look for them: copied into a wheel, linked for an editable install (copied where the file
system knows no links).
"""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.develop import develop

try:
    from setuptools.command.editable_wheel import editable_wheel
except ImportError:  # setuptools before 64 knows `develop` only
    editable_wheel = None

ROOT = Path(__file__).resolve().parent
MIM_PARTS = ('configs', 'tools', 'model-index.yml')


def read_version() -> str:
    """Read the version without importing the package."""
    text = (ROOT / 'mmwsss' / 'version.py').read_text(encoding='utf-8')
    return re.search(r"__version__ = '([^']+)'", text).group(1)


def read_requirements(name: str) -> list:
    """List the requirement lines of ``requirements/<name>.txt``."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(('#', '-'))]


def remove(path: Path) -> None:
    """Remove a link, file or folder, if it is there."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def copy_part(source: Path, target: Path) -> None:
    """Copy a file or a folder, without compiled leftovers."""
    remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
    else:
        shutil.copy2(source, target)


def link_part(source: Path, target: Path) -> None:
    """Link a file or a folder relatively; copy where links are not supported."""
    remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(os.path.relpath(source, target.parent), target_is_directory=source.is_dir())
    except (OSError, NotImplementedError):
        copy_part(source, target)


def carry_mim_parts(package: Path, carry) -> None:
    """Bring every part into ``package/.mim`` by ``carry`` (:func:`copy_part` or :func:`link_part`)."""
    for part in MIM_PARTS:
        carry(ROOT / part, package / '.mim' / part)


class BuildWithMim(build_py):
    """``build_py`` (and by it ``bdist_wheel`` and ``install``) that copies the parts."""

    def run(self) -> None:
        """Build the package, then add the parts to what was built, not to the source tree."""
        super().run()
        if not getattr(self, 'editable_mode', False):
            carry_mim_parts(Path(self.build_lib) / 'mmwsss', copy_part)


class DevelopWithMim(develop):
    """``setup.py develop``, the editable install of older setuptools."""

    def run(self) -> None:
        """Link the parts, then install."""
        carry_mim_parts(ROOT / 'mmwsss', link_part)
        super().run()


def commands() -> dict:
    """Name the commands of the installed setuptools that must carry the parts."""
    table = {'build_py': BuildWithMim, 'develop': DevelopWithMim}
    if editable_wheel is not None:

        class EditableWithMim(editable_wheel):
            """The editable install of setuptools 64 and newer."""

            def run(self) -> None:
                """Link the parts, then install."""
                carry_mim_parts(ROOT / 'mmwsss', link_part)
                super().run()

        table['editable_wheel'] = EditableWithMim
    return table


def extras() -> dict:
    """List the optional requirements; ``all`` takes the maintained family of the MM packages."""
    table = {name: read_requirements(name) for name in ('optional', 'tests')}
    table['onedl'] = read_requirements('mminstall')
    table['openmmlab'] = read_requirements('mminstall_original')
    table['all'] = table['onedl'] + table['optional'] + table['tests']
    return table


if __name__ == '__main__':
    setup(
        name='mmwsss',
        version=read_version(),
        description='Weakly supervised semantic segmentation for MMSegmentation',
        long_description=(ROOT / 'README.md').read_text(encoding='utf-8')
        if (ROOT / 'README.md').is_file() else '',
        long_description_content_type='text/markdown',
        license='Apache-2.0',
        keywords='weakly supervised semantic segmentation, class activation maps, MMSegmentation',
        classifiers=[
            'Development Status :: 4 - Beta',
            'Operating System :: OS Independent',
            'Programming Language :: Python :: 3',
            'Programming Language :: Python :: 3.11',
            'Programming Language :: Python :: 3.12',
            'Topic :: Scientific/Engineering :: Artificial Intelligence',
        ],
        packages=find_packages(include=['mmwsss', 'mmwsss.*']),
        package_data={'mmwsss': ['checkpoints/assets/*', 'checkpoints/assets/**/*', 'analysis/templates/*']},
        python_requires='>=3.10',
        install_requires=read_requirements('runtime'),
        extras_require=extras(),
        entry_points={'console_scripts': ['mmwsss = mmwsss.__main__:main']},
        cmdclass=commands(),
        zip_safe=False)
