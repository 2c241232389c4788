"""tools/gallery.py: a page of photographs, masks and scores, looked at in a real browser."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmwsss.analysis import GalleryItem, PhotoQuality, count_parts, judge_photo, label_agreement, write_gallery
from mmwsss.datasets import ImageLabels
from mmwsss.datasets.map_files import write_label_map
from mmwsss.utils import OutputError, claim_folder, seal_folder
from mmwsss.utils.errors import UserError
from tests.helpers import call_tool

CLASSES = ('background', 'cat', 'dog')


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """A headless Chromium; skips where there is none."""
    selenium = pytest.importorskip('selenium.webdriver', reason='selenium is not installed')
    programs = [shutil.which(name) for name in ('chromium', 'chromedriver')]
    if not all(programs):
        pytest.skip('chromium or chromedriver is not installed (Debian: chromium, chromium-driver)')
    options = selenium.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ('--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-sync',
                     '--disable-background-networking', '--disable-component-update', '--window-size=1300,900',
                     f'--user-data-dir={tmp_path / "profile"}'):
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    driver = selenium.Chrome(options, selenium.ChromeService(programs[1]))
    yield driver
    driver.quit()


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    """A folder as ``tools/predict.py`` writes it: a cat, a dog, both, and an empty mask; the photographs are red."""
    folder = tmp_path / 'predictions'
    images = []
    for k, values in enumerate(([1], [2], [1, 2], [])):
        photo, mask = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8)
        photo[..., 0] = 200
        for value in values:
            mask[10:30, 20 * value - 10:20 * value + 5] = value
        path = tmp_path / f'photos/p{k}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(photo).save(path)
        write_label_map(mask, folder / f'masks/p{k}.png')
        scores = {'cat': .9 if 1 in values else .1, 'dog': .8 if 2 in values else .2}
        images.append({'id': f'p{k}', 'path': str(path), 'mask': f'masks/p{k}.png', 'scores': scores, 'objects': []})
    content = {'classes': list(CLASSES), 'palette': [[0, 0, 0], [0, 255, 0], [0, 0, 255]], 'images': images}
    (folder / 'predictions.json').write_text(json.dumps(content))
    seal_folder(folder)
    return folder


def shown(browser: Any) -> list[str]:
    return [card.get_attribute('data-id') for card in browser.find_elements('class name', 'card')]


def choose(browser: Any, name: str, value: str) -> None:
    browser.execute_script('const one = document.getElementById(arguments[0]); one.value = arguments[1];'
                           'one.dispatchEvent(new Event("input"));', name, value)


def test_page_in_a_browser(predicted: Path, browser: Any, tmp_path: Path):
    tags = ImageLabels(CLASSES[1:], {'p0': ['cat'], 'p1': ['dog'], 'p2': ['cat', 'dog'], 'p3': ['cat']})
    tags.save(tmp_path / 'tags.json')
    call_tool('tools/gallery.py', predicted, '--tags', tmp_path / 'tags.json', '--flag', tmp_path / 'review.txt')
    assert (tmp_path / 'review.txt').read_text() == 'p3\n'
    claim_folder(predicted, [])  # the page belongs to the folder, which stays ours
    browser.get((predicted / 'gallery.html').as_uri())
    assert shown(browser) == ['p3', 'p0', 'p1', 'p2']  # the most suspicious first
    flagged = browser.find_element('css selector', '[data-id=p3]').text
    assert 'the mask is empty' in flagged
    assert 'the classifier doubts cat (0.10)' in flagged
    choose(browser, 'class', 'dog')
    assert shown(browser) == ['p1', 'p2']
    choose(browser, 'sort', 'area')
    assert shown(browser) == ['p2', 'p1']
    choose(browser, 'class', '')
    choose(browser, 'flag', 'empty')
    assert shown(browser) == ['p3']
    choose(browser, 'flag', '')
    choose(browser, 'search', 'P1')
    assert shown(browser) == ['p1']
    assert browser.find_element('id', 'count').text == '1 of 4 photographs'
    sizes = browser.execute_script('return [...document.images].map(one => one.naturalWidth)')
    assert sizes[:2] == [60, 60]
    browser.save_screenshot(str(tmp_path / 'page.png'))
    picture = np.array(Image.open(tmp_path / 'page.png').convert('RGB')).reshape(-1, 3).astype(int)
    assert (np.abs(picture - [200, 0, 0]).max(1) < 12).sum() > 5000  # the photograph is on the screen
    assert [entry for entry in browser.get_log('browser') if entry['level'] == 'SEVERE'] == []


def test_many_photographs_are_added_while_scrolling(browser: Any, tmp_path: Path):
    image, labels = np.full((8, 8, 3), 90, np.uint8), np.zeros((8, 8), np.uint8)
    items = (GalleryItem(f'</script>{k:04d}', image, labels, PhotoQuality()) for k in range(5000))
    assert write_gallery(items, tmp_path / 'page.html', CLASSES, [[0, 0, 0]] * 3) == 5000
    browser.get((tmp_path / 'page.html').as_uri())
    assert browser.find_element('id', 'count').text == '5000 of 5000 photographs'
    first = len(shown(browser))
    assert 60 <= first <= 240
    browser.execute_script('window.scrollTo(0, document.body.scrollHeight)')
    browser.implicitly_wait(5)
    browser.find_element('css selector', f'.card:nth-child({first + 10})')
    assert browser.get_log('browser') == []


def test_label_maps_with_a_folder_of_photographs(predicted: Path, tmp_path: Path, capsys):
    (tmp_path / 'classes.txt').write_text('cat\ndog\n')
    call_tool('tools/gallery.py', predicted / 'masks', '--images', tmp_path / 'photos', '--classes',
              tmp_path / 'classes.txt', '--out', tmp_path / 'page.html')
    assert '4 photographs in' in capsys.readouterr().out
    (tmp_path / 'photos/p2.png').unlink()
    with pytest.raises(FileNotFoundError, match='1 label maps in .* have no photograph in .*p2'):
        call_tool('tools/gallery.py', predicted / 'masks', '--images', tmp_path / 'photos', '--classes',
                  tmp_path / 'classes.txt', '--out', tmp_path / 'page.html')
    with pytest.raises(UserError, match='name them with --classes'):
        call_tool('tools/gallery.py', predicted / 'masks')
    with pytest.raises(OutputError, match='must not overwrite'):
        call_tool('tools/gallery.py', predicted, '--flag', predicted / 'predictions.json')


LABELS = np.zeros((50, 100), np.uint8)
LABELS[10:40, 10:60] = 1


@pytest.mark.parametrize(('labels', 'scores', 'tags', 'flags'), [
    (LABELS, None, None, set()),
    (LABELS, {'cat': .9, 'dog': .1}, ['cat'], set()),
    (LABELS * 0, {'cat': .9}, ['cat'], {'empty'}),
    (LABELS * 0 + 1, None, None, {'full'}),
    (LABELS, {'cat': .4, 'dog': .1}, None, {'unsure'}),
    (LABELS, {'cat': .9, 'dog': .2}, ['cat', 'dog'], {'missing', 'doubted'}),
    (LABELS, {'cat': .9, 'dog': .95}, ['cat'], {'untagged'}),
    (np.kron(np.eye(10, dtype=np.uint8)[:, [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]], np.pad(np.ones((3, 3), np.uint8), 1)),
     None, None, {'parts'}),
])
def test_what_looks_wrong(labels: np.ndarray, scores: dict, tags: list, flags: set):
    quality = judge_photo(labels, CLASSES, scores, tags)
    assert set(quality.flags) == flags
    assert (quality.suspicion > 0) == bool(flags)
    assert quality.suspicion <= 1


def test_doubts_of_held_out_predictions_replace_those_of_the_scores():
    quality = judge_photo(LABELS, CLASSES, {'cat': .1}, ['cat'], doubts={})
    assert not quality.flags
    quality = judge_photo(LABELS, CLASSES, {'cat': .9}, ['cat'], {'wrong': {'cat': .05}, 'missing': {'dog': .6}})
    assert quality.flags == {'doubted': 'the classifier doubts cat (0.05)', 'untagged': 'not tagged, but likely: '
                             'dog (0.60)'}
    assert quality.suspicion == pytest.approx(1 - .05 * .4)


def test_views_that_disagree_are_suspicious():
    assert judge_photo(LABELS, CLASSES, agreement={'mirrored': .9, 'smaller': .6}).suspicion == 0
    quality = judge_photo(LABELS, CLASSES, agreement={'mirrored': .9, 'smaller': .2})
    assert quality.flags == {'unsteady': 'the mask of the smaller view agrees by 20 % only'}


def test_agreement_of_label_maps():
    first = np.array([[0, 1, 1, 2], [0, 1, 1, 255]])
    second = np.array([[0, 1, 0, 2], [0, 1, 1, 2]])
    assert label_agreement(first, second, 3) == pytest.approx((3 / 4 + 1) / 2)
    assert label_agreement(first, first, 3) == 1
    assert label_agreement(first * 0, first * 0, 3) == 1
    assert label_agreement(first, first * 0, 3) == 0
    with pytest.raises(ValueError, match='differ in size'):
        label_agreement(first, first[:1], 3)


def test_parts_and_areas():
    region = np.zeros((100, 100), bool)
    region[:10, :10] = region[50:60, 50:60] = region[90, 90] = True  # a speck is no part
    assert count_parts(region) == 2
    quality = judge_photo(region.astype(np.uint8) * 2, CLASSES)
    assert quality.parts == {'dog': 2}
    assert quality.areas == {'dog': pytest.approx(.0201)}
