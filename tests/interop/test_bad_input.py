"""Whatever a peer, a file or a user sends wrong ends in one clear message that names it: no crash, no
hang, no leak, no unbounded memory, and the next user is served."""
import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from conftest import (IS_ROOT, MEMORY_FACTOR, PATIENCE, make_key, nacre, openssh, public_line, run,
                      start_in_terminal, until)
from hostile_peer import (CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_EXTENDED_DATA, CHANNEL_OPEN,
                          CHANNEL_OPEN_CONFIRMATION, CHANNEL_REQUEST, CHANNEL_SUCCESS,
                          CHANNEL_WINDOW_ADJUST, DEBUG, DISCONNECT, ECDH_INIT, ECDH_REPLY,
                          GLOBAL_REQUEST, HOST_KEY, IGNORE, KEXINIT, NEWKEYS, ONLY_ALGORITHMS, REQUEST_SUCCESS,
                          SERVICE_ACCEPT, SERVICE_REQUEST, UNIMPLEMENTED, USERAUTH_REQUEST,
                          USERAUTH_SUCCESS, Gone, Peer, kexinit, known_hosts_line, message, number,
                          public_bytes,                          read_private_key, string, u32)

CRASH = re.compile(r'AddressSanitizer|LeakSanitizer|runtime error:|[Ss]egmentation|stack smashing|'
                   r'core dumped|killed by signal (4|6|7|8|11)\b')


def complaint(result, *patterns, status=255):
    """What a failed program has said: each pattern is in it, and it is no flood."""
    text = result.stderr.decode(errors='replace')
    assert result.returncode == status, (result.returncode, text)
    assert not CRASH.search(text), text
    for pattern in patterns:
        assert re.search(pattern, text), f'no {pattern!r} in:\n{text}'
    assert text.count('\n') < 25, text
    return text


def resident(pid):
    """KiB of memory that a process holds, 0 when it has gone."""
    with contextlib.suppress(OSError):
        with open(f'/proc/{pid}/status') as file:
            found = re.search(r'^VmRSS:\s+(\d+)', file.read(), re.MULTILINE)
            return int(found[1]) if found else 0
    return 0


def family(pid):
    """A process and all that come from it."""
    with contextlib.suppress(OSError):
        children = []
        for thread in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{thread}/children') as file:
                children += map(int, file.read().split())
        return [pid] + [each for child in children for each in family(child)]
    return []


# A hostile client and our server --------------------------------------------------------------------

@pytest.fixture(scope='module')
def sshd(servers):
    server = servers.sshd(nacre('sshd'), 'LogLevel VERBOSE')
    yield server
    assert not CRASH.search(server.log()), server.log()


@pytest.fixture(scope='module')
def user_key(user_keys):
    return read_private_key(user_keys['ed25519'])


@pytest.fixture
def connect(sshd):
    """A hostile client; its address is what the server's log has to name."""
    opened = []

    def make(target=None, **options):
        connection = socket.create_connection(('127.0.0.1', (target or sshd).port), timeout=20)
        opened.append(connection)
        peer = Peer(connection, **options)
        peer.port = connection.getsockname()[1]
        return peer
    yield make
    for connection in opened:
        connection.close()


@pytest.fixture
def logged(sshd, connect, nacre_ssh):
    """The server's log names the client and what it did; afterwards somebody else logs in."""
    def check(peer, pattern, name_it=True):
        def lines():
            # As with OpenSSH, what is wrong with a packet or the first line comes in a line of its
            # own, before the address.
            return [line for line in sshd.log().splitlines()
                    if f'port {peer.port}' in line or
                    line.startswith(('kex_exchange_identification', 'banner exchange', 'Protocol',
                                     'Bad packet', 'Corrupted MAC'))]

        def found():
            return any(re.search(pattern, line) for line in lines())
        until(found, lambda: f'{pattern} with port {peer.port} in:\n' +
              '\n'.join(sshd.log().splitlines()[-15:]), patience=20)
        assert not CRASH.search(sshd.log())
    yield check
    result = nacre_ssh.run(sshd, 'echo well')
    assert result.stdout == b'well\n', (result.stderr, sshd.log()[-3000:])


def plain(*payloads):
    """Packets in the clear."""
    return b''.join(number(len(body)) + body for body in
                    (bytes([padding]) + payload + bytes(padding) for payload, padding in
                     ((payload, 4 + -(len(payload) + 9) % 8) for payload in payloads)))


