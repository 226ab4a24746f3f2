"""``shopbell init`` asks for values, and says what is missing where it cannot ask."""

from collections.abc import Callable, Mapping, Sequence

import pytest
import typer

from shopbell.cli import init_questions
from shopbell.cli.dialog import Dialog, Question
from shopbell.errors import CommandError
from shopbell.operations.doctor.findings import Finding, Level, ok


def whole_number(text: str, _: Mapping[str, str]) -> str:
    """A rule."""
    if not text.isdigit():
        raise ValueError("must be a whole number")
    return str(int(text))


SHOPS = Question("shop_count", "How many shops?", whole_number)
STAFF = Question("staff", "How many people?", whole_number, default=lambda answers: answers["shop_count"])


class Person:
    """Types these lines, one for each question, and remembers what was asked."""

    def __init__(self, *lines: str | bool) -> None:
        self.lines = list(lines)
        self.asked: list[tuple[str, object]] = []

    def dialog(self, **given: str) -> Dialog:
        """A dialog with this person."""
        return Dialog(
            given,
            asks=True,
            takes_defaults=False,
            prompt=self._type,
            prompt_secret=lambda text: self._type(text, "secret"),
            confirm=self._choose,
        )

    def _type(self, text: str, default: object) -> str:
        self.asked.append((text, default))
        line = self.lines.pop(0)
        assert isinstance(line, str)
        return line

    def _choose(self, text: str, default: bool) -> bool:
        self.asked.append((text, default))
        line = self.lines.pop(0)
        assert isinstance(line, bool)
        return line


def without_terminal(*, takes_defaults: bool = False, **given: str) -> Dialog:
    """A dialog that must not ask."""

    def never(text: str, default: object = None) -> str:
        raise AssertionError(f"it asked: {text}")

    return Dialog(given, asks=False, takes_defaults=takes_defaults, prompt=never, prompt_secret=never)


def failing_until(name: str, good: str) -> Callable[[Mapping[str, str]], Sequence[Finding]]:
    """A check that one value passes."""

    def check(answers: Mapping[str, str]) -> Sequence[Finding]:
        return [ok(name, "good") if answers[name] == good else Finding(Level.ERROR, name, "bad", "change it")]

    return check


def test_it_asks_for_what_is_not_given_and_proposes_defaults() -> None:
    person = Person("7")
    dialog = person.dialog(shop_count="03")
    dialog.ask((SHOPS, STAFF))
    dialog.finish()
    assert dialog.answers == {"shop_count": "3", "staff": "7"}
    assert person.asked == [("How many people?", "3")]


def test_an_answer_that_is_not_valid_is_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    person = Person("some", "4")
    dialog = person.dialog(staff="many", shop_count="1")
    dialog.ask((SHOPS, STAFF))
    assert dialog.answers["staff"] == "4"
    assert capsys.readouterr().err.splitlines() == ["--staff: must be a whole number"] * 2


def test_after_a_failed_check_all_its_values_are_asked_for_again() -> None:
    person = Person(False, "2", "5", False, "3", "5")
    dialog = person.dialog(shop_count="1", staff="5")
    dialog.ask((SHOPS, STAFF), failing_until("shop_count", "3"))
    assert dialog.answers == {"shop_count": "3", "staff": "5"}
    assert person.lines == []


def test_a_person_may_continue_in_spite_of_a_failed_check() -> None:
    person = Person(True)
    dialog = person.dialog(shop_count="1")
    dialog.ask((SHOPS,), failing_until("shop_count", "3"))
    dialog.finish()
    assert (dialog.answers, person.asked) == ({"shop_count": "1"}, [("Continue anyway?", False)])


def test_a_warning_is_shown_and_asks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    dialog = Person().dialog(shop_count="1")
    dialog.ask((SHOPS,), lambda _: [Finding(Level.WARNING, "shops", "few", "open more")])
    assert capsys.readouterr().err == "warning  shops: few; open more\n"


def test_without_a_terminal_all_missing_options_are_named_and_nothing_is_checked() -> None:
    dialog = without_terminal()
    dialog.ask((SHOPS, STAFF), lambda _: pytest.fail("it checked"))
    with pytest.raises(typer.BadParameter, match="give --shop-count, --staff; with --yes"):
        dialog.finish()


def test_defaults_are_used_without_asking_where_that_is_wanted() -> None:
    dialog = without_terminal(takes_defaults=True, shop_count="2")
    dialog.ask((SHOPS, STAFF))
    dialog.finish()
    assert dialog.answers["staff"] == "2"
    dialog = without_terminal(takes_defaults=True)
    dialog.ask((SHOPS,))
    with pytest.raises(typer.BadParameter, match=r"give --shop-count$"):
        dialog.finish()


def test_without_a_terminal_all_faults_and_all_failed_checks_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    dialog = without_terminal(shop_count="x", staff="y")
    dialog.ask((SHOPS, STAFF))
    with pytest.raises(CommandError) as wrong:
        dialog.finish()
    assert str(wrong.value).splitlines() == [
        "--shop-count: must be a whole number",
        "--staff: must be a whole number",
    ]
    dialog = without_terminal(shop_count="1", staff="2")
    dialog.ask((SHOPS,), failing_until("shop_count", "3"))
    dialog.ask((STAFF,), failing_until("staff", "3"))
    with pytest.raises(CommandError, match="--no-checks"):
        dialog.finish()
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.fixture
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUBLIC_URL", "SMTP_URL", "MAIL_FROM"):
        monkeypatch.delenv(f"SHOPBELL_{name}", raising=False)


@pytest.mark.usefixtures("_no_variables")
def test_a_password_is_asked_for_without_showing_it() -> None:
    address, mail = init_questions.of_settings({})
    person = Person(
        "shop@acme.example@mail.acme.example:587", "smtp://shop@acme.example@mail.acme.example:587", "a/b@c", ""
    )
    dialog = person.dialog(public_url="chat.acme.example", mail_from="shop@acme.example")
    dialog.ask((address,))
    dialog.ask(mail)
    assert dialog.answers["smtp_url"] == "smtp://shop@acme.example:a%2Fb%40c@mail.acme.example:587"
    assert person.asked[-1] == ("Password of shop@acme.example", "secret")


@pytest.mark.usefixtures("_no_variables")
@pytest.mark.parametrize(
    ("typed", "url", "sender"),
    [
        ("chat.acme.example", "https://chat.acme.example", "shop@chat.acme.example"),
        ("http://acme.example:81/chat", "http://acme.example:81/chat", "shop@acme.example"),
        ("localhost:8080", "http://localhost:8080", None),
        ("https://192.0.2.17", "https://192.0.2.17", None),
    ],
)
def test_an_address_gets_a_scheme_and_proposes_a_sender(typed: str, url: str, sender: str | None) -> None:
    address, mail = init_questions.of_settings({})
    person = Person("shop@acme.example")
    dialog = person.dialog(public_url=typed, smtp_url="smtp://mail.acme.example")
    dialog.ask((address, *mail))
    assert dialog.answers["public_url"] == url
    assert person.asked == [("Sender address of emails", sender)]


@pytest.mark.usefixtures("_no_variables")
def test_a_variable_with_another_value_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPBELL_PUBLIC_URL", "https://other.example")
    dialog = without_terminal(public_url="https://acme.example")
    dialog.ask(init_questions.of_settings({})[:1])
    with pytest.raises(CommandError, match="environment variable SHOPBELL_PUBLIC_URL, which overrides"):
        dialog.finish()
