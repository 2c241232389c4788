import pytest
import torch
from torch.nn import functional as F

from mmwsss.models import BalancedCrossEntropyLoss, ClassTokenContrastLoss, PatchTokenContrastLoss
from mmwsss.models.utils import token_affinity_labels

TOKENS = torch.tensor([[1., 0], [0, 1], [1, 1], [-1, 0]]).T.reshape(1, 2, 2, 2)
STUDENT = torch.tensor([[[1., 0], [.8, .6], [.6, .8], [0, 1]]])


@pytest.mark.parametrize(('labels', 'expected'), [
    ([0, 0, 3, 255], 0.7828427),
    ([5, 7, 5, 5], 0.2561276),
    ([0, 0, 0, 0], 0.2598984),
    ([255] * 4, 0.5),
])
def test_patch_contrast(labels, expected):
    affinity = token_affinity_labels(torch.tensor(labels).reshape(1, 2, 2))
    assert PatchTokenContrastLoss()(TOKENS, affinity).item() == pytest.approx(expected, abs=1e-6)


def test_patch_contrast_of_groups():
    tokens = TOKENS.expand(2, -1, -1, -1)
    affinity = token_affinity_labels(torch.tensor([[[0, 0], [3, 255]], [[0, 0], [0, 0]]]))
    assert PatchTokenContrastLoss(group_size=1)(tokens, affinity).item() == pytest.approx(0.5213706, abs=1e-6)
    for pooled in (None, 2, 5):
        assert PatchTokenContrastLoss(group_size=pooled)(tokens, affinity).item() == pytest.approx(0.574755, abs=1e-6)


def test_patch_contrast_of_a_batch_in_groups_is_the_mean_of_the_processes():
    torch.manual_seed(0)
    tokens, labels = torch.randn(5, 3, 2, 2), torch.tensor([0, 1, 255])[torch.randint(3, (5, 2, 2))]
    affinity = token_affinity_labels(labels)
    parts = [PatchTokenContrastLoss()(tokens[i:4:2], affinity[i:4:2]) for i in range(2)]
    loss = PatchTokenContrastLoss(group_size=2)
    torch.testing.assert_close(loss(tokens[:4], affinity[:4]), (parts[0] + parts[1]) / 2)
    # Of five images, two groups have two and one group has one; every image weighs the same.
    uneven = [PatchTokenContrastLoss()(tokens[i::3], affinity[i::3]) for i in range(3)]
    torch.testing.assert_close(loss(tokens, affinity), (2 * uneven[0] + 2 * uneven[1] + uneven[2]) / 5)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(group_size=0), 'group_size must be 1 or more, got 0'),
    (dict(group_size=2, across_processes=True), 'exclude each other: set group_size=None'),
])
def test_groups_that_cannot_be(options, message):
    for loss in (PatchTokenContrastLoss, BalancedCrossEntropyLoss):
        with pytest.raises(ValueError, match=message):
            loss(**options)


def test_patch_contrast_gradient():
    tokens = TOKENS.clone().requires_grad_()
    affinity = token_affinity_labels(torch.tensor([[[0, 0], [3, 255]]]))
    PatchTokenContrastLoss()(tokens, affinity).backward()
    expected = torch.tensor([0, .1414214, 0, 0, .1414214, 0, 0, 0])
    torch.testing.assert_close(tokens.grad.flatten(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(('same', 'expected'), [(1, 0.1666667), (0, 0.8333334)])
def test_opposite_tokens_count_as_similar(same, expected):
    tokens = torch.tensor([[1., -1], [0, 0]]).reshape(1, 2, 1, 2)
    affinity = torch.tensor([[[255, same], [same, 255]]])
    # The empty half is the constant 0.5 without positive pairs, and 0 without negative ones.
    assert PatchTokenContrastLoss()(tokens, affinity).item() == pytest.approx(expected, abs=1e-6)


def test_patch_contrast_variants():
    tokens = torch.tensor([[1., -1], [0, 0]]).reshape(1, 2, 1, 2)
    affinity = torch.tensor([[[255, 0], [0, 255]]])
    assert PatchTokenContrastLoss('relu')(tokens, affinity).item() == pytest.approx(0.5)
    assert PatchTokenContrastLoss('cos')(tokens, affinity).item() == pytest.approx(0.5 - 0.5 * 2 / 3)
    with pytest.raises(ValueError, match='similarity'):
        PatchTokenContrastLoss('dot')


@pytest.mark.parametrize(('flags', 'half', 'one'), [
    ([1, 1, 1, 0], 0.6685455, 0.7488331),
    ([1, 1, 1, 1], 5.5299e-5, 7.6429e-5),
    ([1, 1, 0, 0], 1.7868894, 1.6569117),
])
def test_class_contrast(flags, half, one):
    positive = torch.tensor([flags]).bool()
    for temperature, expected in ((0.5, half), (1.0, one)):
        loss = ClassTokenContrastLoss(temperature)(STUDENT, STUDENT[:, :2], positive)
        assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_class_contrast_gradient():
    student, teacher = STUDENT.clone().requires_grad_(), STUDENT[:, :2].clone().requires_grad_()
    ClassTokenContrastLoss(0.5)(student, teacher, torch.tensor([[True, True, True, False]])).backward()
    expected = [-.1467515, -.0802612, -.1386691, -.0620043, -.1644654, -.0654777, .8214415, .3614333]
    torch.testing.assert_close(student.grad.flatten(), torch.tensor(expected), atol=1e-6, rtol=0)
    assert teacher.grad is None


def test_class_contrast_of_two_images():
    student = torch.tensor([[[1, 0], [.8, .6], [.6, .8], [0, 1.]], [[0, 1], [.6, .8], [.8, .6], [1, 0]]])
    teacher = torch.tensor([[[1, 0], [.8, .6]], [[.8, .6], [1, 0.]]])
    positive = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]).bool()
    assert ClassTokenContrastLoss(0.5)(student, teacher, positive).item() == pytest.approx(1.8227353, abs=1e-6)


def test_class_contrast_against_the_plain_formula_and_without_overflow():
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 10, 16), torch.randn(3, 2, 16)
    positive = torch.rand(3, 10) > 0.5
    positive[:, :2] = True
    expected = []
    for s, t, flags in zip(student, teacher, positive):
        scores = (t @ s.T / 0.5).exp()
        negatives = scores[:, ~flags].sum(1, keepdim=True)
        cost = -(scores / (scores + negatives + 1e-4)).log()[:, flags].sum() + (1 + negatives + 1e-4).log().sum()
        expected.append(cost / (2 * (flags.sum() + 1e-4)))
    torch.testing.assert_close(ClassTokenContrastLoss()(student, teacher, positive), torch.stack(expected).mean())
    plain = ClassTokenContrastLoss(extra_term=False)(student, teacher, positive)
    assert plain < torch.stack(expected).mean()
    assert torch.isfinite(ClassTokenContrastLoss()(100 * F.normalize(student), 100 * teacher, positive))
