"""Random histories against a simulated Knative: what must hold at every moment, and what must hold at rest."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from haizen_operator.rollout import Memory
from tests.operator.rollout.knative_simulator import Knative, Operator, SimulatedRevision

PERCENT = st.one_of(st.none(), st.sampled_from([0, 10, 50, 99, 100]))
TEMPLATE = st.sampled_from(["A", "B", "C", "D"])


def split(stable: str, newest: SimulatedRevision, percent: int | None) -> dict[str, int]:
    """What users get at rest: the newest its percent if it works, the stable revision all else."""
    if newest.ready != "True" or newest.name == stable:
        return {stable: 100}
    share = 100 if percent is None else percent
    return {name: part for name, part in ((stable, 100 - share), (newest.name, share)) if part}


class PatientUser(RuleBasedStateMachine):
    """A user who waits for rest between edits: the traffic must be exactly what KServe's documentation promises.

    The oracle below is KServe's outcome table and knows nothing of Knative, hashes or passes.
    """

    @initialize(percent=PERCENT, ready=st.booleans())
    def deploy(self, percent: int | None, ready: bool) -> None:
        self.operator = Operator()
        self.operator.percent = percent
        self.stable: str | None = None
        self.previous: str | None = None
        self.operator.run()
        self._rest(ready)

    def _rest(self, ready: bool) -> None:
        """Come to rest twice: before and after the newest revision knows whether it works."""
        self.operator.settle()
        service = self.service
        newest = service.newest()
        assert newest is not None
        if newest.ready == "Unknown":
            service.become(newest.name, ready)
            self.operator.settle()
        self._advance_oracle()

    @property
    def service(self) -> Knative:
        assert self.operator.service is not None
        return self.operator.service

    def _advance_oracle(self) -> None:
        newest = self.service.newest()
        assert newest is not None
        percent, works = self.operator.percent, newest.was_ready
        everything = percent is None or percent == 100
        if self.stable is None:
            working = [r for r in self.service.revisions.values() if r.was_ready]
            self.stable = max(working, key=lambda r: r.order).name if working else None
        elif newest.name != self.stable:
            if works and everything:
                self.stable, self.previous = newest.name, self.stable
        elif not everything and self.previous is not None and not self.template_edited:
            self.stable = self.previous

    template_edited = False

    @rule(template=TEMPLATE, percent=PERCENT, ready=st.booleans())
    def edit_template(self, template: str, percent: int | None, ready: bool) -> None:
        changed = template != self.operator.template
        self.operator.template, self.operator.percent = template, percent
        self.template_edited = changed
        self._rest(ready)
        self.template_edited = False

    @rule(percent=PERCENT)
    def edit_percent(self, percent: int | None) -> None:
        self.operator.percent = percent
        self._rest(ready=True)

    @rule()
    def newest_works_after_all(self) -> None:
        newest = self.service.newest()
        assert newest is not None
        self.service.become(newest.name, True)
        self._rest(ready=True)

    @rule(data=st.data())
    def an_old_one_works_after_all(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.service.revisions)))
        if name != self.service.newest().name:  # type: ignore[union-attr]
            self.service.become(name, True)
            self._rest(ready=True)

    @rule()
    def status_is_lost(self) -> None:
        self.operator.status = {}
        self._rest(ready=True)

    @rule(percent=st.integers(0, 100), data=st.data())
    def somebody_edits_the_split(self, percent: int, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.service.revisions)))
        hand_made = [{"latestRevision": True, "percent": percent}, {"revisionName": name, "percent": 100 - percent}]
        self.service.apply(self.service.template_hash, hand_made, self.service.annotations)
        self.service.settle()
        self._rest(ready=True)

    @rule(ready=st.booleans())
    def somebody_deletes_the_service(self, ready: bool) -> None:
        self.operator.service = None
        self.stable = self.previous = None
        self._rest(ready)

    @invariant()
    def traffic_is_what_kserve_promises(self) -> None:
        if not hasattr(self, "operator"):
            return
        newest = self.service.newest()
        assert newest is not None
        if self.stable is None:
            assert self.service.shares() == {}
            return
        assert self.service.shares() == split(self.stable, newest, self.operator.percent)

    @invariant()
    def memory_is_kserves(self) -> None:
        if hasattr(self, "operator"):
            assert Memory.from_status(self.operator.status) == Memory(self.stable, self.previous)

    @invariant()
    def another_pass_writes_nothing(self) -> None:
        if not hasattr(self, "operator"):
            return
        before, writes = self.operator.world(), self.operator.writes
        self.operator.run()
        assert (self.operator.world(), self.operator.writes) == (before, writes)


class Chaos(RuleBasedStateMachine):
    """Edits, passes, deaths and Knative's controllers in any order: the invariants of every moment."""

    @initialize(percent=PERCENT)
    def deploy(self, percent: int | None) -> None:
        self.operator = Operator()
        self.operator.percent = percent
        self.by_hand = False
        self.decided: str | None = None  # the stable revision of the last decision that was applied
        self.operator.run()

    @property
    def service(self) -> Knative:
        assert self.operator.service is not None
        return self.operator.service

    @rule(template=TEMPLATE, percent=PERCENT)
    def edit(self, template: str, percent: int | None) -> None:
        self.operator.template, self.operator.percent = template, percent

    @rule(percent=PERCENT)
    def edit_percent(self, percent: int | None) -> None:
        self.operator.percent = percent

    @rule(dies=st.sampled_from(["", "", "before apply", "before status"]))
    def a_pass(self, dies: str) -> None:
        everybody = self._everybody()
        template = self.service.template_hash
        outcome = self.operator.run(
            dies_before_apply=dies == "before apply", dies_before_status=dies == "before status"
        )
        if outcome.traffic.hold or dies == "before apply":
            return
        self.by_hand = False
        self.decided = outcome.memory.latest_rolledout
        assert sum(t["percent"] for t in outcome.traffic.targets) == 100
        for target in outcome.traffic.targets:
            if name := target.get("revisionName"):
                assert name in self.service.revisions, "a revision that does not exist is named"
                assert self.service.revisions[name].was_ready, "a revision that never was ready is named"
                if everybody and self.operator.template != template:
                    assert name == everybody, "an edit right after a promotion sends the traffic two versions back"

    def _everybody(self) -> str | None:
        """The revision that all users are on for good: it is ready, the newest, and the spec gives it everything."""
        service = self.service
        newest = service.newest()
        if newest is None or newest.ready != "True" or self.by_hand or len(service.targets) != 1:
            return None
        return newest.name if newest.template_hash == service.template_hash else None

    @rule(who=st.lists(st.sampled_from(["service", "configuration", "route"]), min_size=1, max_size=4))
    def knative_works(self, who: list[str]) -> None:
        for name in who:
            routed = self.service.routed
            getattr(self.service, f"{name}_step")()
            if self.service.routed is not routed:
                self._no_third_revision()

    @rule()
    def knative_catches_up(self) -> None:
        self.knative_works(["service", "configuration", "service", "route", "service"])

    @rule()
    def the_newest_becomes_ready(self) -> None:
        self.knative_works(["service", "configuration"])
        newest = self.service.newest()
        assert newest is not None
        self.service.become(newest.name, True)

    @rule(data=st.data(), ready=st.booleans())
    def a_revision_settles(self, data: st.DataObject, ready: bool) -> None:
        undecided = [r.name for r in self.service.revisions.values() if r.ready != "True"]
        if undecided:
            self.service.become(data.draw(st.sampled_from(sorted(undecided))), ready)

    @rule(data=st.data())
    def knative_collects(self, data: st.DataObject) -> None:
        if names := self.service.collectable():
            del self.service.revisions[data.draw(st.sampled_from(names))]

    @rule()
    def status_is_lost(self) -> None:
        self.operator.status = {}

    @precondition(lambda self: self.service.latest_ready)
    @rule(percent=st.integers(0, 100))
    def somebody_edits_the_split(self, percent: int) -> None:
        by_hand = [
            {"latestRevision": True, "percent": percent},
            {"revisionName": self.service.latest_ready, "percent": 100 - percent},
        ]
        self.service.apply(self.service.template_hash, by_hand, self.service.annotations)
        self.by_hand = True

    @rule(dies=st.booleans())
    def somebody_deletes_the_service(self, dies: bool) -> None:
        self.operator.service = None
        self.operator.run(dies_before_status=dies)
        self.by_hand, self.decided = False, None

    @rule()
    def everything_comes_to_rest(self) -> None:
        self.operator.settle()
        service = self.service
        newest = service.newest()
        assert newest is not None
        assert service.template_hash == self.operator.template == newest.template_hash
        outcome = self.operator.plan()
        assert not outcome.traffic.hold
        self.by_hand, self.decided = False, outcome.memory.latest_rolledout
        shares = service.shares()
        stable = outcome.memory.latest_rolledout
        if stable is None:
            return
        assert shares == split(stable, newest, self.operator.percent)

    def _no_third_revision(self) -> None:
        """Users reach at most two revisions, and through "latest" only one that somebody asked for."""
        service = self.service
        shares = service.shares()
        assert len(shares) <= 2
        assert sum(shares.values()) == 100
        if self.by_hand or self.decided is None or service.route.spec != service.targets:
            return
        newest = service.newest()
        for name in shares:
            wanted = newest is not None and name == newest.name and newest.template_hash == service.template_hash
            assert wanted or name == self.decided, f"{name} gets traffic that nobody gave it"


PatientUser.TestCase.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
Chaos.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestPatientUser = PatientUser.TestCase
TestChaos = Chaos.TestCase
