"""Tests for `mailplat.config.load`."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from mailplat.config.faults import ConfigurationFaults
from mailplat.config.load import load, parse
from mailplat.config.option import option
from mailplat.config.options import STANDARD_FOLDERS, Configuration
from mailplat.config.secrets import Secret
from mailplat.config.sections.server import ListenerProtocol
from mailplat.config.values import Duration, duration
from mailplat.model.errors import ConfigurationFault

HERE = Path("/etc/mailplat")


def faults(text: str, **environment: str) -> list[str]:
    """Read a text that is wrong: its faults, without the file's name."""
    with pytest.raises(ConfigurationFaults) as caught:
        parse(text, "f", HERE, environment)
    assert isinstance(caught.value, ConfigurationFault)
    return [str(fault).removeprefix("f:") for fault in caught.value.faults]


def test_nothing_said() -> None:
    """An empty file is every default, with paths beginning in the file's folder."""
    configuration = parse("", "f", HERE)
    assert configuration.smtp == Configuration().smtp
    assert configuration.folders == STANDARD_FOLDERS
    assert configuration.tls.certificate == HERE / "tls/server.pem"


def test_values_are_read() -> None:
    """What the file says arrives in its type."""
    configuration = parse(
        """
        [server]
        domains = ["Example.org"]
        data_directory = "/var/lib/mailplat"
        [message]
        max_size = "1MiB"
        [imap]
        idle_timeout = "45m"
        [accounts]
        quota_storage = "1GB"
        quota_messages = "unlimited"
        [[listener]]
        protocol = "imaps"
        [[tls.host]]
        certificate = "net.pem"
        key = "net.key"
        """,
        "f",
        HERE,
    )
    assert configuration.server.domains == ("example.org",)
    assert configuration.server.data_directory == Path("/var/lib/mailplat")
    assert configuration.message.max_size == 2**20
    assert configuration.imap.idle_timeout == 2700.0
    assert configuration.accounts.quota_storage == 10**9
    assert configuration.accounts.quota_messages is None
    assert configuration.listeners[0].protocol is ListenerProtocol.IMAPS
    assert configuration.tls.hosts[0].key == HERE / "net.key"


