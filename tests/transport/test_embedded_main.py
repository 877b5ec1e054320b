from mesh.transport.embedded_main import configuration


def test_one_listener_and_no_more_plugins_than_needed() -> None:
    made = configuration("127.0.0.1:1883")
    assert made["listeners"]["default"]["bind"] == "127.0.0.1:1883"
    assert len(made["plugins"]) == 2
