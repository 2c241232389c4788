"""Prepare a process for forking the workers of its data loaders."""

from functools import cache
from io import BytesIO

import cv2
import numpy as np
import torch
from PIL import Image

__all__ = ['initialize_before_fork']


@cache
def initialize_before_fork() -> None:
    """Use what the workers of a data loader use of cv2, Pillow and torch, once in this process.

    These libraries initialize parts of themselves at first use, under locks of the C library. A fork inherits a lock
    that another thread holds at that moment, such as one of gloo's in a distributed run, and nobody ever releases it
    there: the worker waits forever at its first picture, and the run with it. What the parent process has initialized
    needs no lock in the workers. Takes less than a tenth of a second.
    """
    pixels = np.zeros((8, 8, 3), np.uint8)
    for extension in ('.jpg', '.png'):
        encoded = cv2.imencode(extension, pixels)[1]
        for flag in (cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED, cv2.IMREAD_GRAYSCALE):
            cv2.imdecode(encoded, flag)
        Image.open(BytesIO(encoded.tobytes())).convert('L').resize((4, 4))
    for interpolation in (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA):
        cv2.resize(pixels, (5, 5), interpolation=interpolation)
    for code in (cv2.COLOR_BGR2RGB, cv2.COLOR_BGR2GRAY, cv2.COLOR_BGR2HSV):
        cv2.cvtColor(cv2.flip(pixels, 1), code)
    cv2.GaussianBlur(pixels, (3, 3), 1)
    image = torch.from_numpy(pixels.transpose(2, 0, 1)).contiguous().clone()
    torch.stack([image, image[:, ::1].float().to(torch.uint8)]).sum()
    torch.set_num_threads(torch.get_num_threads())
