"""The least of MQTT 3.1.1 over TLS that a probe needs: CONNECT, and what the broker answers."""

import socket
import ssl


def context(stack, certificate, key, version=None):
    """A client context that can hold a TLS session; one context for the first connection and the resumed one."""
    made = ssl.create_default_context(cafile=str(stack.pki / "root.pem"))
    made.load_cert_chain(str(certificate), str(key))
    if version:
        made.minimum_version = made.maximum_version = version
    return made


def connect(stack, tls, client_id, session=None):
    """(CONNACK return code or None when cut off before it, TLS session, whether it was resumed)."""
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(name).to_bytes(2, "big") + name
    with socket.create_connection(("127.0.0.1", stack.ports["mqtt"]), timeout=10) as plain:
        with tls.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as s:
            try:
                s.sendall(bytes((0x10, len(body))) + body)
                answer = s.recv(4)
                code = answer[3] if len(answer) == 4 and answer[0] == 0x20 else None
                return code, s.session, s.session_reused
            except (ssl.SSLError, ConnectionError):
                return None, None, s.session_reused
