"""Find tags that are probably wrong or missing: confident learning on held-out predictions."""

import importlib
import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmwsss.utils.errors import UserError

from .tag_requirements import can_check_tags

__all__ = ['TagDoubts', 'can_check_tags', 'find_doubts', 'held_out_scores']

REGULARIZATION = 0.1
"""float: Inverse strength of the penalty on the weights. A few hundred photographs have as many features each."""


@dataclass
class TagDoubts:
    """What held-out predictions say about tags.

    Attributes:
        scores (np.ndarray): (N, C) float, the probability of each class in each photograph, predicted by a classifier
            that was not trained on the photograph. NaN where a class cannot be checked.
        wrong (np.ndarray): (N, C) bool, tags that are probably wrong.
        missing (np.ndarray): (N, C) bool, tags that are probably missing.
        unchecked (tuple[int, ...]): Classes that cannot be checked, because fewer than two photographs have them or
            fewer than two lack them.
    """

    scores: np.ndarray
    wrong: np.ndarray
    missing: np.ndarray
    unchecked: tuple[int, ...] = field(default=())


def held_out_scores(features: np.ndarray, tags: np.ndarray, folds: int = 5, seed: int = 0) -> np.ndarray:
    """Predict the classes of each photograph by classifiers that were not trained on it.

    For each class, the photographs are divided into folds with equal shares of it. A logistic regression on
    standardized features is trained on all but one fold and predicts that one. A class with fewer photographs than
    folds gets as many folds as it has photographs.

    Args:
        features (np.ndarray): (N, D) float, one row per photograph.
        tags (np.ndarray): (N, C) bool.
        folds (int): Number of folds, 2 or more. Defaults to 5.
        seed (int): Seed of the division. Defaults to 0.

    Returns:
        np.ndarray: (N, C) float in [0, 1]; NaN for classes that fewer than two photographs have or lack.

    Raises:
        ValueError: The numbers of rows differ, or there are fewer than two folds.
    """
    if len(features) != len(tags):
        raise ValueError(f'there are features of {len(features)} photographs and tags of {len(tags)}')
    if folds < 2:
        raise ValueError(f'folds must be 2 or more, got {folds}')
    scores = np.full(tags.shape, np.nan)
    for channel in range(tags.shape[1]):
        wanted = tags[:, channel].astype(int)
        rarest = min(wanted.sum(), len(wanted) - wanted.sum())
        if rarest < 2:
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=REGULARIZATION, max_iter=1000))
        division = StratifiedKFold(min(folds, rarest), shuffle=True, random_state=seed)
        scores[:, channel] = cross_val_predict(model, features, wanted, cv=division, method='predict_proba')[:, 1]
    return scores


def find_doubts(scores: np.ndarray, tags: np.ndarray) -> TagDoubts:
    """Find the tags that confident learning doubts.

    For each class by itself, a photograph counts as confidently of the class if its score exceeds the mean score of the
    photographs with the tag, and as confidently without it in the same way (Northcutt et al., "Confident Learning",
    JAIR 2021, as cleanlab implements it). Tags are doubted where this and the tag disagree.

    Args:
        scores (np.ndarray): (N, C) from :func:`held_out_scores`.
        tags (np.ndarray): (N, C) bool.

    Returns:
        TagDoubts: The doubts.

    Raises:
        UserError: cleanlab is not installed.
    """
    if not can_check_tags():
        raise UserError('checking tags needs cleanlab: run pip install cleanlab')
    filters = importlib.import_module('cleanlab.filter')
    issues = np.zeros(tags.shape, bool)
    unchecked = np.flatnonzero(np.isnan(scores).any(axis=0))
    for channel in set(range(tags.shape[1])) - set(unchecked.tolist()):
        both = np.stack([1 - scores[:, channel], scores[:, channel]], axis=1)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            issues[:, channel] = filters.find_label_issues(
                tags[:, channel].astype(int), both, filter_by='confident_learning', n_jobs=1)
    return TagDoubts(scores, issues & tags, issues & ~tags, tuple(unchecked.tolist()))
