"""Arguments and environment to settings."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest

from haizen_runtime.doors.http.app import HttpSettings
from haizen_runtime.protocol.errors import InvalidConfiguration
from haizen_runtime.reference.texts import help_text
from haizen_runtime.settings import Settings
from haizen_runtime.workers.limits import WorkerLimits


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        pytest.param(["--model_name=a"], {}, {"model_name": "a"}, id="underscores"),
        pytest.param(["--model-name=a"], {}, {"model_name": "a"}, id="dashes"),
        pytest.param(["--model-name", "a"], {}, {"model_name": "a"}, id="two-words"),
        pytest.param(["--allow_code"], {}, {"allow_code": True}, id="flag"),
        pytest.param(["--allow_code=false"], {"HAIZEN_ALLOW_CODE": "true"}, {"allow_code": False}, id="argument-wins"),
        pytest.param(["--allow-code", "--http-port=1"], {}, {"allow_code": True, "http_port": 1}, id="flag-then-more"),
        pytest.param([], {"HAIZEN_HTTP_PORT": "9"}, {"http_port": 9}, id="environment"),
        pytest.param([], {"STORAGE_URI": "s3://b/m"}, {"storage_uri": "s3://b/m"}, id="storage-uri"),
        pytest.param(
            ["--batching=fixed", "--max_batch_delay_seconds=0.01"], {}, {"max_batch_delay_seconds": 0.01}, id="number"
        ),
        pytest.param(["--max_json_depth=254"], {}, {"max_json_depth": 254}, id="deepest"),
        pytest.param([], {"HAIZEN_MAX_TENSOR_DIMENSIONS": "1"}, {"max_tensor_dimensions": 1}, id="fewest-dimensions"),
        pytest.param(["--max-connection-streams=128"], {}, {"max_connection_streams": 128}, id="most-streams"),
        pytest.param(["--max_request_id_bytes=32"], {}, {"max_request_id_bytes": 32}, id="shortest-ids"),
        pytest.param(["--nthread=3"], {}, {"threads": 3}, id="kserves-nthread"),
        pytest.param(["--model_dir=/a=b"], {}, {"model_dir": "/a=b"}, id="equals-in-a-value"),
    ],
)
def test_reads(arguments: list[str], environment: dict[str, str], expected: dict[str, Any]) -> None:
    settings, warnings = Settings.parse(arguments, environment)
    assert {name: getattr(settings, name) for name in expected} == expected
    assert warnings == []


def test_what_only_kserves_server_knows_is_a_warning() -> None:
    _, warnings = Settings.parse(["--max_threads=2", "--enable_grpc", "--grpc_port", "8081"], {})
    assert [warning.split()[0] for warning in warnings] == ["--max_threads", "--enable_grpc", "--grpc_port"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--modelname=a"], "did you mean --model_name?", id="typo"),
        pytest.param(["serve-it"], "arguments have the form --name=value", id="no-dashes"),
        pytest.param(["--http_port"], "needs a value", id="no-value"),
        pytest.param(["--http_port=70000"], "between 0 and 65535", id="port"),
        pytest.param(["--http_port=1.5"], "whole number", id="fraction"),
        pytest.param(["--allow_code=perhaps"], "true or false", id="boolean"),
        pytest.param(["--queue_limit=0"], "1 or more", id="queue"),
        pytest.param(
            ["--max_json_depth=255"], "between 4 and 254 (an infer request has 4 levels, and orjson", id="deep"
        ),
        pytest.param(["--max_json_depth=3"], "between 4 and 254", id="flat"),
        pytest.param(["--max_tensor_dimensions=33"], "between 1 and 32 (numpy 1 has no more)", id="dimensions"),
        pytest.param(["--max_tensor_dimensions=0"], "between 1 and 32", id="no-dimensions"),
        pytest.param(["--max_event_attributes=3"], "4 or more (every CloudEvent has 4)", id="attributes"),
        pytest.param(["--max_connection_streams=129"], "between 0 and 128 (zttp takes no more)", id="streams"),
        pytest.param(["--max_stream_requests=0"], "1 or more", id="no-requests-of-a-stream"),
        pytest.param(["--stream_window_answers=0"], "1 or more", id="no-answers"),
        pytest.param(["--stream_window_bytes=0"], "1 or more", id="no-bytes-of-answers"),
        pytest.param(["--max_decompressed_bytes=-1"], "0 or more", id="decompressed"),
        pytest.param(["--max_waiting_bytes=-1"], "0 or more", id="waiting"),
        pytest.param(["--max_request_id_bytes=31"], "32 or more (ids that are made here have 32)", id="request-id"),
        pytest.param(["--drain_timeout_seconds=nan"], "0 or more", id="nan"),
        pytest.param(["--batching=always"], "off, fixed, adaptive", id="batching"),
        pytest.param(["--batching=fixed"], "belong together", id="fixed-without-a-delay"),
        pytest.param(["--max_batch_delay_seconds=1"], "belong together", id="a-delay-without-fixed"),
        pytest.param(["--priority_levels=3", "--default_priority_level=4"], "between 1 and 3", id="priority"),
        pytest.param(["--processes=-1"], "0 or more", id="processes"),
        pytest.param(["--batch_place=moon"], "auto, loop, thread", id="choice"),
        pytest.param(["--model_name=a/b"], "part of a URL", id="name"),
        pytest.param(["--model_control_mode=poll"], "one of none, explicit", id="control"),
        pytest.param(["--access_log=some"], "off, errors, all", id="access-log"),
        pytest.param(["--log_format=xml"], "text, json", id="log-format"),
        pytest.param(["--tls_cert_file=a"], "both --tls_cert_file and --tls_key_file", id="half-of-tls"),
        pytest.param(["--tls_client_ca_file=a"], "needs --tls_cert_file", id="authority-without-tls"),
    ],
)
def test_refuses_in_one_line(arguments: list[str], says: str) -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        Settings.parse(arguments, {})
    assert says in raised.value.message
    assert "\n" not in raised.value.message


def test_help_names_every_setting_with_its_text() -> None:
    text = help_text()
    for field in fields(Settings):
        assert f"  --{field.name}" in text
    assert "finish" not in text
    assert "\n      The name in the URLs." in text


def test_the_start_imports_no_model_library() -> None:
    code = (
        "import sys, haizen_runtime.serving\n"
        "heavy = {'numpy', 'sklearn', 'fastapi', 'pydantic', 'onnxruntime', 'grpc', 'prometheus_client', 'httpx',"
        " 'opentelemetry'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_defaults_are_those_of_who_is_told() -> None:
    """Settings that cannot take them from there: nothing of the workers is imported for models without code."""
    settings, workers = Settings(), WorkerLimits()
    http = {field.name: field.default for field in fields(HttpSettings)}
    assert settings.stream_window_answers == workers.window_answers
    assert settings.stream_window_bytes == workers.window_bytes
    assert settings.max_stream_requests == http["max_stream_requests"]
