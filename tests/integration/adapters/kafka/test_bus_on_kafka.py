"""The bus on Kafka keeps the contracts."""

from contracts.bus import BusContract
from contracts.bus_projection import BusProjectionContract


class TestBus(BusContract):
    pass


class TestProjection(BusProjectionContract):
    pass
