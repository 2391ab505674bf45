"""Questions put to a policy, ours or anyone's, each answered with a number, an interval and a verdict.

`operant.audit(subject, audits, key=…)` runs the subject's episodes once and asks every audit here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
