"""Layouts of the checkpoints published by the authors of the methods, and rules that rename them for mmwsss."""

from .key_mapping import JoinedKeys, KeyLayout, KeyRule

__all__ = ['MXNET_LAYOUTS', 'OFFICIAL_LAYOUTS', 'eva02_rules', 'layer_scale_rules', 'mxnet_resnet38_rules',
           'resnet38_blocks', 'resnet38_rules', 'vit_rules']

WB = r'(weight|bias)'


def vit_rules(source: str = '', target: str = 'backbone.', drop_head: bool = True) -> tuple[KeyRule, ...]:
    """Map a Vision Transformer in timm's naming (DeiT, jx) to mmpretrain's.

    Args:
        source (str): Prefix of the old names.
        target (str): Prefix of the new names.
        drop_head (bool): Drop the ImageNet head, if there is one.

    Returns:
        tuple[KeyRule]: The rules. Distillation tokens match none of them.
    """
    old = source.replace('.', r'\.')
    block, layer = rf'{old}blocks\.(\d+)\.', rf'{target}layers.\1.'
    head = KeyRule(rf'{old}(head|pre_logits\.fc)\.{WB}', None, required=False)
    return (
        KeyRule(rf'{old}(cls_token|pos_embed)', rf'{target}\1'),
        KeyRule(rf'{old}patch_embed\.proj\.{WB}', rf'{target}patch_embed.projection.\1'),
        KeyRule(rf'{block}norm([12])\.{WB}', rf'{layer}ln\2.\3'),
        KeyRule(rf'{block}attn\.(qkv|proj)\.{WB}', rf'{layer}attn.\2.\3'),
        KeyRule(rf'{block}mlp\.fc1\.{WB}', rf'{layer}ffn.layers.0.0.\2'),
        KeyRule(rf'{block}mlp\.fc2\.{WB}', rf'{layer}ffn.layers.1.\2'),
        KeyRule(rf'{old}norm\.{WB}', rf'{target}ln1.\1'),
        *((head, ) if drop_head else ()),
    )


def layer_scale_rules(source: str = '', target: str = 'backbone.') -> tuple[KeyRule, ...]:
    """Map the scales of a block's two branches, as DINOv2 has them; see :func:`vit_rules`."""
    old = source.replace('.', r'\.')
    return (KeyRule(rf'{old}blocks\.(\d+)\.ls1\.gamma', rf'{target}layers.\1.attn.gamma1.weight'),
            KeyRule(rf'{old}blocks\.(\d+)\.ls2\.gamma', rf'{target}layers.\1.ffn.gamma2.weight'))


def eva02_rules(source: str = '', target: str = 'backbone.') -> tuple[KeyRule, ...]:
    """Map EVA-02 of the sizes tiny and small to :class:`~mmwsss.models.EVA02ViT`; see :func:`vit_rules`."""
    old = source.replace('.', r'\.')
    block, layer = rf'{old}blocks\.(\d+)\.', rf'{target}layers.\1.'
    return (
        KeyRule(rf'{old}(cls_token|pos_embed)', rf'{target}\1'),
        KeyRule(rf'{old}patch_embed\.proj\.{WB}', rf'{target}patch_embed.projection.\1'),
        KeyRule(rf'{block}norm([12])\.{WB}', rf'{layer}norm\2.\3'),
        KeyRule(rf'{block}attn\.(qkv\.weight|[qv]_bias|proj\.weight|proj\.bias)', rf'{layer}attn.\2'),
        KeyRule(rf'{block}mlp\.w(12|3)\.{WB}', rf'{layer}mlp.w\2.\3'),
        KeyRule(rf'{old}norm\.{WB}', rf'{target}ln1.\1'),
        # Angles are computed.
        KeyRule(rf'{old}(blocks\.\d+\.attn\.)?rope\.freqs_(cos|sin)', None, required=False),
        KeyRule(rf'{old}(head|lm_head)\.{WB}|{old}mask_token', None, required=False),
    )


def projector_rules(source: str, target: str) -> tuple[KeyRule, ...]:
    """Map ToCo's projector, whose last layer follows torch's old or new naming of weight norm."""
    last = rf'{source}\.last_layer\.'
    return (
        KeyRule(rf'{source}\.mlp\.([024])\.{WB}', rf'{target}.mlp.\1.\2'),
        KeyRule(rf'{last}(?:weight_g|parametrizations\.weight\.original0)', f'{target}.weight_g'),
        KeyRule(rf'{last}(?:weight_v|parametrizations\.weight\.original1)', f'{target}.weight_v'),
    )


