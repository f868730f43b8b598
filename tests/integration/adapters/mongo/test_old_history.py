from contracts.old_history import OldHistoryContract


class TestOldHistoryOnMongo(OldHistoryContract):
    """Adopts the contract with the fixture `open_log`."""
