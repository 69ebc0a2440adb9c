"""Why a revision does not run: the most telling root cause of all its pods, or of the Revision without pods. Pure.

KServe's status looks at two containers of one pod. This looks at every container of every pod of the newest revision:
scheduling, image pull, container configuration, init containers, exits, out of memory, probes, and what the model
server wrote into its termination message, which needs no right to read logs.
"""

from haizen_operator.diagnosis.diagnose import count_failing, diagnose
from haizen_operator.diagnosis.model import Diagnosis, Rank
from haizen_operator.diagnosis.redact import redact

__all__ = ["Diagnosis", "Rank", "count_failing", "diagnose", "redact"]
