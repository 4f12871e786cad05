"""The packages that ``mailplatctl plugin new`` writes: one of each kind, with its test.

In each text ``{name}`` is the plugin's name, which is its prefix too, and ``{module}`` the package.
"""

from __future__ import annotations

__all__ = ["COMMON", "KINDS"]

COMMON = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "{module}"
version = "0.1.0"
description = "A plugin for mailplat"
requires-python = ">=3.11"
dependencies = ["mailplat"]

[project.entry-points."mailplat.plugins"]
{name} = "{module}.plugin"

[tool.setuptools]
packages = ["{module}"]
""",
    "README.md": """\
# {module}

A plugin for mailplat. Install it where mailplat is installed, and see that it is found:

    pip install .
    mailplatctl plugin list

Then name it in the configuration:

{usage}

Its test:

    python -m pytest
""",
    "{module}/__init__.py": '"""A plugin for mailplat."""\n',
}
"""The files of every package, by path."""

_FILTER = """\
\"\"\"A filter: refuses mail from the addresses that the configuration names.\"\"\"

from mailplat.filters.function import asked_at
from mailplat.model.verdict import Verdict


@asked_at("sender")
def {name}(context, sender, argument):
    if str(sender.address) in argument.split(","):
        return Verdict.reject("Mail from you is not wanted here")
    return None
"""

_FILTER_TEST = """\
import pytest_twisted
from twisted.internet.task import Clock

from mailplat.app.parts import make_filter
from mailplat.filters.chain import Chains, Rule
from mailplat.interfaces.filters import Context, Stage
from mailplat.interfaces.plugins import FilterSettings
from mailplat.model.address import Address
from mailplat.model.envelope import Sender
from mailplat.model.peer import Peer
from mailplat.model.verdict import Action


@pytest_twisted.ensureDeferred
async def test_refuses_who_is_named():
    made = make_filter("{name}:a@rude.example", FilterSettings(Clock()))
    context = Context("s1", "smtp", Peer("192.0.2.1", 4000, "192.0.2.2", 25))
    chain = Chains([Rule(made)], Clock()).open_chain(context)
    rude, kind = Sender(Address("a", "rude.example")), Sender(Address("a", "kind.example"))
    assert (await chain.ask(Stage.SENDER, rude)).action is Action.REJECT
    assert (await chain.ask(Stage.SENDER, kind)).action is Action.CONTINUE
"""

_AGENT = """\
\"\"\"A delivery agent: writes each mail into a file of a folder, named by its queue id.\"\"\"

from pathlib import Path

from mailplat.agents.function import delivers


@delivers
def {name}(attempt, folder):
    # an attempt may be repeated after a crash: the second one writes the same file
    file = Path(folder, f"{{attempt.queue_id}}.eml")
    file.write_bytes(attempt.body.read(0, attempt.body.size))
"""

_AGENT_TEST = """\
import pytest
from twisted.internet import reactor

from mailplat.app.parts import make_agent
from mailplat.interfaces.plugins import AgentSettings
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.testing.agents import AgentContract


class TestAgent(AgentContract):
    @pytest.fixture
    def agent(self, tmp_path):
        return make_agent(f"{name}:{{tmp_path}}", AgentSettings(reactor))

    @pytest.fixture
    def recipients(self):
        return [Recipient(Address("alice", "example.org"))]
"""

_STORE = """\
\"\"\"A store: begins as the one in memory; replace what you keep elsewhere.\"\"\"

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.plugins import IStorePlugin


@implementer(IPlugin, IStorePlugin)
class Plugin:
    prefix = "{name}"

    def store(self, argument, settings):
        from {module}.store import Store

        return Store(settings)


{name} = Plugin()
"""

_STORE_PART = """\
\"\"\"The store itself; its contract is `mailplat.interfaces.store`.\"\"\"

from zope.interface import implementer

from mailplat.interfaces.store import IStore
from mailplat.store.memory.store import MemoryStore


@implementer(IStore)
class Store(MemoryStore):
    async def deliver(self, message, targets):
        return await super().deliver(message, targets)
"""

_STORE_TEST = """\
import pytest
from {module}.store import Store

from mailplat.testing import stores


class Fixtures:
    @pytest.fixture
    def make_store(self):
        return Store


class TestMailbox(Fixtures, stores.MailboxContract):
    pass


class TestHome(Fixtures, stores.HomeContract):
    pass


class TestStore(Fixtures, stores.StoreContract):
    pass
"""

_ACCOUNTS = """\
\"\"\"An account backend: begins as the one in memory; replace where accounts come from.\"\"\"

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.plugins import IAccountsPlugin


@implementer(IPlugin, IAccountsPlugin)
class Plugin:
    prefix = "{name}"

    def accounts(self, argument, reactor, directory, passwords=None):
        from {module}.accounts import Accounts

        return Accounts(reactor, passwords)


{name} = Plugin()
"""

_ACCOUNTS_PART = """\
\"\"\"The accounts themselves; their contract is `mailplat.interfaces.accounts`.\"\"\"

