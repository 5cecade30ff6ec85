"""Names that every database can keep."""

import pytest

from broker.errors import BadInput
from broker.store.texts import MAX_NAME_BYTES, check_name, is_name


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("ann", True),
        ("a" * MAX_NAME_BYTES, True),
        ("a" * (MAX_NAME_BYTES + 1), False),
        ("é" * (MAX_NAME_BYTES // 2), True),
        ("é" * (MAX_NAME_BYTES // 2 + 1), False),
        ("a\0b", False),
        ("a\udfffb", False),
    ],
)
def test_a_name_is_text_of_bounded_length(text: str, fits: bool) -> None:
    assert is_name(text) is fits
    if fits:
        check_name("user", text)
    else:
        with pytest.raises(BadInput) as refused:
            check_name("user", text)
        assert (refused.value.field, str(MAX_NAME_BYTES) in refused.value.rule) == ("user", True)
