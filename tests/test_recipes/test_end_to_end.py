"""A recipe of real stages: trained, tested, and continued after its last validation was lost."""

import io
import json

from rich.console import Console

from mmwsss.recipes import Place, RecipeRunner, Tools, read_recipe

from ..helpers import REPO, tiny_runner_cfg, write_config, write_voc_folder


def run(folder):
    console = Console(file=io.StringIO(), width=400)
    place = Place(read_recipe(folder / 'recipe.py'), folder / 'out', Tools(REPO))
    return RecipeRunner(place, console).run(), console.file.getvalue()


def test_real_stages(tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.chdir(tmp_path)
    cfg = tiny_runner_cfg(write_voc_folder(tmp_path / 'data'), tmp_path / 'unused')
    del cfg['work_dir']
    config = write_config(cfg, tmp_path / 'tiny.py')
    stages = [dict(name='fcn', kind='train', config=str(config), cfg_options={'optim_wrapper.optimizer.lr': 0.5}),
              dict(name='val', kind='test', checkpoint='fcn', report=['seg/*'])]
    write_config(dict(title='Tiny', stages=stages), tmp_path / 'recipe.py')
    records, _ = run(tmp_path)
    trained, tested = (record['results']['seg/mIoU'] for record in records)
    assert trained == tested
    assert (tmp_path / 'out/fcn/iter_2.pth').is_file()
    assert '| seg/aAcc ' in (tmp_path / 'out/report.md').read_text()

    # As if the run had been killed between the last checkpoint and the end of the validation.
    (tmp_path / 'out/fcn/stage.json').unlink()
    for log in (tmp_path / 'out/fcn').glob('*/vis_data/scalars.json'):
        lines = [line for line in log.read_text().splitlines() if 'seg/mIoU' not in json.loads(line)]
        log.write_text('\n'.join(lines) + '\n')
    records, printed = run(tmp_path)
    assert 'tools/test.py' in printed
    assert 'tools/train.py' not in printed
    assert 'val: done' in printed, 'the checkpoint is the same'
    assert [record['results']['seg/mIoU'] for record in records] == [trained, tested]
