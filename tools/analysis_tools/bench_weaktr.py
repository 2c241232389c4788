"""Compare WeakTr's first stage with a plain arrangement of the same maths: memory, time, scores and gradients.

The plain arrangement computes attention explicitly and with gradient in every layer, keeps all maps, stacks them as
(B, heads * layers, T, T), weighs whole maps, and forms the fine maps to average them. Ours keeps, while training, the
class-to-patch part of each map and the column means of the rest. The rows "fusion" are what an iteration needs beyond
one without fine maps, which has no use for attention.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial

import mmwsss  # noqa: F401  # first: checks what is installed

# isort: split

import torch
from all_attention import pass_with_all_attention
from measurements import add_measurement_arguments, medians, result_row, time_in_turns, write_rows
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mmwsss.apis.configs import strip_pretrained
from mmwsss.models import CAMClassifier, extract_features
from mmwsss.registry import MODELS
from mmwsss.utils.cli import read_config_file
from mmwsss.utils.errors import run_tool
from mmwsss.utils.memory import peak_memory


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='*',
                        default=['configs/weaktr/weaktr_deit-s_voc.py', 'configs/weaktr/weaktr-v3_deit-s_voc.py'])
    parser.add_argument('--batch', type=int, default=16, help='images in the batch')
    parser.add_argument('--size', type=int, default=224, help='their side')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    add_measurement_arguments(parser)
    return parser.parse_args()


def plain_scores(model: CAMClassifier, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Compute the three scores, each (B, C), and the fine maps (B, C, h, w), with everything stored."""
    head, backbone = model.cam_head, model.backbone
    fusion, count = head.attention_fusion, head.num_classes
    outputs = []
    hooks = [layer.attn.proj.register_forward_hook(lambda module, args, out: outputs.append(out.detach()))
             for layer in backbone.layers]
    features, maps = pass_with_all_attention(backbone, images, grad=True)
    for hook in hooks:
        hook.remove()
    stack = maps.detach().transpose(1, 2).flatten(1, 2)
    if fusion.pool_source == 'attention':
        pooled = stack.mean(dim=(2, 3)) if fusion.pool == 'avg' else stack.amax(dim=(2, 3))
    else:
        split = torch.stack(outputs, dim=1).unflatten(3, (-1, fusion.num_heads)).permute(0, 4, 1, 2, 3).flatten(1, 2)
        pooled = split.mean(dim=2) if fusion.pool == 'avg' else split.amax(dim=2)
    fused = (fusion(pooled)[:, :, None, None] * stack).mean(dim=1)
    coarse = head.patch_classifier(features.maps[-1])
    product = fused[:, :count, count:] * coarse.detach().relu().flatten(2)
    fine = torch.bmm(product, fused[:, count:, count:].transpose(1, 2)).unflatten(2, coarse.shape[2:])
    scores = dict(logits=features.class_tokens.mean(dim=2), coarse_logits=coarse.mean(dim=(2, 3)),
                  fine_logits=fine.mean(dim=(2, 3)))
    return scores, fine


