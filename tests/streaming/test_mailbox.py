"""The newest item only, and an honest count of the others."""

import threading

from imagebind_node.streaming.mailbox import Mailbox


def test_newest_replaces_unread():
    box = Mailbox()
    for item in (1, 2, 3):
        box.put(item)
    assert box.take() == 3
    assert (box.received, box.dropped) == (3, 2)


def test_taken_items_are_not_drops():
    box = Mailbox()
    for item in (1, 2):
        box.put(item)
        assert box.take() == item
    assert box.dropped == 0
    assert box.take() is None


def test_peek_leaves_the_item():
    box = Mailbox()
    box.put("frame")
    assert box.peek() == "frame"
    assert box.take() == "frame"
    assert box.peek() is None


def test_every_item_is_taken_or_counted_with_two_threads():
    box, taken, total = Mailbox(), [], 20_000
    done = threading.Event()

    def consume():
        while not done.is_set() or box.peek() is not None:
            item = box.take()
            if item is not None:
                taken.append(item)

    consumer = threading.Thread(target=consume)
    consumer.start()
    for item in range(total):
        box.put(item)
    done.set()
    consumer.join()
    assert box.received == total
    assert len(taken) + box.dropped == total
    assert taken == sorted(set(taken))
