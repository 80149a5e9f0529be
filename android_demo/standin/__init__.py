"""The demo's screen on a computer: the app's own Python module, LiteRT, drawings before a camera, a page in a browser.

    python -m android_demo.standin

Threads are those of the app: one for Python's decisions, one for frames, of which the newest counts.
"""

import sys
from pathlib import Path

APP_PYTHON = Path(__file__).parent.parent / "app" / "src" / "main" / "python"
if str(APP_PYTHON) not in sys.path:
    sys.path.insert(0, str(APP_PYTHON))
