"""The keys under which secret arguments are stored: the first one encrypts, all of them decrypt."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from taskhub.settings import BadSetting, Settings

KEY_BYTES = 32  # AES-256
NONCE_BYTES = 12
CHECK_BYTES = 4
_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")


class NoSecretKey(BadSetting):
    """A secret cannot be encrypted or decrypted here: its key, all keys, or the library are missing."""


class BrokenSecret(ValueError):
    """A stored secret was changed, or belongs to another task or parameter."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `check` tells it from another key of the same name, and nothing about it."""

    id: str
    secret: bytes = field(repr=False)

    @property
    def check(self) -> bytes:
        """The first bytes of whatever it encrypts."""
        return hashlib.blake2b(
            b"taskhub key check", key=self.secret, digest_size=CHECK_BYTES
        ).digest()


class Keyring:
    """The keys of the settings, each ready to be used."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.id: (key.check, _cipher(key.secret)) for key in keys}

    @property
    def first(self) -> str:
        """The id of the key that encrypts.

        Raises:
            NoSecretKey: there is none.
        """
        for key_id in self._keys:
            return key_id
        raise NoSecretKey(
            "secret_keys must name a key where a task takes a secret, got none; run "
            "`taskhub secrets new-key` and set TASKHUB_SECRET_KEYS or TASKHUB_SECRET_KEYS_FILE"
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """All keys' ids, the one that encrypts first."""
        return tuple(self._keys)

    def encrypt(self, plain: bytes, place: bytes) -> dict[str, str]:
        """`plain` under the first key, readable only with the same `place`."""
        key_id = self.first
        check, cipher = self._keys[key_id]
        nonce = os.urandom(NONCE_BYTES)
        data = check + nonce + cipher.encrypt(nonce, plain, place)
        return {"key": key_id, "data": base64.b64encode(data).decode()}

    def decrypt(self, stored: Mapping[str, Any], place: bytes) -> bytes:
        """What `encrypt` was given.

        Raises:
            NoSecretKey: its key is not here, or another one has its name.
            BrokenSecret: it was changed, or is not of this place.
        """
        cipher = self._found(stored)
        data = _decoded(stored["data"])
        from cryptography.exceptions import InvalidTag

        try:
            nonce = data[CHECK_BYTES : CHECK_BYTES + NONCE_BYTES]
            plain: bytes = cipher.decrypt(nonce, data[CHECK_BYTES + NONCE_BYTES :], place)
        except (InvalidTag, ValueError):
            raise BrokenSecret("was changed, or is not of this task and parameter") from None
        return plain

    def require(self, stored: Mapping[str, Any]) -> None:
        """Raise NoSecretKey, as `decrypt` does, where the key of a stored secret is not here."""
        self._found(stored)

    def _found(self, stored: Mapping[str, Any]) -> Any:
        key_id = str(stored["key"])
        if key_id not in self._keys:
            raise NoSecretKey(f"secret_keys must name key {key_id!r:.60}, got {self._named()}")
        check, cipher = self._keys[key_id]
        if _decoded(stored["data"])[:CHECK_BYTES] != check:
            raise NoSecretKey(
                f"secret_keys must hold the key {key_id!r:.60} that encrypted, got another of its name"
            )
        return cipher

    def _named(self) -> str:
        return ", ".join(self._keys) or "none"


def keyring(settings: Settings) -> Keyring:
    """The keys that `settings` name; a file is read once.

    Raises:
        NoSecretKey: cryptography is not installed.
        BadSetting: a key or the file cannot be read.
    """
    return _keyring(settings.secret_keys, settings.secret_keys_file)


@cache
def _keyring(given: tuple[str, ...], file: Path | None) -> Keyring:
    if given and file is not None:
        raise BadSetting("give secret_keys or secret_keys_file, not both")
    if file is None:
        return Keyring(parse(given, "secret_keys"))
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise BadSetting(f"secret_keys_file must be a readable file, got {file}: {error}") from None
    wanted = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return Keyring(parse(wanted, str(file)))


def parse(items: Iterable[str], what: str) -> list[Key]:
    """Keys written as ID:BASE64, in their order; a message never shows one.

    Raises:
        BadSetting: one of them is something else, or two have one id.
    """
    keys: dict[str, Key] = {}
    for number, item in enumerate(items, 1):
        key_id, mark, text = item.strip().partition(":")
        secret = _decoded(text)
        if not mark or not _ID.fullmatch(key_id):
            raise BadSetting(
                f"{what}: key {number} must be ID:BASE64, with an id of letters, digits and ._-"
            )
        if len(secret) != KEY_BYTES:
            raise BadSetting(
                f"{what}: key {key_id!r} must be base64 of {KEY_BYTES} bytes, got {len(secret)}"
            )
        if key_id in keys:
            raise BadSetting(f"{what}: keys must have ids that differ, got {key_id!r} twice")
        keys[key_id] = Key(key_id, secret)
    return list(keys.values())


def new_key(key_id: str) -> str:
    """A fresh random key as the settings take it.

    Raises:
        BadSetting: the id has characters that no id has.
    """
    text = f"{key_id}:{base64.b64encode(os.urandom(KEY_BYTES)).decode()}"
    parse([text], "new key")
    return text


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _cipher(secret: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise NoSecretKey(
            "secret arguments need cryptography, which is not installed; "
            "run `pip install 'taskhub[secrets]'`"
        ) from None
    return AESGCM(secret)
