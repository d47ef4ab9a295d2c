import socket

import pytest


def test_a_test_reaches_only_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=1):
        pass
    for address in (("192.0.2.1", 9), ("example.com", 9)):
        with socket.socket() as outward, pytest.raises(AssertionError, match="only loopback"):
            outward.connect(address)
