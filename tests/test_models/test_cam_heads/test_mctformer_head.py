"""MCTformer's worked example and its variants, on attention given by a formula."""

import re

import pytest
import torch

from mmwsss.models import AttentionViT, CAMClassifier, MCTformerHead
from mmwsss.models.utils import normalize_cams
from mmwsss.registry import MODELS

from ...helpers import GivenBackbone, run_head

PATCH_MAPS = torch.tensor([[[.5, -1, 2], [1, .25, -.5]], [[-.3, .4, .1], [.8, 0, 1.5]]])
CLASS_TOKENS = torch.tensor([[.2, .4], [-1, .5]])
NUM_LAYERS, NUM_HEADS, NUM_TOKENS = 4, 2, 8


def attention_of(layer: int, mirrored: bool) -> torch.Tensor:
    """Return attention (heads, 8, 8): the example's formula, rows divided by their sums."""
    head, query, key = torch.meshgrid(*(torch.arange(n) for n in (NUM_HEADS, NUM_TOKENS, NUM_TOKENS)), indexing='ij')
    raw = (7 * layer + 5 * head + 3 * query + 2 * key + mirrored) % 11 + 1.
    return raw / raw.sum(-1, keepdim=True)


@MODELS.register_module()
class ExampleBackbone(GivenBackbone):
    """Stands in for the ViT: images whose first pixel is negative are mirror images."""

    def given(self, images):
        mirrored = [bool(image[0, 0, 0] < 0) for image in images]
        attention = [torch.stack([attention_of(layer, m) for m in mirrored]) for layer in range(NUM_LAYERS)]
        patches = torch.stack([PATCH_MAPS.flip(-1) if m else PATCH_MAPS for m in mirrored])
        return patches, self.class_tokens().expand(len(images), -1, -1), attention

    def class_tokens(self):
        return CLASS_TOKENS


def example_head(**kwargs) -> MCTformerHead:
    """A head whose patch classifier passes its input on."""
    head = MCTformerHead(num_classes=2, in_channels=2, **kwargs)
    if head.patch_classifier is not None:
        torch.nn.init.dirac_(head.patch_classifier.weight)
        torch.nn.init.zeros_(head.patch_classifier.bias)
    return head


def example_model(**head) -> CAMClassifier:
    model = CAMClassifier(
        dict(type='ExampleBackbone'), dict(type='MCTformerHead', num_classes=2, in_channels=2, **head),
        test_cfg=dict(threshold=0.4, cams=dict(
            scales=(1.0, ), flip=True, flip_fusion='sum', scale_fusion='sum', normalize='minmax', eps=1e-8)))
    model.cam_head.load_state_dict(example_head(**head).state_dict())
    return model.eval()


def example_image() -> torch.Tensor:
    image = torch.ones(1, 3, 32, 48)
    image[..., 24:] = -1  # so that the mirror image begins with a negative pixel
    return image


def check(found: torch.Tensor, *expected: list) -> None:
    torch.testing.assert_close(found.reshape(len(expected), -1), torch.tensor(expected), atol=3e-6, rtol=0)


@torch.no_grad()
def extracted(mirrored: bool = False, **kwargs) -> dict:
    image = example_image().flip(-1) if mirrored else example_image()
    head = example_head(**kwargs)
    return run_head(head, ExampleBackbone(), image, head.map_names)


def test_scores_and_maps_of_the_worked_example():
    found = extracted()
    check(found['logits'], [.3, -.25])
    check(found['patch_logits'], PATCH_MAPS.mean(dim=(1, 2)).tolist())
    check(found['attention'], [.327682, .455630, .352808, .339730, .345456, .365560],
          [.370725, .396836, .413668, .419248, .288675, .411276])
    check(found['patch_cams'], [.5, 0, 2, 1, .25, 0], [0, .4, .1, .8, 0, 1.5])
    check(found['fused_cams'], [.163841, 0, .705617, .339730, .086364, 0],
          [0, .158734, .041367, .335398, 0, .616915])
    refined = [[.673736, .669012, .698595, .631213, .644295, .657712],
               [.607750, .532336, .550129, .577485, .593345, .609036]]
    check(found['cams'], *refined)
    check(found['refined_fused_cams'], *refined)
    check(normalize_cams(found['cams'], 'minmax', 1e-8), [.631066, .560959, 1, 0, .194141, .393262],
          [.983234, 0, .231987, .588644, .795431, 1])


def test_mirror_image_of_the_worked_example():
    found = extracted(mirrored=True)
    check(found['fused_cams'], [.746858, 0, .202874, 0, .102027, .310846],
          [.035826, .150693, 0, .558196, 0, .315808])
    check(found['cams'], [.662220, .675121, .718932, .699696, .663257, .666865],
          [.551490, .569398, .510059, .490954, .519274, .550984])


def test_v1_gives_the_same_attention_and_no_patch_maps():
    found = extracted(patch_classifier=False)
    assert set(found) == {'logits', 'cams', 'attention', 'refined_attention'}
    torch.testing.assert_close(found['attention'], extracted()['attention'])
    torch.testing.assert_close(found['cams'], extracted()['refined_attention'])


def test_literal_formula_of_the_paper():
    found = extracted(fusion='paper')
    check(normalize_cams(found['cams'], 'minmax', 1e-8), [.581012, .442155, 1, .030741, 0, .263855],
          [.946290, 0, .274245, .533484, .781526, 1])


