"""Hide what libraries print while they build models."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from mmengine.logging import MMLogger

__all__ = ['silent']


@contextmanager
def silent() -> Iterator[None]:
    """Hide what libraries print, log and warn of while they build models; errors are raised as ever."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)  # logging.disable does not reach mmengine's loggers
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(logging.NOTSET)
        logger.setLevel(level)
