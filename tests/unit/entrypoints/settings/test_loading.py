"""The sources of settings and their order, contradicting settings, and settings for another process."""

import pickle
from pathlib import Path

import pytest

from entrypoints.settings.administrators import Administrators, administrators
from entrypoints.settings.leaves import SettingsError
from entrypoints.settings.loading import (
    LoadedSettings,
    Option,
    for_child,
    load_settings,
    named_read_dbs,
    refuse_memory,
)
from entrypoints.settings.model import Settings


def load(text: str | None = None, folder: Path | None = None, **environ: str) -> LoadedSettings:
    if text is None:
        return load_settings(environ=environ)
    assert folder is not None
    file = folder / "postlog.yaml"
    file.write_text(text, encoding="utf-8")
    return load_settings(environ=environ, config_file=str(file))


def problems_of(text: str | None = None, folder: Path | None = None, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(text, folder, **environ)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_without_anything_the_settings_are_the_defaults() -> None:
    loaded = load()
    assert loaded.settings == Settings()
    assert set(loaded.sources.values()) == {"default"}


def test_each_source_wins_over_the_weaker_ones(tmp_path: Path) -> None:
    """Option, long variable, short variable, file, default, in this order."""
    file = tmp_path / "postlog.yaml"
    file.write_text("http:\n  host: 10.0.0.1\n  port: 1001\nworker: {port: 1002}\nlog:\n  level: debug\n")
    loaded = load_settings(
        environ={
            "POSTLOG_CONFIG": str(file),
            "PORT": "2001",
            "POSTLOG__HTTP__PORT": "3001",
            "POSTLOG__LOG__LEVEL": "error",
        },
        options=[Option("http.port", "4001", "--port")],
    )
    assert (loaded.settings.http.port, loaded.sources["http.port"]) == (4001, "--port")
    assert (loaded.settings.log.level, loaded.sources["log.level"]) == ("error", "POSTLOG__LOG__LEVEL")
    assert (loaded.settings.worker.port, loaded.sources["worker.port"]) == (1002, f"{file}:4")
    assert (loaded.settings.http.host, loaded.sources["http.host"]) == ("10.0.0.1", f"{file}:2")
    assert (loaded.settings.log.format, loaded.sources["log.format"]) == ("auto", "default")


def test_a_short_variable_wins_over_the_file_and_loses_to_the_long_one(tmp_path: Path) -> None:
    text = "http: {port: 1001}"
    assert load(text, tmp_path, PORT="2001").settings.http.port == 2001
    assert load(text, tmp_path, PORT="2001", POSTLOG__HTTP__PORT="3001").settings.http.port == 3001
    assert load(text, tmp_path, PORT="").settings.http.port == 1001


def test_the_data_folder_holds_both_sqlite_files() -> None:
    loaded = load(POSTLOG_DATA="/srv/postlog")
    assert loaded.settings.event_store.sqlite.path == "/srv/postlog/log.sqlite"
    assert loaded.settings.read_db.sqlite.path == "/srv/postlog/read.sqlite"
    assert loaded.sources["read_db.sqlite.path"] == "POSTLOG_DATA"


def test_the_config_option_wins_over_the_variable(tmp_path: Path) -> None:
    loaded = load("http: {port: 1001}", tmp_path, POSTLOG_CONFIG="/nowhere.yaml")
    assert loaded.settings.http.port == 1001


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "http:\n", "http:\n  # port: 1\nlog: null\n", "\ufeffhttp: {}"]
)
def test_an_empty_file_or_group_leaves_the_defaults(text: str, tmp_path: Path) -> None:
    assert load(text, tmp_path).settings == Settings()


