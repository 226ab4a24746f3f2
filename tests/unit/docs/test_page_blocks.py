"""How the test of the documentation reads pages, and which outputs it takes for the ones that they show."""

import pytest

from harness.page_blocks import Block, blocks, compare, with_real

PAGE = """# A page

```sh
make check
```

1. Save this as `bot.py`:

   ```python
   if True:
       print()
   ```

   <!-- not run: it needs root -->
   ```console
   $ apt install shopbell
   ```

<!-- runs on: listening -->
```console
$ shopbell serve \\
    --port 8080
listening
$ ls
```

```json
{}
```
"""


def test_the_blocks_of_a_page_are_what_its_readers_run_or_save() -> None:
    first, file, skipped, last = blocks(PAGE)
    assert first == Block("sh", "make check\n", 3)
    assert file == Block("python", "if True:\n    print()\n", 9, file="bot.py")
    assert skipped == Block("console", "$ apt install shopbell\n", 15, not_run="it needs root")
    assert last.ready == "listening"
    assert list(last.commands()) == [("shopbell serve \\\n    --port 8080\n", "listening\n"), ("ls\n", "")]
    assert list(first.commands()) == [("make check\n", "")]


@pytest.mark.parametrize(
    ("shown", "printed", "told"),
    [
        ("Created organization 12344: Acme", "Created organization 77: Acme\n", {"12344": "77"}),
        ('{"a": 1}', '{"a":1}', {}),
        ("{'a':1,\n 'b':2}", "{ 'a': 1, 'b': 2 }", {}),
        ("created 2026-11-22T16:02:54Z", "created   2031-01-02T03:04:05Z", {}),
        (
            "Wrote /a/shopbell-0a1b2c3d-20261129T030000Z.tar",
            "Wrote /a/shopbell-00000001-20311129T030000Z.tar",
            {"shopbell-0a1b2c3d-20261129T030000Z": "shopbell-00000001-20311129T030000Z"},
        ),
        ("token sb_live_…", "token  sb_live_abc", {"sb_live_…": "sb_live_abc"}),
        ("id 4711, again 4711", "id 1, again 1", {"4711": "1"}),
        ('{"message":4712,…}', '{"message":4,"x":[1,\n2]}', {"4712": "4"}),
    ],
)
def test_an_output_may_differ_in_ids_times_and_space(shown: str, printed: str, told: dict[str, str]) -> None:
    assert compare(shown, printed, {}) == told


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("Created organization 12344: Acme", "Created organization 77: Globex"),
        ("state  delivered", "state  waiting"),
        ("id 4711, again 4711", "id 1, again 2"),
        ("id 12345", "id 8"),
        ("one line", "one line\nand another"),
        ("one line\nand another", "one line"),
    ],
)
def test_another_output_is_noticed(shown: str, printed: str) -> None:
    assert compare(shown, printed, {"12345": "7"}) is None


def test_a_text_without_ids_stays_as_it_is() -> None:
    assert with_real("id 12345", {}) == "id 12345"


def test_whole_ids_and_addresses_are_replaced() -> None:
    real = {"12345": "7", "http://127.0.0.1:8080": "http://127.0.0.1:15001", "8080": "15001", "sb_live_…": "sb_live_a"}
    shown = "curl http://127.0.0.1:8080/x -H 'token: sb_live_…' -d '{\"id\": 12345, \"other\": 123456}' --port 8080"
    assert with_real(shown, real) == (
        "curl http://127.0.0.1:15001/x -H 'token: sb_live_a' -d '{\"id\": 7, \"other\": 123456}' --port 15001"
    )
