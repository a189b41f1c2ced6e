"""The very object, to those who listen, as long as they listen."""

from imagebind_node.streaming.exchange import Exchange


def test_listener_gets_the_object_itself():
    exchange, got, frame = Exchange(), [], object()
    exchange.listen("/camera", got.append)
    exchange.publish("/camera", frame)
    exchange.publish("/other", object())
    assert len(got) == 1
    assert got[0] is frame


def test_several_listeners_and_leaving():
    exchange, first, second = Exchange(), [], []
    stop = exchange.listen("/audio", first.append)
    exchange.listen("/audio", second.append)
    exchange.publish("/audio", 1)
    stop()
    exchange.publish("/audio", 2)
    assert (first, second) == ([1], [1, 2])


def test_the_same_listener_twice_leaves_once():
    exchange, got = Exchange(), []
    stop = exchange.listen("/audio", got.append)
    exchange.listen("/audio", got.append)
    stop()
    exchange.publish("/audio", 1)
    assert got == [1]


def test_producers_are_counted():
    exchange = Exchange()
    assert not exchange.has_producer("/camera")
    withdraw_a, withdraw_b = exchange.announce("/camera"), exchange.announce("/camera")
    withdraw_a()
    assert exchange.has_producer("/camera")
    withdraw_b()
    assert not exchange.has_producer("/camera")
    withdraw_b()
    assert not exchange.has_producer("/camera")
    exchange.announce("/camera")
    assert exchange.has_producer("/camera"), "withdrawing twice must not cancel somebody else's announcement"
