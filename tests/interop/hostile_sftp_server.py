#!/usr/bin/python3
"""An SFTP server that lies, for scp -D and sftp -D: it speaks on its standard input and output.

    hostile_sftp_server.py SCENARIO [ARGUMENT ...]

Without a lie it serves a small tree from memory, read only: /home (where sessions begin) with the files
"file" (ten bytes), "other" and the directory "tree", which holds "inner". A scenario is a class below
that answers some of that in another way; command() gives the words that start it.
"""
import os
import select
import stat
import struct
import sys

(INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR, REMOVE,
 MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK) = range(1, 21)
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = 101, 102, 103, 104, 105, 200, 201
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, UNSUPPORTED = 0, 1, 2, 3, 4, 8
SIZE, OWNER, PERMISSIONS, TIMES = 1, 2, 4, 8
FILES = {b'file': b'0123456789', b'other': b'another file\n', b'tree/inner': b'inside\n'}
FOLDERS = (b'/', b'/home', b'/home/tree')
EXTENSIONS = ((b'posix-rename@openssh.com', b'1'), (b'statvfs@openssh.com', b'2'),
              (b'hardlink@openssh.com', b'1'), (b'limits@openssh.com', b'1'),
              (b'users-groups-by-id@openssh.com', b'1'), (b'copy-data', b'1'))


def command(scenario, *arguments):
    """For -D."""
    return ' '.join(('/usr/bin/python3', os.path.abspath(__file__), scenario, *arguments))


def number(value):
    return struct.pack('>I', value)


def string(data):
    return number(len(data)) + data


def attributes(mode=stat.S_IFREG | 0o644, size=0, when=1700000000):
    return struct.pack('>IQIIIII', SIZE | OWNER | PERMISSIONS | TIMES, size, 1, 1, mode, when, when)


FOLDER = attributes(stat.S_IFDIR | 0o755, 4096)


def entry(name, attrs=None, line=None):
    """One of a NAME reply."""
    return string(name) + string(line if line is not None else name) + (attributes() if attrs is None
                                                                        else attrs)


class Honest:
    """The answers to requests: each method gives the reply's type and content."""

    def __init__(self, *arguments):
        self.arguments = arguments
        self.listed = set()

    # The wire -------------------------------------------------------------------------------------

    def read(self, length):
        data = sys.stdin.buffer.read(length)
        if len(data) < length:
            sys.exit(0)
        return data

    def write(self, data):
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            os._exit(0)

    def send(self, kind, identifier, content):
        self.write(number(len(content) + 5) + bytes([kind]) + number(identifier) + content)

    def serve(self):
        while True:
            message = self.read(struct.unpack('>I', self.read(4))[0])
            if message[0] == INIT:
                self.begin()
                continue
            identifier = struct.unpack_from('>I', message, 1)[0]
            self.answer(message[0], identifier, message[5:])

    def begin(self):
        content = b''.join(string(name) + string(version) for name, version in EXTENSIONS)
        self.write(number(len(content) + 5) + bytes([VERSION]) + number(3) + content)

    def answer(self, kind, identifier, content):
        length = struct.unpack_from('>I', content)[0]
        first, rest = content[4:4 + length], content[4 + length:]
        method = getattr(self, self.NAMES.get(kind, 'refuse'))
        self.send(*self.reply(method, identifier, first, rest))

    def reply(self, method, identifier, first, rest):
        kind, content = method(first, rest)
        return kind, identifier, content

    def begun(self, what):
        """Says once, for a test to see, that what has no end has begun."""
        if what not in self.listed:
            self.listed.add(what)
            print(what, file=sys.stderr, flush=True)

    # The answers ----------------------------------------------------------------------------------

    NAMES = {OPEN: 'open', CLOSE: 'good', READ: 'data', LSTAT: 'stat', FSTAT: 'stat', STAT: 'stat',
             OPENDIR: 'opendir', READDIR: 'readdir', REALPATH: 'realpath', EXTENDED: 'extended',
             SETSTAT: 'good', FSETSTAT: 'good', WRITE: 'good', MKDIR: 'good', REMOVE: 'good',
             RENAME: 'good', RMDIR: 'good', SYMLINK: 'good'}

    def status(self, code, text=b''):
        return STATUS, number(code) + string(text) + string(b'')

    def refuse(self, first, rest):
        return self.status(UNSUPPORTED)

    def good(self, first, rest):
        return self.status(OK)

    def path(self, name):
        path = os.path.normpath(os.path.join(b'/home', name))
        return path if not path.startswith(b'//') else path[1:]

    def content(self, path):
        return FILES.get(path.removeprefix(b'/home/'))

    def realpath(self, first, rest):
        return NAME, number(1) + entry(self.path(first))

    def stat(self, first, rest):
        path = self.path(first)
        if path in FOLDERS:
            return ATTRS, FOLDER
        if self.content(path) is None:
            return self.status(NO_SUCH_FILE)
        return ATTRS, attributes(size=len(self.content(path)))

    def open(self, first, rest):
        writes = struct.unpack_from('>I', rest)[0] & 2
        if not writes and self.content(self.path(first)) is None:
            return self.status(NO_SUCH_FILE)
        return HANDLE, string(self.path(first))

    def opendir(self, first, rest):
        path = self.path(first)
        self.listed.discard(path)
        return (HANDLE, string(path)) if path in FOLDERS else self.status(NO_SUCH_FILE)

    def data(self, first, rest):
        offset, length = struct.unpack_from('>QI', rest)
        piece = (self.content(first) or b'')[offset:offset + length]
        return (DATA, string(piece)) if piece else self.status(EOF)

    def entries(self, path):
        below = [name for name in (*FOLDERS, *(b'/home/' + name for name in FILES))
                 if name != b'/' and os.path.dirname(name) == path]
        return [entry(os.path.basename(name), self.stat(name, b'')[1]) for name in below]

    def readdir(self, first, rest):
        if first in self.listed:
            return self.status(EOF)
        self.listed.add(first)
        entries = self.entries(first)
        return NAME, number(len(entries)) + b''.join(entries)

    def extended(self, first, rest):
        return self.status(UNSUPPORTED)


