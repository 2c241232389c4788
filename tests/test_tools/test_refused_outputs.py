"""Tools refuse to write over what they read, as a user sees it: one line, exit code 2, every file as it was."""

from pathlib import Path

import pytest
import torch

from tests.helpers import run_tool, tiny_runner_cfg, write_config, write_voc_folder

TEST, CONVERT = 'tools/test.py', 'tools/model_converters/official2mmwsss.py'


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a config, a file in the place of a checkpoint, and a link to it."""
    root = tmp_path_factory.mktemp('refused')
    write_config(tiny_runner_cfg(write_voc_folder(root / 'data'), root / 'work'), root / 'tiny.py')
    torch.save({'state_dict': {}}, root / 'model.pth')
    (root / 'link.pth').symlink_to('model.pth')
    return root


@pytest.mark.parametrize(('script', 'args', 'message'), [
    (TEST, ['tiny.py', 'model.pth', '--out', 'data/SegmentationClass'], '--out data/SegmentationClass is the same as'),
    (TEST, ['tiny.py', 'model.pth', '--out', 'data'], '--out data contains'),
    (TEST, ['tiny.py', 'model.pth', '--out', 'model.pth'], '--out model.pth is the same as'),
    (CONVERT, ['toco', 'model.pth', 'model.pth'], 'DST model.pth is the same as'),
    (CONVERT, ['toco', 'model.pth', './data/../link.pth'], 'DST ./data/../link.pth is the same as'),
])
def test_one_line_and_exit_code_2(root: Path, script: str, args: list, message: str):
    before = {path: path.read_bytes() for path in root.rglob('*') if path.is_file()}
    result = run_tool(script, *args, cwd=root, check=False)
    assert result.returncode == 2, result.stdout
    assert 'Traceback' not in result.stdout
    assert result.stdout.strip().splitlines()[-1].startswith(f'{Path(script).name}: {message}')
    assert {path: path.read_bytes() for path in root.rglob('*') if path.is_file()} == before
