"""``python -m xtsupport``: the command, where no script of that name is on the path."""

import sys

from xtsupport.study.cli import main

sys.exit(main())
