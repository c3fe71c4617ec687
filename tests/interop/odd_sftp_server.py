#!/usr/bin/python3
"""An SFTP server on standard input and output that has no extensions and, as its arguments ask, is
slow-witted, disorderly or hostile:

    shuffle    answers in any order            short      reads give half of what is asked for
    refuse=N   every Nth WRITE or READ fails   names      listings hold names that lead out
    cut=N      ends after N bytes of answers   hashes     has check-file-name and lies
    stray      answers what nobody has asked   huge       a message longer than any may be
    more       more data than was asked for    silent     no answer after the version
    eof        the end of files comes early    norename   RENAME does not replace (as version 3 says)
"""
import os
import random
import select
import struct
import sys

ASKED = dict(argument.partition('=')[::2] for argument in sys.argv[1:])
VERSION, STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED = 2, 101, 102, 103, 104, 105, 201
OK, EOF, NO_SUCH_FILE, FAILURE, UNSUPPORTED = 0, 1, 2, 4, 8


def string(value):
    return struct.pack('>I', len(value)) + value


def u32(value):
    return struct.pack('>I', value)


class Reader:
    def __init__(self, data):
        self.data = data

    def number(self, code, size):
        value, self.data = struct.unpack('>' + code, self.data[:size])[0], self.data[size:]
        return value

    def u32(self):
        return self.number('I', 4)

    def u64(self):
        return self.number('Q', 8)

    def string(self):
        length = self.u32()
        value, self.data = self.data[:length], self.data[length:]
        return value

    def attributes(self):
        flags, found = self.u32(), {}
        if flags & 1:
            found['size'] = self.u64()
        if flags & 2:
            self.u32(), self.u32()
        if flags & 4:
            found['mode'] = self.u32()
        if flags & 8:
            found['times'] = (self.u32(), self.u32())
        return found


def attributes_of(status):
    return struct.pack('>IQIIIII', 15, status.st_size, status.st_uid, status.st_gid, status.st_mode,
                       int(status.st_atime), int(status.st_mtime))


