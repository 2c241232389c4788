"""Published settings of the dense CRF."""

__all__ = ['CRF_PRESETS', 'HARD_LABEL_CRFS']


def _setting(num_iters: int, gaussian: tuple[float, float], bilateral: tuple[float, float, float]) -> dict:
    return dict(num_iters=num_iters, gaussian_sxy=gaussian[0], gaussian_compat=gaussian[1],
                bilateral_sxy=bilateral[0], bilateral_srgb=bilateral[1], bilateral_compat=bilateral[2])


CRF_PRESETS: dict[str, dict] = {
    # ToCo (CVPR 2023), its published code: the final segmentation, and CAMs beside a background.
    'toco_seg': _setting(10, (1, 1), (121, 5, 4)),
    'toco_label': _setting(10, (3, 3), (36, 3, 4)),
    # PSA (CVPR 2018), its published code: CAMs beside a background of (1 - max)^alpha.
    'psa_cam': _setting(10, (3, 3), (80, 13, 10)),
    # MCTformer (CVPR 2022), its published code: CAMs as PSA, and the segmentation of DeepLab-V1.
    'mctformer_cam': _setting(10, (3, 3), (80, 13, 10)),
    'mctformer_seg': _setting(10, (4, 3), (83, 5, 3)),
    # AReAM (arXiv 2305.03112) follows MCTformer.
    'aream_cam': _setting(10, (3, 3), (80, 13, 10)),
    'aream_seg': _setting(10, (4, 3), (83, 5, 3)),
    # WeakTr (arXiv 2304.01184), its published code: hard labels of the first stage, segmentation of the second.
    'weaktr_label_voc': _setting(10, (4, 3), (83, 5, 3)),
    'weaktr_label_coco': _setting(10, (3, 3), (50, 5, 10)),
    'weaktr_seg_voc': _setting(10, (3, 3), (83, 5, 3)),
    'weaktr_seg_coco': _setting(10, (1, 3), (67, 3, 4)),
    # TransCAM (JVCIR 2023), its published code: hard labels, and the segmentation of the last stage.
    'transcam_label': _setting(10, (3, 3), (50, 5, 10)),
    'transcam_seg': _setting(1, (3, 3), (32, 13, 10)),
    # DeepLab-V2 (TPAMI 2018), as in its PyTorch implementations.
    'deeplab_v2': _setting(10, (1, 3), (67, 3, 4)),
}
"""dict: Arguments of :class:`~mmwsss.models.DenseCRF` by name. ``*_seg`` refine the probabilities of a segmentation
network, ``*_cam`` and ``toco_label`` CAMs beside a background plane, the other ``*_label*`` hard labels."""

HARD_LABEL_CRFS = {'weaktr_label_voc': 'present', 'weaktr_label_coco': 'present', 'transcam_label': 'all'}
"""dict: Settings published for hard labels, and which classes take part; see ``over`` of ``HardLabels``."""
