"""Whether a server can listen on an address of this machine: tried before anything is started for it."""

import errno
import socket

from runtime.errors import SettingError

ROOTS_PORTS = 1024  # below, Linux lets root listen (ip_unprivileged_port_start)


def refuse_taken(name: str, host: str, port: int) -> None:
    """Raise SettingError where nobody could listen on `host` and `port`; `name` is the setting of the port.

    A host of several addresses is listened on at all of them.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise SettingError(
            f"a name or an address of this machine to listen on for {name}",
            f"{host}: {error.strerror}",
            "set API_HOST to 127.0.0.1, 0.0.0.0 or an address of this machine, or leave it out",
        ) from error
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a port in TIME_WAIT is free to them.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                raise _refused(name, host, port, error) from error


def _refused(name: str, host: str, port: int, error: OSError) -> SettingError:
    wanted, found = f"{name}={port} of {host} to be free", error.strerror or str(error)
    match error.errno:
        case errno.EADDRINUSE:
            return SettingError(wanted, found, f"end what listens there, or set {name} to another port")
        case errno.EACCES:
            remedy = f"set {name} to a port from {ROOTS_PORTS} on; those below are root's"
            return SettingError(wanted, found, remedy)
        case _:
            wanted = f"an address of this machine to listen on for {name}"
            remedy = "set API_HOST to 127.0.0.1, 0.0.0.0 or an address of this machine, or leave it out"
            return SettingError(wanted, f"{host}: {found}", remedy)