@pytest.mark.parametrize(('affinity_layers', 'expected', 'mean'), [
    ((), [[.252476, .250629, .968750, .125650, 0], [0, .024748, .094887, .031250, 1]], [.305015, .313862]),
    (None, [[1, .953314, .662138, .116631, .627233], [.625698, .619766, .055434, .429597, .000004]],
     [.479592, .364608])])
def test_generation_from_both_views(affinity_layers, expected, mean):
    cams = example_model(affinity_layers=affinity_layers).predict_cams(example_image())['cams']
    rows, cols = torch.tensor([0, 8, 8, 24, 31]), torch.tensor([0, 8, 40, 24, 47])
    check(cams[0, :, rows, cols], *expected)
    check(cams.mean(dim=(2, 3)), mean)
    only_second = example_model(affinity_layers=affinity_layers).predict_cams(
        example_image(), classes=torch.tensor([1]))
    torch.testing.assert_close(only_second['cams'], cams[:, 1:])


@pytest.mark.parametrize(('attention_type', 'same'), [('mct', 'attention'), ('patchcam', 'patch_cams'),
                                                      ('fused', 'fused_cams')])
def test_attention_type_chooses_the_map(attention_type, same):
    found = extracted(attention_type=attention_type, affinity_layers=())
    torch.testing.assert_close(found['cams'], found[same])
    refined = extracted(attention_type=attention_type)
    torch.testing.assert_close(refined['cams'], refined[f'refined_{same}'])


def test_affinity_of_chosen_layers():
    first, last = (extracted(affinity_layers=layers)['cams'] for layers in ([0], [-1]))
    affinity = [attention_of(layer, False).mean(0)[2:, 2:] for layer in (0, 3)]
    fused = extracted()['fused_cams'].flatten(2)
    torch.testing.assert_close(first.flatten(2), fused @ affinity[0].T)
    torch.testing.assert_close(last.flatten(2), fused @ affinity[1].T)


def test_only_what_is_asked_is_computed():
    head, backbone = example_head(attention_layers=2), ExampleBackbone()
    for name, layers in (('patch_cams', []), ('attention', [2, 3]), ('refined_patch_cams', [0, 1, 2, 3])):
        found = run_head(head, backbone, example_image(), [name])
        assert backbone.asked == layers
        assert set(found) == {'logits', 'patch_logits', name}
    run_head(head, backbone, example_image())
    assert backbone.asked == [], 'scores need no attention'
    assert head.request().maps
    assert not example_head(patch_classifier=False).request().maps


def test_class_scores_of_table_7():
    tokens = torch.tensor([[[1., 3.], [-2., 4.]]])
    heads = {score: MCTformerHead(2, 2, class_score=score) for score in ('mean', 'max', 'fc')}
    with torch.no_grad():
        heads['fc'].fc.weight.copy_(torch.tensor([[1., 2.], [3., 4.]]))
        heads['fc'].fc.bias.copy_(torch.tensor([10., 20.]))

    class Fixed(ExampleBackbone):
        def class_tokens(self):
            return tokens

    found = {score: run_head(head, Fixed(), example_image())['logits'].tolist() for score, head in heads.items()}
    assert found == {'mean': [[2., 1.]], 'max': [[3., 4.]], 'fc': [[17., 30.]]}
    assert {name.split('.')[0] for name, _ in heads['mean'].named_parameters()} == {'patch_classifier'}


def test_v1_keeps_its_unused_layer_frozen():
    unused, used = (MCTformerHead(2, 2, patch_classifier=False, class_score=score) for score in ('mean', 'fc'))
    assert not any(p.requires_grad for p in unused.fc.parameters())
    assert all(p.requires_grad for p in used.fc.parameters())


@pytest.mark.parametrize(('kwargs', 'words'), [
    (dict(class_score='median'), "class_score must be one of ['fc', 'max', 'mean'], got 'median'"),
    (dict(attention_type='fused', patch_classifier=False), "attention_type must be one of ['mct'], got 'fused'"),
    (dict(fusion='sum'), "fusion must be one of ['mean', 'paper', 'released', 'root'], got 'sum'"),
    (dict(attention_layers=0), 'attention_layers must be at least 1, got 0')])
def test_wrong_choices_are_named(kwargs, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        MCTformerHead(2, 2, **kwargs)


def test_more_layers_than_there_are_and_unknown_maps_are_errors():
    for head in (example_head(attention_layers=5), example_head(affinity_layers=[-5])):
        with pytest.raises(IndexError, match='layer -5 does not exist: the backbone has 4 layers'):
            run_head(head, ExampleBackbone(), example_image(), ['cams'])
    with pytest.raises(ValueError, match="MCTformerHead has no map 'maps'; its maps are cams, attention, patch_cams"):
        run_head(example_head(), ExampleBackbone(), example_image(), ['maps'])


@pytest.mark.parametrize(('v2', 'num_classes', 'parameters'), [(False, 20, 21_687_956), (True, 20, 21_749_396),
                                                              (True, 80, 22_002_896)])
def test_number_of_parameters(v2, num_classes, parameters):
    with torch.device('meta'):
        parts = [AttentionViT('deit-small', num_class_tokens=num_classes, img_size=224, patch_size=16, raw_output=True),
                 MCTformerHead(num_classes, 384, patch_classifier=v2)]
    assert sum(p.numel() for part in parts for p in part.parameters()) == parameters
