#!/usr/bin/env python
"""Label tagged photographs pixel by pixel: ``python tools/label_photos.py PHOTOS --out-dir DIR``."""

import argparse
from collections.abc import Mapping

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

from rich.console import Console
from rich.table import Table

from mmwsss.apis.photo_labels import PRESETS, PhotoPlan, build_runner, plan_photos
from mmwsss.apis.photo_times import measure_stages
from mmwsss.recipes import RecipeRunner, StageWork, duration
from mmwsss.utils import first_few
from mmwsss.utils.cli import add_amp_argument, add_verbose_argument
from mmwsss.utils.commands import default_num_processes, relative_path
from mmwsss.utils.console import is_verbose
from mmwsss.utils.errors import run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='From tagged photographs to masks: train a model on the tags, make pseudo labels, train a '
        'segmentor on these, write a mask for every photograph and a page that shows them. No mask is needed. The '
        'stages are ordinary commands, which are printed first, with the time they take here; what they print goes to '
        'stage.log in their folders. The same call again resumes.')
    parser.add_argument('photos', metavar='PHOTOS', help='folder of photographs; nothing is written into it')
    parser.add_argument('--out-dir', required=True, metavar='DIR', help='a new folder, or that of an earlier call')
    parser.add_argument('--tags', metavar='FILE',
                        help='table of tags (CSV, TSV or JSON in any usual form), image labels of mmwsss, or a folder '
                        'of VOC XML files (default: the folders in PHOTOS are the classes)')
    parser.add_argument('--preset', choices=list(PRESETS), default='balanced',
                        help='fast: masks of MCTformer-V2; balanced: masks of a segmentor that is trained on its '
                        'labels; best: the same, trained twice as long, with test-time augmentation (default: '
                        'balanced)')
    parser.add_argument('--config', metavar='FILE', help="config of the CAM model, in place of the preset's")
    parser.add_argument('--epochs', type=int, metavar='N', help="length of each training, in place of the configs'")
    parser.add_argument('--iters', type=int, metavar='N',
                        help="length of each training in iterations, in place of the configs'; warm-up, decay, phases "
                        'and intervals are scaled with it')
    parser.add_argument('--threshold', type=float, metavar='T',
                        help='background score of CAMs (default: one that is chosen without masks)')
    parser.add_argument('--init-from', metavar='FILE', help='weights that the backbones start from')
    parser.add_argument('--device', help='device of the prediction (default: the GPU if there is one)')
    add_amp_argument(parser)
    parser.add_argument('--gpus', type=int, metavar='N', help='processes for training (default: as run_recipe.py)')
    parser.add_argument('--dry-run', action='store_true',
                        help='show what will be done and how long it takes, and write only the plan')
    parser.add_argument('--no-estimate', action='store_true', help='do not measure how long the stages take')
    add_verbose_argument(parser)
    return parser.parse_args()


def print_plan(plan: PhotoPlan, console: Console) -> None:
    """Print the classes and what will happen."""
    table = Table(title=f'{len(plan.labels.labels)} tagged photographs in {plan.photos}')
    table.add_column('class')
    table.add_column('photographs', justify='right')
    for name, count in plan.labels.summary().images_per_class.items():
        table.add_row(name, str(count))
    console.print(table)
    if plan.untagged:
        console.print(f'{len(plan.untagged)} photographs have no tag and are only predicted: '
                      f'{first_few(plan.untagged, 3)}', soft_wrap=True)
    if len(plan.labels.classes) == 1:
        console.print('[yellow]There is only one class. Unless some photographs do not show it, a classifier cannot '
                      'learn what it looks like: put such photographs into a folder called background.[/]',
                      soft_wrap=True)


def print_stages(runner: RecipeRunner, work: Mapping[str, StageWork], console: Console) -> None:
    """Print what will be done, where, and how long it takes."""
    table = Table(title='stages')
    for heading in ('stage', 'what', 'folder', 'time here'):
        table.add_column(heading, justify='right' if heading == 'time here' else 'left', overflow='fold')
    context, pending = runner.context, {stage.name for stage in runner.pending()}
    for stage in context.recipe.stages:
        known = duration(work[stage.name].seconds) if stage.name in work else 'not measured'
        table.add_row(stage.name, stage.title, relative_path(context.stage_dir(stage)),
                      known if stage.name in pending else 'done')
    console.print(table)
    if work:
        console.print(f'about {duration(sum(one.seconds for one in work.values()))} in all, measured on a few '
                      'iterations and photographs with random weights', soft_wrap=True)


def measured_work(runner: RecipeRunner, plan: PhotoPlan, console: Console) -> dict[str, StageWork]:
    """Measure the stages that are not finished."""
    pending = runner.pending()
    if not pending:
        return {}
    console.print('measuring how long a few iterations and photographs take here')
    return measure_stages(pending, runner.context, plan.labels, plan.photos)


def main() -> None:
    """Label what the command line describes."""
    args = parse_args()
    console = Console()
    plan = plan_photos(args.photos, args.out_dir, args.tags, args.preset, args.config, args.epochs, args.init_from,
                       args.device, args.iters, args.threshold, args.amp)
    print_plan(plan, console)
    processes = default_num_processes(args.gpus)
    runner = build_runner(plan, processes, console)
    work = {} if args.no_estimate else measured_work(runner, plan, console)
    print_stages(runner, work, console)
    runner.preview()
    if args.dry_run:
        return
    build_runner(plan, processes, console, {} if is_verbose() else work).run()
    console.print(f'masks: {plan.out_dir / "predict/result/masks"}\npage: {plan.out_dir / "gallery.html"}\n'
                  f'to review: {plan.out_dir / "review.txt"}', soft_wrap=True)


if __name__ == '__main__':
    run_tool(main)
