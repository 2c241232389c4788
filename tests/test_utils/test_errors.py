"""Which errors a tool reports with one line, and what the line says."""

import importlib
import os
import sys

import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmseg.models import SegDataPreProcessor
from torch.utils.data import DataLoader

from mmwsss.models.utils import normalize_cams
from mmwsss.registry import MODELS
from mmwsss.utils import check_image_id
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.errors import ImageError, UserError, can_be_fixed, one_line, run_tool

ONES = torch.ones(1, 2, 2)


def write_broken_config(folder, text):
    (folder / 'broken.py').write_text(text)
    return folder / 'broken.py'


def throw(error):
    raise error


def full_disk():
    raise OSError(28, 'No space left on device')


REFUSALS = {
    'missing file': (lambda folder: (folder / 'a.csv').read_text(), 'a.csv'),
    'folder in the place of a file': (lambda folder: folder.read_text(), 'Is a directory'),
    'full disk': (lambda folder: full_disk(), 'No space left'),
    'too little memory': (lambda folder: throw(MemoryError('no room for 900 GB')), 'no room'),
    'check of ours': (lambda folder: check_image_id('../a', 'tags.csv'), "tags.csv: '../a' cannot be an image id"),
    'argument of a function of ours': (lambda folder: normalize_cams(ONES, 'maximum'), "got 'maximum'"),
    'unknown type in a config': (lambda folder: MODELS.build(dict(type='CAMHaed')), 'CAMHaed is not in'),
    'no type in a config': (lambda folder: MODELS.build(dict(num_classes=3)), 'must contain the key "type"'),
    'unknown argument in a config': (
        lambda folder: MODELS.build(dict(type='CAMHead', num_classes=3, channel=8)), "argument 'channel'"),
    'config with a syntax error': (
        lambda folder: read_config_file(write_broken_config(folder, 'a = (')), 'broken.py cannot be read: '),
    'config that fails': (lambda folder: read_config_file(write_broken_config(folder, 'a = 1 / 0')), 'ZeroDivision'),
    'config with an absent base': (
        lambda folder: read_config_file(write_broken_config(folder, "_base_ = 'gone.py'")), 'gone.py'),
    'unknown option': (lambda folder: Config(dict(a=[1])).merge_from_dict({'a.7': 2}), '7'),
    'assertion of a library that configs use': (
        lambda folder: SegDataPreProcessor()(dict(inputs=[torch.ones(3, 4, 4), torch.ones(3, 4, 5)])),
        'image size in a batch should be the same'),
    'damaged image of a data set of mmseg in another process': (
        lambda folder: next(iter(DataLoader(Loaded(folder), num_workers=1))), 'damaged.jpg'),
    'image in another process': (lambda folder: next(iter(DataLoader(Images(), num_workers=1))), 'a.jpg is damaged'),
}
FAULTS = {
    'value that a library refuses': lambda folder: torch.ones(3).view(2, 2),
    'shapes in an operation of a function of ours': lambda folder: int('x'),
    'key that is not there': lambda folder: {}['cat'],
    'attribute that is not there': lambda folder: throw(AttributeError('no such attribute')),
    'assertion': lambda folder: throw(AssertionError('must not happen')),
    'assertion without a message': lambda folder: MODELS.build(dict(
        type='mmseg.FCNHead', in_channels=8, channels=8, num_convs=-1, num_classes=2)),
    'wrong call': lambda folder: check_image_id(),
    'module of the program that is not there': lambda folder: importlib.import_module('mmwsss.nowhere'),
}


class Images:
    """A data set whose only image is damaged."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise ImageError('image a.jpg is damaged:\nit ends early')


class Loaded(Images):
    """A data set whose only image is damaged, read by mmcv."""

    def __init__(self, folder):
        (folder / 'damaged.jpg').write_bytes(b'no picture')
        self.path = folder / 'damaged.jpg'

    def __getitem__(self, index):
        return LoadImageFromFile()(dict(img_path=str(self.path)))


def caught(action, folder):
    try:
        action(folder)
    except Exception as error:
        return error
    raise AssertionError('nothing was raised')


@pytest.mark.parametrize('name', REFUSALS)
def test_what_the_user_can_fix(tmp_path, name):
    action, words = REFUSALS[name]
    error = caught(action, tmp_path)
    assert can_be_fixed(error)
    assert words in one_line(error)
    assert '\n' not in one_line(error)
    assert 'Traceback' not in one_line(error)


@pytest.mark.parametrize('name', FAULTS)
def test_faults_of_the_program(tmp_path, name):
    assert not can_be_fixed(caught(FAULTS[name], tmp_path))


@pytest.mark.parametrize(('error', 'line'), [
    (UserError('a.csv: row 3\n  is wrong'), 'a.csv: row 3 is wrong'), (KeyError("no 'cat'"), "no 'cat'"),
    (ValueError(), 'ValueError'), (FileNotFoundError('no photo.jpg'), 'no photo.jpg')])
def test_one_line(error, line):
    assert one_line(error) == line


def test_the_message_of_a_worker_process_comes_without_its_traceback():
    assert one_line(caught(REFUSALS['image in another process'][0], None)) == 'image a.jpg is damaged: it ends early'


def test_run_tool_ends_with_one_line_and_exit_code_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['tools/some_tool.py'])
    monkeypatch.delenv('MMWSSS_DEBUG', raising=False)
    with pytest.raises(SystemExit) as ended:
        run_tool(lambda: check_image_id('..'))
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("some_tool.py: '..' cannot be an image id")


def test_run_tool_shows_the_traceback_if_asked_and_of_faults(monkeypatch):
    with pytest.raises(KeyError):
        run_tool(lambda: {}['cat'])
    monkeypatch.setitem(os.environ, 'MMWSSS_DEBUG', '1')
    with pytest.raises(ValueError, match='cannot be an image id'):
        run_tool(lambda: check_image_id('..'))


@pytest.mark.parametrize('code', [None, 0, 1, 130])
def test_run_tool_ends_with_the_code_of_the_tool(code):
    if not code:
        run_tool(lambda: code)
        return
    with pytest.raises(SystemExit) as ended:
        run_tool(lambda: code)
    assert ended.value.code == code