GREETING = b'SSH-2.0-hostile\r\n'
BEFORE_KEYS = {
    'line too long': (b'SSH-2.0-' + b'x' * 400 + b'\r\n', r'identification is longer than 255'),
    'NUL in the line': (b'SSH-2.0-a\0b\r\n', r'identification'),
    'no version': (b'HELO there\r\n', r'identifier "HELO there"'),
    'packet of 4 GiB': (GREETING + b'\xff' * 16, r'Bad packet length 4294967295'),
    'packet of 1 MiB': (GREETING + number(1 << 20) + bytes(64), r'Bad packet length 1048576'),
    'empty packet': (GREETING + number(0) + bytes(64), r'Bad packet length 0'),
    'odd packet': (GREETING + number(13) + bytes(64), r'Bad packet length 13'),
    'padding too long': (GREETING + number(12) + b'\xff' + bytes(11), r'padlen 255'),
    'padding too short': (GREETING + number(12) + b'\x03' + bytes(11), r'padlen 3'),
    'no message': (GREETING + number(12) + b'\x0b' + bytes(11), r'packet without a message type'),
    'KEXINIT cut short': (GREETING + plain(kexinit()[:40]), r'malformed .*KEXINIT'),
    'KEXINIT without lists': (GREETING + plain(kexinit(lists=3)), r'malformed .*KEXINIT'),
    'KEXINIT with more behind': (GREETING + plain(kexinit() + b'more'), r'malformed .*KEXINIT'),
    'list longer than the packet': (GREETING + plain(message(KEXINIT, bytes(16), number(1 << 31))),
                                    r'malformed .*KEXINIT'),
    'nothing in common': (GREETING + plain(kexinit(kex=b'rot13')),
                          r'no matching key exchange method found\. Their offer: rot13'),
    'no common cipher': (GREETING + plain(kexinit(cipher=b'enigma')),
                         r'no matching cipher found\. Their offer: enigma'),
    'two KEXINITs': (GREETING + plain(kexinit(), kexinit()), r'KEXINIT received while'),
    'NEWKEYS at once': (GREETING + plain(kexinit(), message(NEWKEYS)), r'NEWKEYS'),
    'reply from a client': (GREETING + plain(kexinit(), message(ECDH_REPLY, string(b''))),
                            r'key exchange message 31'),
    'point of 0 bytes': (GREETING + plain(kexinit(), message(ECDH_INIT, string(b''))),
                         r'key exchange|malformed'),
    'point of low order': (GREETING + plain(kexinit(), message(ECDH_INIT, string(bytes(32)))),
                           r'key exchange'),
    'service request too early': (GREETING + plain(message(SERVICE_REQUEST, string('ssh-userauth'))),
                                  r'(message 5|SERVICE_REQUEST)'),
    'login too early': (GREETING + plain(message(USERAUTH_REQUEST, string('root'))), r'message 50'),
    'channel too early': (GREETING + plain(kexinit(), message(CHANNEL_OPEN, string('session'))),
                          r'message 90'),
}


@pytest.mark.parametrize('data,pattern', BEFORE_KEYS.values(), ids=BEFORE_KEYS)
def test_before_keys(connect, logged, data, pattern):
    peer = connect()
    with contextlib.suppress(ConnectionError):
        peer.write(data)
    with contextlib.suppress(Gone, ConnectionError):
        peer.take(1 << 20)
    logged(peer, pattern)


BEFORE_LOGIN = {
    'unknown service': (message(SERVICE_REQUEST, string('ssh-chess')), r'ssh-chess'),
    'service with more behind': (message(SERVICE_REQUEST, string('ssh-userauth'), b'x'),
                                 r'SERVICE_REQUEST'),
    'accept from a client': (message(SERVICE_ACCEPT, string('ssh-userauth')), r'SERVICE_ACCEPT'),
    'success from a client': (message(USERAUTH_SUCCESS), r'USERAUTH_SUCCESS'),
    'channel': (message(CHANNEL_OPEN, string('session'), number(0), number(1), number(1)),
                r'message 90 before authentication'),
    'login cut short': (message(USERAUTH_REQUEST, string('root'), number(9)),
                        r'malformed .*USERAUTH_REQUEST'),
    'password cut short': (message(USERAUTH_REQUEST, string('root'), string('ssh-connection'),
                                   string('password'), b'\0', number(1 << 30)),
                           r'malformed .*USERAUTH_REQUEST'),
    'keys again at once': (message(NEWKEYS), r'NEWKEYS'),
    'key exchange message': (message(ECDH_INIT, string(bytes(32))), r'key exchange message 30'),
    'KEXINIT cut short': (kexinit()[:30], r'malformed .*KEXINIT'),
}


@pytest.mark.parametrize('payload,pattern', BEFORE_LOGIN.values(), ids=BEFORE_LOGIN)
def test_before_login(connect, logged, payload, pattern):
    peer = connect()
    if 'service' in pattern.lower() or payload[0] in (SERVICE_REQUEST, SERVICE_ACCEPT):
        peer.start()
    else:
        peer.ask_for_login()
    peer.send(payload)
    text = peer.until_gone()
    assert text is None or re.search(pattern, text), text
    logged(peer, pattern)


def test_corrupted_packet(connect, logged):
    peer = connect().start()
    packet = bytearray(peer.seal(message(SERVICE_REQUEST, string('ssh-userauth'))))
    packet[-1] ^= 1
    peer.write(packet)
    peer.until_gone()
    logged(peer, r'Corrupted MAC on input')