def train(model: CAMClassifier, labels: Tensor, scores: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Run one iteration up to the gradients; return losses and gradients by name."""
    model.zero_grad(set_to_none=False)  # gradients take their memory before it is measured
    losses = model.classification_losses(scores(), labels)
    sum(losses.values()).backward()
    return {**{name: value.detach() for name, value in losses.items()},
            **{name: param.grad for name, param in model.named_parameters() if param.grad is not None}}


def worst(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Return the largest difference, relative to the largest value of its tensor."""
    return max(float((one[name] - other[name]).abs().max() / one[name].abs().max().clamp_min(1e-12)) for name in other)


def two_scores(model: CAMClassifier, images: Tensor) -> dict[str, Tensor]:
    """Compute the scores that need no attention."""
    features = extract_features(model.backbone, images)
    coarse = model.cam_head.patch_classifier(features.maps[-1])
    return dict(logits=features.class_tokens.mean(dim=2), coarse_logits=coarse.mean(dim=(2, 3)))


def our_scores(model: CAMClassifier, images: Tensor) -> dict[str, Tensor]:
    """Compute the three scores as a training iteration does."""
    return model.cam_head(extract_features(model.backbone, images, model.cam_head.request()))


def our_maps(model: CAMClassifier, images: Tensor) -> dict[str, Tensor]:
    """Compute the fine maps of one view."""
    head = model.cam_head
    return head.maps(extract_features(model.backbone, images, head.request(['cams'])), ['cams'])


def measure(runs: Sequence[Callable[[], dict]], args: argparse.Namespace) -> tuple[list, list, list]:
    """Return peak memory in MiB, seconds of all rounds, and the results, by run."""
    results = [{key: value.clone() for key, value in run().items()} for run in runs]
    mib = []
    for run in runs:
        with peak_memory(args.device) as peak:
            run()
        mib.append(peak.mib)
    return mib, time_in_turns(runs, args.device, args.repeat, warm_up=False), results


def row(name: str, plain: Sequence[float], ours: Sequence[float], difference: str = '') -> list[str]:
    """Build a row with memory and time of both ways."""
    cells = [name]
    for one, other, digits in zip(plain, ours, (0, 2)):
        cells += [f'{one:.{digits}f}', f'{other:.{digits}f}', f'{one / other:.2f}' if other > 0 else '-']
    return [*cells, difference]


def compare_config(path: str, args: argparse.Namespace, table: Table) -> list[dict]:
    """Compare both ways of a training iteration and of giving fine maps; results may differ by rounding.

    Returns:
        The rows to write.
    """
    cfg = read_config_file(path)
    init_default_scope('mmwsss')
    strip_pretrained(cfg.model, keep_local=False)
    cfg.model.backbone.drop_path_rate = 0.
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).to(args.device).train()
    model.init_weights()
    images = torch.randn(args.batch, 3, args.size, args.size, device=args.device)
    labels = (torch.rand(args.batch, model.cam_head.num_classes, device=args.device) < .1).float()
    name = cfg.filename.split('/')[-1].removesuffix('.py')
    ways = [lambda: plain_scores(model, images)[0], lambda: our_scores(model, images),
            lambda: two_scores(model, images)]
    mib, rounds, found = measure([partial(train, model, labels, way) for way in ways], args)
    plain, ours, without = zip(mib, medians(rounds))
    gap = worst(found[0], found[1])
    table.add_row(*row(f'{name}: iteration', plain, ours, f'{gap:.1e}'))
    table.add_row(*row(f'{name}: fusion', *([a - b for a, b in zip(way, without)] for way in (plain, ours))))
    with torch.no_grad():
        mib_of_maps, rounds_of_maps, maps = measure(
            [lambda: dict(cams=plain_scores(model, images)[1]), lambda: our_maps(model, images)], args)
    gap_of_maps = worst(*maps)
    table.add_row(*row(f'{name}: fine maps', *zip(mib_of_maps, medians(rounds_of_maps)), f'{gap_of_maps:.1e}'))
    what, against = f'{name}, {args.size}, batch {args.batch}', 'all maps stacked'
    rows = [result_row(f'iteration, {what}', against, rounds[1], rounds[0], gap, mib[0] / mib[1]),
            result_row(f'fine maps, {what}', against, *rounds_of_maps[::-1], gap_of_maps,
                       mib_of_maps[0] / mib_of_maps[1])]
    if mib[1] > mib[2]:
        rows.append(dict(what=f'fusion alone, {what}', against=against, equal_to=gap,
                         memory_ratio=(mib[0] - mib[2]) / (mib[1] - mib[2])))
    return rows


def main() -> None:
    """Compare all configs, training and inference."""
    args = parse_args()
    MMLogger.get_instance('bench', log_level='WARNING')
    table = Table(title=f'batch of {args.batch}, {args.size} x {args.size}, {args.device}, '
                        f'{torch.get_num_threads()} threads')
    for column in ('', 'plain MiB', 'ours MiB', 'ratio', 'plain s', 'ours s', 'ratio', 'difference'):
        table.add_column(column, justify='right' if column else 'left')
    rows = [row for path in args.configs for row in compare_config(path, args, table)]
    Console().print(table)
    write_rows(args.json, __file__, rows)


if __name__ == '__main__':
    run_tool(main)
