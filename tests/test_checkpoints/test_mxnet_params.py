import struct

import numpy as np
import pytest
import torch

from mmwsss.checkpoints import is_mxnet_params, read_mxnet_params

from ..mxnet_files import array_bytes, write_params

ARRAYS = {
    'arg:conv_weight': np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) - 5,
    'arg:fc_bias': np.array([1.5, -2, 1e30]),
    'aux:bn_moving_mean': np.array([[0.5, 65504]], np.float16),
    'arg:ids': np.array([3, -2**40]),
    'arg:bytes': np.array([0, 255], np.uint8),
    'arg:nothing': np.zeros((0, 3), np.float32)}


@pytest.mark.parametrize('version', [0, 1, 2])
def test_arrays_come_back(tmp_path, version):
    path = write_params(tmp_path / 'net.params', ARRAYS, version)
    assert is_mxnet_params(path)
    found = read_mxnet_params(path)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert torch.equal(found[name], torch.from_numpy(array)), name
        assert found[name].dtype == torch.from_numpy(array).dtype


def test_bytes_of_a_known_file():
    """The oldest format, spelled out."""
    expected = bytes.fromhex('02000000' '01000000' '02000000' '01000000' '00000000' '00000000' '0000803f' '00000040')
    assert array_bytes(np.array([[1, 2]], np.float32), version=0) == expected


@pytest.mark.parametrize('version', [0, 1, 2])
def test_every_cut_is_noticed(tmp_path, version):
    whole = write_params(tmp_path / 'net.params', {'arg:a': np.ones((2, 3)), 'arg:b': np.ones(1)}, version).read_bytes()
    for length in range(8, len(whole)):
        (tmp_path / 'cut.params').write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r'cut\.params is cut off or damaged: \d+ more bytes'):
            read_mxnet_params(tmp_path / 'cut.params')
    (tmp_path / 'long.params').write_bytes(whole + b'\0')
    with pytest.raises(ValueError, match='goes on after its list of 2 names'):
        read_mxnet_params(tmp_path / 'long.params')


def header(*arrays):
    return struct.pack('<QQQ', 0x112, 0, len(arrays)) + b''.join(arrays) + struct.pack('<Q', 0)


DENSE = array_bytes(np.ones(2, np.float32), 2)


@pytest.mark.parametrize(('content', 'message'), [
    (b'', 'no MXNet .params file'),
    (b'PK\x03\x04' + bytes(40), r'no MXNet .params file: it does not begin with 0x112'),
    (header(struct.pack('<Iiq', 0xF993FAC9, 1, 1)), r"sparse array \(storage type 1\).*tostype\('default'\)"),
    (header(struct.pack('<I', 0xF993FACA)), 'an array of 4187224778 dimensions'),
    (header(struct.pack('<IIq', 0xF993FAC8, 1, -1)), r'an array of the shape \[-1\]'),
    (header(struct.pack('<I', 0)), 'an empty array'),
    (header(struct.pack('<IIiii', 1, 1, 1, 0, 99)), r'unknown element type 99; known are 0 \(float32\)'),
    (header(struct.pack('<IIqiii', 0xF993FAC8, 1, 2**62, 1, 0, 0)), 'cut off or damaged: 18446744073709551616 more'),
    (header(DENSE, DENSE), '2 arrays and 0 different names'),
])
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / 'some.params').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_mxnet_params(tmp_path / 'some.params')


def test_names_must_differ(tmp_path):
    name = struct.pack('<Q', 1) + b'a'
    (tmp_path / 'two.params').write_bytes(header(DENSE, DENSE)[:-8] + struct.pack('<Q', 2) + 2 * name)
    with pytest.raises(ValueError, match='2 arrays and 1 different names'):
        read_mxnet_params(tmp_path / 'two.params')


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.params'):
        read_mxnet_params(tmp_path / 'nowhere.params')
