"""`python -m codefusion_hf.cli`"""

import sys

from . import main


sys.exit(main())
