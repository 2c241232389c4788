"""Commands in the documentation, and the one way in which they are checked: by the parser of the tool itself."""

import ast
import contextlib
import io
import itertools
import re
import runpy
import shlex
import sys
from functools import cache
from pathlib import Path
from unittest import mock

from mmengine.config import Config

from mmwsss.__main__ import find_tool, list_tools
from mmwsss.analysis import build_analysis
from mmwsss.utils.cli import find_config

from .helpers import REPO

COMMAND = r'(?:[A-Z_]+=\S+ )*(?:python|bash|torchrun[^\n|`]*?) tools/[^\n`]*|mmwsss [a-z][a-z-]* [^\n`]*'
NEW_CONFIGS = ('affinity_cam', 'my_config')
"""Parts of the names of configs that a page lets its reader write."""


def commands(text: str) -> list[list[str]]:
    """Return the command lines of our tools in a page: in blocks, and between backquotes in lines of a table."""
    text = text.replace('\\\n', ' ')
    lines = re.findall(rf'^\s*({COMMAND})$', text, re.M)
    for row in (line for line in text.splitlines() if line.startswith('|')):
        lines += re.findall(rf'`({COMMAND})`', row)
    return [shlex.split(line, comments=True) for line in lines]


def expand_braces(word: str) -> list[str]:
    """Return the words that bash makes of ``a{b,c}``."""
    parts = re.split(r'\{([^{}]*,[^{}]*)\}', word)
    choices = [part.split(',') if place % 2 else [part] for place, part in enumerate(parts)]
    return [''.join(choice) for choice in itertools.product(*choices)]


def script_and_arguments(words: list[str]) -> tuple[str, list[str]]:
    """Return the script that a command runs, relative to the repository, and its arguments.

    Raises:
        AssertionError: There is no such script.
    """
    words = [expanded for word in words for expanded in expand_braces(word)]
    if words[0] == 'mmwsss':
        script = find_tool(words[1], list_tools(REPO / 'tools'))
        assert script, f'there is no tool {words[1]}'
        return str(script.relative_to(REPO)), words[2:]
    place = next(i for i, word in enumerate(words) if word.startswith('tools/'))
    assert (REPO / words[place]).is_file(), f'there is no {words[place]}'
    return words[place], words[place + 1:]


def parsed_by(script: str, arguments: list[str]) -> tuple[str, list[str]]:
    """Return the Python script whose parser reads the arguments of a script, and those arguments."""
    name = Path(script).name
    if name in ('dist_train.sh', 'dist_test.sh'):  # CONFIG [CHECKPOINT] PROCESSES [flags]
        given = 2 if name == 'dist_test.sh' else 1
        assert len(arguments) > given, f'{script} needs the number of processes'
        return f'tools/{name.removeprefix("dist_").removesuffix(".sh")}.py', arguments[:given] + arguments[given + 1:]
    arguments = [word for word in arguments if word != '--original']
    return ('tools/demo.py' if name == 'demo.sh' else script), arguments


@cache
def parser_of(script: str):
    """Return the function ``parse_args`` of a tool."""
    with mock.patch.object(sys, 'path', [str((REPO / script).parent), *sys.path]):
        return runpy.run_path(str(REPO / script), run_name='a_tool')['parse_args']


def parse(script: str, arguments: list[str]) -> None:
    """Let a tool read its arguments.

    Raises:
        AssertionError: The tool refuses them.
    """
    said, code = io.StringIO(), 0
    with mock.patch.object(sys, 'argv', [script, *arguments]), contextlib.redirect_stderr(said), \
            contextlib.redirect_stdout(io.StringIO()):
        try:
            parser_of(script)()
        except SystemExit as end:
            code = end.code
    assert not code, f'{script} {shlex.join(arguments)}\n{said.getvalue()}'


def has_key(cfg, key: str) -> bool:
    """Return whether the place that an override writes to exists; its last part may be new."""
    for part in key.split('.')[:-1]:
        if isinstance(cfg, (list, tuple)):
            cfg = cfg[int(part)] if int(part) < len(cfg) else None
        else:
            cfg = cfg.get(part)
        if cfg is None:
            return False
    return True


def check_configs(arguments: list[str]) -> None:
    """Check that the configs in a command exist, and the settings that it overrides in them.

    Raises:
        AssertionError: A config has no such setting.
        FileNotFoundError: There is no such config.
    """
    configs = [word for word in arguments if word.startswith('configs/') and word.endswith('.py')]
    for config in configs:
        if any(part in config for part in NEW_CONFIGS):
            continue
        cfg = Config.fromfile(find_config(config), format_python_code=False)
        for key in (word.split('=')[0] for word in arguments if re.match(r'[a-z_]+(\.\w+)+=', word)):
            assert has_key(cfg, key), f'{config} has no {key}'


def check_analysis(arguments: list[str]) -> None:
    """Check that there is an analysis of this name, and that it takes these options.

    Raises:
        UserError: There is no such analysis or option.
    """
    options = {}
    if '--options' in arguments:
        for pair in itertools.takewhile(lambda word: '=' in word, arguments[arguments.index('--options') + 1:]):
            key, _, value = pair.partition('=')
            with contextlib.suppress(SyntaxError, ValueError):
                value = ast.literal_eval(value)
            options[key] = value
    build_analysis(arguments[0], options)


def check_command(words: list[str]) -> None:
    """Check a command of a page: its script, its arguments, its configs and the settings that it overrides.

    Raises:
        AssertionError: Something is not as the command says.
        FileNotFoundError: There is no such config.
    """
    script, arguments = script_and_arguments(words)
    check_configs(arguments)
    script, arguments = parsed_by(script, arguments)
    if script.endswith('.sh'):
        assert script in ('tools/setup_env.sh', 'tools/run_tests.sh'), f'{script}: who reads its flags?'
        return
    parse(script, arguments)
    if script == 'tools/analyze.py' and not arguments[0].startswith('-'):
        check_analysis(arguments)