def class_token_rules(head: str, ndim: int) -> tuple[KeyRule, ...]:
    """Map a ViT with class tokens and one head, whose weight has ``ndim`` dimensions, to ``cam_head.<head>``."""
    return (
        *vit_rules(drop_head=False),
        KeyRule(r'head\.weight', f'cam_head.{head}.weight', ndim=ndim),
        KeyRule(r'head\.bias', f'cam_head.{head}.bias'),
    )


def toco_head_rules(source: str = '', target: str = '') -> tuple[KeyRule, ...]:
    """Map ToCo's decoder and classifiers; see :func:`vit_rules`."""
    old = source.replace('.', r'\.')
    return (
        KeyRule(rf'{old}decoder\.(conv[67])\.weight', rf'{target}decode_head.\1.weight'),
        KeyRule(rf'{old}decoder\.conv8\.weight', f'{target}decode_head.conv_seg.weight'),
        KeyRule(rf'{old}(classifier|aux_classifier)\.weight', rf'{target}cam_head.\1.weight'),
    )


TOCO_RULES = (
    *vit_rules('encoder.'),
    *projector_rules('proj_head', 'projector'),
    *projector_rules('proj_head_t', 'teacher_projector'),
    *toco_head_rules(),
    KeyRule(r'(conv|aux_conv)\.weight', None, required=False),  # left behind in early checkpoints
)

# The rules of AAF are required: other versions of it have other weights and must not be left at random.
_AAF = r'adaptive_attention_fusion\.'
WEAKTR_RULES = (
    *class_token_rules('patch_classifier', ndim=4),
    KeyRule(rf'{_AAF}fc\.([02])\.weight', r'cam_head.attention_fusion.head_ffn.\1.weight'),
)
WEAKTR_V3_RULES = (
    *class_token_rules('patch_classifier', ndim=4),
    KeyRule(rf'{_AAF}attn_head_ffn\.([02])\.weight', r'cam_head.attention_fusion.head_ffn.\1.weight'),
    KeyRule(rf'{_AAF}attn_feat_ffn\.([01])\.{WB}', r'cam_head.attention_fusion.feat_ffn.\1.\2'),
)
_MASK_BLOCK = (r'decoder\.blocks\.(\d+)\.', r'decode_head.layers.\1.')
MASK_DECODER_RULES = (
    KeyRule(r'decoder\.cls_emb', 'decode_head.cls_emb'),
    KeyRule(rf'decoder\.proj_dec\.{WB}', r'decode_head.dec_proj.\1'),
    # Matrices that multiply from the right become linear layers.
    KeyRule(r'decoder\.proj_patch', 'decode_head.patch_proj.weight', transposed=True),
    KeyRule(r'decoder\.proj_classes', 'decode_head.classes_proj.weight', transposed=True),
    KeyRule(rf'decoder\.(decoder|mask)_norm\.{WB}', r'decode_head.\1_norm.\2'),
    KeyRule(rf'{_MASK_BLOCK[0]}norm([12])\.{WB}', rf'{_MASK_BLOCK[1]}ln\2.\3'),
    KeyRule(rf'{_MASK_BLOCK[0]}attn\.qkv\.{WB}', rf'{_MASK_BLOCK[1]}attn.attn.in_proj_\2'),
    KeyRule(rf'{_MASK_BLOCK[0]}attn\.proj\.{WB}', rf'{_MASK_BLOCK[1]}attn.attn.out_proj.\2'),
    KeyRule(rf'{_MASK_BLOCK[0]}mlp\.fc1\.{WB}', rf'{_MASK_BLOCK[1]}ffn.layers.0.0.\2'),
    KeyRule(rf'{_MASK_BLOCK[0]}mlp\.fc2\.{WB}', rf'{_MASK_BLOCK[1]}ffn.layers.1.\2'),
)

BATCH_NORM = r'(weight|bias|running_mean|running_var|num_batches_tracked)'
_BLOCK = r'(trans_1|conv_trans_\d+\.trans_block)\.'
_UNIT = r'(conv_1|conv_trans_\d+\.(?:cnn|fusion)_block)\.'
_COUPLING = r'(conv_trans_\d+\.(?:squeeze|expand)_block)\.'
_HEADS = rf'(conv|trans)_cls_head\.{WB}'

