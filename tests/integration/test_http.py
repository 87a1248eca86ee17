"""The HTTP client says whether a request can have been carried out."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bptl.lib.http import AnswerUnknown, HttpClient, HttpError, NeverSent
from stage.ports import HOST, free_port

Behaviour = Callable[[socket.socket], None]


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """A server that treats its one connection by ``behaviour``: its address without scheme."""
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                behaviour(connection)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"{HOST}:{server.getsockname()[1]}"
        thread.join(timeout=10)


def asking(url: str, error: type[HttpError]) -> None:
    client = HttpClient(url, timeout=0.5)
    with pytest.raises(error):
        client.request("POST", "x", json_body={})
    client.close()


def test_nobody_listening_means_never_sent() -> None:
    asking(f"http://{HOST}:{free_port()}", NeverSent)


def test_a_connection_cut_before_the_answer_leaves_it_unknown() -> None:
    with serving(lambda connection: connection.close()) as address:
        asking(f"http://{address}", AnswerUnknown)


def test_an_answer_cut_in_the_middle_is_unknown() -> None:
    def half(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    with serving(half) as address:
        asking(f"http://{address}", AnswerUnknown)


def test_silence_is_unknown() -> None:
    def silent(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with serving(silent) as address:
        asking(f"http://{address}", AnswerUnknown)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's TLS with a certificate that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(certificate + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_a_certificate_that_we_do_not_trust_means_never_sent(tls: ssl.SSLContext) -> None:
    def refuse(connection: socket.socket) -> None:
        with pytest.raises(ssl.SSLError):
            tls.wrap_socket(connection, server_side=True)

    with serving(refuse) as address:
        asking(f"https://{address}", NeverSent)


def test_a_tls_handshake_that_fails_has_sent_nothing() -> None:
    def nonsense(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"this is no TLS at all")

    with serving(nonsense) as address:
        asking(f"https://{address}", NeverSent)


def test_a_kept_connection_that_the_server_closed_is_not_used_again() -> None:
    """Else its next request would be unknown, and a completion whose answer is unknown is asked for later."""
    served: list[bytes] = []
    closed = Event()
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    served.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                closed.set()

        thread = Thread(target=serve, daemon=True)
        thread.start()
        client = HttpClient(f"http://{HOST}:{server.getsockname()[1]}", timeout=5)
        assert client.request("GET", "x").body == b"ok"
        assert closed.wait(timeout=10)
        assert client.request("GET", "x").body == b"ok"
        thread.join(timeout=10)
        client.close()
    assert len(served) == 2


def test_a_refusal_that_comes_before_the_whole_body_was_sent_is_heard() -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(1024)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with serving(refuse) as address:
        client = HttpClient(f"http://{address}", timeout=5)
        assert client.request("POST", "x", json_body={"inhoud": "x" * 3_000_000}).status == 413


def test_a_path_that_cannot_be_one_is_never_sent() -> None:
    with serving(lambda connection: None) as address:
        asking_path = HttpClient(f"http://{address}", timeout=0.5)
        with pytest.raises(NeverSent):
            asking_path.request("GET", "task with a space")


def test_a_client_that_was_closed_by_a_newer_row_still_serves_who_holds_it() -> None:
    seen: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        seen.append(connection.makefile("rb").readline())
        connection.sendall(b"HTTP/1.1 204 No Content\r\nRetry-After: 3\r\n\r\n")

    with serving(answer) as address:
        client = HttpClient(f"http://{address}/engine-rest", timeout=5)
        client.close()
        answered = client.request("POST", "task/x/complete", query={"a": "b c"}, json_body={"naam": "Zoë"})
    assert (answered.status, answered.headers.get("Retry-After")) == (204, "3")
    assert seen == [b"POST /engine-rest/task/x/complete?a=b+c HTTP/1.1\r\n"]