from mailplat.accounts.memory import MemoryAccounts


class Accounts(MemoryAccounts):
    async def find_account(self, name):
        return await super().find_account(name)
"""

_ACCOUNTS_TEST = """\
import pytest_twisted
from twisted.internet import reactor
from {module}.accounts import Accounts

from mailplat.interfaces.plugins import PasswordSettings
from mailplat.testing import accounts


class TestAccounts(accounts.AccountsContract):
    @pytest_twisted.async_yield_fixture
    async def accounts(self):
        backend = Accounts(reactor, PasswordSettings(scheme="SSHA512"))
        await backend.open()
        for account, password in accounts.KNOWN.items():
            await backend.add(account, password)
        yield backend
        await backend.close()
"""

_ROUTE = """\
\"\"\"A route: leads the names that the configuration has to other addresses.\"\"\"

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.plugins import IRoutePlugin
from mailplat.interfaces.routes import Expanded, Found, IRoute
from mailplat.model.address import Address


@implementer(IRoute)
class Route:
    def __init__(self, name, domain, names):
        self.name = name
        self.domain = domain
        self.names = names

    def is_local_domain(self, domain):
        return domain.lower() == self.domain

    async def find(self, address, sender):
        local, domain = address.key
        target = self.names.get(local) if domain == self.domain else None
        if target is None:
            return None
        user, _, host = target.partition("@")
        return Found(Expanded((Address(user, host),)), f"{{self.name}} knows {{local}}")


@implementer(IPlugin, IRoutePlugin)
class Plugin:
    prefix = "{name}"

    def route(self, argument, settings):
        domain, *rows = argument.split(",")
        return Route(settings.name, domain, dict(row.split("=", 1) for row in rows))


{name} = Plugin()
"""

_ROUTE_TEST = """\
import pytest

from mailplat.app.parts import make_route
from mailplat.interfaces.plugins import RouteSettings
from mailplat.model.address import Address
from mailplat.testing.routes import RouteContract


class TestRoute(RouteContract):
    @pytest.fixture
    def route(self):
        use = "{name}:club.example,ann=ann@example.net"
        return make_route(use, RouteSettings(None, "{name}"))

    @pytest.fixture
    def known(self):
        return Address("ann", "club.example")

    @pytest.fixture
    def other(self):
        return Address("ann", "example.org")
"""

_IMAP = """\
\"\"\"An extension of IMAP: a capability; `IMAPExtension` says what else there may be.\"\"\"

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.imap_extensions import IIMAPExtensionPlugin, IMAPExtension


class Extension(IMAPExtension):
    capability = "X-{capital}"


@implementer(IPlugin, IIMAPExtensionPlugin)
class Plugin:
    prefix = "{name}"

    def extension(self, argument, settings):
        return Extension()


{name} = Plugin()
"""

_IMAP_TEST = """\
from zope.interface.verify import verifyObject

from mailplat.app.parts import find_plugin
from mailplat.interfaces.imap_extensions import (
    ExtensionSettings,
    IIMAPExtension,
    IIMAPExtensionPlugin,
)


def test_extension():
    made = find_plugin(IIMAPExtensionPlugin, "{name}").extension("", ExtensionSettings(None))
    verifyObject(IIMAPExtension, made)
    assert made.capability == "X-{capital}"
"""

KINDS = {
    "filter": (
        "Asked at stages of a mail's way: refuses, changes, watches.",
        '    [[filter]]\n    use = "{name}:a@rude.example"',
        {"{module}/plugin.py": _FILTER, "tests/test_{name}.py": _FILTER_TEST},
    ),
    "agent": (
        "Brings mail one step further: into files, to a service, to your code.",
        '    [[agent]]\n    use = "{name}:/var/spool/{name}"',
        {"{module}/plugin.py": _AGENT, "tests/test_{name}.py": _AGENT_TEST},
    ),
    "store": (
        "Keeps everybody's mail.",
        '    [store]\n    use = "{name}:"',
        {
            "{module}/plugin.py": _STORE,
            "{module}/store.py": _STORE_PART,
            "tests/test_{name}.py": _STORE_TEST,
        },
    ),
    "accounts": (
        "Knows who may log in.",
        '    [accounts]\n    use = "{name}:"',
        {
            "{module}/plugin.py": _ACCOUNTS,
            "{module}/accounts.py": _ACCOUNTS_PART,
            "tests/test_{name}.py": _ACCOUNTS_TEST,
        },
    ),
    "route": (
        "Says where mail for an address leads.",
        '    [[route]]\n    use = "{name}:club.example,ann=ann@example.net"',
        {"{module}/plugin.py": _ROUTE, "tests/test_{name}.py": _ROUTE_TEST},
    ),
    "imap": (
        "Adds a command, a FETCH item, a SEARCH key or a capability to IMAP.",
        '    [imap]\n    extensions = ["{name}:"]',
        {"{module}/plugin.py": _IMAP, "tests/test_{name}.py": _IMAP_TEST},
    ),
}
"""Each kind with what it does, how a configuration names it, and its files."""