# mmpretrain's names differ inside the transformer blocks only.
CONFORMER_RULES = (
    KeyRule(r'(cls_token|conv1\.weight)', r'backbone.\1'),
    KeyRule(rf'bn1\.{BATCH_NORM}', r'backbone.bn1.\1'),
    KeyRule(rf'(trans_patch_conv|trans_norm)\.{WB}', r'backbone.\1.\2'),
    KeyRule(rf'{_UNIT}(conv[123]|residual_conv)\.weight', r'backbone.\1.\2.weight'),
    KeyRule(rf'{_UNIT}(bn[123]|residual_bn)\.{BATCH_NORM}', r'backbone.\1.\2.\3'),
    KeyRule(rf'{_COUPLING}(conv_project|ln)\.{WB}', r'backbone.\1.\2.\3'),
    KeyRule(rf'{_COUPLING}bn\.{BATCH_NORM}', r'backbone.\1.bn.\2'),
    KeyRule(rf'{_BLOCK}norm([12])\.{WB}', r'backbone.\1.ln\2.\3'),
    KeyRule(rf'{_BLOCK}attn\.(qkv|proj)\.{WB}', r'backbone.\1.attn.\2.\3'),
    KeyRule(rf'{_BLOCK}mlp\.fc1\.{WB}', r'backbone.\1.ffn.layers.0.0.\2'),
    KeyRule(rf'{_BLOCK}mlp\.fc2\.{WB}', r'backbone.\1.ffn.layers.1.\2'),
)
TRANSCAM_RULES = (*CONFORMER_RULES, KeyRule(_HEADS, r'cam_head.\1_cls_head.\2'))


def resnet38_rules(target: str = 'backbone.') -> tuple[KeyRule, ...]:
    """Map the Wide-ResNet-38 of PSA and of the methods that reuse it; only a prefix is added.

    Args:
        target (str): Prefix of the new names.

    Returns:
        tuple[KeyRule]: The rules. Heads match none of them.
    """
    return (
        KeyRule(r'conv1a\.weight', f'{target}conv1a.weight'),
        KeyRule(r'(b[2-7](?:_\d)?\.conv_branch\w+)\.weight', rf'{target}\1.weight'),
        KeyRule(rf'(b[2-7](?:_\d)?\.bn_branch\w+|bn7)\.{BATCH_NORM}', rf'{target}\1.\2'),
    )


def resnet38_blocks(target: str = 'backbone.') -> tuple[str, ...]:
    """Return regular expressions of what every residual unit of a Wide-ResNet-38 has; see :func:`resnet38_rules`."""
    units = [f'b{stage}' + (f'_{index}' if index else '')
             for stage, count in ((2, 3), (3, 3), (4, 6), (5, 3), (6, 1), (7, 1)) for index in range(count)]
    target = target.replace('.', r'\.')
    return tuple(rf'{target}{unit}\.{part}\.' for unit in units
                 for part in ('bn_branch2a', 'conv_branch2a', 'bn_branch2b1', 'conv_branch2b1'))


_MXNET_NORM = (('arg', 'gamma', 'weight'), ('arg', 'beta', 'bias'), ('aux', 'moving_mean', 'running_mean'),
               ('aux', 'moving_var', 'running_var'))


def mxnet_resnet38_rules(target: str = 'backbone.') -> tuple[KeyRule, ...]:
    """Map the Wide-ResNet-38 that was published by its authors for MXNet; see :func:`resnet38_rules`."""
    rules = [KeyRule('arg:conv1a_weight', f'{target}conv1a.weight')]
    # The first unit of a stage has the letter a, the others b and a number.
    for unit, renamed in ((r'(\d)a', r'b\1'), (r'(\d)b(\d+)', r'b\1_\2')):
        branch = r'\2' if unit.endswith('a') else r'\3'
        rules.append(KeyRule(rf'arg:res{unit}_(branch\w+)_weight', rf'{target}{renamed}.conv_{branch}.weight'))
        rules += [KeyRule(rf'{kind}:bn{unit}_(branch\w+)_{old}', rf'{target}{renamed}.bn_{branch}.{new}')
                  for kind, old, new in _MXNET_NORM]
    rules += [KeyRule(rf'{kind}:bn7_{old}', f'{target}bn7.{new}') for kind, old, new in _MXNET_NORM]
    return (*rules, KeyRule(r'arg:linear1000_(weight|bias)', None, required=False))