# The lies ------------------------------------------------------------------------------------------

class Names(Honest):
    """Listings with names that lead elsewhere or that a terminal would act on."""

    HOSTILE = (b'..', b'.', b'', b'../evil', b'/tmp/evil', b'a/b', b'nul\0byte', b'esc\x1b[2J\nnew\rline',
               b'\xff\xfe', b'x' * 5000, b'`touch evil`', b'-rf')

    def entries(self, path):
        return [entry(name, attributes(size=10)) for name in (*self.HOSTILE, b'good')]

    def content(self, path):
        return super().content(path) or b'0123456789'

    def path(self, name):
        return os.path.join(b'/home', name) if name != b'.' else b'/home'


class FoldersBeside(Names):
    """The same as directories."""

    def entries(self, path):
        return [entry(name, FOLDER) for name in self.HOSTILE[:8]] if path == b'/home/tree' else []

    def stat(self, first, rest):
        return ATTRS, FOLDER

    def opendir(self, first, rest):
        return HANDLE, string(self.path(first))


class Endless(Honest):
    """Each directory has always one more file in it."""

    MANY = b''.join(entry(b'%d' % i, attributes(size=10)) for i in range(4000))

    def readdir(self, first, rest):
        self.begun('endless')
        return NAME, number(4000) + self.MANY

    def content(self, path):
        return b'0123456789'


class Nested(Honest):
    """Each directory has a hundred in it, and so on."""

    def stat(self, first, rest):
        return ATTRS, FOLDER

    def opendir(self, first, rest):
        self.listed.discard(self.path(first))
        return HANDLE, string(self.path(first))

    def entries(self, path):
        self.begun('nested')
        return [entry(b'd%d' % i, FOLDER) for i in range(100)]


class Deep(Nested):
    """Each directory has one in it."""

    def entries(self, path):
        return [entry(b'd', FOLDER)]


class Empty(Honest):
    """Listings go on, but nothing is in them."""

    def readdir(self, first, rest):
        return NAME, number(0)


class ManyNames(Honest):
    """More entries are announced than are there."""

    def readdir(self, first, rest):
        return NAME, number(0xffffffff) + entry(b'one')


class LargeSize(Honest):
    """Files are said to be as large as can be."""

    def stat(self, first, rest):
        kind, content = super().stat(first, rest)
        if kind != ATTRS or content == FOLDER:
            return kind, content
        return ATTRS, attributes(size=(1 << 64) - 1)


class Growing(Honest):
    """A file of ten bytes that never ends."""

    def data(self, first, rest):
        self.begun('growing')
        return DATA, string(b'x' * struct.unpack_from('>QI', rest)[1])


class MoreData(Honest):
    """More data than was asked for."""

    def data(self, first, rest):
        return DATA, string(b'x' * (struct.unpack_from('>QI', rest)[1] + 1))


class ShortReads(Honest):
    """One byte at a time."""

    def data(self, first, rest):
        kind, content = super().data(first, rest)
        return (DATA, string(content[4:5])) if kind == DATA else (kind, content)


class NoData(Honest):
    """Data of no length, again and again."""

    def data(self, first, rest):
        return DATA, string(b'')


class WrongId(Honest):
    """Answers to what was not asked."""

    def reply(self, method, identifier, first, rest):
        kind, content = method(first, rest)
        return kind, identifier ^ 0x40000001, content


class Twice(Honest):
    """Every answer comes twice."""

    def send(self, kind, identifier, content):
        super().send(kind, identifier, content)
        super().send(kind, identifier, content)