def test_oversize_encrypted_packet(connect, logged):
    peer = connect().start()
    peer.write(number(0x10000000) + bytes(4096))
    peer.until_gone()
    logged(peer, r'Bad packet length 268435456')


def test_unknown_messages_are_answered_with_their_number(connect, logged, sshd, user_key):
    peer = connect().login(sshd.user, user_key)
    peer.send(message(199, b'?'))
    assert peer.receive(UNIMPLEMENTED)[0] == UNIMPLEMENTED
    peer.send(message(IGNORE, string(b'x' * 30000)), message(DEBUG, b'\0', string('\33[2J'), string('')))
    assert b'alive' in run_command(peer, 'echo alive')


def run_command(peer, command, channel=3):
    peer.open_session(command, channel=channel)
    output = b''
    while True:
        payload = peer.receive(CHANNEL_DATA, CHANNEL_CLOSE)
        if payload[0] == CHANNEL_CLOSE:
            return output
        output += payload[9:]


ONE_BYTE = string(b'x')
IN_A_SESSION = {
    'unknown channel': (message(CHANNEL_DATA, number(77), ONE_BYTE),
                        r'CHANNEL_DATA for channel 77: there is no such channel'),
    'unknown channel adjusted': (message(CHANNEL_WINDOW_ADJUST, number(0xffffffff), number(1)),
                                 r'CHANNEL_WINDOW_ADJUST for channel 4294967295: there is no such'),
    'unknown channel closed': (message(CHANNEL_CLOSE, number(9)), r'CHANNEL_CLOSE for channel 9'),
    'unknown channel confirmed': (message(CHANNEL_OPEN_CONFIRMATION, number(9), number(0), number(0),
                                          number(0)), r'CONFIRMATION for channel 9'),
    'data cut short': (message(CHANNEL_DATA, b'C', number(1000), b'x'), r'malformed .*CHANNEL_DATA'),
    'data with more behind': (message(CHANNEL_DATA, b'C', ONE_BYTE, b'more'),
                              r'malformed .*CHANNEL_DATA'),
    'data after EOF': (message(CHANNEL_EOF, b'C') + b'|' + message(CHANNEL_DATA, b'C', ONE_BYTE),
                       r'CHANNEL_DATA for channel \d+: it came after EOF'),
    'data after CLOSE': (message(CHANNEL_CLOSE, b'C') + b'|' + message(CHANNEL_DATA, b'C', ONE_BYTE),
                         r'CHANNEL_DATA for channel'),
    'window of more than 4 GiB': (message(CHANNEL_WINDOW_ADJUST, b'C', number(0xffffffff)),
                                  r'window exceeds'),
    'success that nobody waits for': (message(CHANNEL_SUCCESS, b'C'), r'CHANNEL_SUCCESS for channel'),
    'answer that nobody waits for': (message(REQUEST_SUCCESS), r'REQUEST_SUCCESS'),
    'request cut short': (message(CHANNEL_REQUEST, b'C', number(1 << 31), b'exec'),
                          r'malformed .*CHANNEL_REQUEST'),
    'opening cut short': (message(CHANNEL_OPEN, string('session'), number(1)), r'malformed .*CHANNEL_OPEN'),
    'packets of nothing': (message(CHANNEL_OPEN, string('session'), number(9), number(1), number(0)),
                           r'CHANNEL_OPEN for channel \d+: its maximum packet size is 0'),
    'global request cut short': (message(GLOBAL_REQUEST, number(5), b'tcp'), r'malformed .*GLOBAL_REQUEST'),
    'login again, malformed': (message(SERVICE_ACCEPT), r'SERVICE_ACCEPT'),
}


@pytest.mark.parametrize('payloads,pattern', IN_A_SESSION.values(), ids=IN_A_SESSION)
def test_in_a_session(connect, logged, sshd, user_key, payloads, pattern):
    peer = connect().login(sshd.user, user_key)
    channel = number(peer.open_session('sleep 5'))
    for payload in payloads.split(b'|'):
        peer.send(payload[:1] + channel + payload[2:] if payload[1:2] == b'C' else payload)
    text = peer.until_gone()
    assert text and re.search(pattern, text), text
    logged(peer, pattern)


def test_data_beyond_the_window(connect, logged, sshd, user_key):
    """A program that reads nothing, and a client that goes on sending: it is cut off, not stored."""
    peer = connect().login(sshd.user, user_key)
    channel = number(peer.open_session('sleep 20'))
    before = sum(map(resident, family(sshd.process.pid)))
    packet = message(CHANNEL_DATA, channel, string(bytes(32000)))
    peer.socket.settimeout(20)
    text = None
    try:
        for _ in range(3000):
            peer.send(packet)
    except (ConnectionError, Gone):
        pass
    text = peer.until_gone()
    after = sum(map(resident, family(sshd.process.pid)))
    assert text is None or 'it exceeds the window' in text, text
    assert after - before < MEMORY_FACTOR * 48 << 10, f'{before} to {after} KiB'
    logged(peer, 'CHANNEL_DATA for channel .*it exceeds the window')


