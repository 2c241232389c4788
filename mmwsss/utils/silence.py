"""Hide what libraries print while they build models."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

__all__ = ['silent']


@contextmanager
def silent() -> Iterator[None]:
    """Hide what libraries print, log and warn of while they build models; errors are raised as ever."""
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(logging.NOTSET)