def test_all_problems_are_reported_with_path_source_and_nearest_name(tmp_path: Path) -> None:
    text = (
        "htp:\n  port: 1\n"
        "http:\n  prot: 2\n  port: seventy\n"
        "read_db:\n  adapter: postgress\n  postgres: local\n"
        "port: 3\n"
        "log: [debug]\n"
    )
    found = problems_of(text, tmp_path, POSTLOG__WORKER__PORT="-1", POSTLOG__HTTP__HOSTS="x")
    assert found == [
        "htp is not a setting; did you mean http? (postlog.yaml:2)",
        "http.prot is not a setting; did you mean http.port? (postlog.yaml:4)",
        "read_db.postgres is a group of settings; it can't have a value of its own (postlog.yaml:8)",
        "port is not a setting; did you mean http.port? (postlog.yaml:9)",
        "log is a group of settings; it can't have a value of its own (postlog.yaml:10)",
        "POSTLOG__HTTP__HOSTS is not a setting; did you mean POSTLOG__HTTP__HOST?",
        (
            "read_db.adapter is 'postgress'; it must be one of sqlite, postgres, sqlserver, memory;"
            " did you mean postgres? (postlog.yaml:7)"
        ),
        "http.port is 'seventy'; it must be a whole number from 0 to 65,535 (postlog.yaml:5)",
        "worker.port is -1; it must be a whole number from 0 to 65,535 (POSTLOG__WORKER__PORT)",
    ]


def test_a_variable_with_single_underscores_is_an_error() -> None:
    assert problems_of(POSTLOG_READ_DB_ADAPTER="postgres") == [
        "POSTLOG_READ_DB_ADAPTER is not a setting; did you mean POSTLOG__READ_DB__ADAPTER, with double underscores?"
    ]


def test_other_variables_are_ignored() -> None:
    """Such as those of test suites."""
    assert load(POSTLOG_TEST_MONGO="x", POSTLOGGER="y").settings == Settings()


def service_links(service: str, port: int, port_name: str, address: str, protocol: str) -> dict[str, str]:
    """The variables that Kubernetes sets in every pod of a namespace for a service in it."""
    prefix = service.upper().replace("-", "_")
    host = f"[{address}]" if ":" in address else address
    link = f"{protocol}://{host}:{port}"
    numbered = f"{prefix}_PORT_{port}_{protocol.upper()}"
    return {
        f"{prefix}_SERVICE_HOST": address,
        f"{prefix}_SERVICE_PORT": str(port),
        f"{prefix}_SERVICE_PORT_{port_name.upper().replace('-', '_')}": str(port),
        f"{prefix}_PORT": link,
        numbered: link,
        f"{numbered}_PROTO": protocol,
        f"{numbered}_PORT": str(port),
        f"{numbered}_ADDR": address,
    }


@pytest.mark.parametrize(("address", "protocol"), [("10.96.0.7", "tcp"), ("fd00::7", "tcp"), ("10.96.0.7", "udp")])
@pytest.mark.parametrize(
    "service",
    [
        "postlog",
        "postlog-http",
        "postlog-worker",
        "postlog-data",
        "postlog-config",
        "postlog-admin",
        "postlog-read-db",
        "postlog-bus-kafka",
        "postlog--http",
    ],
)
def test_kubernetes_service_links_are_ignored(service: str, address: str, protocol: str) -> None:
    links = service_links(service, 8000, "health-and-metrics", address, protocol)

    assert load(**links).settings == Settings()
    assert administrators(links) == Administrators()
    given = load(**links, PORT="8080", POSTLOG_DATA="/data", POSTLOG__WORKER__PORT="8081")
    assert (given.settings.http.port, given.settings.worker.port) == (8080, 8081)
    assert given.settings.event_store.sqlite.path == "/data/log.sqlite"


def test_a_misspelled_port_is_not_taken_for_a_service_link() -> None:
    assert problems_of(POSTLOG_WORKER_PORT="8001", POSTLOG__WORKER_PORT="8001") == [
        "POSTLOG_WORKER_PORT is not a setting; did you mean POSTLOG__WORKER__PORT, with double underscores?",
        "POSTLOG__WORKER_PORT is not a setting; did you mean POSTLOG__WORKER__PORT?",
    ]


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(
            environ={}, options=[Option("http.prot", "1", "--set http.prot"), Option("http", "1", "--set http")]
        )
    assert [str(problem) for problem in caught.value.problems] == [
        "http.prot is not a setting; did you mean http.port? (--set http.prot)",
        "http is a group of settings; it can't have a value of its own (--set http)",
    ]