@pytest.mark.parametrize('window,packet', [(0, 32768), (1, 1)],
                         ids=['no window', 'byte by byte'])
def test_no_room_for_output(connect, logged, sshd, user_key, window, packet):
    """A client that takes nothing holds its own session up, at no cost to the server."""
    peer = connect().login(sshd.user, user_key)
    channel = number(peer.open_session('yes', window=window, packet=packet))
    time.sleep(0.3)
    others = connect().login(sshd.user, user_key)
    assert run_command(others, 'echo fine') == b'fine\n'
    until(lambda: processor_time(sshd) is not None, 'a server')
    before = processor_time(sshd)
    time.sleep(0.5)
    assert processor_time(sshd) - before < 0.25
    if window == 1:
        peer.send(*[message(CHANNEL_WINDOW_ADJUST, channel, number(1))] * 4)
        assert [peer.receive(CHANNEL_DATA)[9:] for _ in range(5)] == [b'y', b'\n', b'y', b'\n', b'y']


def processor_time(server):
    """Seconds of processor time that the server's own processes have used, commands left out."""
    total = 0
    for pid in family(server.process.pid):
        with contextlib.suppress(OSError):
            with open(f'/proc/{pid}/stat') as file:
                name, fields = file.read().split('(', 1)[1].rsplit(')', 1)
            if name.startswith('sshd'):
                total += sum(map(int, fields.split()[11:13])) / os.sysconf('SC_CLK_TCK')
    return total


def test_client_that_never_reads(connect, logged, sshd, user_key):
    """The largest window, and not one byte read: the command stalls and memory stays bounded."""
    peer = connect()
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.login(sshd.user, user_key)
    before = sum(map(resident, family(sshd.process.pid)))
    peer.open_session('cat /dev/zero', window=0xffffffff, packet=0xffffffff)
    time.sleep(0.7)
    after = sum(map(resident, family(sshd.process.pid)))
    assert after - before < MEMORY_FACTOR * 32 << 10, f'{before} to {after} KiB'


def test_requests_without_reading_the_answers(connect, logged, sshd, user_key):
    """Questions whose answers nobody takes: answers are not piled up without end."""
    peer = connect()
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.login(sshd.user, user_key)
    before = sum(map(resident, family(sshd.process.pid)))
    packets = [message(GLOBAL_REQUEST, string('what@example.com'), b'\1')] * 500
    peer.socket.settimeout(1)
    with contextlib.suppress(OSError):
        for _ in range(200):
            peer.send(*packets)
    after = sum(map(resident, family(sshd.process.pid)))
    assert after - before < MEMORY_FACTOR * 32 << 10, f'{before} to {after} KiB'


def test_channels_without_end(connect, logged, sshd, user_key):
    peer = connect().login(sshd.user, user_key)
    answers = []
    for first in range(0, 3000, 500):
        peer.send(*[message(CHANNEL_OPEN, string('session'), number(first + each), number(1 << 20),
                            number(32768)) for each in range(500)])
        answers += [peer.receive(CHANNEL_OPEN_CONFIRMATION, 92)[0] for _ in range(500)]
    assert answers.count(CHANNEL_OPEN_CONFIRMATION) == 200 and answers.count(92) == 2800


def test_one_byte_at_a_time(connect, logged, sshd, user_key):
    peer = connect()
    whole = peer.write

    def slowly(data):
        for each in range(len(data)):
            whole(data[each:each + 1])
    peer.write = slowly
    peer.login(sshd.user, user_key)
    assert run_command(peer, 'echo slow') == b'slow\n'


def test_cut_off_anywhere(connect, logged, sshd, user_key):
    """A connection that ends after any number of bytes ends its processes, too."""
    peer = connect().login(sshd.user, user_key)
    peer.open_session('sleep 30')
    peer.socket.close()
    for size in (0, 1, 7, 17, 20, 100, 300):
        half = connect()
        half.write((GREETING + plain(kexinit()))[:size])
        half.socket.close()
    peer = connect().ask_for_login()
    peer.write(peer.seal(message(IGNORE, string(bytes(500))))[:77])
    peer.socket.shutdown(socket.SHUT_WR)
    peer.until_gone()
    until(lambda: not [pid for pid in family(sshd.process.pid) if state_of(pid) == 'Z'], 'no zombies')


def state_of(pid):
    with contextlib.suppress(OSError):
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0]
    return None


# A hostile server and our client --------------------------------------------------------------------

