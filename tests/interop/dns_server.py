"""A DNS server for tests, on 127.0.0.1 port 53 of a network of its own: answers from a zone and says,
if asked to, that it has checked the signatures.

    dns_server.py ZONE READY

ZONE is a file of JSON: {"records": {"name": [[type, data], ...]}, "secure": bool}; it is read for each
question. READY is made when the server listens. Data are addresses, names, or hexadecimal for SSHFP.
"""
import json
import socket
import struct
import sys

TYPES = {'A': 1, 'CNAME': 5, 'AAAA': 28, 'SSHFP': 44}
RESPONSE, RECURSION, AUTHENTIC, NO_SUCH_NAME = 0x8000, 0x0180, 0x0020, 3


def name_bytes(name):
    return b''.join(bytes([len(label)]) + label.encode() for label in name.split('.')) + b'\0'


def data_bytes(kind, data):
    if kind == 'A':
        return socket.inet_aton(data)
    if kind == 'AAAA':
        return socket.inet_pton(socket.AF_INET6, data)
    return name_bytes(data) if kind == 'CNAME' else bytes.fromhex(data)


def question_of(packet):
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return '.'.join(labels).lower(), struct.unpack('>H', packet[at + 1:at + 3])[0], packet[12:at + 5]


def answers_for(records, name, wanted):
    """The records, with those of names that it is an alias of."""
    found = []
    while name is not None:
        alias = None
        for kind, data in records.get(name, []):
            if TYPES[kind] == wanted or kind == 'CNAME':
                value = data_bytes(kind, data)
                found.append(name_bytes(name) + struct.pack('>HHIH', TYPES[kind], 1, 1, len(value)) + value)
                alias = data if kind == 'CNAME' else alias
        name = alias
    return found


def answer(zone, packet):
    name, wanted, question = question_of(packet)
    found = answers_for(zone['records'], name, wanted)
    flags = RESPONSE | RECURSION | (AUTHENTIC if zone.get('secure') else 0)
    if name not in zone['records']:
        flags |= NO_SUCH_NAME
    return packet[:2] + struct.pack('>HHHHH', flags, 1, len(found), 0, 0) + question + b''.join(found)


def main(path, ready):
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(('127.0.0.1', 53))
    open(ready, 'w').close()
    while True:
        packet, client = listener.recvfrom(4096)
        with open(path) as file:
            listener.sendto(answer(json.load(file), packet), client)


if __name__ == '__main__':
    main(*sys.argv[1:])