def test_a_missing_file_is_reported_with_the_other_problems() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={"PORT": "x"}, config_file="/nowhere/postlog.yaml")
    assert [str(problem) for problem in caught.value.problems] == [
        "/nowhere/postlog.yaml can't be read: No such file or directory (--config)",
        "http.port is 'x'; it must be a whole number from 0 to 65,535 (PORT)",
    ]


def test_the_message_is_one_sentence_for_one_error_and_a_list_for_more() -> None:
    with pytest.raises(SettingsError) as one:
        load(PORT="x")
    assert str(one.value) == ("Invalid settings: http.port is 'x'; it must be a whole number from 0 to 65,535 (PORT)")
    with pytest.raises(SettingsError) as two:
        load(PORT="x", POSTLOG__LOG__LEVEL="y")
    assert str(two.value).splitlines()[0] == "Invalid settings, 2 problems:"
    assert len(str(two.value).splitlines()) == 3


def problem_of(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ=environ)
    (problem,) = caught.value.problems
    return str(problem)


def test_log_and_read_database_need_separate_files() -> None:
    assert problem_of(POSTLOG__READ_DB__SQLITE__PATH="./var/../var/log.sqlite") == (
        "read_db.sqlite.path is also the log's file (event_store.sqlite.path); use a separate file for each"
        " (POSTLOG__READ_DB__SQLITE__PATH)"
    )


def test_two_sqlite_paths_may_be_equal_when_only_one_is_used() -> None:
    loaded = load_settings(
        environ={"POSTLOG__READ_DB__SQLITE__PATH": "var/log.sqlite", "POSTLOG__READ_DB__ADAPTER": "postgres"}
    )
    assert loaded.settings.read_db.adapter == "postgres"


def test_a_log_in_memory_needs_rows_in_memory() -> None:
    assert problem_of(POSTLOG__EVENT_STORE__ADAPTER="memory") == (
        "read_db.adapter is sqlite, but the log is in memory (event_store.adapter); use memory for both"
    )


def test_rows_in_memory_may_use_a_durable_log() -> None:
    assert load_settings(environ={"POSTLOG__READ_DB__ADAPTER": "memory"}).settings.read_db.adapter == "memory"


def test_a_sasl_login_needs_name_and_password() -> None:
    login = {"POSTLOG__BUS__ADAPTER": "kafka", "POSTLOG__BUS__KAFKA__SECURITY": "sasl_ssl"}
    assert problem_of(**login, POSTLOG__BUS__KAFKA__USERNAME="ann") == (
        "bus.kafka.security is sasl_ssl, which needs bus.kafka.username and bus.kafka.password"
        " (POSTLOG__BUS__KAFKA__SECURITY)"
    )
    both = {"POSTLOG__BUS__KAFKA__USERNAME": "ann", "POSTLOG__BUS__KAFKA__PASSWORD": "x"}
    assert load_settings(environ=login | both).settings.bus.kafka.username == "ann"


def test_memory_is_refused_where_another_process_could_not_see_it() -> None:
    names = ("EVENT_STORE", "BUS", "READ_DB")
    loaded = load_settings(environ={f"POSTLOG__{name}__ADAPTER": "memory" for name in names})
    with pytest.raises(SettingsError) as caught:
        refuse_memory(loaded, "serve query")
    refusal = "is memory, which only a single `postlog run` process can use; `postlog serve query` needs"
    assert [str(problem) for problem in caught.value.problems] == [
        f"event_store.adapter {refusal} sqlite or mongo (POSTLOG__EVENT_STORE__ADAPTER)",
        f"bus.adapter {refusal} log or kafka (POSTLOG__BUS__ADAPTER)",
        f"read_db.adapter {refusal} sqlite, postgres or sqlserver (POSTLOG__READ_DB__ADAPTER)",
    ]


