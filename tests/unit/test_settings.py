import json
from pathlib import Path

import pytest

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.settings import Ack, Address, Destination, Settings, StoreUrl, load_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PACS_{name.upper()}", raising=False)
    return tmp_path


def test_flag_beats_environment_beats_config_beats_pacs_toml_beats_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().aet == "PACS"
    (tmp_path / "pacs.toml").write_text('aet = "TOML"\ntenant = "from-toml"')
    assert load_settings().aet == "TOML"
    config = tmp_path / "other.toml"
    config.write_text('aet = "CONFIG"')
    assert load_settings(config=config).aet == "CONFIG"
    assert load_settings(config=config).tenant == "from-toml"
    monkeypatch.setenv("PACS_AET", "ENV")
    assert load_settings(config=config).aet == "ENV"
    assert load_settings({"aet": "FLAG"}, config=config).aet == "FLAG"
    assert load_settings({"aet": None}, config=config).aet == "ENV"


def test_embedded_stores_lie_below_data(tmp_path: Path) -> None:
    settings = load_settings({"data": tmp_path / "d"})
    assert settings.objects_url == StoreUrl(scheme="file", name=f"{tmp_path}/d/objects")
    assert settings.catalogue_url == StoreUrl(
        scheme="sqlite", name=f"{tmp_path}/d/catalogue.sqlite"
    )
    assert settings.queue_url == StoreUrl(scheme="sqlite", name=f"{tmp_path}/d/queue.sqlite")
    assert settings.spool == tmp_path / "d" / "spool"
    assert settings.is_embedded
    assert (settings.linger_s, settings.linger_max_s) == (0.25, 0.25)


def test_cloud_urls_keep_the_spool_in_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_OBJECTS", "s3://images?endpoint=http://127.0.0.1:8333&region=eu-1")
    monkeypatch.setenv("PACS_CATALOGUE", "dynamodb://pacs?region=eu-1")
    settings = load_settings({"data": tmp_path})
    assert settings.objects_url.name == "images"
    assert settings.objects_url.options == {"endpoint": "http://127.0.0.1:8333", "region": "eu-1"}
    assert settings.catalogue_url.name == "pacs"
    assert settings.spool == tmp_path / "spool"
    assert not settings.is_embedded
    assert (settings.linger_s, settings.linger_max_s) == (1.0, 60.0)
    assert load_settings({"ack": "commit"}).linger_s == 0


def test_a_file_url_keeps_its_absolute_path() -> None:
    settings = load_settings({"objects": "file:///srv/pacs%20objects/"})
    assert settings.objects_url.name == "/srv/pacs objects"


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"http": "0.0.0.0:8042"}, "loopback"),
        ({"dimse": "192.168.1.2:104"}, "loopback"),
        ({"http": "[::]:8042"}, "loopback"),
        ({"http": "pacs.example.org:80"}, "loopback"),
        ({"http": "127.0.0.1"}, "HOST:PORT"),
        ({"http": "127.0.0.1:99999"}, "http"),
        ({"objects": "ftp://x"}, "file, s3"),
        ({"objects": "s3://"}, "names nothing"),
        ({"catalogue": "s3://x"}, "sqlite, dynamodb"),
        ({"queue": "nothing"}, "no scheme"),
        ({"aet": "A" * 17}, "aet"),
        ({"aet": "BACK\\SLASH"}, "aet"),
        ({"tenant": "../x"}, "tenant"),
        ({"ack": "never"}, "ack"),
        ({"unknown_setting": 1}, "unknown_setting is no setting"),
        ({"dimse_proceses": 2}, "did you mean dimse_processes?"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(flags: dict[str, object], word: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        load_settings(flags)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_secret_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidRequest) as caught:
        load_settings({"objects": "s3://key:hunter2@bucket"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.4.5", "localhost", "[::1]"])
def test_loopback_is_accepted(host: str) -> None:
    assert load_settings({"http": f"{host}:0"}).http.port == 0


def test_destinations_from_toml_and_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"aet": "WS1", "host": "127.0.0.1", "port": 11113}
    (tmp_path / "pacs.toml").write_text(
        '[[destinations]]\naet = "WS1"\nhost = "127.0.0.1"\nport = 11113\n'
    )
    assert load_settings().destinations == (Destination(**table),)
    monkeypatch.setenv("PACS_DESTINATIONS", json.dumps([table, {**table, "aet": "WS2"}]))
    assert [peer.aet for peer in load_settings().destinations] == ["WS1", "WS2"]
    monkeypatch.setenv("PACS_DESTINATIONS", "[{")
    with pytest.raises(InvalidRequest, match="not JSON"):
        load_settings()


def test_a_config_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"missing\.toml"):
        load_settings(config=tmp_path / "missing.toml")
    (tmp_path / "bad.toml").write_text("aet = ")
    with pytest.raises(InvalidRequest, match="not TOML"):
        load_settings(config=tmp_path / "bad.toml")


def test_a_child_process_gets_the_same_settings() -> None:
    settings = load_settings(
        {
            "objects": "s3://b?endpoint=http://127.0.0.1:1",
            "destinations": [{"aet": "WS", "host": "127.0.0.1", "port": 104}],
            "http": "[::1]:8042",
            "ack": "commit",
        }
    )
    assert Settings.from_child_json(settings.child_json()) == settings
    assert settings.ack is Ack.COMMIT
    assert str(Address(host="::1", port=8042)) == "[::1]:8042"


def test_edges_and_commits_share_the_time_that_a_stop_has() -> None:
    """Whoever takes longer is killed by the supervisor."""
    settings = load_settings({"stop_grace_s": 7})
    assert min(settings.edge_grace_s, settings.commit_grace_s) > 0
    assert settings.edge_grace_s + settings.commit_grace_s == 7


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().aet = "OTHER"


def test_operations_document_names_every_setting() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    missing = [name for name in Settings.model_fields if f"`{name}`" not in text]
    assert not missing


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://a.example", ("https://a.example",)),
        (
            "https://a.example, http://localhost:3000",
            ("https://a.example", "http://localhost:3000"),
        ),
        ('["https://a.example"]', ("https://a.example",)),
    ],
)
def test_origins_are_a_list_however_they_are_written(
    text: str, origins: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACS_CORS_ORIGINS", text)
    assert load_settings().cors_origins == origins


@pytest.mark.parametrize(
    "text", ["a.example", "https://a.example/", "https://A.example", "https://", '["x"', "[1]"]
)
def test_what_no_browser_calls_an_origin_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACS_CORS_ORIGINS", text)
    with pytest.raises(InvalidRequest, match="cors_origins"):
        load_settings()
