"""Runs the image of a real board in Unicorn, an emulator of processors without their devices.

    pip install -r tests/boards/requirements.txt
    cargo xtask firmware rp2040-pico                        # prints the path of the ELF
    python tests/boards/emulate.py rp2040-pico ELF < requests
    python tests/boards/emulate.py rp2040-pico SERVE_ELF 7777 & bitspike device info --port tcp:localhost:7777
    python tests/boards/emulate.py rp2040-pico STREAM_ELF stream/motion/recording.bin

Standard input goes to the board by RTT, what the board sends by RTT to standard output; with a port, its
serial line is a socket there; with a recording, an accelerometer at its pins plays it. A line on stderr lists the device registers that were written first.
Flash and RAM lie where the board's memory.x says; flash is loaded, RAM is filled with a pattern. A
device register reads as all ones, so that no program waits for one; only the UART and the pins are some, by
the same pages of the manuals as the firmware's drivers. This shows that the start code, the memory map and the
arithmetic are right, and little about the devices.
"""

import re
import select
import socket
import struct
import sys
from pathlib import Path

from elftools.elf.elffile import ELFFile
from unicorn import *
from unicorn.arm_const import *
from unicorn.riscv_const import *

FOLDER = Path(__file__).resolve().parents[2] / "firmware/boards"
RUNS = 3_000  # rounds of RUN instructions
RUN = 200_000
ARM = {0xC24: UC_CPU_ARM_CORTEX_M4, 0xC60: UC_CPU_ARM_CORTEX_M0, 0xD21: UC_CPU_ARM_CORTEX_M33}
COUNTERS = (0x7E0, 0x7E1, 0x7E2)  # the ESP32-C3's own


class Uart:
    """The serial line of a board: which registers hold data and state."""

    BASES = {
        "nrf52840-dk": 0x4000_2000,
        "rp2040-pico": 0x4003_4000,
        "rp2350-pico2": 0x4007_0000,
        "stm32f4-discovery": 0x4000_4400,
        "esp32-c3": 0x6000_0000,
    }
    # Offsets of received data, of data to send and of the state; state with and without a byte.
    KINDS = {
        "nrf52840-dk": (0x518, 0x51C, 0x108, 1, 0),
        "rp2040-pico": (0x00, 0x00, 0x18, 0, 1 << 4),
        "rp2350-pico2": (0x00, 0x00, 0x18, 0, 1 << 4),
        "stm32f4-discovery": (0x04, 0x04, 0x00, 1 << 7 | 1 << 5, 1 << 7),
        "esp32-c3": (0x00, 0x00, 0x1C, 1, 0),
    }

    def __init__(self, board, connection):
        base = self.BASES[board]
        received, sent, state, self.with_byte, self.without = self.KINDS[board]
        self.received, self.sent, self.state = base + received, base + sent, base + state
        self.connection, self.waiting, self.closed = connection, bytearray(), False
        self.looks = 0

    def look(self):
        # A program that sends looks too, and must not wait; one that has looked often does nothing else.
        self.looks += 1
        patience = 0.02 if self.looks > 200 else 0
        if not self.waiting and select.select([self.connection], [], [], patience)[0]:
            self.waiting += self.connection.recv(4096)
            self.closed = not self.waiting
        return self.with_byte if self.waiting else self.without

    def read(self, address):
        if address == self.state:
            return self.look()
        if address == self.received and self.waiting:
            self.looks = 0
            return self.waiting.pop(0)
        return 0xFFFF_FFFF

    def write(self, address, value):
        if address == self.sent:
            self.looks = 0
            self.connection.send(bytes([value & 0xFF]))


