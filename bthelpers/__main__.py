"""``python -m bthelpers COMMAND``: as ``bthelpers COMMAND``."""

import sys

from bthelpers.cli import main

sys.exit(main())
