from contracts.event_store import EventStoreContract


class TestMongoEventStore(EventStoreContract):
    """Adopts the contract with the fixture `open_log`."""
