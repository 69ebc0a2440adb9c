"""What the object stores' client says, and what it does not say although the words are there."""

import pytest

from haizen_runtime.storage.object_errors import Cause, cause_of, short

HEAD = (
    "Generic S3 error: Error performing HEAD {url} in {time}, after 2 retries, max_retries: 2, retry_timeout: 30s  - "
)
DEBUG = "\n\nDebug source:\nGeneric {{\n uri: Some(\n  {url},\n ),\n elapsed: {time},\n inner: {inner},\n}}"


def text(cause: str, inner: str = "Http(Connect)", url: str = "http://m:9000/b/x", time: str = "244.333345ms") -> str:
    return (HEAD + cause + DEBUG).format(url=url, time=time, inner=inner)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        pytest.param(text("HTTP error: error sending request"), Cause.OTHER, id="nobody answers"),
        pytest.param(text("HTTP error: error sending request", time="301.204117ms"), Cause.OTHER, id="after 301 ms"),
        pytest.param(text("HTTP error", url="http://m:301/b/x"), Cause.OTHER, id="port 301"),
        pytest.param(text("HTTP error", url="https://m/certificates/NoSuchBucket"), Cause.OTHER, id="words of a key"),
        pytest.param(text("HTTP error", url="https://m/b/InvalidCertificate(Expired)?a=PermanentRedirect"), Cause.OTHER,
                     id="causes in a URL"),
        pytest.param(text("Server returned non-2xx status code: 503 Service Unavailable: "), Cause.OTHER, id="503"),
        pytest.param(text("Server returned non-2xx status code: 301 Moved Permanently: "), Cause.REGION, id="301"),
        pytest.param(text("Received redirect without LOCATION, this normally indicates"), Cause.REGION, id="redirect"),
        pytest.param(text("status code: 400: <Code>AuthorizationHeaderMalformed</Code>"), Cause.REGION, id="signature"),
        pytest.param(text("status code: 404: <Code>NoSuchBucket</Code>"), Cause.NO_BUCKET, id="no bucket"),
        pytest.param(text("HTTP error", "InvalidCertificate(\n  UnknownIssuer,\n)"), Cause.UNTRUSTED, id="unknown CA"),
        pytest.param(text("HTTP error", "InvalidCertificate(\n NotValidForNameContext {{"), Cause.WRONG_NAME,
                     id="name"),
        pytest.param(text("HTTP error", "InvalidCertificate(ExpiredContext {{"), Cause.EXPIRED, id="expired"),
    ],
)  # fmt: skip
def test_causes(said: str, cause: Cause) -> None:
    assert cause_of(said) is cause


def test_a_short_reason_has_no_url() -> None:
    said = short(text("HTTP error: error sending request", url="https://m/b/x?X-Amz-Signature=secret"))
    assert said.startswith("Generic S3 error: Error performing HEAD the server in 244.333345ms")
    assert "secret" not in said
    assert "\n" not in said
