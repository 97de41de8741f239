"""Mails to the people of a knowledge base: accounts, codes, templates, senders, the outbox."""