class Server:
    def __init__(self):
        self.handles, self.next, self.moved, self.sent, self.waiting = {}, 0, 0, 0, []
        self.random = random.Random(1)

    def handle(self, value):
        self.next += 1
        name = b'handle %d' % self.next
        self.handles[name] = value
        return bytes([HANDLE]), string(name)

    @staticmethod
    def status(code):
        return bytes([STATUS]), u32(code) + string(b'so it is') + string(b'')

    def refuses(self):
        self.moved += 1
        return 'refuse' in ASKED and self.moved % int(ASKED['refuse']) == 0

    def open(self, request):
        path, flags, attributes = request.string(), request.u32(), request.attributes()
        mode = {1: os.O_RDONLY, 2: os.O_WRONLY, 3: os.O_RDWR}[flags & 3]
        mode |= (os.O_CREAT if flags & 8 else 0) | (os.O_TRUNC if flags & 16 else 0) | \
                (os.O_EXCL if flags & 32 else 0)
        return self.handle(os.open(path, mode, attributes.get('mode', 0o666) & 0o777))

    def close(self, request):
        value = self.handles.pop(request.string())
        if isinstance(value, int):
            os.close(value)
        return self.status(OK)

    def read(self, request):
        fd, offset, length = self.handles[request.string()], request.u64(), request.u32()
        if self.refuses() or ('eof' in ASKED and offset > 0):
            return self.status(EOF if 'eof' in ASKED else FAILURE)
        length = min(length, 32768)
        data = os.pread(fd, max(1, length // 2) if 'short' in ASKED else length, offset)
        if 'more' in ASKED:
            data += bytes(300000)
        return (bytes([DATA]), string(data)) if data else self.status(EOF)

    def write(self, request):
        fd, offset, data = self.handles[request.string()], request.u64(), request.string()
        if self.refuses():
            return self.status(FAILURE)
        os.pwrite(fd, data, offset)
        return self.status(OK)

    def stat(self, request, follow=True):
        return bytes([ATTRS]), attributes_of(os.stat(request.string(), follow_symlinks=follow))

    def lstat(self, request):
        return self.stat(request, follow=False)

    def fstat(self, request):
        return bytes([ATTRS]), attributes_of(os.fstat(self.handles[request.string()]))

    def change(self, target, attributes):
        if 'size' in attributes:
            os.truncate(target, attributes['size'])
        if 'mode' in attributes:
            os.chmod(target, attributes['mode'] & 0o777)
        if 'times' in attributes:
            os.utime(target, attributes['times'])
        return self.status(OK)

    def setstat(self, request):
        return self.change(request.string(), request.attributes())

    def fsetstat(self, request):
        return self.change(self.handles[request.string()], request.attributes())

    def opendir(self, request):
        path = request.string()
        names = sorted(os.listdir(path))
        if 'names' in ASKED:
            names += [b'../evil', b'/tmp/evil', b'', b'a/b', b'nul\0']
        return self.handle([(name, path) for name in names])

    def readdir(self, request):
        entries = self.handles[request.string()]
        some, entries[:] = entries[:20], entries[20:]
        if not some:
            return self.status(EOF)
        text = b''
        for name, path in some:
            try:
                status = os.lstat(os.path.join(path, name))
            except (OSError, ValueError):
                status = os.stat('/etc/passwd')
            text += string(name) + string(b'no long name') + attributes_of(status)
        return bytes([NAME]), u32(len(some)) + text

    def remove(self, request):
        os.unlink(request.string())
        return self.status(OK)

    def rmdir(self, request):
        os.rmdir(request.string())
        return self.status(OK)

    def mkdir(self, request):
        path, attributes = request.string(), request.attributes()
        os.mkdir(path, attributes.get('mode', 0o777) & 0o777)
        return self.status(OK)

    def rename(self, request):
        old, new = request.string(), request.string()
        if os.path.lexists(new):
            return self.status(FAILURE)
        os.rename(old, new)
        return self.status(OK)

    def extended(self, request):
        if request.string() != b'check-file-name' or 'hashes' not in ASKED:
            return self.status(UNSUPPORTED)
        return bytes([EXTENDED]), string(b'sha512') + bytes(64)

    HANDLERS = {3: open, 4: close, 5: read, 6: write, 7: lstat, 8: fstat, 9: setstat, 10: fsetstat,
                11: opendir, 12: readdir, 13: remove, 14: mkdir, 15: rmdir, 17: stat, 18: rename,
                200: extended}

    def answer(self, kind, number, request):
        try:
            head, body = self.HANDLERS[kind](self, request)
        except FileNotFoundError:
            head, body = self.status(NO_SUCH_FILE)
        except (OSError, KeyError):
            head, body = self.status(FAILURE)
        self.waiting.append(head + u32(number) + body)
        if 'stray' in ASKED:
            self.waiting.append(bytes([STATUS]) + u32(number ^ 0x7fffffff) + u32(0))

    def take(self, message):
        kind, request = message[0], Reader(message[1:])
        if kind == 1:
            extensions = string(b'check-file-name') + string(b'1') if 'hashes' in ASKED else b''
            self.send(bytes([VERSION]) + u32(3) + extensions)
        elif 'silent' not in ASKED:
            self.answer(kind, request.u32(), request)

    def send(self, message):
        data = string(message)
        if 'huge' in ASKED and self.sent > 0:
            data = u32(1 << 31) + message
        if 'cut' in ASKED and self.sent + len(data) > int(ASKED['cut']):
            os.write(1, data[:int(ASKED['cut']) - self.sent])
            os._exit(1)
        self.sent += len(data)
        while data:
            data = data[os.write(1, data):]

    def flush(self):
        if 'shuffle' in ASKED:
            self.random.shuffle(self.waiting)
        for message in self.waiting:
            self.send(message)
        self.waiting.clear()

    def run(self):
        held = b''
        while True:
            if not select.select([0], [], [], 0)[0]:
                self.flush()
            data = os.read(0, 65536)
            if not data:
                return
            held += data
            while len(held) >= 4 and len(held) >= 4 + struct.unpack('>I', held[:4])[0]:
                length = struct.unpack('>I', held[:4])[0]
                message, held = held[4:4 + length], held[4 + length:]
                self.take(message)
                if len(self.waiting) >= 16:
                    self.flush()


if __name__ == '__main__':
    try:
        Server().run()
    except BrokenPipeError:
        pass
