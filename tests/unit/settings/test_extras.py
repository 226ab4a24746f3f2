"""A setting that needs an extra is refused without it."""

import sys
import tomllib

import pytest

from harness import ROOT
from shopbell.errors import SettingsError
from shopbell.settings.extras import MODULES
from shopbell.settings.settings import load

KEY = "k" * 32
SETTINGS = {
    "nats": {"nats_url": "nats://shop:canary@nats.example"},
    "otel": {"traces_url": "http://canary.example/v1/traces"},
    "postgres": {"database_url": "postgresql://shop:canary@db.example/shop", "secret_key": KEY},
    "s3": {"attachments_url": "S3://canary/attachments"},
}


@pytest.mark.parametrize("extra", MODULES)
def test_a_setting_names_the_extra_that_it_needs(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load(**SETTINGS[extra])
    monkeypatch.setitem(sys.modules, MODULES[extra], None)
    with pytest.raises(SettingsError) as refused:
        load(**SETTINGS[extra])
    name = next(iter(SETTINGS[extra])).upper()
    assert str(refused.value) == (
        f"SHOPBELL_{name}: needs the extra '{extra}', which is not installed; run `pip install 'shopbell[{extra}]'`"
    )


def test_settings_that_need_no_extra_load_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES.values():
        monkeypatch.setitem(sys.modules, module, None)
    assert load(attachments_url="file:///var/lib/s3").is_sqlite


def test_the_package_declares_exactly_these_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) == set(MODULES)
