"""A client of the serial protocol, written from docs/protocol.md alone.

    python3 tests/peers/serial_client.py PORT                              who is it?
    python3 tests/peers/serial_client.py PORT --trace T.json --model M.json

PORT is a serial port (which needs pyserial) or tcp:HOST:PORT. The second form loads the sample of a
trace (`bitspike trace MODEL ... --json`), steps the device, reads every spike and membrane, and
compares them with the trace; M.json is `bitspike inspect MODEL --json`. It ends with 1 where
something differs, and prints one JSON document.
"""
import argparse
import json
import random
import socket
import struct
import sys
import time
import zlib

RESEND, TIMEOUT = 0.2, 10.0
REFUSALS = ("Unknown Session NoModel NoSample Memory NoTransfer Offset Cut Checksum Model "
            "SampleLength Sample State Range Count").split()


class Tcp:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, int(port)), timeout=5)

    def write(self, data):
        self.socket.sendall(data)

    def read(self, seconds):
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(4096)
        except TimeoutError:
            return b""
        if not data:
            raise ConnectionError("the line is gone")
        return data


class Serial:
    def __init__(self, path):
        import serial

        self.port = serial.Serial(path, 115200)

    def write(self, data):
        self.port.write(data)

    def read(self, seconds):
        self.port.timeout = seconds
        return self.port.read(1) + self.port.read(self.port.in_waiting)


def cobs(body):
    return b"".join(bytes([len(part) + 1]) + part for part in body.split(b"\0"))


def uncobs(data):
    body, at = b"", 0
    while at < len(data):
        end = at + data[at]
        if end > len(data):
            return None
        body += data[at + 1 : end]
        at = end
        if at < len(data):
            body += b"\0"
    return body


