"""Settings become what the web process goes by."""

from pathlib import Path

from pacs_cloud.bootstrap.http_limits import ConnectionLimits, Drain
from pacs_cloud.bootstrap.http_protocol import HttpProtocol
from pacs_cloud.bootstrap.web_application import options_of
from pacs_cloud.bootstrap.web_role import KEEP_ALIVE_S, limits_of, server_config
from pacs_cloud.settings import Settings


async def nothing(scope: object, receive: object, send: object) -> None:
    raise AssertionError


def test_every_http_setting_reaches_the_application(tmp_path: Path) -> None:
    settings = Settings(
        data=tmp_path,
        tenant="north",
        public_url="https://pacs.example/dicom-web",
        max_stow_bytes=2 << 20,
        network_timeout_s=7,
        cors_origins=("https://viewer.example",),
        host_names=("pacs.example",),
        max_connections=11,
        http_header_s=3,
    )
    options = options_of(settings)
    assert options.tenant == "north"
    assert options.public_url == "https://pacs.example/dicom-web"
    assert options.max_body_bytes == 2 << 20
    assert options.body_idle_s == 7
    assert options.cors_origins == ("https://viewer.example",)
    assert options.host_names == ("pacs.example",)
    assert options_of(Settings(data=tmp_path)).host_names == ()
    limits = limits_of(settings)
    assert (limits.max_connections, limits.header_s) == (11, 3)


def test_a_server_speaks_our_protocol_and_names_itself_nowhere() -> None:
    config = server_config(nothing, ConnectionLimits(), Drain())
    config.load()
    assert config.http_protocol_class.func is HttpProtocol
    assert config.encoded_headers == []
    assert config.timeout_keep_alive == KEEP_ALIVE_S > 60
