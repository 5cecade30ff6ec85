from pathlib import Path

from config.reference import render_reference
from config.schema import list_settings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_stands_in_the_docs_as_the_code_says_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_reference(), (
        "run: python -m config.reference > docs/reference/settings.md"
    )


def test_has_a_row_for_every_setting() -> None:
    page = render_reference()
    for setting in list_settings():
        assert f"| `{setting.name}` |" in page
        title = f"## {setting.section or 'At the top'}\n"
        assert setting.section == "channel.namespaces[]" or title in page
