"""Where the tools find configs."""

import copy

import pytest
from mmengine.config import Config

from mmwsss.utils.cli import find_config, read_config_file


def test_configs_of_mmwsss_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Config.fromfile(find_config('configs/_base_/default_runtime.py')).default_scope == 'mmwsss'


def test_unknown_config_names_places_and_likely_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'no config configs/toco/toco_vitb_voc.py: looked for') as caught:
        find_config('configs/toco/toco_vitb_voc.py')
    assert 'did you mean configs/toco/toco_vit-b_voc.py' in str(caught.value)


def test_texts_of_configs_are_not_formatted(monkeypatch):
    def format_code(*args, **kwargs):
        raise AssertionError('formatting takes seconds')

    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', format_code)
    cfg = read_config_file('configs/toco/toco_vit-micro_sample.py')
    for config in (cfg, copy.deepcopy(cfg)):
        assert Config.fromstring(config.pretty_text, '.py').model.to_dict() == cfg.model.to_dict()
