"""The command ``mmwsss``, which runs the tools."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from mmwsss import __main__ as command

from .helpers import REPO


@pytest.fixture
def tools():
    return command.list_tools(REPO / 'tools')


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['mmwsss', *arguments])
    monkeypatch.setattr(sys, 'path', list(sys.path))
    return command.main()


@pytest.mark.parametrize(('name', 'script'), [
    ('train', 'train.py'), ('test', 'test.py'), ('label', 'make_pseudo_labels.py'),
    ('make-pseudo-labels', 'make_pseudo_labels.py'), ('train.py', 'train.py'), ('print_config', 'misc/print_config.py'),
    ('misc/print-config', 'misc/print_config.py'), ('convert', 'model_converters/official2mmwsss.py'),
    ('sample', 'dataset_converters/make_sample.py'), ('dist-train', 'dist_train.sh'), ('recipe', 'run_recipe.py'),
    ('image-labels', 'dataset_converters/image_labels.py'),
])
def test_names_of_tools(tools, name, script):
    assert command.find_tool(name, tools) == REPO / 'tools' / script


def test_every_script_has_a_name_and_every_short_name_a_script(tools):
    assert set(tools.values()) >= set((REPO / 'tools').rglob('*.py'))
    assert set(command.SHORT_NAMES.values()) <= set(tools)


def test_a_new_tool_needs_no_entry(tmp_path):
    for name in ('train.py', 'misc/new_tool.py', 'a/same.py', 'b/same.py'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('"""Do something new."""\n')
    tools = command.list_tools(tmp_path)
    assert command.find_tool('new-tool', tools) == tmp_path / 'misc/new_tool.py'
    assert command.find_tool('same', tools) is None, 'two tools have this name'
    assert command.find_tool('b/same', tools) == tmp_path / 'b/same.py'


@pytest.mark.parametrize('arguments', [(), ('--help', )])
def test_the_list_of_tools(monkeypatch, capsys, arguments):
    assert run(monkeypatch, *arguments) == 0
    out = capsys.readouterr().out
    assert 'make_pseudo_labels (label)' in out
    assert '  train ' in out
    assert 'Train a model' in out


def test_a_reader_may_stop_reading_the_list():
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run([sys.executable, '-m', 'mmwsss', '--help'], stdout=writing, stderr=subprocess.PIPE,
                            text=True, check=False)
    os.close(writing)
    assert (result.returncode, result.stderr) == (0, '')


def test_an_unknown_tool_is_refused_with_a_hint(monkeypatch, capsys):
    assert run(monkeypatch, 'trian') == 2
    assert "there is no single tool 'trian' (did you mean 'train'?)" in capsys.readouterr().err


def test_arguments_and_exit_codes_are_the_tool_s(monkeypatch, tmp_path, capsys):
    (tmp_path / 'train.py').write_text('import sys\nimport beside\nprint(sys.argv[1:])\nsys.exit(beside.CODE)\n')
    (tmp_path / 'beside.py').write_text('CODE = 3\n')
    monkeypatch.setattr(command, 'tools_folder', lambda: tmp_path)
    with pytest.raises(SystemExit) as exit_info:
        run(monkeypatch, 'train', 'config.py', '--amp')
    assert exit_info.value.code == 3
    assert capsys.readouterr().out == "['config.py', '--amp']\n"


def test_a_shell_script_takes_the_place_of_the_process(monkeypatch):
    started = []
    monkeypatch.setattr(command.os, 'execve', lambda path, arguments, environment: started.append(
        ([Path(arguments[1]).name, *arguments[2:]], environment['PYTHON'])))
    monkeypatch.delenv('PYTHON', raising=False)
    run(monkeypatch, 'dist_train', 'config.py', '2')
    assert started == [(['dist_train.sh', 'config.py', '2'], sys.executable)]


def test_the_module_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['mmwsss', '--version'])
    with pytest.raises(SystemExit) as exit_info:
        runpy.run_module('mmwsss', run_name='__main__')
    assert exit_info.value.code == 0
    assert capsys.readouterr().out.strip()
