//! Lines to a device: a serial port, a TCP socket, the standard streams of an emulator.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serial2::SerialPort;

use crate::emulator::start;
use crate::verify::Image;
use crate::{Error, Result};

/// The speed of real serial ports; 8 bits, no parity, one stop bit.
pub const SERIAL_BAUD: u32 = 115_200;
/// How long it may take to reach a TCP port.
const CONNECT: Duration = Duration::from_secs(5);
/// The shortest wait that the operating system's time-outs know.
const SHORTEST: Duration = Duration::from_millis(1);

/// A line of bytes to a device.
pub trait Port: Send {
    /// Sends bytes.
    ///
    /// # Errors
    /// Where the line is gone.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits up to `wait` for bytes and gives their number: 0 where none came.
    ///
    /// # Errors
    /// Where the line is gone.
    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize>;

    /// Time since some moment in the past. A test's line has a clock of its own.
    fn now(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

impl Port for Box<dyn Port> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.as_mut().send(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.as_mut().receive(buffer, wait)
    }

    fn now(&self) -> Duration {
        self.as_ref().now()
    }
}

/// Opens a line by its name: the path of a serial port, `tcp:HOST:PORT`, or `emulator:BOARD`, which
/// builds and starts the board's `serve` with a model inside (the small one that ships, if none).
///
/// # Errors
/// [`Error::Usage`] where there is no such port or board, or it cannot be opened.
pub fn open(name: &str, model: Option<&Path>) -> Result<Box<dyn Port>> {
    if let Some(address) = name.strip_prefix("tcp:") {
        return Ok(Box::new(connect(address)?));
    }
    if let Some(board) = name.strip_prefix("emulator:") {
        let image = Image::build_program(board, "serve", model)?;
        return Ok(Box::new(Emulator::start(board, &image.runner)?));
    }
    let port = SerialPort::open(name, SERIAL_BAUD).map_err(|error| {
        Error::usage(format!(
            "cannot open the serial port {name}: {error}; `bitspike device list` shows those there are; \
             other lines are named `tcp:HOST:PORT` and `emulator:BOARD`"
        ))
    })?;
    Ok(Box::new(port))
}

/// The serial ports of this machine.
///
/// # Errors
/// [`Error::Failed`] where the operating system does not list them.
pub fn serial_ports() -> Result<Vec<String>> {
    let ports = SerialPort::available_ports()
        .map_err(|error| Error::failed(format!("cannot list the serial ports: {error}")))?;
    let mut names: Vec<_> = ports
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    names.sort();
    Ok(names)
}

fn connect(address: &str) -> Result<TcpStream> {
    let failed = |error: io::Error| Error::usage(format!("cannot reach tcp:{address}: {error}"));
    let mut last = io::Error::new(ErrorKind::NotFound, "no such host");
    for candidate in address.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&candidate, CONNECT) {
            Ok(stream) => {
                // Requests are short and wait for their answer.
                stream.set_nodelay(true).map_err(failed)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// What a read with a time-out says, with 0 for nothing in time.
fn timed(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Ok(0) => Err(io::Error::new(
            ErrorKind::UnexpectedEof,
            "the other end has closed it",
        )),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::Interrupted
            ) =>
        {
            Ok(0)
        }
        other => other,
    }
}

impl Port for TcpStream {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.set_read_timeout(Some(wait.max(SHORTEST)))?;
        timed(self.read(buffer))
    }
}

impl Port for SerialPort {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        SerialPort::write_all(self, bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.set_read_timeout(wait.max(SHORTEST))?;
        timed(SerialPort::read(self, buffer))
    }
}

/// An emulator whose serial port is its standard input and output; it is ended when dropped.
struct Emulator {
    child: Arc<Mutex<Child>>,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// What has come and was not asked for yet.
    left: Vec<u8>,
}

impl Emulator {
    fn start(board: &str, runner: &[String]) -> Result<Self> {
        let [program, arguments @ ..] = runner else {
            return Err(Error::usage(format!(
                "no emulator stands for {board}: name the port that the board is at"
            )));
        };
        let mut child = start(board, program, arguments)?;
        let (Some(input), Some(mut pipe)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::failed(format!("{board}: {program} has no streams")));
        };
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let child = Arc::new(Mutex::new(child));
        let stopped = Arc::clone(&child);
        // An emulator whose line has closed would run on. Where there is a handler already, it is
        // the caller's to end what it started.
        let _ = ctrlc::set_handler(move || {
            end(&stopped);
            std::process::exit(130);
        });
        Ok(Self {
            child,
            input,
            output,
            left: Vec::new(),
        })
    }
}

fn end(child: &Mutex<Child>) {
    if let Ok(mut child) = child.lock() {
        // It may have ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Port for Emulator {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.write_all(bytes)?;
        self.input.flush()
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        if self.left.is_empty() {
            self.left = match self.output.recv_timeout(wait) {
                Ok(bytes) => bytes,
                Err(RecvTimeoutError::Timeout) => return Ok(0),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "the emulator has ended",
                    ));
                }
            };
        }
        let count = self.left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.left[..count]);
        self.left.drain(..count);
        Ok(count)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        end(&self.child);
    }
}
