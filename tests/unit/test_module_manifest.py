"""Where terraform says that it has put the modules that it fetched."""

from worker.module_manifest import fetched_folders

PRINTED = """\
- child in child
- shared in ../modules/shared
Downloading git::https://h/a.git for a...
- a in .terraform/modules/a/modules/x
- a.b-1.c_2 in .terraform/modules/a.b-1.c_2
Downloading git::https://h/b.git
- out in .terraform/modules/../../../etc
- up in ../.terraform/modules/a
- all in .terraform/modules
- etc in /etc
- two words in .terraform/modules/two
 - blank in .terraform/modules/blank
"""


def test_modules_that_were_fetched_have_their_addresses_and_stay_where_they_belong() -> None:
    assert list(fetched_folders(PRINTED, ".terraform")) == [
        ("module.a", ".terraform/modules/a/modules/x"),
        ("module.a.module.b-1.module.c_2", ".terraform/modules/a.b-1.c_2"),
    ]


def test_of_many_the_first_are_looked_at() -> None:
    printed = "".join(f"- m{n} in .terraform/modules/m{n}\n" for n in range(5000))
    assert len(list(fetched_folders(printed, ".terraform"))) == 2000