class HostileServer:
    """Runs a script for the first connection that comes, in a thread."""

    def __init__(self, key_path, script, attempts=1):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.listener.settimeout(20)
        self.port = self.listener.getsockname()[1]
        self.key, self.script, self.error, self.attempts = read_private_key(key_path), script, None, attempts
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        for _ in range(self.attempts):
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.script(Peer(connection, self.key))
                except (Gone, ConnectionError) as end:
                    self.error = end
                except OSError as end:
                    self.error = end


@pytest.fixture
def hostile(host_keys, user_keys, tmp_path):
    """Runs our ssh against a script; gives what ssh did, and the port for the message."""
    def against(script, *options, known_hosts_text=None, **more):
        server = HostileServer(host_keys['ed25519'], script)
        known_hosts = tmp_path / f'known_hosts.{server.port}'
        known_hosts.write_text(known_hosts_text(server.port) if known_hosts_text else
                               known_hosts_line(f'[127.0.0.1]:{server.port}', server.key))
        more.setdefault('timeout', 30)
        result = run([nacre('ssh'), '-F', 'none', *ONLY_ALGORITHMS, '-p', str(server.port), '-o',
                      f'UserKnownHostsFile={known_hosts}', '-o', 'GlobalKnownHostsFile=/dev/null',
                      '-o', 'IdentityAgent=none', '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes',
                      '-i', user_keys['ed25519'], *options, 'someone@127.0.0.1', 'task'],
                     **more)
        server.listener.close()
        server.thread.join(20)
        result.port = server.port
        return result
    return against


def refused_for(result, pattern):
    """255, the message, and the server that it is about."""
    text = complaint(result, pattern)
    assert '127.0.0.1' in text and str(result.port) in text, text


RAW_SERVER = {name: case for name, case in BEFORE_KEYS.items() if name not in (
    'no version', 'two KEXINITs', 'reply from a client', 'point of 0 bytes', 'point of low order',
    'service request too early', 'channel too early')}


@pytest.mark.parametrize('data,pattern', RAW_SERVER.values(), ids=RAW_SERVER)
def test_server_before_keys(hostile, data, pattern):
    def script(peer):
        peer.write(data)
        peer.socket.shutdown(socket.SHUT_WR)
        peer.take(1 << 20)
    refused_for(hostile(script), pattern)


def exchange_reply(*fields):
    """A script that sends another reply than it should."""
    def script(peer):
        peer.greet()
        peer.send(kexinit())
        peer.receive(KEXINIT)
        peer.receive(ECDH_INIT)
        peer.send(message(ECDH_REPLY, *[field(peer) if callable(field) else field for field in fields]))
        peer.until_gone()
    return script


def true_host_key(peer):
    return string(string(HOST_KEY) + string(public_bytes(peer.host_key)))


BAD_REPLIES = {
    'cut short': ((number(1000), b'x'), r'malformed .*REPLY'),
    'host key of 0 bytes': ((string(b''), string(b'\x09' + bytes(31)), string(b'')), r'host key'),
    'host key of another type': ((string(string('ssh-rsa') + string(b'\1\0\1') + string(b'\1')),
                                  string(bytes(32)), string(b'')), r'host key|key'),
    'signature of nothing': ((true_host_key, string(b'\x09' + bytes(31)),
                              string(string('ssh-ed25519') + string(bytes(64)))),
                             r'signature .*does not verify'),
    'signature cut short': ((true_host_key, string(b'\x09' + bytes(31)),
                             string(string('ssh-ed25519') + string(bytes(63)))), r'signature'),
    'more behind': ((true_host_key, string(b'\x09' + bytes(31)),
                     string(string('ssh-ed25519') + string(bytes(64))), b'x'), r'malformed'),
    'point of low order': ((true_host_key, string(bytes(32)),
                            string(string('ssh-ed25519') + string(bytes(64)))), r'key exchange'),
}


@pytest.mark.parametrize('fields,pattern', BAD_REPLIES.values(), ids=BAD_REPLIES)
def test_server_with_a_bad_reply(hostile, fields, pattern):
    refused_for(hostile(exchange_reply(*fields)), pattern)


SERVER_LOGIN = {
    'nothing at all': (lambda peer: None, r'Connection closed by 127\.0\.0\.1 port'),
    'another service': (lambda peer: (peer.receive(SERVICE_REQUEST),
                                      peer.send(message(SERVICE_ACCEPT, string('ssh-chess')))),
                        r'SERVICE_ACCEPT for ssh-chess'),
    'a request': (lambda peer: peer.send(message(USERAUTH_REQUEST, string('a'))),
                  r'USERAUTH_REQUEST from a server'),
    'a channel': (lambda peer: peer.send(message(CHANNEL_OPEN, string('session'))),
                  r'message 90 before authentication'),
}


@pytest.mark.parametrize('act,pattern', SERVER_LOGIN.values(), ids=SERVER_LOGIN)
def test_server_before_login(hostile, act, pattern):
    def script(peer):
        peer.start()
        act(peer)
        peer.socket.shutdown(socket.SHUT_WR)
        peer.until_gone()
    refused_for(hostile(script), pattern)


