import collections
import io
import os
import pickle
import re

import numpy as np
import pytest

from mmwsss.datasets import load_pickled_npy


def npy_with_payload(path, payload):
    """Write an .npy whose header says "one object" and whose data is the given pickle."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, dict(descr='|O', fortran_order=False, shape=()))
    path.write_bytes(header.getvalue() + payload)
    return path


class Calls:
    """Pickles into a call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('protocol', [0, 1, 2, 3, 4])
def test_reads_what_the_community_saves(tmp_path, protocol):
    table = collections.OrderedDict({
        '2007_000032': np.array([1, 0], np.float32), 2007000033: np.array([0, 1], np.uint8),
        np.int64(5): [np.float64(1), 0], 'set': {1}, b'bytes': (1, None, True)})
    path = npy_with_payload(tmp_path / 'x.npy', pickle.dumps(np.array(table, dtype=object), protocol=protocol))
    loaded = load_pickled_npy(path)
    assert list(loaded) == list(table)
    assert loaded['2007_000032'].tolist() == [1, 0]
    assert loaded['2007_000032'].dtype == np.float32
    assert loaded[5] == [1, 0]


def test_reads_numpys_own_file(tmp_path):
    np.save(tmp_path / 'x.npy', {'a': np.ones(3), 'b': np.int32(2)})
    loaded = load_pickled_npy(tmp_path / 'x.npy')
    assert loaded.keys() == {'a', 'b'}
    assert loaded['a'].tolist() == [1, 1, 1]
    assert loaded['b'] == 2
    np.save(tmp_path / 'plain.npy', np.arange(3))
    assert load_pickled_npy(tmp_path / 'plain.npy').tolist() == [0, 1, 2]


@pytest.mark.parametrize('package', [b'numpy.core', b'numpy._core'])
def test_names_of_every_numpy_are_known(tmp_path, package):
    payload = pickle.dumps(np.array({'a': np.ones(2)}, dtype=object), protocol=2)
    renamed = re.sub(rb'numpy\._?core\.multiarray', package + b'.multiarray', payload)
    assert package + b'.multiarray' in renamed
    path = npy_with_payload(tmp_path / 'x.npy', renamed)
    assert load_pickled_npy(path)['a'].tolist() == [1, 1]


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
@pytest.mark.parametrize(('function', 'args', 'name'), [
    (os.system, ('touch {target}', ), r'(posix|os|nt)\.system'),
    (eval, ('open({target!r}, "w")', ), r'(builtins|__builtin__)\.eval'),
    (getattr, ('', 'upper'), r'(builtins|__builtin__)\.getattr'),
    (pickle.loads, (b'', ), r'_?pickle\.loads'),
    (np.load, ('{target}', ), r'numpy.*\.load'),
    (collections.defaultdict, (list, ), r'collections\.defaultdict|builtin.*\.list'),
])
def test_anything_else_is_refused_by_name_and_not_run(tmp_path, function, args, name, protocol):
    target = tmp_path / 'pwned'
    args = tuple(a.format(target=str(target)) if isinstance(a, str) else a for a in args)
    payload = pickle.dumps({'a': Calls(function, *args)}, protocol=protocol)
    with pytest.raises(ValueError, match=f'refused.*{name}'):
        load_pickled_npy(npy_with_payload(tmp_path / 'x.npy', payload))
    assert not target.exists()


def test_other_classes_are_refused(tmp_path):
    payload = pickle.dumps({'a': collections.Counter('ab')})
    with pytest.raises(ValueError, match=r'collections\.Counter'):
        load_pickled_npy(npy_with_payload(tmp_path / 'x.npy', payload))


def test_dotted_names_do_not_reach_through(tmp_path):
    # Protocol 4 may ask for 'ndarray.tofile' or the like inside an allowed module.
    payload = b'\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.'
    with pytest.raises(ValueError, match=r'numpy\.ndarray\.tofile'):
        load_pickled_npy(npy_with_payload(tmp_path / 'x.npy', payload))


def test_persistent_ids_and_odd_codecs_are_refused(tmp_path):
    with pytest.raises(ValueError, match='outside the file'):
        load_pickled_npy(npy_with_payload(tmp_path / 'x.npy', b'\x80\x02K\x01Q.'))
    payload = b'\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00zipt R.'.replace(b't R', b'tR')
    with pytest.raises(ValueError, match="codec 'zip'"):
        load_pickled_npy(npy_with_payload(tmp_path / 'x.npy', payload))


def test_damaged_and_foreign_files_are_named(tmp_path):
    path = tmp_path / 'x.npy'
    np.save(path, {'a': np.ones(100)})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r'x\.npy is damaged'):
        load_pickled_npy(path)
    path.write_bytes(b'nothing of the kind')
    with pytest.raises(ValueError, match=r'x\.npy is not a NumPy'):
        load_pickled_npy(path)
    with pytest.raises(FileNotFoundError, match=r'lost\.npy'):
        load_pickled_npy(tmp_path / 'lost.npy')
