"""An IMAP server in the event loop of the tests, with folders in memory; it can refuse and break off."""

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.certificates import Authority

USER, PASSWORD = "reply@shop.example.com", "hunter2 ü"
MODERN = ("IDLE", "MOVE", "UIDPLUS", "NAMESPACE", "SASL-IR", "AUTH=PLAIN")


@dataclass
class Stored:
    """An email in a folder."""

    uid: int
    raw: bytes
    flags: set[str] = field(default_factory=set)


@dataclass
class ImapServer:
    """One mailbox.

    Args:
        tls: spoken from the first byte.
        capabilities: what it offers.
        tokens: the access tokens that it accepts.
        refuses: commands that it refuses, by their first words.
        breaks_at: commands at which it closes the connection.
        breaks_in: the UIDs of emails at which it closes the connection.
        unreadable: the UIDs of emails that it cannot read.
        damaged: the UIDs of emails of which it cannot even read the header fields.
        adds: what it sends before its response to a command, by the command's name.
        commands: all commands that it got, without what follows an authentication.
    """

    tls: ssl.SSLContext
    capabilities: tuple[str, ...] = MODERN
    tokens: tuple[str, ...] = ()
    refuses: set[str] = field(default_factory=set)
    breaks_at: set[str] = field(default_factory=set)
    breaks_in: set[int] = field(default_factory=set)
    unreadable: set[int] = field(default_factory=set)
    damaged: set[int] = field(default_factory=set)
    adds: dict[str, bytes] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    folders: dict[str, list[Stored]] = field(default_factory=lambda: {"INBOX": []})
    validity: int = 7
    logins: int = 0
    port: int = 0
    _last_uid: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["ImapServer"]:
        """Listen while the block runs."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    def deliver(self, raw: bytes, folder: str = "INBOX") -> int:
        """Put an email into a folder; returns its UID."""
        self._last_uid += 1
        self.folders[folder].append(Stored(self._last_uid, raw))
        self._changed.set()
        return self._last_uid

    def raws(self, folder: str = "INBOX") -> list[bytes]:
        """The emails in a folder that are not deleted."""
        return [each.raw for each in self.folders.get(folder, []) if "\\Deleted" not in each.flags]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _Session(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class _Session:
    def __init__(self, server: ImapServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._folder: list[Stored] = []

    async def run(self) -> None:
        self._say("* OK ready")
        while True:
            line = (await self._reader.readuntil(b"\r\n")).decode().rstrip("\r\n")
            while literal := re.search(r"\{(\d+)\}$", line):
                self._say("+ go on")
                text = (await self._reader.readexactly(int(literal[1]))).decode()
                line = f'{line[: literal.start()]}"{text}"{(await self._reader.readuntil()).decode().rstrip()}'
            tag, _, command = line.partition(" ")
            name = command.removeprefix("UID ").split(" ")[0]
            self._server.commands.append(" ".join(command.split()[:2]) if name == "AUTHENTICATE" else command)
            if name in self._server.breaks_at:
                return
            if name in self._server.refuses:
                self._say(f"{tag} NO refused")
                continue
            self._writer.write(self._server.adds.get(name, b""))
            answer = getattr(self, f"_{name.lower()}")
            self._say(f"{tag} {await answer(command) or 'OK done'}")
            if name == "LOGOUT":
                return

    def _say(self, text: str | bytes) -> None:
        self._writer.write((text.encode() if isinstance(text, str) else text) + b"\r\n")

    async def _capability(self, _: str) -> None:
        self._say(f"* CAPABILITY IMAP4rev1 {' '.join(self._server.capabilities)}")

    async def _login(self, command: str) -> str:
        return self._admit(command == f'LOGIN "{USER}" "{PASSWORD}"')

    async def _authenticate(self, command: str) -> str:
        _, mechanism, *first = command.split(" ")
        if not first:
            self._say("+ ")
            first = [(await self._reader.readuntil()).decode().strip()]
        said = base64.b64decode(first[0]).decode()
        server = self._server
        good = {
            "PLAIN": [f"\0{USER}\0{PASSWORD}"],
            "XOAUTH2": [f"user={USER}\1auth=Bearer {each}\1\1" for each in server.tokens],
            "OAUTHBEARER": [
                f"n,a={USER},\1host=localhost\1port={server.port}\1auth=Bearer {each}\1\1" for each in server.tokens
            ],
        }
        if said not in good[mechanism] and mechanism != "PLAIN":
            self._say(b"+ " + base64.b64encode(b'{"status": "401"}'))
            dummy = await self._reader.readuntil()
            assert dummy == (b"\r\n" if mechanism == "XOAUTH2" else b"AQ==\r\n")
        return self._admit(said in good[mechanism])

    def _admit(self, is_good: bool) -> str:
        self._server.logins += is_good
        return "OK" if is_good else "NO [AUTHENTICATIONFAILED] no"

    async def _namespace(self, _: str) -> None:
        self._say('* NAMESPACE (("" "/")) NIL NIL')

    async def _list(self, command: str) -> None:
        name = command.split('"')[3]
        if name in self._server.folders:
            self._say(f'* LIST () "/" "{name}"')

    async def _create(self, command: str) -> None:
        self._server.folders[command.split('"')[1]] = []

    async def _subscribe(self, _: str) -> None:
        pass

    async def _select(self, command: str) -> str | None:
        if command.split('"')[1] not in self._server.folders:
            return "NO [NONEXISTENT] no such folder"
        self._folder = self._server.folders[command.split('"')[1]]
        self._say(f"* {len(self._folder)} EXISTS")
        self._say(f"* OK [UIDVALIDITY {self._server.validity}] valid")
        return None

    async def _search(self, command: str) -> None:
        first = int(command.split()[3].partition(":")[0])
        found = [each.uid for each in self._folder if "\\Deleted" not in each.flags]
        # The range "n:*" always contains the last one.
        self._say(f"* SEARCH {' '.join(str(uid) for uid in found if uid >= first or uid == found[-1])}")

    def _chosen(self, command: str) -> list[Stored]:
        numbers = {int(number) for number in command.split()[2].split(",")}
        return [each for each in self._folder if each.uid in numbers]

    async def _fetch(self, command: str) -> str | None:
        limit = re.search(r"<0\.(\d+)>", command)
        for each in self._chosen(command):
            if limit:
                if each.uid in self._server.breaks_in:
                    raise ConnectionAbortedError
                if each.uid in self._server.unreadable:
                    return "NO [SERVERBUG] cannot read it"
                text, what = each.raw[: int(limit[1])], "BODY[]<0>"
            else:
                if each.uid in self._server.damaged:
                    return "NO [SERVERBUG] cannot read it"
                text, what = each.raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", "BODY[HEADER.FIELDS (TO)]"
            self._say(
                f"* 1 FETCH (UID {each.uid} RFC822.SIZE {len(each.raw)} {what} {{{len(text)}}}\r\n".encode()
                + text
                + b")"
            )
        return None

    async def _store(self, command: str) -> None:
        for each in self._chosen(command):
            each.flags.update(re.findall(r"\\\w+", command))

    async def _copy(self, command: str) -> None:
        for each in self._chosen(command):
            self._server.folders[command.split('"')[1]].append(Stored(each.uid, each.raw, each.flags - {"\\Deleted"}))

    async def _expunge(self, command: str) -> None:
        for each in self._chosen(command):
            self._folder.remove(each)

    async def _move(self, command: str) -> None:
        await self._copy(command)
        await self._expunge(command)

    async def _idle(self, _: str) -> str:
        self._say("+ idling")
        done = asyncio.create_task(self._reader.readuntil())
        while not done.done():
            self._server._changed.clear()
            changed = asyncio.create_task(self._server._changed.wait())
            await asyncio.wait((done, changed), return_when=asyncio.FIRST_COMPLETED)
            if changed.done():
                self._say(f"* {len(self._folder)} EXISTS")
            changed.cancel()
        return "OK" if done.result() == b"DONE\r\n" else "BAD"

    async def _logout(self, _: str) -> None:
        self._say("* BYE")


def trusted_server(folder: Path, monkeypatch: pytest.MonkeyPatch, port: int = 0) -> ImapServer:
    """A server whose certificate this process trusts.

    Args:
        folder: gets the certificates.
        port: where it will listen; by default, on any free port.
    """
    authority = Authority()
    authority.save(folder / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
    return ImapServer(authority.server("localhost", folder), port=port)
