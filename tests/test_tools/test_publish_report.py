"""The tool that puts a recipe's report into the documentation."""

import pytest
from PIL import Image

from ..helpers import call_tool, load_tool

SCRIPT = 'tools/analysis_tools/publish_report.py'


def test_report_with_small_figures(tmp_path):
    out, target = tmp_path / 'out', tmp_path / 'docs/report'
    (out / 'figures').mkdir(parents=True)
    Image.new('RGB', (1000, 300)).save(out / 'figures/cam.png')
    Image.new('RGBA', (50, 20)).save(out / 'figures/plot.png')
    (out / 'report.md').write_text('# A\n\n![CAM](figures/cam.png)\n\n![plot](figures/plot.png)\n')
    call_tool(SCRIPT, out, target, '--width', 200)
    assert (target / 'report.md').read_text() == '# A\n\n![CAM](cam.jpg)\n\n![plot](plot.jpg)\n'
    sizes = {}
    for path in target.glob('*.jpg'):
        with Image.open(path) as image:
            sizes[path.name] = image.format, image.size
    assert sizes == {'cam.jpg': ('JPEG', (200, 60)), 'plot.jpg': ('JPEG', (50, 20))}


def test_missing_report(tmp_path):
    with pytest.raises(FileNotFoundError, match='report.md: tools/run_recipe.py writes it'):
        load_tool(SCRIPT).publish(tmp_path, tmp_path / 'docs', 640)
    assert not (tmp_path / 'docs').exists()
