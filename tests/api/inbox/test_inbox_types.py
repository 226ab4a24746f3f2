"""The types of the inbox are those of the server."""

import copy
import runpy
from typing import Any

from harness import ROOT

schema = runpy.run_path(str(ROOT / "web" / "schema.py"))


def test_the_types_of_the_inbox_are_up_to_date(document: dict[str, Any]) -> None:
    assert schema["digest_in_file"]() == schema["digest_of"](document), "run `make types`"


def test_a_change_of_a_field_is_noticed_and_one_of_a_text_is_not(document: dict[str, Any]) -> None:
    changed = copy.deepcopy(document)
    fields = changed["components"]["schemas"]["InboxThread"]["properties"]
    fields["preview"]["description"] = "Something else."
    assert schema["digest_of"](changed) == schema["digest_of"](document)
    fields["preview"]["type"] = "integer"
    assert schema["digest_of"](changed) != schema["digest_of"](document)