class Sensor:
    """A LIS3DH at two pins, its registers and FIFO; written from the data sheet and the I2C page alone."""

    # Registers that pull a line low, that let it go, and of its level; pins of clock and data.
    PINS = {
        "nrf52840-dk": (0x5000_050C, 0x5000_0508, 0x5000_0510, 27, 26),
        "rp2040-pico": (0xD000_0024, 0xD000_0028, 0xD000_0004, 5, 4),
        "rp2350-pico2": (0xD000_0038, 0xD000_0040, 0xD000_0004, 5, 4),
        "stm32f4-discovery": (0x4002_0418, 0x4002_0418, 0x4002_0410, 6, 9),
        "esp32-c3": (0x6000_400C, 0x6000_4008, 0x6000_403C, 6, 5),
    }
    ADDRESS = 0x18

    def __init__(self, board, recording):
        self.low, self.release, self.level, self.scl, self.sda = self.PINS[board]
        # One register does both on this one: the upper half pulls low.
        self.shift = 16 if self.low == self.release else 0
        self.samples = [recording[i : i + 6] for i in range(0, len(recording) - 5, 6)]
        self.arrived = self.gone = self.looks = 0
        self.registers = {0x0F: 0x33, 0x20: 0x07}
        self.pointer, self.burst = 0, b""
        self.lines = {"scl": True, "sda": True}
        self.pulls = self.closed = False
        self.phase, self.bits, self.byte = "idle", 0, 0

    def read(self, address):
        if address != self.level:
            return 0xFFFF_FFFF
        data = self.lines["sda"] and not self.pulls
        return self.lines["scl"] << self.scl | data << self.sda

    def write(self, address, value):
        for name, pin in (("scl", self.scl), ("sda", self.sda)):
            if address == self.low and value >> self.shift & 1 << pin:
                self.edge(name, False)
            if address == self.release and value & 1 << pin:
                self.edge(name, True)

    def edge(self, name, high):
        before, self.lines[name] = self.lines[name], high
        if before == high:
            return
        if name == "sda":
            if self.lines["scl"] and not self.pulls:
                self.phase, self.bits, self.byte = ("idle" if high else "address"), 0, 0
        elif high:
            self.rising(self.lines["sda"] and not self.pulls)
        else:
            self.falling()

    def rising(self, line):
        if self.phase in ("address", "pointer", "write"):
            self.byte, self.bits = self.byte << 1 & 0xFF | line, self.bits + 1
        elif self.phase == "talk":
            self.bits += 1
        elif self.phase == "asked" and line:
            self.phase = "idle"

    def falling(self):
        self.pulls = False
        if self.phase in ("address", "pointer", "write") and self.bits == 8:
            self.after = self.take(self.byte)
            self.pulls = self.after is not None
            self.phase, self.bits, self.byte = ("acknowledge" if self.pulls else "idle"), 0, 0
        elif self.phase == "acknowledge" and self.after != "talk":
            self.phase = self.after
        elif self.phase in ("acknowledge", "asked"):
            self.phase, self.bits, self.byte = "talk", 0, self.give()
            self.pulls = not self.byte & 0x80
        elif self.phase == "talk" and self.bits == 8:
            self.phase = "asked"
        elif self.phase == "talk":
            self.pulls = not self.byte >> (7 - self.bits) & 1

    def take(self, byte):
        """Takes a byte; what comes next, nothing where it is not acknowledged."""
        if self.phase == "address":
            if byte >> 1 != self.ADDRESS:
                return None
            return "talk" if byte & 1 else "pointer"
        if self.phase == "pointer":
            self.pointer = byte
            return "write"
        self.registers[self.pointer & 0x7F] = byte
        if self.pointer & 0x7F == 0x2E and byte & 0xC0 == 0:
            self.gone = self.arrived
        self.pointer += self.pointer >> 7
        return "write"

    def give(self):
        register, up = self.pointer & 0x7F, self.pointer & 0x80
        value = self.registers.get(register, 0)
        if register == 0x2F:
            on = self.registers.get(0x24, 0) & 0x40 and self.registers[0x20] >> 4
            if on and self.registers.get(0x2E, 0) & 0xC0 == 0x80:
                self.arrived = min(self.arrived + (4, 0, 7, 2)[self.looks % 4], len(self.samples))
            self.looks += 1
            held = self.arrived - self.gone
            value = held if 0 < held < 32 else 0x5F if held else 0x20
            self.closed = self.gone == len(self.samples) and self.looks % 64 == 0
        elif 0x28 <= register <= 0x2D:
            value = self.samples[self.gone][register - 0x28] if self.gone < self.arrived else 0
            if register == 0x2D:
                self.gone = min(self.gone + 1, self.arrived)
                register = 0x27
        self.pointer = up | register + (up >> 7)
        return value


def regions(script):
    """Name, origin and length of the regions in a linker script."""
    unit = {"K": 1 << 10, "M": 1 << 20, "": 1}
    term = r"(0x[0-9a-fA-F]+|\d+)([KM]?)"
    pattern = rf"(\w+)\s*:\s*ORIGIN = (0x[0-9a-fA-F]+), LENGTH = {term}(?: - {term})?"
    for name, origin, number, letter, less, less_letter in re.findall(pattern, script):
        length = int(number, 0) * unit[letter]
        if less:
            length -= int(less, 0) * unit[less_letter]
        yield name, int(origin, 0), length


