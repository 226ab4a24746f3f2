"""Find the customers and employees of this installation who are the people of an import."""

from collections import Counter
from collections.abc import Sequence

from shopbell.customers.contacts import Contact
from shopbell.formats import identities, names
from shopbell.imports.model import Person
from shopbell.imports.report import Place, Report
from shopbell.organizations.employees import Employee


class Staff:
    """The employees of an organization, found by email address or else by a name that only one of them has.

    Args:
        employees: all of them, active or not.
    """

    def __init__(self, employees: Sequence[Employee]) -> None:
        in_order = sorted(employees, key=lambda each: each.active)  # an active one replaces one who has left
        self._by_email = {each.email: each.id for each in in_order if each.email}
        counts = Counter(names.folded(each.name) for each in employees)
        self._by_name = {name: each.id for each in employees if counts[name := names.folded(each.name)] == 1}
        self._active_ids = [each.id for each in employees if each.active]

    def id_of(self, person: Person | None) -> int | None:
        """The employee who is a person of the import; None if there is none."""
        if person is None:
            return None
        by_email = self._by_email.get(_normal_email(person.email) or "")
        return by_email or self._by_name.get(names.folded(person.name))

    def active_id(self, person: Person | None) -> int | None:
        """As ``id_of``, but only an active employee."""
        found = self.id_of(person)
        return found if found in self._active_ids else None


def contact_of(person: Person, region: str | None, created_at_ms: int, report: Report, place: Place) -> Contact:
    """The contact of a person. Data that is not valid is left out and counted.

    Args:
        region: the country of phone numbers without a country code.
        created_at_ms: since when they are known, in Unix ms.
    """
    found: list[tuple[str, str, str]] = []
    if person.email:
        shown = identities.visible(person.email)
        email = _normal_email(shown)
        if email is None:
            report.skip("contact", "not an email address", place)
        else:
            found.append(("email", email, shown))
    if person.phone:
        try:
            number = identities.normal_phone(person.phone, region)
            found.append(("phone", identities.phone_key(number), number))
        except ValueError:
            report.skip("contact", "not a phone number, or without a country code", place)
    return Contact(tuple(found), _profile(person), created_at_ms)


def _normal_email(text: str) -> str | None:
    try:
        return identities.normal_email(identities.visible(text))
    except ValueError:
        return None


def _profile(person: Person) -> dict[str, str]:
    """The fields of the profile that are known. A name that is only the address or number says nothing."""
    profile: dict[str, str] = {}
    if person.name not in (person.email, person.phone):
        first, _, last = " ".join(person.name.split()).partition(" ")
        profile |= {"first_name": first, "last_name": last}
    profile["company"] = person.company
    checked: dict[str, str] = {}
    for name, value in profile.items():
        try:
            checked[name] = names.line(value)
        except ValueError:
            continue
    try:
        return checked | {"locale": identities.normal_locale(person.locale)}
    except ValueError:
        return checked