def in_session(*payloads):
    """A script that accepts all, then sends these; C stands for the client's channel."""
    def script(peer):
        channel = number(peer.accept_command())
        for payload in payloads:
            peer.send(payload[:1] + channel + payload[2:] if payload[1:2] == b'C' else payload)
        peer.until_gone()
    return script


@pytest.mark.parametrize('payloads,pattern', [
    (case[0].split(b'|'), case[1]) for name, case in IN_A_SESSION.items() if 'login' not in name],
    ids=[name for name in IN_A_SESSION if 'login' not in name])
def test_server_in_a_session(hostile, payloads, pattern):
    refused_for(hostile(in_session(*payloads)), pattern)


def test_server_says_goodbye(hostile):
    """Its words are shown, its control characters are not."""
    result = hostile(in_session(message(DISCONNECT, number(11), string('go\33[2J away'), string(''))))
    text = complaint(result, r'Received disconnect from 127\.0\.0\.1 port \d+:11: go.*away')
    assert '\33' not in text


def test_banner_is_harmless_and_bounded(hostile):
    def script(peer):
        peer.start()
        peer.receive(SERVICE_REQUEST)
        peer.send(message(SERVICE_ACCEPT, string('ssh-userauth')))
        peer.send(message(53, string('hello\33]0;owned\7\n'), string('')))
        peer.receive(USERAUTH_REQUEST)
        peer.socket.shutdown(socket.SHUT_WR)
        peer.until_gone()
    result = hostile(script)
    text = complaint(result, 'hello')
    assert '\33' not in text and '\7' not in text


def test_server_that_is_silent(hostile):
    """ConnectTimeout holds until the login's start; ServerAliveInterval afterwards."""
    def script(peer):
        peer.accept_command()
        time.sleep(6)
    started = time.monotonic()
    result = hostile(script, '-o', 'ServerAliveInterval=1', '-o', 'ServerAliveCountMax=1')
    assert time.monotonic() - started < 15
    complaint(result, r'Timeout, server 127\.0\.0\.1 not responding')


