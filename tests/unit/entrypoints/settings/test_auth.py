"""The settings of `auth`: what they need of each other, and where a service without authentication may listen."""

from pathlib import Path

import pytest

from entrypoints.settings.addresses import is_loopback
from entrypoints.settings.leaves import SettingsError
from entrypoints.settings.loading import LoadedSettings, load_settings, require_authentication

SECRET = "a secret of thirty-two characters"
JWT = {
    "POSTLOG__AUTH__MODE": "jwt",
    "POSTLOG__AUTH__JWT__ISSUER": "https://id.postlog.test",
    "POSTLOG__AUTH__JWT__AUDIENCE": "postlog",
    "POSTLOG__AUTH__JWT__JWKS_URL": "https://id.postlog.test/jwks",
}
GATEWAY = {"POSTLOG__AUTH__MODE": "gateway", "POSTLOG__AUTH__GATEWAY__SECRET": SECRET}


def load(**environ: str) -> LoadedSettings:
    return load_settings(environ=environ)


def problems_of(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(**environ)
    assert SECRET not in str(caught.value)
    return [f"{problem.path} {problem.sentence}" for problem in caught.value.problems]


def test_complete_settings_are_accepted(tmp_path: Path) -> None:
    keys, secret = tmp_path / "jwks.json", tmp_path / "secret"
    keys.write_text("{}")
    secret.write_text(SECRET + "\n")
    with_file = JWT | {"POSTLOG__AUTH__JWT__JWKS_FILE": str(keys)}
    with_secret = JWT | {"POSTLOG__AUTH__JWT__SECRET_FILE": str(secret)}
    for each in (with_file, with_secret):
        del each["POSTLOG__AUTH__JWT__JWKS_URL"]
    for environ in (JWT, with_file, with_secret, GATEWAY):
        assert load(**environ).settings.auth.mode in ("jwt", "gateway")
    loaded = load(**with_secret).settings.auth.jwt.secret
    assert loaded is not None
    assert (loaded.reveal(), str(loaded)) == (SECRET, "***")


def test_a_mode_needs_its_settings() -> None:
    assert problems_of(POSTLOG__AUTH__MODE="gateway") == [
        "auth.mode is gateway, which needs auth.gateway.secret_file (or secret) or auth.gateway.addresses"
    ]
    assert problems_of(POSTLOG__AUTH__MODE="jwt") == [
        "auth.jwt.issuer is missing; without it, tokens that are meant for other services would be accepted",
        "auth.jwt.audience is missing; without it, tokens that are meant for other services would be accepted",
        "auth.mode is jwt, which needs one of auth.jwt.jwks_url, auth.jwt.jwks_file and auth.jwt.secret_file",
    ]
    assert problems_of(**JWT, POSTLOG__AUTH__JWT__SECRET=SECRET) == [
        "auth.mode is jwt, which needs one of auth.jwt.jwks_url, auth.jwt.jwks_file and auth.jwt.secret_file"
    ]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"JWKS_URL": "http://id.postlog.test/jwks"}, "jwt.jwks_url must begin with https://, since others could"),
        ({"JWKS_URL": "ftp://id.postlog.test/jwks"}, "jwt.jwks_url must begin with https:// or http://"),
        ({"JWKS_URL": "https://ann:pw@id.postlog.test/"}, "jwt.jwks_url must not contain a user or a password"),
        ({"JWKS_FILE": "/nowhere"}, "jwt.jwks_file is /nowhere, which is not a file"),
        ({"SECRET": "short"}, "jwt.secret is too short; use 32 random characters or more"),
    ],
)
def test_keys_that_others_could_replace_or_guess_are_refused(changed: dict[str, str], problem: str) -> None:
    environ = JWT | {f"POSTLOG__AUTH__JWT__{name}": value for name, value in changed.items()}
    assert any(each.startswith(f"auth.{problem}") for each in problems_of(**environ))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"SECRET": "short"}, "gateway.secret is too short; use 16 random characters or more"),
        ({"ADDRESSES": "10.0.0.1/8"}, "gateway.addresses must be addresses or networks, separated by commas: "),
        ({"ADDRESSES": "gateway"}, "gateway.addresses must be addresses or networks, separated by commas: "),
        ({"USER_HEADER": "x-gateway-secret"}, "gateway.user_header and the other headers must have different names"),
    ],
)
def test_a_gateway_that_proves_nothing_is_refused(changed: dict[str, str], problem: str) -> None:
    environ = GATEWAY | {f"POSTLOG__AUTH__GATEWAY__{name}": value for name, value in changed.items()}
    assert any(each.startswith(f"auth.{problem}") for each in problems_of(**environ))


def test_a_link_to_sign_in_runs_no_script() -> None:
    assert problems_of(POSTLOG__AUTH__SIGN_IN_URL="javascript:alert(1)") == [
        "auth.sign_in_url must begin with / or https:// or http://"
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST", "::ffff:127.0.0.1"])
def test_loopback_needs_no_authentication(host: str) -> None:
    assert is_loopback(host)
    require_authentication(load(POSTLOG__HTTP__HOST=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "localhost.example.org", "", "10.0.0.1"])
def test_every_other_address_needs_it_or_somebody_who_knows_what_they_do(host: str) -> None:
    assert not is_loopback(host)
    if not host:
        return
    with pytest.raises(SettingsError) as caught:
        require_authentication(load(POSTLOG__HTTP__HOST=host))
    assert str(caught.value) == (
        f"Invalid settings: http.host is {host}, where other machines can act in any name (auth.mode: none); listen on "
        "127.0.0.1, set auth.mode to gateway or jwt, or set auth.trust_usernames: true if only trusted clients reach "
        "it (POSTLOG__HTTP__HOST)"
    )
    require_authentication(load(POSTLOG__HTTP__HOST=host, POSTLOG__AUTH__TRUST_USERNAMES="true"))
    for mode in (JWT, GATEWAY):
        require_authentication(load(POSTLOG__HTTP__HOST=host, **mode))