class Fields:
    """Reads the fields of a message, one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError("the message is cut")
        self.at += count
        return self.data[self.at - count : self.at]

    def numbers(self, layout):
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def number(self, layout):
        return self.numbers(layout)[0]

    def bytes(self):
        length = shift = 0
        while True:
            byte = self.number("B")
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return self.take(length)

    def text(self):
        return self.bytes().decode()


class Refused(Exception):
    pass


class Device:
    def __init__(self, line):
        self.line, self.rest = line, b""
        self.session, self.sequence = random.randrange(65536), 65535

    def ask(self, payload):
        """Sends until the answer is there; gives its number and its fields."""
        self.sequence = (self.sequence + 1) % 65536
        head = struct.pack("<HH", self.session, self.sequence)
        body = head + payload
        frame = b"\0" + cobs(body + struct.pack("<I", zlib.crc32(body))) + b"\0"
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            self.line.write(frame)
            again = time.monotonic() + RESEND
            while (left := again - time.monotonic()) > 0:
                self.rest += self.line.read(left)
                *parts, self.rest = self.rest.split(b"\0")
                for part in parts:
                    answer = uncobs(part)
                    if not answer or len(answer) < 9 or answer[:4] != head:
                        continue
                    if zlib.crc32(answer[:-4]) == struct.unpack("<I", answer[-4:])[0]:
                        return self.answer(Fields(answer[4:-4]))
        raise TimeoutError("the device does not answer")

    def answer(self, fields):
        number = fields.number("B")
        if number == 8:
            why = REFUSALS[fields.number("B")]
            rest = fields.data[fields.at :]
            raise Refused(f"{why} {rest.hex()}")
        return number, fields

    def done(self, payload):
        number, _ = self.ask(payload)
        assert number == 1, f"answer {number} in place of Done"

    def identify(self):
        number, fields = self.ask(b"\x00")
        assert number == 0
        identity = {"protocol": fields.number("H")}
        assert identity["protocol"] == 2, "another version of the protocol"
        identity["firmware"], identity["board"] = fields.text(), fields.text()
        names = ["model_format", "state_format", "memory_bytes", "free_bytes", "stack_bytes",
                 "stack_limit_bytes", "damaged_frames"]
        identity.update(zip(names, fields.numbers("7I")))
        identity["model"] = None
        if fields.number("B"):
            names = ["checksum", "file_bytes", "state_bytes", "sample_bytes", "packed", "layers",
                     "classes", "steps", "loaded", "sample"]
            identity["model"] = dict(zip(names, fields.numbers("4I?BHI??")))
        identity["transfer"] = None
        if fields.number("B"):
            identity["transfer"] = dict(zip(["what", "bytes", "received"], fields.numbers("BII")))
        identity["crash"] = None
        if fields.number("B"):
            what, file = fields.text(), fields.text()
            identity["crash"] = {"what": what, "file": file, "line": fields.number("I")}
        return identity

    def transfer(self, what, content):
        self.done(struct.pack("<BBII", 1, what, len(content), zlib.crc32(content)))
        for at in range(0, len(content), 192):
            piece = content[at : at + 192]
            length = bytes([len(piece)]) if len(piece) < 128 else bytes([len(piece) & 127 | 128, 1])
            self.done(struct.pack("<BI", 2, at) + length + piece)
        self.done(b"\x03")

    def step(self):
        number, fields = self.ask(struct.pack("<BI", 6, 1))
        assert number == 2
        return fields.numbers("IQQ?")

    def read(self, what, layer, count):
        data = b""
        while len(data) < count:
            size = min(192, count - len(data))
            number, fields = self.ask(struct.pack("<BBBIH", 10, what, layer, len(data), size))
            assert number == 6
            data += fields.bytes()
        return data

    def run(self):
        number, fields = self.ask(b"\x07")
        assert number == 3
        return dict(zip(["class", "steps", "confidence", "hash", "instructions"],
                        fields.numbers("HIIQQ")))


def sample_of(trace, packed):
    """What the first layer reads in the first step, as bytes."""
    values = trace["steps"][0]["layers"][0]["input"]
    if not packed:
        return bytes(value & 255 for value in values)
    words = bytearray(4 * ((len(values) + 31) // 32))
    for index, value in enumerate(values):
        words[index // 8] |= (value > 0) << index % 8
    return bytes(words)


def compare(device, trace, model, identity):
    """The first difference, or none; and the values compared."""
    count = 0
    for time_step, step in enumerate(trace["steps"]):
        device.step()
        for index, layer in enumerate(step["layers"]):
            units = len(layer["spikes"])
            words = device.read(0, index, 4 * ((units + 31) // 32))
            spikes = [words[n // 8] >> n % 8 & 1 for n in range(units)]
            wide = model["layers"][index]["membrane"] == "i32"
            size = 4 * units if wide else 4 * ((units + 1) // 2)
            data = device.read(1, index, size)
            layout = f"<{units}i" if wide else f"<{units}h"
            membranes = struct.unpack_from(layout, data)
            pairs = zip(spikes, membranes, layer["spikes"], layer["membrane"])
            for neuron, (spike, membrane, *expected) in enumerate(pairs):
                count += 2
                if [spike, membrane] != expected:
                    return f"step {time_step}, layer {index}, neuron {neuron}", count
    return None, count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("--trace")
    parser.add_argument("--model")
    arguments = parser.parse_args()
    if arguments.port.startswith("tcp:"):
        line = Tcp(*arguments.port[4:].rsplit(":", 1))
    else:
        line = Serial(arguments.port)
    device = Device(line)
    identity = device.identify()
    report = {"identity": identity}
    difference = None
    if arguments.trace:
        with open(arguments.trace) as file:
            trace = json.load(file)
        with open(arguments.model) as file:
            model = json.load(file)
        device.transfer(1, sample_of(trace, identity["model"]["packed"]))
        device.done(b"\x05")
        difference, count = compare(device, trace, model, identity)
        report.update(compared=count, difference=difference, run=device.run())
        if report["run"]["class"] != trace["decision"] and difference is None:
            difference = report["difference"] = "the decision"
        try:
            device.transfer(1, b"x")
            difference = report["difference"] = "a sample of one byte is accepted"
        except Refused as refused:
            report["refused"] = str(refused)
    print(json.dumps(report))
    return 0 if difference is None else 1


if __name__ == "__main__":
    sys.exit(main())
