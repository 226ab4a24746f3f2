"""The page of settings describes every kind of setting."""

import pytest
from pydantic import Field
from pydantic.fields import FieldInfo

from shopbell.settings import reference


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (FieldInfo.from_annotated_attribute(int | None, Field(None)), "whole number"),  # type: ignore[arg-type]
        (FieldInfo.from_annotated_attribute(int | None, Field(None, ge=1, le=9_000)), "1 to 9,000"),  # type: ignore[arg-type]
        (FieldInfo.from_annotated_attribute(float, Field(0.5)), "number"),
        (FieldInfo.from_annotated_attribute(str | None, Field(None)), "text"),  # type: ignore[arg-type]
        (FieldInfo.from_annotated_attribute(bool, Field(False)), "`true`, `false`"),
    ],
)
def test_a_setting_has_its_values(field: FieldInfo, values: str) -> None:
    assert reference._allowed("example", field) == values