_CLASSIFIER = KeyRule(r'fc8\.weight', None, required=False)
MXNET_LAYOUTS = {'resnet38-imagenet': KeyLayout('Wide-ResNet-38 (MXNet)', mxnet_resnet38_rules(),
                                                 blocks=resnet38_blocks())}
"""Layouts of ``.params`` files, by METHOD."""

OFFICIAL_LAYOUTS = {
    'toco': KeyLayout('ToCo (model_iter_*.pth of the authors)', TOCO_RULES),
    'dupl': KeyLayout('DuPL (checkpoint.pth of the authors)', tuple(
        rule for branch, student in (('branch1.', ''), ('branch2.', 'second.'))
        for rule in (*vit_rules(f'{branch}encoder.', f'{student}backbone.'), *toco_head_rules(branch, student)))),
    'deit': KeyLayout('DeiT (without distillation)', vit_rules()),
    'vit': KeyLayout("ViT in timm's naming", vit_rules()),
    'mctformer-v1': KeyLayout('MCTformer-V1', class_token_rules('fc', ndim=2)),
    'mctformer-v2': KeyLayout('MCTformer-V2', class_token_rules('patch_classifier', ndim=4)),
    'mctformer-plus': KeyLayout('MCTformer+', (
        # The single embedding of its base class is saved, and is never used.
        KeyRule('pos_embed', None, required=False),
        KeyRule(r'pos_embed_cls \+ pos_embed_pat', 'backbone.pos_embed'),
        *class_token_rules('patch_classifier', ndim=4)),
        joined=(JoinedKeys(('pos_embed_cls', 'pos_embed_pat'), 'pos_embed_cls + pos_embed_pat', dim=1), )),
    'aream': KeyLayout('AReAM', class_token_rules('patch_classifier', ndim=4)),
    'weaktr': KeyLayout('WeakTr (version 1)', WEAKTR_RULES),
    'weaktr-v3': KeyLayout('WeakTr (versions 2 and 3, which hold the same weights)', WEAKTR_V3_RULES),
    'weaktr-seg': KeyLayout("WeakTr's segmentation network (Segmenter)", (
        *vit_rules('encoder.'), *MASK_DECODER_RULES)),
    'weaktr-seg-dinov2': KeyLayout("WeakTr's segmentation network on DINOv2", (
        *vit_rules('encoder.'), *layer_scale_rules('encoder.'), *MASK_DECODER_RULES)),
    'weaktr-seg-eva02': KeyLayout("WeakTr's segmentation network on EVA-02", (
        *eva02_rules('encoder.'), *MASK_DECODER_RULES)),
    'transcam': KeyLayout('TransCAM', TRANSCAM_RULES),
    'aream-conformer': KeyLayout('AReAM on Conformer', (
        *CONFORMER_RULES, KeyRule(rf'cnn_head\.{WB}', r'cam_head.conv_cls_head.\1'),
        KeyRule(rf'att_head\.{WB}', r'cam_head.trans_cls_head.\1'))),
    'conformer-imagenet': KeyLayout("Conformer (the authors' ImageNet files)", (
        *CONFORMER_RULES, KeyRule(_HEADS, None, required=False))),
    'resnet38-imagenet': KeyLayout("Wide-ResNet-38 (PSA's names)", (*resnet38_rules(), _CLASSIFIER),
                                   blocks=resnet38_blocks()),
    'psa': KeyLayout('AffinityNet (PSA)', (
        *resnet38_rules(), KeyRule(r'(f8_[345]|f9)\.weight', r'affinity_head.\1.weight')),
        blocks=(*resnet38_blocks(), *(rf'affinity_head\.{name}\.' for name in ('f8_3', 'f8_4', 'f8_5', 'f9')))),
    'deeplab-resnet38': KeyLayout("DeepLab on Wide-ResNet-38 (MCTformer's second stage)", (
        *resnet38_rules(), KeyRule(rf'fc8_seg_conv1\.{WB}', r'decode_head.fov_conv.\1'),
        KeyRule(rf'fc8_seg_conv2\.{WB}', r'decode_head.conv_seg.\1')),
        blocks=resnet38_blocks()),
}
"""Layouts by the name that ``tools/model_converters/official2mmwsss.py`` takes as METHOD."""
