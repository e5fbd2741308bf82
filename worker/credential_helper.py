"""What git runs while modules are fetched: to ask for the token, and in place of ssh.

    python -I -S credential_helper.py SOCKET get|store|erase        as a credential helper
    python -I -S credential_helper.py --no-ssh HOST SSH_ARGUMENTS   as ssh

Standard library only, and little of it: git starts this for every request that needs a credential.
"""

import socket
import sys

_LONGEST = 1 << 16
_WAIT_SECONDS = 60.0
_SSH_FAILED = 255


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--no-ssh"]:
        return _refuse_ssh(arguments[1:])
    if len(arguments) != 2:
        return 2
    path, action = arguments
    # What other actions there are, or will be, is none of ours.
    if action in ("get", "store", "erase"):
        _ask(path, action)
    return 0


def _ask(path: str, action: str) -> None:
    request = sys.stdin.buffer.read(_LONGEST)
    answer = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(_WAIT_SECONDS)
            channel.connect(path)
            channel.sendall(action.encode() + b"\n" + request)
            channel.shutdown(socket.SHUT_WR)
            while len(answer) < _LONGEST and (data := channel.recv(4096)):
                answer += data
    except OSError as error:
        print(f"driftfleet: the worker gives no token: {error.strerror}", file=sys.stderr)
        return
    sys.stdout.buffer.write(answer)


def _refuse_ssh(arguments: list[str]) -> int:
    ours, *rest = arguments
    # git calls ssh with options, [user@]host and one command.
    wanted = rest[-2].rpartition("@")[2] if len(rest) > 1 else "a host"
    print(
        f"driftfleet: ssh to {wanted} is not available to checks, they have no key: modules are "
        f"fetched over https, with a token only from {ours}",
        file=sys.stderr,
    )
    return _SSH_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
