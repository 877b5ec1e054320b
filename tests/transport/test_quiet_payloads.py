from mesh.transport.quiet_payloads import QuietBytes


def test_they_are_the_same_bytes_with_a_short_name() -> None:
    quiet = QuietBytes(b"x" * 1000)
    assert quiet == b"x" * 1000
    assert f"{ {'data': quiet} }" == "{'data': <1000 bytes>}"
