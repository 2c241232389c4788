"""tools/misc/chaos.py: kills are divided, and what differs or ends wrongly is found. The tool itself runs for long."""

import signal

import pytest
import torch
from chaos_runs import EXIT_CODES, same_files, same_training, wrong_end

from ..helpers import load_tool

LINE = 'train.py: stopped by SIGTERM; what is finished is kept. Run the same command with --resume to continue'


@pytest.fixture(scope='module')
def chaos():
    return load_tool('tools/misc/chaos.py')


@pytest.mark.parametrize('kills', [1, 7, 100])
def test_kills_are_divided(chaos, kills):
    assert sum(chaos.shares(kills, list(chaos.SHARES)).values()) == kills
    assert chaos.shares(kills, ['recipe']) == {'recipe': kills}


@pytest.mark.parametrize(('what', 'kills'), [('', 1), ('labels,dog', 1), ('labels', 0), ('walk', 5)])
def test_wrong_command_lines(chaos, what, kills):
    with pytest.raises(ValueError, match='--what'):
        chaos.read_what(what, kills)


def test_differing_files_are_found(tmp_path):
    for name in ('one', 'two'):
        (tmp_path / name / 'sub').mkdir(parents=True)
        (tmp_path / name / 'sub/a').write_text('same')
    assert same_files(tmp_path / 'one', tmp_path / 'two') == []
    (tmp_path / 'two/sub/a').write_text('other')
    (tmp_path / 'one/.left').write_text('over')
    assert same_files(tmp_path / 'one', tmp_path / 'two') == ['only one has .left', 'sub/a differs']


def test_differing_checkpoints_are_found(tmp_path):
    def write(name, value, momentum):
        (tmp_path / name).mkdir(exist_ok=True)
        torch.save(dict(state_dict={'w': torch.tensor([value])}, optimizer={'m': [torch.tensor(momentum)]}),
                   tmp_path / name / 'iter_2.pth')
        (tmp_path / name / 'last_checkpoint').write_text(f'/elsewhere/{name}/iter_2.pth')
        return tmp_path / name

    assert same_training(write('one', 1., 2.), write('two', 1., 2.)) == []
    assert same_training(tmp_path / 'one', write('two', 1. + 2**-20, 2.)) == ['state_dict of iter_2.pth differs']
    assert same_training(tmp_path / 'one', write('two', 1., 3.)) == ['optimizer of iter_2.pth differs']


@pytest.mark.parametrize(('sent', 'code', 'output', 'problem'), [
    (signal.SIGTERM, 143, LINE, ''),
    (signal.SIGTERM, 143, '  device     cpu, 1 process', '0 lines say how to continue'),
    (signal.SIGTERM, 143, 'a warning of an import', ''),
    (signal.SIGTERM, 143, f'{LINE}\n{LINE}', '2 lines say how to continue'),
    (signal.SIGTERM, 1, 'Traceback', 'exit code 1: Traceback'),
    (signal.SIGTERM, -15, '', ''),
    (signal.SIGINT, 143, LINE, f'exit code 143: {LINE}'),
    (signal.SIGINT, 1, 'Traceback\nKeyboardInterrupt', ''),
    (signal.SIGKILL, EXIT_CODES[signal.SIGKILL], '', ''),
])
def test_wrong_ends_are_found(sent, code, output, problem):
    assert wrong_end(sent, code, output) == problem
