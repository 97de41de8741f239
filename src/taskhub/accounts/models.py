"""Tenants, people, who is in which tenant, and who is asked to join one."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from taskhub.db import Base


class Language(StrEnum):
    """The languages that mails are written in."""

    en_us = "en-US"
    zh_hans = "zh-Hans"


class Role(StrEnum):
    """What a person may do in a tenant; each tenant has one owner at most."""

    owner = "owner"
    admin = "admin"
    editor = "editor"
    member = "member"


class Tenant(Base):
    """One customer, or the only one of a private installation."""

    __tablename__ = "tenants"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Account(Base):
    """One person; `verified_at` is when the address was proved to be theirs."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    verified_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    disabled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        CheckConstraint("language IN ('en-US', 'zh-Hans')", name="language"),
        Index("uq_accounts_email", func.lower(email), unique=True),
    )


class Member(Base):
    """One person in one tenant."""

    __tablename__ = "members"

    tenant_id: Mapped[int] = mapped_column(
        ForeignKey(Tenant.id, ondelete="CASCADE"), primary_key=True
    )
    account_id: Mapped[int] = mapped_column(
        ForeignKey(Account.id, ondelete="CASCADE"), primary_key=True, index=True
    )
    role: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (
        CheckConstraint("role IN ('owner', 'admin', 'editor', 'member')", name="role"),
        Index(
            "uq_members_owner", "tenant_id", unique=True, postgresql_where=text("role = 'owner'")
        ),
    )


class Invitation(Base):
    """An address that was asked to join a tenant; `token` is empty when it was accepted or revoked."""

    __tablename__ = "invitations"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"))
    inviter_id: Mapped[int | None] = mapped_column(
        ForeignKey(Account.id, ondelete="SET NULL"), index=True
    )
    email: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text)
    token: Mapped[str | None] = mapped_column(Text, unique=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    accepted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        CheckConstraint("role IN ('admin', 'editor', 'member')", name="role"),
        CheckConstraint("language IN ('en-US', 'zh-Hans')", name="language"),
        Index(
            "uq_invitations_tenant_id_email",
            "tenant_id",
            func.lower(email),
            unique=True,
            postgresql_where=text("token IS NOT NULL"),
        ),
        Index("ix_invitations_email", func.lower(email)),
    )
