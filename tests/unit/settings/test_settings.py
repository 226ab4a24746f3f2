"""Settings from environment and file, with one line per error."""

import os
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from shopbell.errors import SettingsError
from shopbell.settings.settings import Settings, load

KEY = "k" * 32
POSTGRESQL = "postgresql://shop:hunter2-canary@db.example/shop"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting and no file but the test's own."""
    for name in [name for name in os.environ if name.startswith("SHOPBELL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _refusal() -> str:
    with pytest.raises(SettingsError) as caught:
        load()
    return str(caught.value)


def test_the_default_is_an_embedded_database_on_loopback() -> None:
    settings = load()
    assert settings.is_sqlite
    assert settings.sqlite_path == Path.cwd() / "data" / "shopbell.db"
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8080, 1)
    assert (settings.rate_limit_per_s, settings.rate_limit_burst) == (100, 200)
    assert settings.body_limit_bytes == 256 * 1024


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty-canary"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("WORKERS", "0"),
        ("WORKERS", "2"),  # on SQLite
        ("DATABASE_URL", "mysql://shop:hunter2-canary@db/shop"),
        ("DATABASE_URL", "postgresql://shop:hunter2-canary@db:canary/shop"),
        ("DATABASE_URL", "postgresql+asyncpg://shop:hunter2-canary@db/shop"),
        ("DATABASE_URL", "postgresql://shop:hunter2-canary@db1:5432,db2:canary/shop"),
        ("DATABASE_URL", "postgresql://shop:hunter2,canary@db1/2@db1:5432,db2:5432/shop"),
        ("DATABASE_URL", "postgresql://shop:hunter2-canary@db1,/shop"),
        ("DATABASE_URL", "postgresql://shop:hunter2-canary@db1,db2/shop?target_session_attrs=any"),
        ("DATABASE_URL", "canary"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("SECRET_KEY", "short-canary"),
        ("SECRET_KEY_OLD", "short-canary"),
        ("PUBLIC_URL", "canary"),
        ("PUBLIC_URL", "ftp://canary"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, canary"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("RATE_LIMIT_PER_S", "0"),
        ("RATE_LIMIT_PER_S", "1000001"),
        ("RATE_LIMIT_BURST", "0"),
        ("RATE_LIMIT_BURST", "1.5"),
        ("BODY_LIMIT_BYTES", "10"),
        ("HEADER_TIMEOUT_S", "0"),
        ("HEADER_TIMEOUT_S", "nan"),
        ("BODY_TIMEOUT_S", "inf"),
        ("QUEUE_LIMIT", "0"),
        ("BATCH_LIMIT", "4097"),
        ("WRITE_TIMEOUT_S", "-1"),
        ("LOG_FORMAT", "canary"),
        ("LOG_LEVEL", "LOUD-canary"),
        ("LOG_REQUESTS", "canary"),
        ("CONFIG", "canary.toml"),
        ("SMTP_URL", "canary"),
        ("SMTP_URL", "http://canary"),
        ("SMTP_URL", "smtp://"),
        ("SMTP_URL", "smtp://shop:hunter2-canary@mail.example:port"),
        ("SMTP_URL", "smtp://shop:hunter2/canary@mail.example"),
        ("SMTP_URL", "smtp://canary@mail.example"),
        ("SMTP_STARTTLS", "canary"),
        ("SMTP_TIMEOUT_S", "0"),
        ("MAIL_FROM", "canary"),
        ("MAIL_FROM", "Acme <shop@canary.example>"),
        ("MAIL_FROM", "shop@canary.example\nBcc: mallory@canary.example"),
        ("MAIL_REPLY_DOMAIN", "canary"),
        ("MAIL_REPLY_DOMAIN", "reply@canary.example"),
        ("MAIL_REPLY_DOMAIN", "-canary-.example"),
    ],
)
def test_an_invalid_value_is_reported_in_one_line_without_being_quoted(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOPBELL_SECRET_KEY", KEY)
    monkeypatch.setenv(f"SHOPBELL_{name}", value)
    line = _refusal()
    assert line.startswith(f"SHOPBELL_{name}: ")
    assert "\n" not in line
    assert "canary" not in line
    assert "hunter2" not in line


def test_all_invalid_values_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPBELL_PORT", "x")
    monkeypatch.setenv("SHOPBELL_QUEUE_LIMIT", "0")
    monkeypatch.setenv("SHOPBELL_LOG_FORMAT", "xml")
    names = [line.partition(":")[0] for line in _refusal().splitlines()]
    assert sorted(names) == ["SHOPBELL_LOG_FORMAT", "SHOPBELL_PORT", "SHOPBELL_QUEUE_LIMIT"]


def test_postgresql_needs_a_secret_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPBELL_DATABASE_URL", POSTGRESQL)
    line = _refusal()
    assert line.startswith("SHOPBELL_SECRET_KEY is required with PostgreSQL")
    assert "canary" not in line
    monkeypatch.setenv("SHOPBELL_SECRET_KEY", KEY)
    monkeypatch.setenv("SHOPBELL_WORKERS", "4")
    settings = load()
    assert settings.url.drivername == "postgresql+psycopg"
    assert settings.workers == 4


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "PostgreSQL"])
def test_a_postgresql_url_can_use_either_scheme(scheme: str) -> None:
    url = f"{scheme}://shop@db.example/shop"
    settings = load(database_url=url, database_direct_url=url, secret_key=KEY)
    assert settings.url.render_as_string() == "postgresql+psycopg://shop@db.example/shop"
    assert settings.direct_url == settings.url


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [
        ("db1:6000,db2:6001/shop", "db1,db2", "6000,6001"),
        ("db1,db2:6001/shop", "db1,db2", "5432,6001"),
        ("[::1]:6000,[fd00::2]/shop?connect_timeout=2", "::1,fd00::2", "6000,5432"),
        ("/shop?host=db1:6000&host=db2", "db1,db2", "6000,5432"),
        ("/shop?host=db1,db2&port=6000,6001&target_session_attrs=read-write", "db1,db2", "6000,6001"),
    ],
)
def test_a_postgresql_url_with_several_hosts_leads_to_the_one_that_accepts_writes(
    given: str, host: str, port: str
) -> None:
    url = load(database_url=f"postgresql://shop:p%40ss,w/ord@{given}", secret_key=KEY).url
    _, parameters = url.get_dialect()().create_connect_args(url)
    assert (parameters["host"], parameters["port"]) == (host, port)
    assert (parameters["user"], parameters["password"], parameters["dbname"]) == ("shop", "p@ss,w/ord", "shop")
    assert parameters["target_session_attrs"] == "read-write"


