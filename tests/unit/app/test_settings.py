"""A member's settings: what is written is read, and what cannot be is refused in words."""

import pytest

from node.app.settings import Folder, Settings, SettingsError, read_settings, write_settings


def test_what_is_written_is_read(tmp_path):
    settings = Settings(org="north", listen="127.0.0.1:7400", passphrase_file="passphrase")

    write_settings(tmp_path, settings)

    assert read_settings(tmp_path) == settings


def test_the_egress_policy_is_read(tmp_path):
    write_settings(tmp_path, Settings(org="north", listen="127.0.0.1:7400"))
    path = Folder(tmp_path).settings
    path.write_text(path.read_text() + "[egress]\nnorm_max = 2.5\nvalues_max = 1000\n")

    egress = read_settings(tmp_path).egress

    assert (egress.norm_max, egress.values_max) == (2.5, 1000)


@pytest.mark.parametrize(
    "text",
    [
        'org = "North!"\nlisten = "127.0.0.1:1"',
        'org = "north"',
        'org = "north"\nlisten = "127.0.0.1:1"\ncolour = "red"',
        'org = "north"\nlisten = "127.0.0.1:1"\n[egress]\nnorm_max = -1',
        "org = ",
    ],
    ids=["name", "missing", "unknown", "negative", "syntax"],
)
def test_what_cannot_be_read_names_the_file(tmp_path, text):
    Folder(tmp_path).settings.write_text(text)

    with pytest.raises(SettingsError, match=r"node\.toml"):
        read_settings(tmp_path)


def test_a_folder_without_settings_says_how_to_make_one(tmp_path):
    with pytest.raises(SettingsError, match="init --org"):
        read_settings(tmp_path)
