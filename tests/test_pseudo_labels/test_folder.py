import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsss.datasets.map_files import read_note, write_cams, write_label_map
from mmwsss.pseudo_labels.folder import LabelFolder, label_note
from mmwsss.utils import OutputError

IDS = ['a', 'sub/b', 'c']


def make_folder(path: Path, save_cams: bool = False, ids: tuple = ('a', 'sub/b'), **settings: object) -> LabelFolder:
    """A prepared folder with the files of two images."""
    folder = LabelFolder(path, {'threshold': .5} | settings, {'cams': 'npz', 'crf_1': 'npz'} if save_cams else {})
    folder.prepare(IDS)
    write_images(folder, ids)
    return folder


def write_images(folder: LabelFolder, ids: tuple) -> None:
    """Write the files of some images."""
    for image_id in ids:
        paths, labels = folder.output_paths(image_id).values(), np.eye(8, dtype=np.uint8)
        for path in paths:
            write_cams(np.random.default_rng(0).random((1, 8, 8)), [0], (8, 8), path)
        note = label_note(folder.origin, labels, [zlib.crc32(path.read_bytes()) for path in paths])
        write_label_map(labels, folder.label_path(image_id), note=note)


def test_finished_images_are_counted_and_others_are_not(tmp_path: Path):
    folder = make_folder(tmp_path / 'out')
    counts = {image_id: folder.pixel_counts(image_id) for image_id in IDS}
    assert counts['a'].tolist() == counts['sub/b'].tolist() == [56, 8] + [0] * 254
    assert counts['c'] is None


@pytest.mark.parametrize('kept', [0, 10, -1])
def test_damaged_files_have_to_be_made_again(tmp_path: Path, kept: int):
    for save_cams, suffix in ((False, 'png'), (True, 'png'), (True, 'npz')):
        folder = make_folder(tmp_path / f'{save_cams}{suffix}', save_cams)
        path = folder.label_path('a') if suffix == 'png' else folder.output_paths('a')['crf_1']
        assert folder.pixel_counts('a') is not None
        path.write_bytes(path.read_bytes()[:kept])
        assert folder.pixel_counts('a') is None
        path.unlink()
        assert folder.pixel_counts('a') is None


def test_a_flipped_bit_anywhere_is_found(tmp_path: Path):
    folder = make_folder(tmp_path, save_cams=True)
    for path in (folder.label_path('a'), *folder.output_paths('a').values()):
        whole = path.read_bytes()
        for position in range(0, len(whole), 37):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1:])
            assert folder.pixel_counts('a') is None, (path, position)
        path.write_bytes(whole)
    assert folder.pixel_counts('a') is not None


def test_labels_are_replaced_one_by_one(tmp_path: Path):
    make_folder(tmp_path, save_cams=True)
    newer = LabelFolder(tmp_path, {'threshold': .4})
    newer.prepare(IDS, refresh=True)
    assert newer.label_path('a').is_file()
    assert newer.pixel_counts('a') is None
    write_images(newer, ('a', ))
    again = LabelFolder(tmp_path, {'threshold': .4})
    again.prepare(IDS, refresh=True)
    assert [again.pixel_counts(image_id) is None for image_id in ('a', 'sub/b')] == [False, True]
    assert json.loads((tmp_path / 'pseudo_labels.json').read_text())['settings'] == {'threshold': .5}
    write_images(again, ('sub/b', ))
    again.finish()
    assert json.loads((tmp_path / 'pseudo_labels.json').read_text())['settings'] == {'threshold': .4}
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*') if path.is_file()}
    assert files == {'a.png', 'sub/b.png', 'pseudo_labels.json'}