def test_smtp_needs_a_sender_and_refuses_a_password_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPBELL_SMTP_URL", "smtp://shop:hunter2-canary@mail.example")
    assert _refusal() == "SHOPBELL_MAIL_FROM is required with SHOPBELL_SMTP_URL"
    monkeypatch.setenv("SHOPBELL_MAIL_FROM", "shop@mail.example")
    assert load().mail_sender == "shop@mail.example"
    monkeypatch.setenv("SHOPBELL_SMTP_STARTTLS", "never")
    assert _refusal() == "SHOPBELL_SMTP_STARTTLS: must be 'required' to send a password to another machine"
    monkeypatch.setenv("SHOPBELL_SMTP_URL", "smtp://shop:hunter2-canary@localhost:2525")
    assert "canary" not in repr(load())


def test_the_length_of_a_key_is_counted_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPBELL_SECRET_KEY", "é" * 16)
    secret = load().secret_key
    assert secret is not None
    assert len(secret.get_secret_value().encode()) == 32


def test_the_repr_of_settings_contains_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPBELL_SECRET_KEY", "canary" * 8)
    assert "canary" not in repr(load())


def test_arguments_override_the_environment_which_overrides_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "shopbell.toml").write_text('port = 9001\nhost = "127.0.0.2"\nqueue_limit = 5\n')
    assert (load().port, load().host, load().queue_limit) == (9001, "127.0.0.2", 5)
    monkeypatch.setenv("SHOPBELL_PORT", "9002")
    assert (load().port, load().host) == (9002, "127.0.0.2")
    assert load(port=9003).port == 9003


