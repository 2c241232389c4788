"""The tool that makes the sample set."""

import pytest
from PIL import Image

from ...helpers import call_tool

SCRIPT = 'tools/dataset_converters/make_sample.py'


def test_makes_the_set_once_and_draws_a_sheet(tmp_path, capsys):
    arguments = (tmp_path / 'set', '--num-train', 2, '--num-val', 24, '--nproc', 1)
    call_tool(SCRIPT, *arguments, '--sheet', tmp_path / 'sheet.jpg')
    output = capsys.readouterr().out
    assert 'labels per image' in output
    assert 'nothing to do' not in output
    width, height = Image.open(tmp_path / 'sheet.jpg').size
    assert (width, height) == (4 * (2 * 128 + 3 + 12), 6 * (128 + 16 + 12))
    call_tool(SCRIPT, *arguments)
    assert 'nothing to do' in capsys.readouterr().out


def test_a_small_set_has_no_sheet(tmp_path):
    with pytest.raises(ValueError, match='1 val images'):
        call_tool(SCRIPT, tmp_path / 'set', '--num-train', 1, '--num-val', 1, '--sheet', tmp_path / 'sheet.jpg')


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / 'photo.jpg').touch()
    with pytest.raises(FileExistsError, match='choose another folder'):
        call_tool(SCRIPT, tmp_path)
