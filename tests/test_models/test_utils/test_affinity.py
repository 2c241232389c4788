import torch

from mmwsss.models.utils import refine_with_affinity, token_affinity_labels


def test_relations_of_tokens():
    labels = torch.tensor([[[0, 0], [3, 255]], [[5, 7], [5, 5]]])
    first, second = token_affinity_labels(labels)
    assert first.tolist() == [[255, 1, 0, 255], [1, 255, 0, 255], [0, 0, 255, 255], [255] * 4]
    assert second.tolist() == [[255, 0, 1, 1], [0, 255, 0, 0], [1, 0, 255, 1], [1, 0, 1, 255]]
    with_diagonal = token_affinity_labels(labels, include_diagonal=True)
    assert with_diagonal.diagonal(dim1=1, dim2=2).tolist() == [[1, 1, 1, 255], [1, 1, 1, 1]]


def test_refinement_collects_by_rows():
    affinity = torch.tensor([[.5, .2, .1, .1], [.2, .5, .1, .1], [0, .1, .6, .2], [.1, .3, .1, .4]])[None]
    cams = torch.tensor([1, .5, 0, .2]).reshape(1, 1, 2, 2)
    refined = refine_with_affinity(cams, affinity)
    torch.testing.assert_close(refined.flatten(), torch.tensor([.62, .47, .09, .33]))