def test_config_selects_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('trusted_proxies = ["10.0.0.0/8"]\n')
    monkeypatch.setenv("SHOPBELL_CONFIG", str(tmp_path / "other.toml"))
    assert load().trusted_proxies == (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize("content", ["port = ", 'port = "x"\n', "[port]\n", "\xff"])
def test_an_invalid_file_is_reported_in_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "shopbell.toml").write_bytes(content.encode("latin-1"))
    line = _refusal()
    assert "\n" not in line
    assert line.startswith("shopbell.toml: ")


def test_an_invalid_value_is_reported_where_it_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("port = 0.5\nqueue_limit = 0\n")
    monkeypatch.setenv("SHOPBELL_CONFIG", "other.toml")
    monkeypatch.setenv("shopbell_port", "x")
    assert [line.rpartition(":")[0] for line in _refusal().splitlines()] == [
        "SHOPBELL_PORT",
        "other.toml: queue_limit",
    ]
    monkeypatch.setenv("shopbell_port", "")
    assert "other.toml: port: " in _refusal()


def test_every_unknown_name_in_the_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "shopbell.toml").write_text(
        'prot = 9001\nSHOPBELL_HOST = "127.0.0.2"\nqueue_limit = 0\nzzz = "canary"\n'
    )
    assert _refusal().splitlines() == [
        "shopbell.toml: unknown setting 'prot'; did you mean 'port'?",
        "shopbell.toml: unknown setting 'SHOPBELL_HOST'; did you mean 'host'?",
        "shopbell.toml: unknown setting 'zzz'",
        "shopbell.toml: queue_limit: Input should be greater than or equal to 1",
    ]


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "shopbell.toml").write_text("queue_limit = 7\n")
    monkeypatch.setenv("SHOPBELL_CONFIG", "")
    assert load().queue_limit == 7
    monkeypatch.setenv("SHOPBELL_PORT", "")
    monkeypatch.setenv("SHOPBELL_SECRET_KEY", "")
    assert load().port == 8080
    assert load().secret_key is None


@pytest.mark.parametrize("name", ["trusted_proxies", "mail_peers"])
def test_proxies_and_mail_servers_are_addresses_or_networks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SHOPBELL_{name.upper()}", "10.0.0.0/8, 192.0.2.7 ,2001:db8::/32, ::ffff:10.0.0.0/104,")
    networks = ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "10.0.0.0/8")
    assert getattr(load(), name) == tuple(map(ip_network, networks))


@pytest.mark.parametrize(
    ("url", "direct_url", "why"),
    [
        ("sqlite:///a.db", "postgresql://u@h/d", "SHOPBELL_DATABASE_DIRECT_URL: only works with PostgreSQL"),
        ("postgresql://u@h/d", "sqlite:///a.db", "SHOPBELL_DATABASE_DIRECT_URL: only works with PostgreSQL"),
        ("postgresql://u@h/d", "mysql://u@h/d", "SHOPBELL_DATABASE_DIRECT_URL: must start with sqlite: or postgresql:"),
        (
            "postgresql://u@h/d?options=-c%20search_path%3Dshop",
            "postgresql://u@h/d",
            "SHOPBELL_DATABASE_URL: a connection pooler does not pass on 'options'; set them in PostgreSQL with "
            "ALTER ROLE … SET",
        ),
    ],
)
def test_a_direct_address_must_match_the_database(url: str, direct_url: str, why: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(database_url=url, database_direct_url=direct_url, secret_key="k" * 32)
    assert str(refused.value) == why


def test_every_setting_is_described_in_one_sentence() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize("command", ["serve", "migrate", "doctor"])
def test_the_command_line_reports_an_invalid_setting_without_a_traceback(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SHOPBELL_PORT", "eighty")
    done = subprocess.run(
        [sys.executable, "-m", "shopbell", command], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("shopbell: SHOPBELL_PORT: ")
    assert len(done.stderr.splitlines()) == 1
