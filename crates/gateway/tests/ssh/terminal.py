"""A person at a terminal: runs the given command in a pty, types, resizes, interrupts, and leaves with status 5."""
import fcntl, os, pty, select, signal, struct, sys, termios, time

def size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
size(fd, 31, 97)
seen = b""

def expect(what):
    global seen
    end = time.time() + 10
    while what not in seen:
        if time.time() > end:
            sys.exit("no %r in %r" % (what, seen))
        if select.select([fd], [], [], 0.1)[0]:
            try:
                piece = os.read(fd, 65536)
            except OSError:
                sys.exit("closed: %r" % seen)
            seen += piece
    seen = seen[seen.index(what) + len(what):]

def type(text):
    os.write(fd, text)

type(b"PS1=; stty -echo; echo rea''dy\r")
expect(b"ready")
size(fd, 44, 133)
os.kill(pid, signal.SIGWINCH)
time.sleep(0.2)
type(b"echo size=$(stty size)=\r")
expect(b"size=44 133=")
type(b"sleep 60; echo after\r")
time.sleep(0.3)
type(b"\x03")
type(b"echo interrupted\r")
expect(b"interrupted")
type(b"exit 5\r")
while True:
    try:
        if not os.read(fd, 65536):
            break
    except OSError:
        break
_, status = os.waitpid(pid, 0)
sys.exit(0 if os.waitstatus_to_exitcode(status) == 5 else "left with %d" % os.waitstatus_to_exitcode(status))
