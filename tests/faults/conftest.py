"""The database server of the queue's tests, and what every fault must leave behind."""

from __future__ import annotations

from tests.queue.conftest import postgres

__all__ = ["postgres"]
