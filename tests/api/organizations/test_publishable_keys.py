"""Publishable keys: allowed origins, creation and revocation."""

import pytest

from harness.installation import Installation
from harness.shop import Shop, faults_of
from harness.world import World
from shopbell.organizations import publishable_keys
from shopbell.organizations.publishable_keys import PublishableKey, normal_origin


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://Shop.Example:443/", "https://shop.example"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://*.shop.example", "https://*.shop.example"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_stored_as_browsers_write_it(written: str, normal: str) -> None:
    assert normal_origin(written) == normal
    assert normal_origin(normal) == normal


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "*",
        "null",
        "shop.example",
        "https://",
        "https://*",
        "https://*.example",
        "https://a.*.example",
        "https://shop.example/path",
        "https://shop.example?x",
        "https://shop.example#x",
        "https://user@shop.example",
        "ftp://shop.example",
        "javascript:alert(1)",
        "https://shop.example:99999",
        "https://shop example",
        "https://shop.example; script-src *",
        "https://shop.example https://evil.example",
        "https://shop.example\r\nx: y",
        "https://-shop.example",
        "https://[::1",
        "https://" + "a" * 300 + ".example",
    ],
)
def test_an_invalid_origin_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="must be an origin"):
        normal_origin(wrong)


@pytest.mark.parametrize(
    "domain", ["co.uk", "github.io", "kawasaki.jp", "foo.ck", "CO.UK", "公司.cn", "s3.amazonaws.com", "co.uk:8443"]
)
def test_a_wildcard_below_a_public_suffix_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="public suffix"):
        normal_origin(f"https://*.{domain}")
    assert normal_origin(f"https://shop.{domain}").startswith("https://shop.")
    assert normal_origin(f"https://*.my.shop.{domain}").startswith("https://*.my.shop.")


@pytest.mark.parametrize("domain", ["shop.example", "shop.co.uk", "alice.github.io", "chat.corp.internal", "www.ck"])
def test_a_wildcard_below_a_registrable_domain_is_allowed(domain: str) -> None:
    assert normal_origin(f"https://*.{domain}") == f"https://*.{domain}"


@pytest.mark.parametrize(
    ("allowed", "origin", "fits"),
    [
        ("https://shop.example", "https://shop.example", True),
        ("https://shop.example", "https://shop.example.evil.example", False),
        ("https://shop.example", "http://shop.example", False),
        ("https://shop.example", "https://shop.example:8443", False),
        ("https://*.shop.example", "https://a.shop.example", True),
        ("https://*.shop.example", "https://a.b.shop.example", True),
        ("https://*.shop.example", "https://shop.example", False),
        ("https://*.shop.example", "https://evilshop.example", False),
        ("https://*.shop.example", "https://.shop.example", False),
        ("https://*.shop.example", "https://evil.example/.shop.example", False),
        ("https://*.shop.example", "https://evil.example#.shop.example", False),
        ("https://*.shop.example", "http://a.shop.example", False),
        ("https://*.shop.example:8443", "https://a.shop.example:8443", True),
        ("https://*.shop.example:8443", "https://a.shop.example", False),
        ("https://*.shop.co.uk", "https://a.b.shop.co.uk", True),
        ("https://*.shop.internal", "https://a.shop.internal", True),
        # Kept by an earlier release, or above a public suffix.
        ("https://*.github.io", "https://mallory.github.io", False),
        ("https://*.amazonaws.com", "https://mallory.s3.amazonaws.com", False),
        ("https://*.amazonaws.com", "https://s3.amazonaws.com", False),
        ("https://*.amazonaws.com", "https://docs.amazonaws.com", True),
    ],
)
def test_an_origin_matches_exactly_or_below_a_domain(allowed: str, origin: str, fits: bool) -> None:
    key = PublishableKey(1, 2, "pk_live_x", None, (allowed,), 0, None)
    assert key.allows(origin) is fits


@pytest.mark.parametrize(("origin", "count"), [("https://*.shop.example", 1), ("https://shop.example", 0)])
def test_the_public_suffix_list_is_read_only_if_needed(
    installation: Installation, people: World, origin: str, count: int
) -> None:
    made = installation.cli("publishable-key", "create", "--organization", people.acme, "--origin", origin)
    publishable_keys._public_suffixes.cache_clear()
    with installation.database.connection() as tx:
        assert publishable_keys.find(tx, made["key"]) is not None
    assert publishable_keys._public_suffixes.cache_info().currsize == count


def test_an_operator_creates_lists_and_revokes_keys(installation: Installation, people: World) -> None:
    of_acme = ("--organization", people.acme)
    made = installation.cli("publishable-key", "create", *of_acme, "--origin", "https://Shop.example/")
    bound = installation.cli(
        "publishable-key", "create", *of_acme, "--origin", "https://a.example", "--business", people.boston
    )
    assert (made["origins"], made["businessId"], bound["businessId"]) == (
        ["https://shop.example"],
        None,
        people.boston,
    )
    assert [key["key"] for key in installation.cli("publishable-key", "list", *of_acme)] == [made["key"], bound["key"]]
    assert installation.cli("publishable-key", "list", "--organization", people.globex) == []
    assert installation.cli("publishable-key", "revoke", made["id"])["revokedAt"] is not None
    for wrong in (
        ("create", *of_acme, "--origin", "nonsense"),
        ("create", *of_acme, "--origin", "https://*.co.uk"),
        ("create", *of_acme, "--origin", "https://a.example", "--business", people.london),
        ("create", *of_acme, "--origin", "https://a.example", "--business", people.closed),
        ("revoke", "1"),
    ):
        done = installation.run("publishable-key", *wrong)
        assert done.returncode == 1, wrong
        assert done.stderr.strip(), wrong
    audit = installation.database.rows("SELECT action FROM audit_entries WHERE action LIKE 'publishable-key%'")
    assert sorted(row["action"] for row in audit) == [
        "publishable-key.create",
        "publishable-key.create",
        "publishable-key.revoke",
    ]


def test_a_key_needs_one_to_twenty_valid_origins(shop: Shop) -> None:
    for origins, fault in (
        (None, ("body", "#/allowedOrigins", "required")),
        ([], ("body", "#/allowedOrigins", "blank")),
        (["https://a.example", "*"], ("body", "#/allowedOrigins/1", "invalid_format")),
        (["https://a.example", "https://*.github.io"], ("body", "#/allowedOrigins/1", "invalid_format")),
        (["https://a.example"] * 21, ("body", "#/allowedOrigins", "too_long")),
    ):
        answer = shop.post({"allowedOrigins": origins}, path="/api/publishable-keys")
        assert faults_of(answer) == {fault}