class Machine:
    def __init__(self, board, elf, device):
        folder = FOLDER / board
        self.elf, self.device, self.written, self.end = elf, device, [], False
        self.riscv = elf.header["e_machine"] == "EM_RISCV"
        source = (folder / "board.rs").read_text()
        if self.riscv:
            self.uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
            self.pc_register = UC_RISCV_REG_PC
        else:
            part = int(re.search(r"part: (0x\w+)", source)[1], 0)
            self.uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
            self.uc.ctl_set_cpu_model(ARM[part])
            self.pc_register = UC_ARM_REG_PC
            self.cpuid = 0x4100_0001 | part << 4
            self.uc.mmio_map(0xE000_0000, 1 << 20, self.system, None, self.write, 0xE000_0000)
        self.uc.hook_add(UC_HOOK_INTR, self.trap)
        for base in [0x6000_0000] if self.riscv else [0x4000_0000, 0x5000_0000, 0xD000_0000]:
            self.uc.mmio_map(base, 1 << 24, self.read, base, self.write, base)
        # The boot block and the code behind it share a page; Unicorn takes whole pages, once.
        mapped = 0
        for name, origin, length in regions((folder / "memory.x").read_text()):
            start, end = max(origin & ~4095, mapped), (origin + length + 4095) & ~4095
            self.uc.mem_map(start, end - start)
            self.uc.mem_write(start, (b"\xA5" if name == "RAM" else b"\xFF") * (end - start))
            mapped = end if name == "BOOT2" else 0
        for segment in elf.iter_segments():
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                self.uc.mem_write(segment["p_paddr"], segment.data())
        symbols = elf.get_section_by_name(".symtab")
        self.block = symbols.get_symbol_by_name("_SEGGER_RTT")[0]["st_value"]
        if self.riscv:
            self.pc = elf.header["e_entry"]
        else:
            vectors = symbols.get_symbol_by_name("__vector_table")[0]["st_value"]
            self.uc.reg_write(UC_ARM_REG_SP, self.word(vectors))
            self.pc = self.word(vectors + 4) | 1

    def word(self, address):
        return struct.unpack("<I", self.uc.mem_read(address, 4))[0]

    def read(self, uc, offset, _size, base):
        if not self.device:
            return 0xFFFF_FFFF
        value = self.device.read(base + offset)
        if self.device.closed:
            self.end = True
            uc.emu_stop()
        return value

    def write(self, _uc, offset, _size, value, base):
        if self.device:
            self.device.write(base + offset, value)
        if len(self.written) < 100:
            self.written.append(f"{base + offset:#x}={value:#x}")

    def system(self, _uc, offset, _size, _base):
        return self.cpuid if offset == 0xED00 else 0

    def trap(self, uc, number, _):
        pc = uc.reg_read(self.pc_register)
        if self.riscv and number == 2:
            # An unknown instruction, which it has gone over; the chip's own counters are none here.
            instruction = self.word(pc - 4)
            if instruction & 0x7F == 0x73 and instruction >> 20 in COUNTERS:
                return uc.emu_stop()
        print(f"trap {number} before {pc:#x}", file=sys.stderr)
        self.end = True
        uc.emu_stop()

    def exchange(self, given):
        """Moves bytes through both ring buffers; what the board said, and what is still to be given."""
        if self.uc.mem_read(self.block, 10) != b"SEGGER RTT":
            return b"", given
        up, down = self.block + 24, self.block + 48
        said = b""
        data, size, write, read = (self.word(up + 4 * i) for i in (1, 2, 3, 4))
        while read != write:
            said += self.uc.mem_read(data + read, 1)
            read = (read + 1) % size
        self.uc.mem_write(up + 16, struct.pack("<I", read))
        data, size, write, read = (self.word(down + 4 * i) for i in (1, 2, 3, 4))
        while given and (write + 1) % size != read:
            self.uc.mem_write(data + write, given[:1])
            given, write = given[1:], (write + 1) % size
        self.uc.mem_write(down + 12, struct.pack("<I", write))
        return said, given

    def run(self, given, out):
        for _ in range(RUNS if not self.device else 1 << 60):
            try:
                self.uc.emu_start(self.pc, 0xFFFF_FFFE, count=RUN)
            except UcError as error:
                # A program that is over spins on the hint `yield`, which Unicorn does not know.
                if error.errno != UC_ERR_INSN_INVALID:
                    raise
                self.end = True
            self.pc = self.uc.reg_read(self.pc_register) | (0 if self.riscv else 1)
            said, given = self.exchange(given)
            out.write(said)
            if self.end or b"\nend " in said or said.startswith(b"end "):
                return
        sys.exit("the board did not come to an end")


def main():
    board, path, *rest = sys.argv[1:]
    device = None
    if rest and rest[0].isdigit():
        listener = socket.create_server(("127.0.0.1", int(rest[0])))
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        device = Uart(board, connection)
    elif rest:
        device = Sensor(board, Path(rest[0]).read_bytes())
    with open(path, "rb") as file:
        machine = Machine(board, ELFFile(file), device)
    given = b"" if device else sys.stdin.buffer.read() or b"Q"
    machine.run(given, sys.stdout.buffer)
    print("registers written:", *machine.written, file=sys.stderr)


main()
