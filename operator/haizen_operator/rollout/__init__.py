"""The canary state machine: which revision gets which share of the traffic. Pure; the world is an argument.

**Outcomes are KServe's** (its Knative reconciler and status propagation), with ``c`` = canaryTrafficPercent,
``LR`` = latestRolledoutRevision (the stable side), ``PR`` = previousRolledoutRevision:

==========================================================  =====================================================
the user                                                     gets
==========================================================  =====================================================
deploys for the first time, whatever ``c`` says              latest 100
edits the template, ``c`` set                                latest ``c`` and LR ``100-c`` (tag ``prev``)
removes ``c`` or sets 100 during a canary                    latest 100: promoted; PR = LR, LR = the new revision
sets ``c`` = 0 during a canary                               latest 0, LR 100: the canary is dark
sets ``c`` < 100 after a promotion, same template            latest ``c``, PR ``100-c``; LR = PR: rolled back with 0
edits the template after a rollback                          a split of the new revision and the one rolled back to
deploys a revision that never becomes Ready                  LR keeps everything
==========================================================  =====================================================

**Memory.** ``LR`` and ``PR`` live in the InferenceService's status. Each pass first advances them (`advance`), then
computes the traffic from them (`decide_traffic`). With R = the newest Revision that exists:

- *forget*: LR that does not exist, or that is newer than anything that was ever Ready, is no memory.
- *recover*: without an LR it is read back from what the live Service says: the target tagged ``prev``, else the
  annotation that travels with the traffic block, else the latest ready revision that has everything.
- *promote*: LR = R when the Service's spec gives everything to the latest revision, R is Ready, R was made from the
  template in the spec, that is the template we want, ``c`` is unset or 100, Knative has observed the spec and
  the route sends R 100 %.
- *promote before an edit*: the same without waiting for the route, when the template is about to change. Nothing but
  R could have followed from the applied spec, so the next split has to start from R and not from the one before (KServe
  #2097 sends the traffic two versions back here).
- *roll back*: LR = PR when LR is R, its template is the one we want, ``c`` < 100, and Knative has no template left to
  turn into a Revision.
- *rollback before an edit*: the same read from the live traffic block, when the status write after it was lost.

**Write down before acting.** An edit of the template destroys what the two "before an edit" moves read. So when the
memory has just moved and the template is about to change, the decision is to *hold* for one pass: the status is
written, nothing is applied, the next pass applies. A process killed at any point repeats the step. Nothing waits for
a revision, so a revision that never becomes Ready holds up no healing edit.

**Nobody gets traffic whom the user did not name.** ``latestRevision: true`` follows Knative's latest *ready*
revision, which for a while after an edit is not the new one. That is fine while it is LR. When any other revision
could be it (a canary that was replaced, one that was rolled back, one that may still become Ready: KServe #2130,
#1968), LR is *pinned*: latest 0, LR 100, until the new revision is the latest ready one. So user traffic goes to LR and
to the revision of the wanted template, never to a third one.
"""

from haizen_operator.rollout.knative import History, Revision, Service
from haizen_operator.rollout.memory import ROLLED_OUT_ANNOTATION, Memory, advance, recover
from haizen_operator.rollout.plan import Rollout, plan_rollout
from haizen_operator.rollout.traffic import TrafficDecision, TrafficReason, decide_traffic, same_targets

__all__ = [
    "ROLLED_OUT_ANNOTATION",
    "History",
    "Memory",
    "Revision",
    "Rollout",
    "Service",
    "TrafficDecision",
    "TrafficReason",
    "advance",
    "decide_traffic",
    "plan_rollout",
    "recover",
    "same_targets",
]
