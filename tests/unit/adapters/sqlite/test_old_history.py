from contracts.old_history import OldHistoryContract


class TestOldHistoryOnSqlite(OldHistoryContract):
    """Adopts the contract with the fixture `open_log`."""