def test_durable_settings_pass() -> None:
    loaded = load_settings(environ={})
    refuse_memory(loaded, "serve query")


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, {"sqlite"}),
        ({"POSTLOG_DATA": "/data"}, {"sqlite"}),
        ({"POSTLOG__READ_DB__ADAPTER": "postgres", "POSTLOG_DATA": "/data"}, {"postgres"}),
        ({"POSTLOG__READ_DB__POSTGRES__URL": "postgresql://x@127.0.0.1/y"}, {"sqlite", "postgres"}),
        (
            {"POSTLOG__READ_DB__SQLITE__PATH": "x.sqlite", "POSTLOG__READ_DB__ADAPTER": "postgres"},
            {"sqlite", "postgres"},
        ),
    ],
)
def test_a_service_rebuilds_only_read_databases_that_its_settings_name(
    environ: dict[str, str], named: set[str]
) -> None:
    loaded = load_settings(environ=environ)
    assert named_read_dbs(loaded) == named


def test_a_read_database_whose_address_is_in_a_file_is_named(tmp_path: Path) -> None:
    address = tmp_path / "address"
    address.write_text("mssql+pyodbc://x@127.0.0.1/y?driver=z")
    loaded = load_settings(environ={"POSTLOG__READ_DB__SQLSERVER__URL_FILE": str(address)})
    assert named_read_dbs(loaded) == {"sqlite", "sqlserver"}


URL = "postgresql+psycopg://ann:s3cr3t@db/postlog"


def test_settings_are_transferred_to_a_child_with_passwords() -> None:
    given = load_settings(
        environ={"POSTLOG__READ_DB__POSTGRES__URL": URL, "POSTLOG__LIMITS__NAME": "77"},
        options=[Option("read_db.adapter", "postgres", "--read-db")],
    )
    arrived = pickle.loads(pickle.dumps(for_child(given.settings)))
    assert arrived.settings == given.settings
    assert arrived.settings.read_db.postgres.url.reveal() == URL
    assert "s3cr3t" not in repr(arrived)


def test_transferred_settings_name_the_service_as_their_source() -> None:
    given = load_settings(environ={})
    assert for_child(given.settings).sources["log.level"] == "the service that started this process"


SASL = "bus: {adapter: kafka, kafka: {security: sasl_ssl, sasl_mechanism: OAUTHBEARER, oauth: {%s}}}"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("http: {tls: {certificate: a.pem}}", "http.tls.certificate needs http.tls.key, too"),
        ("worker: {tls: {key: a.pem}}", "worker.tls.key needs worker.tls.certificate, too"),
        ("bus: {kafka: {key_file: a.pem}}", "bus.kafka.key_file needs bus.kafka.certificate_file, too"),
        (SASL % "", "bus.kafka.sasl_mechanism is OAUTHBEARER, which needs bus.kafka.oauth.token_file, or"),
        (SASL % "token_url: 'https://a', client_id: b", "bus.kafka.sasl_mechanism is OAUTHBEARER, which needs"),
        (SASL % "token_file: t, client_id: b", "bus.kafka.oauth.token_file and bus.kafka.oauth.token_url are two"),
        ("http: {allowed_hosts: 'a.example, http://b'}", "http.allowed_hosts has the item 'http://b'; each must be a"),
        ("http: {allowed_hosts: 'a.example:80'}", "http.allowed_hosts has the item 'a.example:80'; each must be a"),
        ("http: {allowed_origins: 'https://a/b'}", "http.allowed_origins has the item 'https://a/b'; each must be an"),
        ("http: {allowed_origins: 'null, *'}", "http.allowed_origins has the item 'null'; each must be an origin"),
    ],
)
def test_settings_that_need_each_other_and_items_of_lists(text: str, path: str, tmp_path: Path) -> None:
    [problem] = problems_of(text, tmp_path)
    assert problem.startswith(path)


@pytest.mark.parametrize(
    "text",
    [
        "http: {tls: {certificate: a.pem, key: b.pem}}",
        SASL % "token_file: t",
        SASL % "token_url: 'https://a', client_id: b, client_secret: c",
        "http: {allowed_hosts: 'posts.example.com, *.svc, *', allowed_origins: 'https://a.example,http://[::1]:3000'}",
    ],
)
def test_settings_that_fit(text: str, tmp_path: Path) -> None:
    load(text, tmp_path)
