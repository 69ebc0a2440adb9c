"""Files of API keys: what they may say, and errors that never show a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.doors.access.keys import read_keys
from haizen_runtime.doors.access.policy import Scope, allows
from haizen_runtime.protocol.errors import InvalidConfiguration

KEY = "sk-0123456789abcdef"
OTHER = "sk-fedcba9876543210"
INFERENCE, METRICS, ADMIN = frozenset((Scope.INFERENCE,)), frozenset((Scope.METRICS,)), frozenset((Scope.ADMIN,))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(f"{KEY}\n", [("line-1", INFERENCE)], id="alone"),
        pytest.param(f"{KEY}", [("line-1", INFERENCE)], id="no-newline"),
        pytest.param(f"\r\n# team a\r\n  {KEY} name=team-a \r\n", [("team-a", INFERENCE)], id="windows-and-comments"),
        pytest.param(f"{KEY} scope=admin name=ops\n{OTHER} scope=metrics", [("ops", ADMIN), ("line-2", METRICS)],
                     id="scopes"),
        pytest.param(f"{KEY} scope=inference,metrics", [("line-1", INFERENCE | METRICS)], id="several-scopes"),
    ],
)  # fmt: skip
def test_reads(content: str, expected: list[tuple[str, frozenset[Scope]]]) -> None:
    ring = read_keys(content.encode(), "keys")
    assert [(key.name, key.scopes) for key in ring.keys] == expected
    found = ring.find(KEY.encode())
    assert found is ring.keys[0]
    assert ring.find(KEY.encode() + b"x") is None
    assert ring.find(b"") is None
    assert KEY not in repr(ring.keys)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "has no API key", id="empty"),
        pytest.param(b"# nothing\n", "has no API key", id="only-comments"),
        pytest.param(b"sk-short\n", "line 1: an API key has at least 16", id="short"),
        pytest.param(
            f"\n{KEY} scope=root".encode(), "line 2: the scope must be of inference, metrics, admin", id="scope"
        ),
        pytest.param(f"{KEY} scope=".encode(), "the scope must be of", id="no-scope"),
        pytest.param(f"{KEY} {OTHER}".encode(), "name=NAME and scope=SCOPE", id="two-keys-in-a-line"),
        pytest.param(f"{KEY} name=a\n{KEY}".encode(), "line 2 has the key of a once more", id="twice"),
        pytest.param(b"sk-0123456789abcde\xff", "no ASCII text", id="bytes"),
        pytest.param(b"sk-0123456789abcde\x07", "printable", id="control-character"),
        pytest.param("".join(f"sk-{i:016}\n" for i in range(1001)).encode(), "at most 1000", id="too-many"),
    ],
)
def test_refuses_without_showing_a_key(content: bytes, says: str) -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        read_keys(content, "keys")
    assert says in raised.value.message
    assert "sk-" not in raised.value.message


@given(st.sets(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=40), min_size=1))
def test_every_key_of_a_file_is_found_and_no_other(secrets: set[str]) -> None:
    secrets = {secret for secret in secrets if not secret.startswith("#")} or {KEY}
    ring = read_keys("\n".join(f"{secret} name={index}" for index, secret in enumerate(secrets)).encode(), "keys")
    for index, secret in enumerate(secrets):
        found = ring.find(secret.encode())
        assert found is not None
        assert found.name == str(index)
        assert ring.find(secret.encode()[:-1] + b"\0") is None


@pytest.mark.parametrize(
    ("scopes", "needed", "allowed"),
    [
        pytest.param(INFERENCE, Scope.INFERENCE, True, id="the-same"),
        pytest.param(INFERENCE, Scope.METRICS, False, id="inference-reads-no-metrics"),
        pytest.param(METRICS, Scope.INFERENCE, False, id="metrics-infers-nothing"),
        pytest.param(INFERENCE | METRICS, Scope.ADMIN, False, id="both-are-not-admin"),
        pytest.param(ADMIN, Scope.INFERENCE, True, id="admin-infers"),
        pytest.param(ADMIN, Scope.METRICS, True, id="admin-reads-metrics"),
    ],
)
def test_scopes(scopes: frozenset[Scope], needed: Scope, allowed: bool) -> None:
    assert allows(scopes, needed) is allowed