def files_of(folder: Path) -> set:
    return {str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('killed', [False, True])
@pytest.mark.parametrize('back', [False, True])
def test_a_refresh_with_another_format_leaves_no_files_of_the_former(tmp_path: Path, killed: bool, back: bool):
    first = LabelFolder(tmp_path, {'format': 'npz'}, {'cams': 'npz'})
    first.prepare(IDS)
    write_images(first, IDS)
    newer = LabelFolder(tmp_path, {'format': 'npy'}, {'cams': 'npy'})
    newer.prepare(IDS, refresh=True)
    write_images(newer, ('a', ))
    assert {'cams/a.npz', 'cams/a.npy', 'cams/c.npz'} <= files_of(tmp_path)
    if killed:
        newer = LabelFolder(tmp_path, {'format': 'npy'}, {'cams': 'npy'})
        newer.prepare(IDS, refresh=True)
    if back:
        newer = LabelFolder(tmp_path, {'format': 'other npz'}, {'cams': 'npz'})
        newer.prepare(IDS, refresh=True)
    write_images(newer, IDS)
    newer.finish()
    suffix = 'npz' if back else 'npy'
    assert files_of(tmp_path) == {'a.png', 'sub/b.png', 'c.png', 'pseudo_labels.json', f'cams/a.{suffix}',
                                  f'cams/sub/b.{suffix}', f'cams/c.{suffix}'}
    assert all(newer.pixel_counts(image_id) is not None for image_id in IDS)


def test_files_of_a_killed_refresh_are_removed_with_the_others(tmp_path: Path):
    first = LabelFolder(tmp_path, {'format': 'npz'}, {'cams': 'npz'})
    first.prepare(IDS)
    write_images(first, IDS)
    newer = LabelFolder(tmp_path, {'format': 'npy'}, {'cams': 'npy'})
    newer.prepare(IDS, refresh=True)
    write_images(newer, ('a', ))
    LabelFolder(tmp_path, {'format': 'none'}).prepare(IDS, overwrite=True)
    assert files_of(tmp_path) == {'pseudo_labels.json'}


def test_the_same_settings_go_on_and_leftovers_go(tmp_path: Path):
    folder = make_folder(tmp_path)
    (tmp_path / 'sub/.b.0123456789ab.png').write_bytes(b'half')
    (tmp_path / '.keep').write_bytes(b'mine')
    again = LabelFolder(tmp_path, {'threshold': .5})
    again.prepare(IDS)
    assert again.pixel_counts('a') is not None
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*') if path.is_file()}
    assert files == {'a.png', 'sub/b.png', '.keep', 'pseudo_labels.json'}
    assert json.loads((tmp_path / 'pseudo_labels.json').read_text())['settings'] == folder.settings


def test_other_settings_are_refused_or_replaced(tmp_path: Path):
    make_folder(tmp_path, save_cams=True, post='crf')
    other = LabelFolder(tmp_path, {'threshold': .4, 'post': 'crf', 'classes': ['x' * 99]})
    with pytest.raises(ValueError, match=r'threshold is 0.5 there and 0.4 now, classes is null .*--overwrite'):
        other.prepare(IDS)
    assert (tmp_path / 'a.png').exists()
    other.prepare(IDS, overwrite=True)
    assert [path.name for path in tmp_path.rglob('*') if path.is_file()] == ['pseudo_labels.json']
    make_folder(tmp_path, **other.settings)


@pytest.mark.parametrize('flags', [{}, {'overwrite': True}, {'refresh': True}])
def test_a_folder_of_unknown_origin_is_refused(tmp_path: Path, flags: dict):
    for name in ('a', 'other'):
        write_label_map(np.zeros((2, 2)), tmp_path / f'{name}.png')
    with pytest.raises(OutputError, match="holds 2 files or folders, but no pseudo_labels.json.*'a.png'.*new or an"):
        LabelFolder(tmp_path, {'threshold': .5}).prepare(IDS, **flags)
    assert {path.name for path in tmp_path.iterdir()} == {'a.png', 'other.png'}


@pytest.mark.parametrize('content', ['{"sett', '{"settings": {}}', '[]'])
def test_a_damaged_manifest_is_no_license(tmp_path: Path, content: str):
    folder = make_folder(tmp_path)
    (tmp_path / 'pseudo_labels.json').write_text(content)
    for flags in ({}, {'overwrite': True}, {'refresh': True}):
        with pytest.raises(OutputError, match='damaged, or from an earlier version'):
            folder.prepare(IDS, **flags)
    assert (tmp_path / 'a.png').is_file()


def test_only_what_the_manifest_names_is_removed(tmp_path: Path):
    make_folder(tmp_path, save_cams=True)
    kept = [tmp_path / name for name in ('mine.png', 'cams/mine.npz', 'sub/mine.png', '.a.0123456789ab.txt',
                                         '.mine.0123456789ab.png')]
    for path in kept:
        path.write_bytes(b'mine')
    LabelFolder(tmp_path, {'threshold': .4}).prepare(IDS, overwrite=True)
    files = {path for path in tmp_path.rglob('*') if path.is_file()}
    assert files == {*kept, tmp_path / 'pseudo_labels.json'}


@pytest.mark.parametrize('name', ['a.png', 'cams/a.npz'])
def test_files_that_somebody_changed_are_not_removed(tmp_path: Path, name: str):
    make_folder(tmp_path, save_cams=True)
    if name.endswith('png'):
        write_label_map(np.ones((8, 8)), tmp_path / name, note=read_note(tmp_path / name))
    else:
        write_cams(np.ones((1, 8, 8)), [0], (8, 8), tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    with pytest.raises(OutputError, match=f"1 files in .* were changed .*'{name}'"):
        LabelFolder(tmp_path, {'threshold': .4}).prepare(IDS, overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()} == before


def picture_of(mode: str, path: Path) -> None:
    """Write a picture of somebody else; a label map with mode P."""
    if mode == 'P':
        write_label_map(np.ones((8, 8)), path)
    else:
        Image.new(mode, (8, 8)).save(path, 'JPEG' if mode == 'CMYK' else 'PNG')


@pytest.mark.parametrize('mode', ['P', 'RGB', 'RGBA', 'LA', 'I;16', 'CMYK'])
def test_a_label_map_that_somebody_changed_is_not_replaced(tmp_path: Path, mode: str):
    folder = make_folder(tmp_path)
    picture_of(mode, tmp_path / 'a.png')
    before = (tmp_path / 'a.png').read_bytes()
    with pytest.raises(OutputError, match='a.png was changed since'):
        folder.pixel_counts('a')
    with pytest.raises(OutputError, match="1 files in .* were changed .*'a.png'"):
        LabelFolder(tmp_path, {'threshold': .4}).prepare(IDS, overwrite=True)
    assert (tmp_path / 'a.png').read_bytes() == before


@pytest.mark.parametrize('flags', [{'overwrite': True}, {'refresh': True}])
def test_files_in_the_place_of_a_new_output_are_not_replaced(tmp_path: Path, flags: dict):
    make_folder(tmp_path)
    (tmp_path / 'cams/sub').mkdir(parents=True)
    for name in ('cams/a.npz', 'cams/sub/b.npz'):
        (tmp_path / name).write_bytes(b'mine')
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    with pytest.raises(OutputError, match="2 of the files that are to be made.*does not name them: 'cams/a.npz'"):
        LabelFolder(tmp_path, {'threshold': .5, 'cams': 1}, {'cams': 'npz'}).prepare(IDS, **flags)
    assert {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()} == before


def test_files_of_further_images_must_not_exist(tmp_path: Path):
    folder = make_folder(tmp_path)
    (tmp_path / 'new.png').write_bytes(b'by hand')
    for flags in ({}, {'overwrite': True}, {'refresh': True}):
        with pytest.raises(OutputError, match="1 of the files that are to be made.*does not name them: 'new.png'"):
            folder.prepare([*IDS, 'new'], **flags)
    (tmp_path / 'new.png').unlink()
    folder.prepare([*IDS, 'new'])
    assert json.loads((tmp_path / 'pseudo_labels.json').read_text())['images'] == ['a', 'c', 'new', 'sub/b']


@pytest.mark.parametrize('image_id', ['', '.', '..', '../evil', 'a/../../evil', '/tmp/evil', 'C:\\evil', 'C:evil',
                                      'a\\b', 'a//b', './a', 'a/.', 'a\0b'])
def test_ids_do_not_leave_the_folder(tmp_path: Path, image_id: str):
    folder = LabelFolder(tmp_path / 'out', {}, {'cams': 'npz'})
    for where in (folder.label_path, folder.output_paths, lambda one: folder.prepare(['a', one])):
        with pytest.raises(OutputError, match='cannot be the name of a file'):
            where(image_id)
    assert not (tmp_path / 'out/pseudo_labels.json').exists()


def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path):
    folder = make_folder(tmp_path / 'out', save_cams=True)
    shutil.rmtree(tmp_path / 'out/cams')
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'out/cams').symlink_to(tmp_path / 'photos')
    with pytest.raises(OutputError, match='a symbolic link leads to .*photos'):
        folder.output_paths('a')


