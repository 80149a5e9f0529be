"""`python -m eas_train.data [CACHE]`: build the emoji cache."""

from __future__ import annotations

import sys

from eas_sdk.errors import EasError
from eas_train.data.command import prepare

if __name__ == "__main__":
    try:
        prepare(sys.argv[1] if len(sys.argv) > 1 else None)
    except EasError as error:
        sys.exit(f"error: {error}")
