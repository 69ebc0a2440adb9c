"""Waiting for what kubectl shows."""

import pytest

from e2e.kubectl import KubectlError, wait_for


def test_a_look_that_fails_is_repeated() -> None:
    looks = iter([KubectlError("net/http: TLS handshake timeout"), None, "seen"])

    def look() -> str | None:
        found = next(looks)
        if isinstance(found, KubectlError):
            raise found
        return found

    assert wait_for("something", look, timeout_seconds=60, every_seconds=0) == "seen"


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        pytest.param("forbidden", "something: not within 0 s; seen: forbidden", id="every look fails"),
        pytest.param("", "something: not within 0 s; seen: what is there", id="it does not come"),
    ],
)
def test_the_end_of_the_wait_says_why(failure: str, said: str) -> None:
    def look() -> None:
        if failure:
            raise KubectlError(failure)

    with pytest.raises(TimeoutError) as caught:
        wait_for("something", look, timeout_seconds=0, every_seconds=0, explain=lambda: "what is there")
    assert str(caught.value) == said
