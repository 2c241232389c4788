import json
import os

import pytest

from mmwsss.utils import atomic_path, missing_files, write_json, write_lines


def test_atomic_path_leaves_only_the_finished_file(tmp_path):
    dst = tmp_path / 'new' / 'a.png'
    with atomic_path(dst) as tmp:
        assert tmp.parent == dst.parent
        assert tmp.suffix == '.png'
        tmp.write_text('whole')
        assert not dst.exists()
    assert [p.name for p in dst.parent.iterdir()] == ['a.png']
    assert dst.read_text() == 'whole'


def test_atomic_path_keeps_the_old_file_on_error(tmp_path):
    dst = tmp_path / 'a.txt'
    dst.write_text('old')

    def stop_halfway():
        with atomic_path(dst) as tmp:
            tmp.write_text('half')
            raise RuntimeError('halfway')

    with pytest.raises(RuntimeError, match='halfway'):
        stop_halfway()
    assert [p.name for p in tmp_path.iterdir()] == ['a.txt']
    assert dst.read_text() == 'old'


def test_atomic_path_notices_that_nothing_was_written(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'a\.txt'), atomic_path(tmp_path / 'a.txt'):
        pass


def test_write_lines_and_json(tmp_path):
    write_lines(['a', 'ü'], tmp_path / 'l.txt')
    assert (tmp_path / 'l.txt').read_text(encoding='utf-8') == 'a\nü\n'
    write_json({'k': ['ü']}, tmp_path / 'd.json')
    assert json.loads((tmp_path / 'd.json').read_text(encoding='utf-8')) == {'k': ['ü']}


def test_missing_files_looks_into_each_folder_once(tmp_path, monkeypatch):
    (tmp_path / 'sub').mkdir()
    for name in ('a', 'sub/b'):
        (tmp_path / name).touch()
    wanted = [str(tmp_path / name) for name in ('z', 'a', 'sub/b', 'sub/a', 'nowhere/a')]
    calls = []
    scandir = os.scandir
    monkeypatch.setattr(os, 'scandir', lambda folder: calls.append(folder) or scandir(folder))
    assert missing_files(wanted) == [wanted[0], wanted[3], wanted[4]]
    assert sorted(calls) == [str(tmp_path), str(tmp_path / 'sub')]
    monkeypatch.chdir(tmp_path)
    assert missing_files(['a', 'b']) == ['b']
