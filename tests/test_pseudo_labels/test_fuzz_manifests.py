"""Random manifests: whatever a manifest says, files that are not ours stay, inside and outside the folder."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from mmwsss.datasets.map_files import write_label_map
from mmwsss.pseudo_labels.folder import MANIFEST, LabelFolder
from mmwsss.utils import OutputError, claim_folder, file_hash
from mmwsss.utils.outputs import FILES

from ..fuzzing import DAMAGE, damaged, fuzz

# isort: split

from hypothesis import given
from hypothesis import strategies as st

NAMES = st.sampled_from(['a', 'mine', 'sub/mine', '../outside', '/etc/passwd', '', '.', '..', 'C:\\a', 'a\0b',
                         'b' * 300])
VALUES = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), NAMES),
                      lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
                      max_leaves=8)
MANIFESTS = st.one_of(
    VALUES,
    st.fixed_dictionaries(dict(
        settings=st.one_of(st.just({'threshold': .5}), VALUES),
        outputs=st.one_of(st.dictionaries(NAMES, st.sampled_from(['npz', 'png', '../x'])), VALUES),
        images=st.one_of(st.lists(NAMES, max_size=4), VALUES))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds pictures which are not ours, beside others that lie outside."""
    for name in ('out/mine.png', 'out/sub/mine.png', 'outside.png', 'out/cams/mine.npz'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_label_map(np.zeros((2, 2), np.uint8), tmp_path / name) if name.endswith('png') else (
            tmp_path / name).write_bytes(b'mine')
    return tmp_path / 'out'


def contents(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): file_hash(path) for path in root.rglob('*')
            if path.is_file() and path.name not in (MANIFEST, FILES)}


def check_labels_folder(folder: Path, overwrite: bool) -> None:
    before = contents(folder.parent)
    with suppress(OutputError, ValueError):
        LabelFolder(folder, {'threshold': .4}, {'cams': 'npz'}).prepare(['a'], overwrite=overwrite)
    assert contents(folder.parent) == before


@fuzz
@given(content=MANIFESTS, overwrite=st.booleans())
def test_manifests_of_labels(folder, content, overwrite):
    (folder / MANIFEST).write_text(json.dumps(content))
    check_labels_folder(folder, overwrite)


@fuzz
@given(damage=DAMAGE, overwrite=st.booleans())
def test_damaged_manifests_of_labels(folder, damage, overwrite):
    whole = json.dumps(dict(settings={'threshold': .5}, outputs={'cams': 'npz'}, images=['mine', 'a']), indent=1)
    (folder / MANIFEST).write_bytes(damaged(whole.encode(), damage))
    check_labels_folder(folder, overwrite)


@fuzz
@given(content=st.one_of(VALUES, st.fixed_dictionaries(dict(files=st.dictionaries(NAMES, NAMES, max_size=3)))))
def test_manifests_of_predictions(folder, content):
    before = contents(folder.parent)
    (folder / FILES).write_text(json.dumps(content))
    with pytest.raises(OutputError, match=r'damaged|not as mmwsss has written them'):
        claim_folder(folder, [])
    assert contents(folder.parent) == before


def test_an_honest_manifest_is_taken(tmp_path):
    """The other tests could pass because everything is refused."""
    folder = LabelFolder(tmp_path / 'out', {'threshold': .5})
    folder.prepare(['a'])
    folder.prepare(['a', 'b'])
    shutil.rmtree(tmp_path / 'out')