def test_a_file_in_the_way_is_refused(tmp_path: Path):
    (tmp_path / 'out').write_text('')
    with pytest.raises(NotADirectoryError, match='out is a file'):
        LabelFolder(tmp_path / 'out', {}).prepare(IDS)


def test_runs_that_share_a_folder_leave_the_temporary_files_of_the_others(tmp_path: Path):
    first, second = (LabelFolder(tmp_path / 'out', {'threshold': .5}, {'cams': 'npz'}) for _ in range(2))
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/.pseudo_labels.0123456789ab.json').write_text('{"sett')
    first.join(IDS, ['a'])
    write_images(first, ('a', ))
    written = [first.path / f'{folder}.{name}.0123456789ab.{suffix}' for name in ('a', 'c', 'b')
               for folder, suffix in (('', 'png'), ('cams/', 'npz'), ('sub/', 'png'), ('cams/sub/', 'npz'))]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'half')
    second.join(IDS, ['c', 'sub/b'])
    gone = {str(path.relative_to(first.path)) for path in written if not path.exists()}
    assert gone == {'.c.0123456789ab.png', 'cams/.c.0123456789ab.npz', 'sub/.b.0123456789ab.png',
                    'cams/sub/.b.0123456789ab.npz'}
    assert first.pixel_counts('a') is not None
    write_images(second, ('sub/b', 'c'))
    assert all(first.pixel_counts(image_id) is not None for image_id in IDS)


def test_a_shared_folder_of_other_files_is_refused(tmp_path: Path):
    folder = LabelFolder(tmp_path, {'threshold': .5})
    (tmp_path / 'photo.jpg').write_bytes(b'photo')
    with pytest.raises(OutputError, match=r'photo\.jpg'):
        folder.join(IDS, ['a'])
    assert [path.name for path in tmp_path.iterdir()] == ['photo.jpg']


def test_a_shared_folder_whose_manifest_was_replaced_is_noticed(tmp_path: Path):
    folder = LabelFolder(tmp_path / 'out', {'threshold': .5})
    folder.join(IDS, ['a'])
    LabelFolder(tmp_path / 'out', {'threshold': .6}).prepare(IDS, overwrite=True)
    with pytest.raises(ValueError, match='threshold is 0.6 there and 0.5 now'):
        folder.require_settings(IDS)
    shutil.rmtree(tmp_path / 'out')
    with pytest.raises(OutputError, match='vanished'):
        folder.require_settings(IDS)
