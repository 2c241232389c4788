"""Reading a recipe: every mistake is one clear error."""

import pytest

from mmwsss.recipes import RecipeError, read_recipe, shorten_recipe

from ..helpers import write_config

TRAIN = dict(name='cam', kind='train', config='configs/mctformer/mctformer-v2_vit-micro_sample.py')


def read(tmp_path, *stages, **keys):
    return read_recipe(write_config(dict(title='Some', stages=list(stages), **keys), tmp_path / 'method/recipe.py'))


def test_defaults_and_name(tmp_path):
    recipe = read(tmp_path, TRAIN, dict(name='labels', kind='pseudo-labels', checkpoint='cam', args=['--high', 0.6]))
    assert recipe.name == 'method_recipe'
    assert recipe.data_root is None
    labels = recipe.stage('labels')
    assert labels.inputs == ('cam', )
    assert labels.args == ('--high', '0.6')
    assert recipe.stage('cam').report == ('*mIoU', )


def test_data_stages_come_first(tmp_path):
    data = dict(name='data', kind='script', script='train.py', outputs=['x'])
    assert [stage.name for stage in read(tmp_path, TRAIN, data=[data]).stages] == ['data', 'cam']


@pytest.mark.parametrize(('changes', 'message'), [
    (dict(argz='x'), r"stage cam of .*: unknown key 'argz' \(did you mean 'args'\?\); allowed: name, kind, "),
    (dict(checkpoint='cam'), r"\(train\): unknown key 'checkpoint'"),
    (dict(kind='trian'), r"kind must be one of .*train.*, got 'trian' \(did you mean 'train'\?\)"),
    (dict(kind=None), 'stage cam of .* has no kind'),
    (dict(config=None), 'a stage of kind train needs config'),
    (dict(args='--amp'), "args must be a list, got '--amp'"),
    (dict(cfg_options=['a=1']), r"cfg_options must be a dict, got \['a=1'\]"),
    (dict(labels='cam'), "labels must name an earlier stage that provides labels, got 'cam'; none does"),
    (dict(short=dict(color=1)), "short: unknown key 'color'"),
    (dict(creates=['x']), "the key 'creates' is now called 'outputs'"),
])
def test_wrong_stages(tmp_path, changes, message):
    with pytest.raises(RecipeError, match=message):
        read(tmp_path, {**TRAIN, **changes})


def test_wrong_recipes(tmp_path):
    with pytest.raises(RecipeError, match="unknown key 'heading'.*allowed: title, data_root, data, stages"):
        read(tmp_path, TRAIN, heading='x')
    with pytest.raises(RecipeError, match='needs a title and a list of stages'):
        read(tmp_path)
    with pytest.raises(RecipeError, match='two stages of this name'):
        read(tmp_path, TRAIN, TRAIN)
    with pytest.raises(RecipeError, match='stage 1 of .* must be a dict'):
        read(tmp_path, 'train')
    with pytest.raises(FileNotFoundError, match='no config'):
        read_recipe(tmp_path / 'absent.py')


def test_inputs_must_provide_what_is_needed(tmp_path):
    labels = dict(name='labels', kind='pseudo-labels', checkpoint='cam')
    with pytest.raises(RecipeError, match="got 'labels'; these do: cam"):
        read(tmp_path, TRAIN, labels, dict(name='test', kind='test', checkpoint='labels'))
    with pytest.raises(RecipeError, match="cams must name an earlier stage that provides labels, got 'cam'"):
        read(tmp_path, TRAIN, labels, dict(name='walk', kind='pseudo-labels', checkpoint='cam', cams='cam'))
    with pytest.raises(RecipeError, match='checkpoint must name an earlier stage'):
        read(tmp_path, labels, TRAIN)


def test_short_recipe(tmp_path):
    retrain = dict(name='seg', kind='train', config='configs/mctformer/retrain_fcn_vit-micro_sample.py',
                   cfg_options={'optim_wrapper.optimizer.lr': 0.1}, short=dict(cfg_options={'a.b': 1}))
    script = dict(name='data', kind='script', script='x.py', outputs=['x'], short=dict(args=['--num', 1]))
    recipe = shorten_recipe(read(tmp_path, TRAIN, retrain, script))
    assert recipe.stage('cam').cfg_options['train_cfg.max_epochs'] == 1
    options = recipe.stage('seg').cfg_options
    assert options['train_cfg.max_iters'] == 4
    assert options['optim_wrapper.optimizer.lr'] == 0.1
    assert options['a.b'] == 1
    assert recipe.stage('data').args == ('--num', '1')