class Unasked(Honest):
    """Answers before any question."""

    def begin(self):
        super().begin()
        self.send(STATUS, 77, number(OK) + string(b'') + string(b''))


class WrongKind(Honest):
    """Names in place of a handle, attributes in place of names."""

    def open(self, first, rest):
        return NAME, number(1) + entry(b'x')

    opendir = open

    def realpath(self, first, rest):
        return super().realpath(first, rest) if first == b'.' else (ATTRS, FOLDER)


class Huge(Honest):
    """A message of four gigabytes."""

    def send(self, kind, identifier, content):
        self.write(number(0xffffffff) + bytes([kind]) + number(identifier) + content)


class NoLength(Huge):
    """A message of no bytes."""

    def send(self, kind, identifier, content):
        self.write(number(0))


class LongHandle(Honest):
    """Handles of ten thousand bytes."""

    def open(self, first, rest):
        return HANDLE, string(b'h' * 10000)

    opendir = open


class Refuses(Honest):
    """Nothing is allowed, with text that a terminal would act on."""

    def reply(self, method, identifier, first, rest):
        if method.__name__ == 'realpath':
            return super().reply(method, identifier, first, rest)
        return (STATUS, identifier, self.status(FAILURE, b'\x1b[2Jno\n')[1])


class StrangePlace(Honest):
    """A home directory that a terminal would act on."""

    def realpath(self, first, rest):
        return NAME, number(1) + entry(b'/home\x1b[2J\n/../x')


class Nowhere(Honest):
    """No home directory."""

    def realpath(self, first, rest):
        return NAME, number(0)


class Greeting(Honest):
    """Text in place of the protocol, as a login script prints it."""

    def begin(self):
        self.write(b'Welcome to this host!\n')


class OtherVersion(Honest):
    def begin(self):
        self.write(number(5) + bytes([VERSION]) + number(int(self.arguments[0])))


class Silent(Honest):
    """Nothing is answered from the first request of that kind on ("STAT")."""

    def answer(self, kind, identifier, content):
        if self.arguments and kind != globals()[self.arguments[0]]:
            super().answer(kind, identifier, content)
        else:
            self.begun('silent')
            self.answer = lambda *ignored: None


class Ends(Honest):
    """The end comes in the middle of an answer."""

    def send(self, kind, identifier, content):
        if kind not in (DATA, NAME) or content[4:] == string(b'/home') * 2 + attributes():
            super().send(kind, identifier, content)
            return
        self.write(number(len(content) + 5) + bytes([kind]) + number(identifier) + content[:6])
        sys.exit(0)


class Limits(Honest):
    """Limits that let nothing through, or too much ("0", "1", "18446744073709551615")."""

    def extended(self, first, rest):
        if first == b'limits@openssh.com':
            return EXTENDED_REPLY, struct.pack('>QQQQ', *[int(self.arguments[0])] * 4)
        return super().extended(first, rest)


class Extensions(Honest):
    """Answers to extensions that make no sense."""

    def extended(self, first, rest):
        if first == b'limits@openssh.com':
            return super().extended(first, rest)
        return EXTENDED_REPLY, string(b'\x1b[2J') * 3


class NoTypes(Honest):
    """Neither types nor sizes are told."""

    def stat(self, first, rest):
        kind, content = super().stat(first, rest)
        if kind != ATTRS or content == FOLDER:
            return kind, content
        return ATTRS, number(0)


class Patient(Honest):
    """Answers only once nothing more is asked for a while; writes down, in a file, how many questions
    it had then."""

    def serve(self):
        held = []
        while True:
            if held and not select.select([0], [], [], 0.05)[0]:
                with open(self.arguments[0], 'a') as file:
                    file.write(f'{len(held)}\n')
                for message in held:
                    self.answer(message[0], struct.unpack_from('>I', message, 1)[0], message[5:])
                held.clear()
            message = self.read(struct.unpack('>I', self.read(4))[0])
            if message[0] == INIT:
                self.begin()
            else:
                held.append(message)

    def read(self, length):
        data = b''
        while len(data) < length:
            piece = os.read(0, length - len(data))
            if not piece:
                sys.exit(0)
            data += piece
        return data


class Types(Honest):
    """A listing calls files what they are not: "file" a directory, "tree" a file, "other" a device."""

    def entries(self, path):
        return [entry(b'file', FOLDER), entry(b'tree', attributes(size=3)),
                entry(b'other', attributes(stat.S_IFBLK | 0o644))]


def scenarios():
    return [kind.__name__ for kind in globals().values()
            if isinstance(kind, type) and issubclass(kind, Honest)]


if __name__ == '__main__':
    sys.stdin.reconfigure(errors='ignore')
    globals()[sys.argv[1]](*sys.argv[2:]).serve()