@pytest.fixture
def stalled(host_keys, user_keys, tmp_path):
    """Our ssh against a script, its output a pipe that nobody reads."""
    def start(script):
        server = HostileServer(host_keys['ed25519'], script)
        known_hosts = tmp_path / 'known_hosts'
        known_hosts.write_text(known_hosts_line(f'[127.0.0.1]:{server.port}', server.key))
        process = subprocess.Popen(
            [nacre('ssh'), '-F', 'none', *ONLY_ALGORITHMS, '-p', str(server.port), '-o',
             f'UserKnownHostsFile={known_hosts}', '-o', 'IdentityAgent=none', '-o', 'BatchMode=yes',
             '-o', 'IdentitiesOnly=yes', '-i', user_keys['ed25519'], 'someone@127.0.0.1', 'task'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return process
    return start


def test_data_beyond_the_clients_window(stalled):
    """Output that nobody reads, and a server that sends for ever: it is refused, not stored."""
    def script(peer):
        packet = message(CHANNEL_DATA, number(peer.accept_command()), string(bytes(32000)))
        with contextlib.suppress(ConnectionError):
            for _ in range(20000):
                peer.send(packet)
        peer.until_gone()
    process = stalled(script)
    largest = 0
    while process.poll() is None:
        largest = max(largest, resident(process.pid))
        time.sleep(0.02)
    text = process.stderr.read().decode()
    process.stdout.close()
    assert process.returncode == 255 and 'exceeds the window' in text, text
    assert largest < MEMORY_FACTOR * 64 << 10, f'{largest} KiB'


# Files -----------------------------------------------------------------------------------------------

def client_with(client, server, *options, words=('true',)):
    """The client's command line with options that win."""
    command = client.command(server)
    return [command[0], *options, *command[1:], *words]


BAD_CONFIGURATIONS = {
    'no such keyword': ('Port 22\nNoSuchThing yes\n', r'line 2: .*[Bb]ad configuration option: nosuchthing'),
    'not a number': ('Port many\n', r'line 1: .*[Bb]ad number|line 1'),
    'no value': ('# first\n\nHostName\n', r'line 3: '),
    'open quote': ('User "root\n', r'line 1: '),
    'yes or no': ('Host *\n BatchMode perhaps\n', r'line 2: '),
    'bytes': ('Port 22\n\xff\xfe\x01 \x02\n', r'line 2: '),
    'a line of a megabyte': ('Host ' + 'a' * (1 << 20) + '\nBogus 1\n', r'line [12]: '),
}


@pytest.mark.parametrize('content,pattern', BAD_CONFIGURATIONS.values(), ids=BAD_CONFIGURATIONS)
def test_bad_configuration(tmp_path, content, pattern):
    path = tmp_path / 'config'
    path.write_text(content, encoding='latin-1')
    text = complaint(run([nacre('ssh'), '-F', str(path), '-o', 'BatchMode=yes', '127.0.0.1', 'true']), pattern)
    assert str(path) in text and len(text) < 4000


def test_configuration_that_includes_itself(tmp_path):
    path = tmp_path / 'config'
    path.write_text(f'Include {path}\n')
    complaint(run([nacre('ssh'), '-F', str(path), '127.0.0.1', 'true']), re.escape(str(path)), r'nclude')


def test_configuration_that_others_may_write(tmp_path):
    home = tmp_path / 'config'
    home.write_text('Port 1\n')
    home.chmod(0o666)
    ours = run([nacre('ssh'), '-F', str(home), '-G', 'host'])
    theirs = run([openssh('ssh'), '-F', str(home), '-G', 'host'])
    assert (ours.returncode, theirs.returncode) == (0, 0), 'a file that is named may have any mode'


@pytest.mark.parametrize('content', [b'-----BEGIN OPENSSH PRIVATE KEY-----\n', b'\0' * 5000, b'',
                                     b'-----BEGIN OPENSSH PRIVATE KEY-----\n!!!!\n'
                                     b'-----END OPENSSH PRIVATE KEY-----\n',
                                     b'-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n'],
                         ids=['cut short', 'zeros', 'empty', 'no base64', 'empty sequence'])
def test_bad_key_files(nacre_ssh, sshd, tmp_path, content):
    """Each program names the file and fails."""
    path = tmp_path / 'key'
    path.write_bytes(content)
    path.chmod(0o600)
    name = re.escape(str(path))
    result = run([*nacre_ssh.command(sshd, key=str(path)), 'true'])
    complaint(result, name, 'Permission denied')
    complaint(run([nacre('ssh-keygen'), '-y', '-P', '', '-f', str(path)]), name)
    complaint(run([nacre('ssh-keygen'), '-l', '-f', str(path)]), name)
    config = tmp_path / 'sshd_config'
    config.write_text(f'HostKey {path}\n')
    complaint(run([nacre('sshd'), '-t', '-f', str(config)]), name, status=1)


def test_key_cut_off_anywhere(user_keys, tmp_path):
    with open(user_keys['ed25519'], 'rb') as file:
        whole = file.read()
    path = tmp_path / 'key'
    for size in range(1, len(whole) - 40, 41):
        path.write_bytes(whole[:size])
        path.chmod(0o600)
        complaint(run([nacre('ssh-keygen'), '-y', '-P', '', '-f', str(path)]), re.escape(str(path)))


def test_key_that_others_may_read(nacre_ssh, sshd, user_keys, tmp_path):
    path = tmp_path / 'key'
    shutil.copy(user_keys['ed25519'], path)
    path.chmod(0o644)
    complaint(run([*nacre_ssh.command(sshd, key=str(path)), 'true']), 'UNPROTECTED PRIVATE KEY FILE',
              rf"Permissions 0644 for '{re.escape(str(path))}' are too open", 'Permission denied')


BAD_HOST_LINES = ['nonsense', '[127.0.0.1]:{port} ssh-ed25519 AAAA', '[127.0.0.1]:{port} ssh-ed25519',
                  '|1|broken|hash ssh-ed25519 {key}', '@wrong * ssh-ed25519 {key}', 'x' * 300000,
                  '\x00\x01\x02']


def test_bad_known_hosts(nacre_ssh, sshd, tmp_path):
    """Lines that cannot be read are passed over; the good line behind them counts."""
    with open(sshd.known_hosts) as file:
        good = file.read()
    path = tmp_path / 'known_hosts'
    path.write_text(''.join(line.format(port=sshd.port, key='AAAA') + '\n' for line in BAD_HOST_LINES) + good)
    result = run(client_with(nacre_ssh, sshd, '-o', f'UserKnownHostsFile={path}'))
    assert result.returncode == 0, result.stderr
    assert not CRASH.search(result.stderr.decode())
    assert f'{path}:2: the key cannot be read' in result.stderr.decode(), result.stderr


def test_host_key_has_changed(hostile, user_keys, tmp_path):
    """The block of text with file and line, 255, and nothing of the login was sent."""
    seen = []

    def script(peer):
        peer.start()
        while True:
            seen.append(peer.receive()[0])

    def other_key(port):
        return '# first line\n' + known_hosts_line(f'[127.0.0.1]:{port}',
                                                   read_private_key(user_keys['ed25519']))
    result = hostile(script, known_hosts_text=other_key)
    complaint(result, 'WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!', r'known_hosts\.\d+:2',
              'Host key verification failed')
    assert not set(seen) & {SERVICE_REQUEST, USERAUTH_REQUEST}


def test_authorized_keys_lines(servers, sshd, nacre_ssh, user_keys, account):
    """A line that cannot be used is named with its number; a good one behind it counts."""
    folder = servers.folder('bad-authorized')
    path = os.path.join(folder, 'keys')
    with open(path, 'w') as file:
        file.write('# comment\nssh-ed25519 AAAA\nno-such-option ' + public_line(user_keys['ed25519']) +
                   '\ncommand="open ' + public_line(user_keys['rsa']) + '\n' + 'x' * 100000 + '\n\0\n' +
                   'environment="X=1",restrict ' + public_line(user_keys['ecdsa-256']) + '\n')
    os.chmod(path, 0o644)
    server = servers.sshd(nacre('sshd'), options=['-o', f'AuthorizedKeysFile={path}'])
    complaint(nacre_ssh.run(server, 'true'), 'Permission denied')
    assert nacre_ssh.run(server, 'echo in', key=user_keys['ecdsa-256']).stdout == b'in\n'
    assert re.search(rf'{re.escape(path)}: line 3: .*option', server.log()), server.log()[-3000:]
    os.chmod(path, 0o666)
    strict = servers.sshd(nacre('sshd'), options=['-o', f'AuthorizedKeysFile={path}', '-o', 'StrictModes=yes'])
    complaint(nacre_ssh.run(strict, 'true', key=user_keys['ecdsa-256']), 'Permission denied')
    assert re.search(rf'Authentication refused: bad ownership or modes for (file|directory) ', strict.log())


# Disks, terminals and pipes ---------------------------------------------------------------------------

def test_output_to_a_full_disk(nacre_ssh, sshd):
    with open('/dev/full', 'wb') as full:
        result = subprocess.run([*nacre_ssh.command(sshd), 'head -c 5000000 /dev/zero; sleep 1'],
                                stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                                timeout=PATIENCE)
    text = complaint(result, 'No space left on device')
    assert 'stdout' in text or 'standard output' in text or 'write' in text


def test_remote_full_disk(nacre_ssh, sshd):
    result = nacre_ssh.run(sshd, 'cat > /dev/full', input=bytes(3000000))
    assert result.returncode == 1 and b'No space left' in result.stderr


@pytest.mark.skipif(not IS_ROOT, reason='only root can make a small file system')
def test_scp_to_a_full_disk(nacre_ssh, sshd, workspace):
    data, full = os.path.join(workspace, 'data'), os.path.join(workspace, 'full')
    with open(data, 'wb') as file:
        file.write(bytes(3 << 20))
    os.mkdir(full)
    if run(['mount', '-t', 'tmpfs', '-o', 'size=1m,mode=0777', 'none', full]).returncode != 0:
        pytest.skip('tmpfs cannot be mounted here')
    try:
        scp = [nacre('scp'), *nacre_ssh.options(sshd), '-P', str(sshd.port)]
        remote = f'{sshd.user}@127.0.0.1:'
        complaint(run([*scp, data, f'{remote}{full}/up']), 'full/up', status=1)
        complaint(run([*scp, '-O', data, f'{remote}{full}/old']), 'full/old', 'No space left', status=1)
        for name in os.listdir(full):
            os.unlink(os.path.join(full, name))
        for protocol in ([], ['-O']):
            down = run([*scp, *protocol, remote + data, f'{full}/down'])
            complaint(down, 'No space left on device', 'full/down', status=1)
    finally:
        run(['umount', full])


def test_reader_that_goes(nacre_ssh, sshd):
    """ssh host yes | head -1"""
    line = ' '.join(nacre_ssh.command(sshd)) + ' yes | head -1; echo ${PIPESTATUS[0]}'
    begin = time.monotonic()
    result = run(['bash', '-c', line])
    assert time.monotonic() - begin < 10
    # 141: SIGPIPE; 255: the remote command has died of its own.
    assert result.stdout.split()[0] == b'y' and result.stdout.split()[1] in (b'141', b'255'), result
    assert not CRASH.search(result.stderr.decode())


def test_closed_standard_streams(nacre_ssh, sshd):
    command = ' '.join(nacre_ssh.command(sshd))
    for redirection, status in (('<&-', 3), ('2>&-', 3), ('<&- 2>&-', 3)):
        result = run(['bash', '-c', f"{command} 'echo out; exit 3' {redirection}"])
        assert (result.returncode, result.stdout) == (status, b'out\n'), (redirection, result)
    assert run(['bash', '-c', f"{command} 'echo out; exit 3' >&-"]).returncode in (3, 255)


def test_terminal_that_closes(nacre_ssh, sshd, workspace):
    """The window is closed: ssh ends, and so does what ran on the other side."""
    marker = os.path.join(workspace, 'ended')
    process, master = start_in_terminal(
        [*nacre_ssh.command(sshd, '-tt'),
         f"trap 'echo x > {marker}; exit' HUP; echo ready; while :; do sleep 0.1; done"])
    seen = b''
    while b'ready' not in seen:
        seen += os.read(master, 4096)
    os.close(master)
    until(lambda: process.poll() is not None, 'the end of ssh', patience=10)
    until(lambda: os.path.exists(marker), 'the hangup on the other side', patience=10)