def test_every_fault_in_one_pass() -> None:
    """All that is wrong is told at once: line, option, what was found, what was expected."""
    found = faults(
        """\
[server]
domains = "example.org"
port_ofset = 3
listen = ["1.2.3.4",
  "x"]
mime_depth = 3
[smtp]
max_recipients = "many"
max_errors = 0
idle_timeout = "7x"
[tls]
minimum_version = 1.2
[pop3]
idle_timeout = true
[imap]
max_nesting = 5.5
[[listener]]
protocol = "imap"
endpoint = "tcp:99999"
[[listener]]
name = 3
[[listener]]
protocol = "imapz"
[accounts]
quota_storage = "lots"
hash_threads = { a = 1 }
[store]
use = "/var/mail"
[filter]
use = "x:"
[smpt]
"""
    )
    assert found == [
        '2: server.domains: found "example.org", expected an array in brackets',
        '3: server.port_ofset: there is no such option (did you mean "port_offset"?)',
        '5: server.listen[2]: found "x", expected an IP address: "192.0.2.1", "::1", '
        '"0.0.0.0" for every address',
        "6: server.mime_depth: there is no such option; [message] has it",
        '8: smtp.max_recipients: found "many", expected a whole number',
        "9: smtp.max_errors: found 0, expected at least 1 (replies)",
        '10: smtp.idle_timeout: found "7x", expected a duration: "30s", "5m", "2h", "5d" '
        "(or a number of seconds)",
        '12: tls.minimum_version: found 1.2, expected one of "1.2", "1.3" (did you mean "1.2"?)',
        '14: pop3.idle_timeout: found true, expected a duration: "30s", "5m", "2h", "5d" '
        "(or a number of seconds)",
        "16: imap.max_nesting: found 5.5, expected a whole number",
        '19: listener[1].endpoint: found "tcp:99999", expected a port from 0 to 65535 in '
        '"tcp:PORT"',
        '20: listener[2]: "protocol" is missing; expected for example protocol = "imaps"',
        "21: listener[2].name: found 3, expected a text in quotes",
        '23: listener[3].protocol: found "imapz", expected one of "smtp", "submission", '
        '"submissions", "lmtp", "pop3", "pop3s", "imap", "imaps" (did you mean "imap"?)',
        '25: accounts.quota_storage: found "lots", expected a size: "64KiB", "50MiB", "2GB" '
        '(or a number of bytes), or "unlimited"',
        "26: accounts.hash_threads: found a table, expected a whole number",
        '28: store.use: found "/var/mail", expected a part: a prefix, a colon, an argument, as in '
        '"maildir:/var/mail"',
        "29: filter: found a table, expected tables in double brackets",
        '31: smpt: there is no such option (did you mean "smtp"?)',
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[server\nx = 1", "1: this is not TOML: expected ']' at the end of a table declaration"),
        ("a = 1\na = 2", "2: this is not TOML: cannot overwrite a value"),
        ("a = 1\r\nb =", "2: this is not TOML: invalid value"),
        ("a = " + "[" * 9000, "1: arrays or tables are nested too deeply"),
    ],
)
def test_not_toml(text: str, told: str) -> None:
    """What is no TOML at all is told with its line."""
    assert faults(text) == [told]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '[[listener]]\nprotocol = "imap"\n[[listener]]\nprotocol = "lmtp"',
            '4: listener[2].protocol: lmtp has no standard port; expected an "endpoint" such as '
            '"unix:/run/lmtp.sock"',
        ),
        (
            '[[listener]]\nprotocol = "lmtp"\nendpoint = "tcp:24"\ntls = "implicit"',
            '4: listener[1].tls: found "implicit", expected "none" or "starttls" for lmtp',
        ),
        (
            '[[filter]]\nuse = "senders:x"\nlisteners = ["smtp", "stmp"]',
            '3: filter[1].listeners[2]: there is no listener "stmp"; expected one of imap, imaps, '
            "pop3, pop3s, smtp, submission, submissions",
        ),
        (
            '[[routes.catch_all]]\ndomain = "example.net"\naccount = "a"',
            '2: routes.catch_all[1].domain: found "example.net", expected one of server.domains',
        ),
    ],
)
def test_contradictions(text: str, told: str) -> None:
    """Options that cannot hold together are told like any other fault."""
    assert faults(text) == [told]


def test_one_endpoint_for_two() -> None:
    """An endpoint that is listened on twice is told for both, an implied one too."""
    text = '[[listener]]\nprotocol = "smtp"\n[[listener]]\nprotocol = "imap"\nendpoint = "{}"'
    assert faults(text.format("tcp:25:interface=0.0.0.0")) == [
        '1: listener[1].endpoint: "tcp:25:interface=0.0.0.0" is listened on twice',
        '5: listener[2].endpoint: "tcp:25:interface=0.0.0.0" is listened on twice',
    ]
    assert parse(text.format("tcp:143"), "f", HERE)


def test_secrets(tmp_path: Path) -> None:
    """A secret comes from the text, a file or the environment, and is never shown."""
    (tmp_path / "password").write_text("hush\n")
    for written in ('"hush"', '{ file = "password" }', '{ env = "PASSWORD" }'):
        text = f"[tls]\nkey_password = {written}"
        configuration = parse(text, "f", tmp_path, {"PASSWORD": "hush"})
        secret = configuration.tls.key_password
        assert secret is not None
        assert secret.reveal() == "hush"
        assert "hush" not in repr(configuration) + str(secret)


def test_secrets_that_are_not_there() -> None:
    """A secret that cannot be had is a fault that names where it was looked for."""
    line = "2: tls.key_password: found a table, expected "
    assert faults('[tls]\nkey_password = { env = "NO" }') == [
        line + "the environment variable NO to be set"
    ]
    assert faults('[tls]\nkey_password = { file = "/no" }') == [
        line + "a file that can be read (/no: No such file or directory)"
    ]
    assert faults("[tls]\nkey_password = 71625") == [
        '2: tls.key_password: found a secret, expected a text, { file = "PATH" } or '
        '{ env = "NAME" }'
    ]


