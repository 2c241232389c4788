"""Sizes of pictures: one convention for photographs, whoever reads them."""

import os

import mmcv
import numpy as np
import pytest
from PIL import Image

from mmwsss.utils import image_size, mask_size, missing_files, read_photo, why_unreadable
from mmwsss.utils.images import cv2_turns

ORIENTATION = 0x0112
# OpenCV before 4.12 ignores the orientation of WebP files.
KINDS = ['jpg', 'tif', *(kind for kind in ('png', 'webp') if cv2_turns(kind.upper()))]


def save_turned(path, orientation, size=(40, 20)):
    """Save a picture of 40 x 20 stored pixels with an EXIF orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.new('RGB', size, (200, 30, 30)).save(path, exif=exif)


@pytest.mark.parametrize('suffix', KINDS)
@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_size_is_that_of_the_decoded_picture(tmp_path, suffix, orientation, backend):
    path = tmp_path / f'a.{suffix}'
    save_turned(path, orientation)
    expected = mmcv.imfrombytes(path.read_bytes(), backend=backend).shape[:2]
    assert image_size(path) == expected == ((40, 20) if orientation >= 5 else (20, 40))


@pytest.mark.parametrize('suffix', KINDS)
@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_photo_is_read_as_mmcv_reads_it(tmp_path, suffix, orientation):
    colors = np.zeros((20, 40, 3), np.uint8)
    colors[:10, :20] = 255, 30, 90
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(colors).save(tmp_path / f'a.{suffix}', exif=exif)
    expected = mmcv.imread(tmp_path / f'a.{suffix}', channel_order='rgb').astype(int)
    found = read_photo(tmp_path / f'a.{suffix}')
    assert found.shape[:2] == image_size(tmp_path / f'a.{suffix}')
    assert np.abs(found - expected).mean() < 5


@pytest.mark.parametrize('suffix', ['png', 'webp'])
def test_a_picture_that_cv2_would_not_turn_is_refused(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr('mmwsss.utils.images.cv2_turns', lambda kind: False)
    save_turned(tmp_path / f'a.{suffix}', 6)
    with pytest.raises(ValueError, match=rf'a\.{suffix} is stored with another orientation.*{suffix.upper()} files'):
        image_size(tmp_path / f'a.{suffix}')
    save_turned(tmp_path / f'a.{suffix}', 1)
    assert image_size(tmp_path / f'a.{suffix}') == (20, 40)


@pytest.mark.parametrize(('mode', 'suffix'), [
    ('L', 'png'), ('P', 'png'), ('1', 'png'), ('I;16', 'png'), ('RGB', 'png'), ('RGBA', 'png'), ('CMYK', 'jpg')])
def test_sizes_in_every_mode(tmp_path, mode, suffix):
    path = tmp_path / f'a.{suffix}'
    Image.new(mode, (7, 3)).save(path)
    assert image_size(path) == (3, 7)
    if mode in ('L', 'P', '1', 'I;16'):
        assert mask_size(path) == (3, 7)
    else:
        with pytest.raises(ValueError, match=rf'a\.{suffix} is a {mode} picture'):
            mask_size(path)


@pytest.mark.parametrize('size', [(1, 1), (20000, 10), (2, 3)])
def test_odd_sizes(tmp_path, size):
    Image.new('RGB', size).save(tmp_path / 'a.png')
    assert image_size(tmp_path / 'a.png') == size[::-1]
    assert why_unreadable(tmp_path / 'a.png') is None


@pytest.fixture
def broken(tmp_path):
    """A folder of things that are called .jpg and are no pictures."""
    save_turned(tmp_path / 'whole.jpg', 1)
    (tmp_path / 'empty.jpg').touch()
    (tmp_path / 'text.jpg').write_text('no picture')
    (tmp_path / 'cut.jpg').write_bytes((tmp_path / 'whole.jpg').read_bytes()[:-40])
    (tmp_path / 'folder.jpg').mkdir()
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'broken_link.jpg').symlink_to(tmp_path / 'nowhere')
    (tmp_path / 'link.jpg').symlink_to(tmp_path / 'whole.jpg')
    return tmp_path


@pytest.mark.parametrize(('name', 'message'), [
    ('empty', 'cannot be read'), ('text', 'cannot be read'), ('folder', 'not a regular file'),
    ('pipe', 'not a regular file'), ('broken_link', 'does not exist'), ('lost', 'does not exist')])
def test_what_is_no_picture_is_named(broken, name, message):
    for size in (image_size, mask_size):
        with pytest.raises((ValueError, FileNotFoundError), match=rf'{name}\.jpg.*{message}'):
            size(broken / f'{name}.jpg')
    assert f'{name}.jpg' in why_unreadable(broken / f'{name}.jpg')


def test_cut_pictures_are_found_by_decoding(broken):
    assert 'cut.jpg' in why_unreadable(broken / 'cut.jpg')
    assert why_unreadable(broken / 'link.jpg') is None


def test_pipes_folders_and_broken_links_count_as_missing(broken):
    names = ('whole', 'link', 'folder', 'pipe', 'broken_link', 'lost')
    missing = missing_files([broken / f'{name}.jpg' for name in names])
    assert [os.path.basename(path) for path in missing] == [f'{name}.jpg' for name in names[2:]]


def test_oversized_pictures_name_the_setting(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / 'a.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    with pytest.raises(ValueError, match=r'a\.png cannot be read: .*MAX_IMAGE_PIXELS'):
        image_size(tmp_path / 'a.png')
    assert 'MAX_IMAGE_PIXELS' in why_unreadable(tmp_path / 'a.png')
