"""The commands of get_started.md on the sample set run one after the other, as a reader types them, only shorter."""

import re

from .doc_commands import commands, script_and_arguments
from .helpers import REPO, run_tool

ITERATIONS = 3
SHORTER = {
    'make_sample.py': ['--num-train', 4, '--num-val', 2],
    'browse_dataset.py': ['--number', 2],
    'train.py': ['--iters', ITERATIONS, '--cfg-options', 'train_dataloader.batch_size=4'],
}
"""dict: What is added to the commands of a tool, so that a test does not take minutes."""


def commands_on_the_sample_set():
    page = (REPO / 'docs/get_started.md').read_text()
    walk = page[page.index('\n## First training'):page.index('\n## Your own photographs')]
    return [re.sub(r'iter_\d+\.pth', f'iter_{ITERATIONS}.pth', ' '.join(words)).split() for words in commands(walk)]


def test_the_first_training_as_written(tmp_path):
    """What each command writes is what the next one reads."""
    ran = []
    for words in commands_on_the_sample_set():
        script, arguments = script_and_arguments(words)
        name = script.rpartition('/')[2]
        result = run_tool(script, *arguments, *SHORTER.get(name, []), cwd=tmp_path)
        ran.append(name)
    assert ran == ['make_sample.py', 'train.py', 'browse_dataset.py', 'print_config.py', 'test.py',
                   'make_pseudo_labels.py', 'eval_pseudo_labels.py']
    assert 'pseudo/mIoU' in result.stdout
    assert len(list((tmp_path / 'work_dirs/pseudo').glob('*.png'))) == 4
    assert list((tmp_path / 'work_dirs/browse').iterdir())
