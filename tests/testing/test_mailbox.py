from threading import Thread

from mesh.testing.mailbox import Mailbox


def test_deliveries_do_not_nest() -> None:
    mailbox, order = Mailbox(), list[str]()

    def outer() -> None:
        mailbox.put(lambda: order.append("inner"))
        mailbox.deliver()
        order.append("outer")

    mailbox.put(outer)
    mailbox.deliver()
    assert order == ["outer", "inner"]


def test_nothing_is_left_lying_when_threads_meet() -> None:
    mailbox, delivered = Mailbox(), list[int]()

    def put_many() -> None:
        for number in range(500):
            mailbox.put(lambda number=number: delivered.append(number))  # type: ignore[misc]
            mailbox.deliver()

    threads = [Thread(target=put_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(delivered) == 2000
