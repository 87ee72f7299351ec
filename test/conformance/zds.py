"""The node agent's half of ZDS (contract ztunnel.md 1.8), for test/conformance/zds-agent.ts: Node.js has neither SEQPACKET
sockets nor passes file descriptors. zds.py SOCKET takes a line of JSON for each message and prints one for each answer."""

import json
import os
import queue
import socket
import sys
import threading


def field(number, payload):
    """One that is length-delimited, below 16 KiB."""
    size = len(payload)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + payload


def text(number, value):
    return field(number, value.encode())


def request(line):
    """The message, and the network namespace to send along."""
    if "add" in line:
        pod = line["add"]
        info = text(1, pod["name"]) + text(2, pod["namespace"]) + text(3, pod["serviceAccount"])
        return field(1, text(1, pod["uid"]) + field(2, info)), pod["netns"]
    if "del" in line:
        return field(2, text(2, line["del"])), None
    return field(3, b""), None


def error_of(answer):
    """WorkloadResponse{ack=1{error=1}}: what is after both tags and lengths, if anything is."""
    return answer[4:].decode(errors="replace") if len(answer) > 4 else ""


def say(**fields):
    print(json.dumps(fields), flush=True)


def serve(client, lines):
    client.recv(1024)  # ZdsHello
    while (line := lines.get()) is not None:
        message, netns = request(line)
        if netns is None:
            client.send(message)
        else:
            fd = os.open(netns, os.O_RDONLY)
            socket.send_fds(client, [message], [fd])
            os.close(fd)
        answer = client.recv(1024)
        if not answer:
            return
        say(ack=line, error=error_of(answer))


def read(lines):
    for line in sys.stdin:
        lines.put(json.loads(line))
    lines.put(None)


listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen(1)
say(listening=True)
told = queue.Queue()
threading.Thread(target=read, args=(told,), daemon=True).start()
serve(listener.accept()[0], told)