def test_parts_may_come_from_the_environment() -> None:
    """A part's description may hold a password, so it may stand elsewhere too."""
    text = '[store]\nuse = { env = "STORE" }'
    assert parse(text, "f", HERE, {"STORE": "sql:x"}).store.use == "sql:x"


def test_parts_are_looked_for() -> None:
    """A part that no plugin makes is a fault like any other, at its line."""

    def check(kind: str, prefix: str) -> None:
        if prefix == "nosuch":
            raise ConfigurationFault(f"there is no {kind} called nosuch")

    text = '[store]\nuse = "nosuch:x"\n[[filter]]\nuse = "x:"\n[[filter]]\nuse = "nosuch:"'
    with pytest.raises(ConfigurationFaults) as caught:
        parse(text, "f", HERE, check_part=check)
    assert caught.value.reason.splitlines() == [
        "f:2: store.use: there is no store called nosuch",
        "f:6: filter[2].use: there is no filter called nosuch",
    ]


@attrs.frozen(kw_only=True)
class OwnOptions:
    """The options of a part in these tests."""

    wait: Duration = option(duration("5s"), least=1, meaning="How long.")
    key: Secret | None = option(None, meaning="What to sign with.")
    file: Path = option(Path("x"), meaning="Where.")


def own(_: str, prefix: str) -> type | None:
    """A part called ``own`` has options, no other has."""
    return OwnOptions if prefix == "own" else None


def test_options_of_parts() -> None:
    """A plugin's own options are read like all others, and have their defaults."""
    text = """[[agent]]
use = "own:"
[agent.options]
wait = "1m"
key = { env = "KEY" }
[[filter]]
use = "own:"
[store]
use = "own:"
options = { wait = "2m" }
"""
    read = parse(text, "f", HERE, {"KEY": "k"}, check_part=own)
    options = read.agents[0].options
    assert isinstance(options, OwnOptions)
    assert options.wait == 60
    assert options.key is not None
    assert options.key.reveal() == "k"
    assert options.file == HERE / "x"
    assert isinstance(read.store.options, OwnOptions)
    assert read.store.options.wait == 120
    assert read.filters[0].options == attrs.evolve(OwnOptions(), file=HERE / "x")


def test_faults_in_options_of_parts() -> None:
    """A fault in a plugin's own options is named with its line, like all others."""
    text = """[[agent]]
use = "own:"
[agent.options]
wait = "0s"
wiat = 3
[[filter]]
use = "other:"
options = { x = 1 }
[store]
use = "own:"
options = { wait = "0s" }
"""
    with pytest.raises(ConfigurationFaults) as caught:
        parse(text, "f", HERE, check_part=own)
    assert caught.value.reason.splitlines() == [
        'f:4: agent[1].options.wait: found "0s", expected at least 1 seconds',
        'f:5: agent[1].options.wiat: there is no such option (did you mean "wait"?)',
        "f:8: filter[1].options: other has no options of its own",
        'f:11: store.options.wait: found "0s", expected at least 1 seconds',
    ]


def test_files_are_looked_for(tmp_path: Path) -> None:
    """A certificate that is not there is a fault, unless no listener needs one."""
    file = tmp_path / "mailplat.toml"
    file.write_text('[tls]\nkey = "my.key"\n')
    with pytest.raises(ConfigurationFaults) as caught:
        load(file)
    first, second = caught.value.faults
    assert (first.line, first.option, second.line, second.option) == (
        1,
        "tls.certificate",
        2,
        "tls.key",
    )
    assert "No such file" in first.problem
    file.write_text('[[listener]]\nprotocol = "imap"\ntls = "none"\n')
    assert load(file).tls.key == tmp_path / "tls/server.key"


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    """A file that is not there, or no text, is told in the same way."""
    for name, content, told in [
        ("no.toml", None, "1: the file cannot be read: No such file or directory"),
        ("binary.toml", b"a = 1\n\xff", "2: found bytes that are not UTF-8 text"),
        ("big.toml", b"#" * 5_000_000, "1: the file is larger than 4 MiB"),
    ]:
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ConfigurationFaults) as caught:
            load(file)
        assert caught.value.reason == f"{file}:{told}"
