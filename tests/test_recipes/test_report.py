"""The report: table and figures as Markdown and HTML, results as JSON."""

from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mmwsss.recipes import PseudoLabels, Recipe, RecipeError, Train, results_table, write_report
from mmwsss.utils.results import read_results


def record(name, **changes):
    found = dict(name=name, title=f'{name} | <b>', split='val', results={'cam/mIoU': 12.5, 'cam/oracle_mIoU': 13.},
                 seconds=90., command=f'python tools/train.py {name}', figure=None)
    return {**found, **changes}


@pytest.fixture
def out(tmp_path):
    """Give a folder with the report of two stages, one with a picture, one without metrics to report."""
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / 'sheet.png')
    recipe = Recipe('Some & more', (Train('cam', 'train', report=('cam/*', )), PseudoLabels('labels', 'pseudo-labels')))
    records = [record('cam', figure='sheet.png'), record('labels', results={'pseudo/ignored_pixels': 3.})]
    write_report(recipe, records, tmp_path)
    return tmp_path


def test_markdown(out):
    lines = (out / 'report.md').read_text().splitlines()
    rows = [[cell.strip() for cell in line.replace(r'\|', '!').split('|')[1:-1]] for line in lines if '|' in line]
    assert lines[0] == '# Some & more'
    assert rows[0] == ['stage', 'split', 'metric', 'value', 'minutes', 'command']
    assert rows[2] == ['cam ! <b>', 'val', 'cam/mIoU', '12.50', '1.5', '`python tools/train.py cam`']
    assert rows[3][2:] == ['cam/oracle_mIoU', '13.00', '', '']
    assert rows[4][1:4] == ['', '', '']
    assert '![cam | <b>](figures/cam.png)' in lines
    assert (out / 'figures/cam.png').is_file()


def test_html(out):
    class Cells(HTMLParser):
        found, sources = [], []

        def handle_data(self, data):
            self.found.append(data.strip())

        def handle_starttag(self, tag, attrs):
            self.sources += [value for key, value in attrs if key == 'src']

    parser = Cells()
    parser.feed((out / 'report.html').read_text())
    assert {'Some & more', 'cam | <b>', '12.50', 'python tools/train.py cam'} <= set(parser.found)
    assert parser.sources == ['figures/cam.png']


def test_json(out):
    found = read_results(out / 'results.json')
    assert (found['tool'], found['title']) == ('run_recipe.py', 'Some & more')
    assert found['metrics'] == {'cam cam/mIoU': 12.5, 'cam cam/oracle_mIoU': 13., 'labels pseudo/ignored_pixels': 3.}
    assert found['stages'][0]['results']['cam/mIoU'] == 12.5


def test_metrics_that_do_not_exist(tmp_path):
    recipe = Recipe('Some', (Train('cam', 'train', report=('seg/mIoU', )), ))
    with pytest.raises(RecipeError, match='stage cam is to report seg/mIoU, but its metrics are cam/mIoU, '
                                          'cam/oracle_mIoU'):
        results_table(recipe, [record('cam')])
