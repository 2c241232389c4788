"""Write ``results.json`` during training."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsss.registry import HOOKS
from mmwsss.utils.results import RESULTS_FILE, read_results, write_results

__all__ = ['ResultsHook']

HIGHER_IS_BETTER = ('*mIoU', '*mAP', '*mAcc', '*aAcc', '*mDice', '*F1', '*precision', '*recall', '*_auc')


@HOOKS.register_module()
class ResultsHook(Hook):
    """Write the metrics of the last validation, and the best ones, to ``<work_dir>/results.json``.

    The file is written by :func:`mmwsss.utils.results.write_results` after each validation. Besides the metrics of the
    last one it has ``epoch`` and ``iter``, when it took place; ``checkpoint``, if the weights that were validated were
    saved; ``validations``, a list of epoch, iteration and metrics of all validations; and ``best``: for each metric of
    which higher is better, the best ``value`` with its epoch and iteration. A resumed run adds to the file.

    Args:
        config (str, optional): Name of the config in the file. Defaults to its path.
    """

    # After the hook that saves checkpoints.
    priority = 'LOWEST'

    def __init__(self, config: Optional[str] = None) -> None:
        self.config = config
        self._validations: list[dict] = []

    def before_train(self, runner: Runner) -> None:
        """Read the validations of the run that is resumed, up to the iteration at which it goes on."""
        path = Path(runner.work_dir, RESULTS_FILE)
        if runner.iter and path.is_file():
            earlier = read_results(path).get('validations', [])
            self._validations = [entry for entry in earlier if entry['iter'] <= runner.iter]

    def after_val_epoch(self, runner: Runner, metrics: Optional[dict[str, float]] = None) -> None:
        """Write the file in the main process."""
        if not metrics or not is_main_process():
            return
        when = {'epoch': runner.epoch, 'iter': runner.iter}
        self._validations = [entry for entry in self._validations if entry['iter'] < when['iter']]
        self._validations.append({**when, 'metrics': dict(metrics)})
        write_results(Path(runner.work_dir, RESULTS_FILE), 'train.py', metrics, self.config or runner.cfg.filename,
                      _last_checkpoint(runner), **when, best=_best(self._validations), validations=self._validations)


def _last_checkpoint(runner: Runner) -> Optional[str]:
    """Return the checkpoint of the current epoch or iteration, or None if none was saved."""
    path = runner.message_hub.runtime_info.get('last_ckpt')
    if not path or not Path(path).stem.endswith((f'epoch_{runner.epoch}', f'iter_{runner.iter}')):
        return None
    return str(path)


def _best(validations: list[dict]) -> dict[str, dict]:
    """Return value, epoch and iteration of the best validation for each metric of which higher is better."""
    best: dict[str, dict] = {}
    for entry in validations:
        for name, value in entry['metrics'].items():
            comparable = value is not None and any(fnmatch(name, pattern) for pattern in HIGHER_IS_BETTER)
            if comparable and not (name in best and best[name]['value'] >= value):
                best[name] = {'value': value, 'epoch': entry['epoch'], 'iter': entry['iter']}
    return best
