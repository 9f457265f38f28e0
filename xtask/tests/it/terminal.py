"""Runs a command on a terminal of its own: waits for a text there, types an answer, writes what was said to stdout and
ends with the command's exit code. Arguments: the columns of the terminal, the text, the answer, the command."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

columns, prompt, answer, *command = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(columns), 0, 0))
    os.execvp(command[0], command)

said, waits = b"", bool(prompt)
deadline = time.monotonic() + 120
while True:
    if not select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
        os.kill(child, 9)
        sys.exit(f"neither the prompt nor the end came: {said.decode()}")
    try:
        part = os.read(terminal, 65536)
    except OSError:  # Linux's way to say that nobody has the terminal open any more.
        break
    if not part:
        break
    said += part
    if waits and prompt.encode() in said:
        waits = False
        os.write(terminal, answer.encode().decode("unicode_escape").encode())

_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(said)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(status) % 256)
