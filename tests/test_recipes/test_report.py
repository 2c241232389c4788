"""The report: table and pictures as Markdown and HTML, numbers as JSON."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mmwsss.recipes import Recipe, RecipeError, Stage, rich_table, write_report


def record(name, **changes):
    found = dict(name=name, title=f'{name} | <b>', split='val', results={'cam/mIoU': 12.5, 'cam/oracle_mIoU': 13.},
                 seconds=90., commands=[f'python tools/train.py {name}', 'second'], pictures=None)
    return {**found, **changes}


@pytest.fixture
def out(tmp_path):
    """Give a folder with the report of two stages, one with a picture, one without numbers."""
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / 'sheet.png')
    recipe = Recipe('Some & more', (Stage('cam', 'train', report=('cam/*', )), Stage('labels', 'pseudo-labels')))
    records = [record('cam', pictures='sheet.png'), record('labels', results={}, split='')]
    write_report(recipe, records, tmp_path)
    return tmp_path


def test_markdown(out):
    lines = (out / 'report.md').read_text().splitlines()
    rows = [[cell.strip() for cell in line.replace(r'\|', '!').split('|')[1:-1]] for line in lines if '|' in line]
    assert lines[0] == '# Some & more'
    assert rows[0] == ['stage', 'split', 'metric', 'value', 'minutes', 'command']
    assert rows[2] == ['cam ! <b>', 'val', 'cam/mIoU', '12.50', '1.5', '`python tools/train.py cam && second`']
    assert rows[3][2:] == ['cam/oracle_mIoU', '13.00', '', '']
    assert rows[4][1:4] == ['', '', '']
    assert '![cam | <b>](pictures/cam.png)' in lines
    assert (out / 'pictures/cam.png').is_file()


def test_html(out):
    class Cells(HTMLParser):
        found, sources = [], []

        def handle_data(self, data):
            self.found.append(data.strip())

        def handle_starttag(self, tag, attrs):
            self.sources += [value for key, value in attrs if key == 'src']

    parser = Cells()
    parser.feed((out / 'report.html').read_text())
    assert {'Some & more', 'cam | <b>', '12.50', 'python tools/train.py cam && second'} <= set(parser.found)
    assert parser.sources == ['pictures/cam.png']


def test_json(out):
    found = json.loads((out / 'results.json').read_text())
    assert found['title'] == 'Some & more'
    assert found['stages'][0]['results']['cam/mIoU'] == 12.5


def test_metrics_that_do_not_exist(tmp_path):
    recipe = Recipe('Some', (Stage('cam', 'train', report=('seg/mIoU', )), ))
    with pytest.raises(RecipeError, match='stage cam reports seg/mIoU, but its metrics are cam/mIoU, cam/oracle_mIoU'):
        rich_table(recipe, [record('cam')])
