"""The command ``mmwsss``, also ``python -m mmwsss``: it runs any tool of the package from any folder.

``mmwsss NAME [arguments]`` is ``python tools/NAME.py [arguments]``. Every script below ``tools/`` can be reached
without being named here.
"""

import ast
import os
import runpy
import shutil
import sys
from pathlib import Path
from typing import Optional

from mmwsss.utils import closest
from mmwsss.utils.commands import tools_folder
from mmwsss.version import __version__

__all__ = ['find_tool', 'list_tools', 'main']

SHORT_NAMES = {
    'label': 'make_pseudo_labels',
    'evaluate': 'eval_pseudo_labels',
    'recipe': 'run_recipe',
    'sample': 'dataset_converters/make_sample',
    'convert': 'model_converters/official2mmwsss',
}
"""dict[str, str]: Short names of tools, by which users call them most."""

LAUNCHERS = ('dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh')
USAGE = """usage: mmwsss NAME [arguments]
       mmwsss NAME --help

Configs of the package are named as configs/... from any folder."""


def list_tools(folder: Path) -> dict[str, Path]:
    """List the tools in a folder by name.

    Args:
        folder (Path): The folder.

    Returns:
        dict[str, Path]: Scripts by their path relative to the folder, without suffix, such as ``train`` or
        ``misc/print_config``. Tools at the top come first.
    """
    scripts = sorted(folder.rglob('*.py'), key=lambda path: (len(path.parts), path))
    scripts = [path for path in scripts if not path.name.startswith('_')]
    scripts += [folder / name for name in LAUNCHERS if (folder / name).is_file()]
    return {path.relative_to(folder).with_suffix('').as_posix(): path for path in scripts}


def find_tool(name: str, tools: dict[str, Path]) -> Optional[Path]:
    """Find a tool by its name, its short name, or the last part of its name.

    Args:
        name (str): What the user typed, with ``-`` or ``_``, with or without the suffix.
        tools (dict[str, Path]): See :func:`list_tools`.

    Returns:
        Path or None: The script; None if no tool or several tools have this name.
    """
    plain = name.removesuffix('.py').removesuffix('.sh').replace('-', '_')
    plain = SHORT_NAMES.get(plain, plain)
    if plain in tools:
        return tools[plain]
    found = [path for key, path in tools.items() if key.rpartition('/')[2] == plain]
    return found[0] if len(found) == 1 else None


def main() -> int:
    """Run the tool that the command line names.

    Returns:
        int: The exit code, 2 if there is no such tool. A tool that exits by itself does not return.
    """
    tools = list_tools(tools_folder())
    if len(sys.argv) < 2 or sys.argv[1] in ('-h', '--help', 'help'):
        return _show(_overview(tools))
    name, arguments = sys.argv[1], sys.argv[2:]
    if name == '--version':
        print(__version__)
        return 0
    script = find_tool(name, tools)
    if script is None:
        hint = closest(name.replace('-', '_'), [*SHORT_NAMES, *tools])
        print(f'mmwsss: there is no single tool {name!r}{hint}; `mmwsss --help` lists all', file=sys.stderr)
        return 2
    if script.suffix == '.sh':
        return _run_shell(script, arguments)
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))  # as `python tools/NAME.py` does
    runpy.run_path(str(script), run_name='__main__')
    return 0


def _show(text: str) -> int:
    """Print a text to a reader that may stop reading, such as ``head``; return 0."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # Python flushes the output once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _run_shell(script: Path, arguments: list[str]) -> int:
    """Replace this process by a shell script; return 2 where there is no bash."""
    bash = shutil.which('bash')
    if bash is None:
        print(f'mmwsss: {script.name} needs bash', file=sys.stderr)
        return 2
    os.execve(bash, [bash, str(script), *arguments], {'PYTHON': sys.executable, **os.environ})


def _overview(tools: dict[str, Path]) -> str:
    """Return the usage and all tools, each with the first line of its description."""
    short = {full: name for name, full in SHORT_NAMES.items()}
    rows = [(f'{key} ({short[key]})' if key in short else key, _describe(path)) for key, path in tools.items()]
    width = max(len(name) for name, _ in rows)
    return '\n'.join([USAGE, '', *(f'  {name:<{width}}  {text}'.rstrip() for name, text in rows)])


def _describe(script: Path) -> str:
    """Return the first line of a tool's description."""
    text = script.read_text(encoding='utf-8')
    if script.suffix == '.sh':
        lines = [line[1:].strip() for line in text.splitlines()[1:] if line.startswith('#')]
        return lines[0].rstrip(':') if lines else ''
    return (ast.get_docstring(ast.parse(text)) or '').split('\n')[0].split(': ``')[0]


if __name__ == '__main__':
    sys.exit(main())
