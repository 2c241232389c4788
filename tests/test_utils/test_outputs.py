"""Outputs never replace what somebody else has written."""

import os
from pathlib import Path

import pytest

from mmwsss.utils import (
    OutputError,
    check_new_file,
    check_output,
    claim_folder,
    path_inside,
    seal_folder,
    staged_folder,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Data, a checkpoint, and several ways to the same places."""
    for name in ('data/photos/a.jpg', 'data/masks/a.png', 'data/lists/train.txt', 'run/epoch_1.pth', 'empty/.keep'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'input')
    (tmp_path / 'link').symlink_to('data')
    (tmp_path / 'far').mkdir()
    (tmp_path / 'far/photos').symlink_to(tmp_path / 'data/photos')
    (tmp_path / 'loop').symlink_to(tmp_path / 'far/photos')
    os.link(tmp_path / 'run/epoch_1.pth', tmp_path / 'hard.pth')
    return tmp_path


INPUTS = ('data/photos', 'data/masks', 'data/lists/train.txt', 'run/epoch_1.pth', 'nowhere/at_all')


@pytest.mark.parametrize(('output', 'relation'), [
    ('data/photos', 'is the same as'), ('data/photos/', 'is the same as'), ('data/./photos', 'is the same as'),
    ('data/masks/../photos', 'is the same as'), ('data/none/../photos', 'is the same as'),
    ('link/photos', 'is the same as'), ('far/photos', 'is the same as'), ('loop', 'is the same as'),
    ('run/epoch_1.pth', 'is the same as'), ('hard.pth', 'is the same as'), ('data/lists/train.txt', 'is the same as'),
    ('data', 'contains'), ('link', 'contains'), ('', 'contains'), ('..', 'contains'), ('run', 'contains'),
    ('data/lists', 'contains'), ('run/../run', 'contains'),
    ('data/photos/new', 'lies inside'), ('data/photos/new/deep', 'lies inside'), ('link/masks/new', 'lies inside'),
    ('far/photos/new', 'lies inside'), ('loop/new', 'lies inside'), ('data/lists/../masks/x', 'lies inside'),
])
def test_an_output_that_overlaps_is_refused(root: Path, output: str, relation: str):
    with pytest.raises(OutputError, match=f'--out-dir .* {relation} .*must not overwrite: choose another'):
        check_output(os.path.join(root, output), [root / name for name in INPUTS], name='--out-dir')


@pytest.mark.parametrize('output', ['new', 'data/new', 'run/labels', 'link/new', 'photos', 'data/photos2', 'empty',
                                    'run/epoch_1.pth.png', 'data/lists/new', 'far/new'])
def test_an_output_beside_the_inputs_is_fine(root: Path, output: str):
    check_output(root / output, [*(root / name for name in INPUTS), None, 'https://host/a.pth', 'mmwsss://weights'])
    assert not (root / 'new').exists(), 'nothing is made'


def test_an_input_link_leads_to_its_target(root: Path):
    for output in ('data/photos', 'data/photos/new', 'data'):
        with pytest.raises(OutputError, match='reads'):
            check_output(root / output, [root / 'loop'])
    (root / 'dangling').symlink_to(root / 'gone')
    check_output(root / 'new', [root / 'dangling'])


def test_relative_paths_start_at_the_working_folder(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(root / 'data')
    for output, path in (('photos', root / 'data/photos'), ('.', 'photos'), ('photos/x', './photos')):
        with pytest.raises(OutputError):
            check_output(output, [path])


def test_a_folder_is_ours_or_empty(root: Path):
    (root / 'fresh').mkdir()
    check_output(root / 'fresh', [], 'manifest.json')
    check_output(root / 'new', [], 'manifest.json')
    with pytest.raises(OutputError, match="1 files or folders, but no manifest.json .*'.keep'.*new or an empty"):
        check_output(root / 'empty', [], 'manifest.json')
    (root / 'empty/manifest.json').write_text('{}')
    check_output(root / 'empty', [], 'manifest.json')
    with pytest.raises(NotADirectoryError, match='is a file'):
        check_output(root / 'hard.pth', [], 'manifest.json')


def test_a_sealed_folder_is_written_to_again(tmp_path: Path):
    out = tmp_path / 'out'
    claim_folder(out, [])
    (out / 'sub').mkdir(parents=True)
    for name in ('a.png', 'sub/b.png'):
        (out / name).write_bytes(name.encode())
    with pytest.raises(OutputError, match='no mmwsss_files.json'):
        claim_folder(out, [])
    seal_folder(out)
    claim_folder(out, [])
    (out / 'a.png').unlink()
    claim_folder(out, [])
    for name, content in (('sub/b.png', b'edited'), ('new.png', b'new')):
        before = (out / name).read_bytes() if (out / name).exists() else None
        (out / name).write_bytes(content)
        with pytest.raises(OutputError, match=f"holds 1 files that are not as mmwsss has written them: '{name}'"):
            claim_folder(out, [])
        (out / name).unlink() if before is None else (out / name).write_bytes(before)
    for content in ('{"fil', '[]', '{"files": 3}'):
        (out / 'mmwsss_files.json').write_text(content)
        with pytest.raises(OutputError, match='mmwsss_files.json is damaged'):
            claim_folder(out, [])


@pytest.mark.parametrize('name', ['', '.', '..', '../../outside/evil', 'a/../b', '/abs/evil', 'C:\\a', 'C:/a', 'a/C:b',
                                  'a\\..\\b', 'a//b', 'a/', './a', 'a/.', 'a\0b'])
def test_names_that_leave_their_folder(tmp_path: Path, name: str):
    with pytest.raises(OutputError, match='cannot be the name of a file in'):
        path_inside(tmp_path, name, '.png')


@pytest.mark.parametrize('name', ['a', 'a/b', '2007_000032', 'a.b', '...', '.a', 'ä ö', "it's", 'train2014/COCO_1'])
def test_names_of_files(tmp_path: Path, name: str):
    assert path_inside(tmp_path, name, '.png') == tmp_path / f'{name}.png'


def test_links_that_leave_the_folder(tmp_path: Path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/inner').mkdir()
    (tmp_path / 'out/link').symlink_to(tmp_path)
    (tmp_path / 'out/own').symlink_to(tmp_path / 'out/inner')
    assert path_inside(tmp_path / 'out', 'own/a', '.png').name == 'a.png'
    with pytest.raises(OutputError, match='a symbolic link leads to'):
        path_inside(tmp_path / 'out', 'link/a', '.png')


def test_a_new_file_replaces_nothing(root: Path):
    check_new_file(root / 'new.json', [root / 'data'], '--out')
    for path, message in (('hard.pth', 'exists already'), ('loop', 'exists already'), ('data/new.json', 'lies inside')):
        with pytest.raises(OutputError, match=f'--out .*{message}'):
            check_new_file(root / path, [root / 'data/masks', root / 'data'] if 'new' in path else [], '--out')


def test_a_staged_folder_appears_whole_and_is_replaced_only_if_unchanged(tmp_path: Path):
    out = tmp_path / 'deep/out'
    for content in ('one', 'two'):
        with staged_folder(out, []) as work:
            assert not list(work.iterdir())
            (work / 'file.txt').write_text(content)
        assert (out / 'file.txt').read_text() == content
    with pytest.raises(FileNotFoundError), staged_folder(out, []) as work:
        (work / 'gone.txt').rename(work / 'file.txt')
    assert (out / 'file.txt').read_text() == 'two'
    assert [path.name for path in out.parent.iterdir()] == ['out']
    (out / 'file.txt').write_text('changed by somebody')
    with pytest.raises(OutputError, match='not as mmwsss has written'), staged_folder(out, []):
        pass
