"""Settings from the environment."""

import pytest

from haizen_operator.settings import InvalidSettings, Settings


def test_defaults_and_the_pods_own_names() -> None:
    settings = Settings.from_environment({"POD_NAMESPACE": "ml", "POD_NAME": "haizen-0", "PATH": "/bin"})
    assert (settings.namespace, settings.config_namespace, settings.identity) == ("ml", "ml", "haizen-0")
    assert settings.http_port == 8081


def test_values_are_read() -> None:
    settings = Settings.from_environment(
        {
            "HAIZEN_OPERATOR_WORKERS": "3",
            "HAIZEN_OPERATOR_LEADER_ELECTION": "false",
            "HAIZEN_OPERATOR_ENABLE_KNATIVE_FEATURES": "a.b, c.d,",
            "HAIZEN_OPERATOR_NAMESPACE": "mine",
            "POD_NAMESPACE": "other",
        }
    )
    assert settings.workers == 3
    assert settings.leader_election is False
    assert settings.enable_knative_features == ("a.b", "c.d")
    assert settings.namespace == "mine"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"HAIZEN_OPERATOR_WORKERS": "many"}, "HAIZEN_OPERATOR_WORKERS='many'"),
        ({"HAIZEN_OPERATOR_WORKERS": "0"}, "greater than or equal to 1"),
        ({"HAIZEN_OPERATOR_WOKERS": "1"}, "HAIZEN_OPERATOR_WOKERS"),
        ({"HAIZEN_OPERATOR_LOG_LEVEL": "loud"}, "HAIZEN_OPERATOR_LOG_LEVEL='loud'"),
        ({"HAIZEN_OPERATOR_LEASE_SECONDS": "5"}, "lease_renew_deadline_seconds < lease_seconds"),
    ],
    ids=["not a number", "too few", "misspelt", "unknown level", "lease times that cannot work"],
)
def test_bad_values_are_named(variables: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_environment(variables)
    assert said in str(caught.value)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())
