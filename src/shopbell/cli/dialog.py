"""Ask the person at the terminal for values, or take them from the command line."""

import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import typer

from shopbell.cli.output import say
from shopbell.errors import CommandError
from shopbell.operations.doctor.findings import Finding, Level

Answers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """One value.

    Args:
        name: its name among the answers; the option is ``--name`` with hyphens.
        text: the prompt.
        normal: checks an answer and returns its normal form; raises ``ValueError`` with the end of a sentence.
        default: proposes an answer, given the earlier ones; None if there must be one.
        applies: whether to ask, given the earlier answers; otherwise the answer is empty.
        secret: asks for what an answer lacks and must not be shown, if anything: returns the prompt for it, or None.
        join: adds the secret to the answer.
    """

    name: str
    text: str
    normal: Callable[[str, Answers], str]
    default: Callable[[Answers], str | None] = lambda _: None
    applies: Callable[[Answers], bool] = lambda _: True
    secret: Callable[[str], str | None] = lambda _: None
    join: Callable[[str, str], str] = lambda answer, _: answer

    @property
    def option(self) -> str:
        """The option of the command line that answers it."""
        return f"--{self.name.replace('_', '-')}"


class Dialog:
    """Collects answers. If it must not ask, it collects what is missing or wrong instead.

    Args:
        given: answers from the command line, by name.
        asks: whether a person may be asked.
        takes_defaults: whether the default of a question that is not asked is its answer.
        prompt: asks for a line; a person must answer if the default is None.
        prompt_secret: asks for a line that is not shown.
        confirm: asks for yes or no.
    """

    def __init__(
        self,
        given: Answers,
        *,
        asks: bool,
        takes_defaults: bool,
        prompt: Callable[[str, str | None], str] | None = None,
        prompt_secret: Callable[[str], str] | None = None,
        confirm: Callable[[str, bool], bool] | None = None,
    ) -> None:
        self.answers: MutableMapping[str, str] = {}
        self._given = dict(given)
        self._asks = asks
        self._takes_defaults = takes_defaults
        self._prompt = prompt or _prompt
        self._prompt_secret = prompt_secret or _prompt_secret
        self._confirm = confirm or _confirm
        self._missing: list[str] = []
        self._have_defaults = False
        self._faults: list[str] = []
        self._checks: list[Callable[[Answers], Sequence[Finding]]] = []

    def ask(self, questions: Sequence[Question], check: Callable[[Answers], Sequence[Finding]] | None = None) -> None:
        """Collect answers, and check them together.

        Args:
            questions: in order.
            check: its findings are shown; after an error, the person may answer again. If nothing may be asked,
                ``finish`` runs it.
        """
        while True:
            for question in questions:
                self.answers[question.name] = self._answer(question)
            if check is None or not self._asks:
                self._checks += [check] if check is not None else []
                return
            if _passes(check, self.answers) or self._confirm("Continue anyway?", False):
                return
            for question in questions:
                self._given.pop(question.name, None)

    def confirm(self, text: str) -> bool:
        """Ask for yes or no; if nothing may be asked, the answer is no."""
        return self._asks and self._confirm(text, True)

    def finish(self) -> None:
        """Report everything that is missing or wrong.

        Raises:
            BadParameter: options are missing.
            CommandError: answers are not valid, or a check failed.
        """
        if self._missing:
            hint = "; with --yes, those that have a default are not needed" if self._have_defaults else ""
            raise typer.BadParameter(f"without a terminal, give {', '.join(self._missing)}{hint}")
        if self._faults:
            raise CommandError("\n".join(self._faults))
        passed = [_passes(check, self.answers) for check in self._checks]  # all of them show what they find
        if not all(passed):
            raise CommandError("a check failed, and nothing was written; correct the value, or add --no-checks")

    def _answer(self, question: Question) -> str:
        if not question.applies(self.answers):
            return ""
        text = self._given.get(question.name)
        while True:
            if text is None:
                default = question.default(self.answers)
                if self._asks:
                    text = self._prompt(question.text, default)
                elif default is not None and self._takes_defaults:
                    text = default
                else:
                    self._missing.append(question.option)
                    self._have_defaults |= default is not None
                    return ""
            try:
                return question.normal(self._complete(question, text.strip()), self.answers)
            except ValueError as error:
                if not self._asks:
                    self._faults.append(f"{question.option}: {error}")
                    return ""
                say(f"{question.option}: {error}", error=True)
                text = None

    def _complete(self, question: Question, text: str) -> str:
        wanted = question.secret(text) if self._asks else None
        return text if wanted is None else question.join(text, self._prompt_secret(wanted))


def is_at_terminal() -> bool:
    """Whether a person can be asked: questions go to stderr, so that stdout has only the result."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def show(findings: Sequence[Finding]) -> None:
    """Print findings to stderr."""
    for each in findings:
        remedy = f"; {each.remedy}" if each.remedy else ""
        say(f"{each.level.value:<7}  {each.name}: {each.detail}{remedy}", error=True)


def _passes(check: Callable[[Answers], Sequence[Finding]], answers: Answers) -> bool:
    findings = check(answers)
    show(findings)
    return all(each.level is not Level.ERROR for each in findings)


def _prompt(text: str, default: str | None) -> str:
    # An empty default means that the answer may be empty; it is not shown.
    return str(typer.prompt(text, default=default, show_default=bool(default), err=True))


def _prompt_secret(text: str) -> str:
    return str(typer.prompt(text, hide_input=True, err=True))


def _confirm(text: str, default: bool) -> bool:
    return typer.confirm(text, default=default, err=True)
