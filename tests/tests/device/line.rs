//! Lines to a device that are not what they should be: a device in this process, and faults.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use bitspike_core::model::MAX_LAYERS;
use bitspike_core::random::Xorshift32;
use bitspike_link::message::Crash;
use bitspike_link::server::{Machine, serve};
use bitspike_trainer::device::Port;

/// A device in a thread of this process, with a clock that stands while nobody waits.
pub(crate) struct InProcess {
    to: Sender<Vec<u8>>,
    from: Receiver<Vec<u8>>,
    answered: VecDeque<u8>,
    clock: Duration,
}

/// The machine that the device's thread runs on.
struct Inside {
    from: Receiver<Vec<u8>>,
    to: Sender<Vec<u8>>,
    input: VecDeque<u8>,
    output: Vec<u8>,
    /// The host waits for what is sent until the input is used up.
    asked: bool,
    counter: u64,
}

impl InProcess {
    /// A device with a model in its firmware and so many words of memory.
    pub(crate) fn start(words: usize, model: Vec<u32>) -> Self {
        let (to, input) = channel();
        let (output, from) = channel();
        thread::spawn(move || {
            let mut machine = Inside {
                from: input,
                to: output,
                input: VecDeque::new(),
                output: Vec::new(),
                asked: false,
                counter: 0,
            };
            serve::<MAX_LAYERS>(&mut machine, &mut vec![0; words], &model);
        });
        Self {
            to,
            from,
            answered: VecDeque::new(),
            clock: Duration::ZERO,
        }
    }
}

impl Port for InProcess {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.to.send(bytes.to_vec()).map_err(gone)?;
        let answer = self.from.recv();
        self.answered
            .extend(answer.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        let count = self.answered.len().min(buffer.len());
        for (to, byte) in buffer.iter_mut().zip(self.answered.drain(..count)) {
            *to = byte;
        }
        if count == 0 {
            self.clock += wait;
        }
        Ok(count)
    }

    fn now(&self) -> Duration {
        self.clock
    }
}

impl Machine for Inside {
    fn receive(&mut self) -> Option<u8> {
        while self.input.is_empty() {
            if self.asked {
                self.to.send(std::mem::take(&mut self.output)).ok()?;
            }
            self.input.extend(self.from.recv().ok()?);
            self.asked = true;
        }
        self.input.pop_front()
    }

    fn send(&mut self, bytes: &[u8]) -> bool {
        self.output.extend(bytes);
        true
    }

    fn board(&self) -> &'static str {
        "in-process"
    }

    fn firmware(&self) -> &'static str {
        "0.0.0"
    }

    fn instructions(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn stack_bytes(&self) -> (u32, u32) {
        (0, 1)
    }

    fn crash(&self) -> Option<Crash<'static>> {
        None
    }
}

/// A line that drops, doubles, changes and delays bytes both ways.
pub(crate) struct Faulty<P> {
    inner: P,
    out: Direction,
    back: Direction,
}

/// Bytes on their way, with the time at which they arrive, in order.
struct Direction {
    random: Xorshift32,
    one_in: u32,
    bytes: VecDeque<(Duration, u8)>,
    faults: [u32; 4],
}

impl<P: Port> Faulty<P> {
    /// A line on which one byte in `one_in` is dropped, doubled, changed or delayed, by the seed.
    pub(crate) fn new(inner: P, one_in: u32, seed: u32) -> Self {
        let direction = |seed| Direction {
            random: Xorshift32::new(seed),
            one_in,
            bytes: VecDeque::new(),
            faults: [0; 4],
        };
        Self {
            inner,
            out: direction(2 * seed + 1),
            back: direction(2 * seed + 2),
        }
    }
}

impl Direction {
    fn take(&mut self, now: Duration, byte: u8) {
        // What is behind a delayed byte waits too: a line does not change the order.
        let now = self.bytes.back().map_or(now, |(last, _)| now.max(*last));
        if !self.random.draw().is_multiple_of(self.one_in) {
            self.bytes.push_back((now, byte));
            return;
        }
        let kind = self.random.draw() % 4;
        self.faults[kind as usize] += 1;
        match kind {
            0 => {}
            1 => self.bytes.extend([(now, byte); 2]),
            2 => {
                let mask = 1 + self.random.draw() % 255;
                self.bytes.push_back((now, byte ^ mask as u8));
            }
            _ => {
                let delay = Duration::from_millis((1 + self.random.draw() % 400).into());
                self.bytes.push_back((now + delay, byte));
            }
        }
    }

    fn due(&mut self, now: Duration) -> Vec<u8> {
        let count = self.bytes.iter().take_while(|(at, _)| *at <= now).count();
        self.bytes.drain(..count).map(|(_, byte)| byte).collect()
    }

    fn next(&self) -> Option<Duration> {
        self.bytes.front().map(|(at, _)| *at)
    }
}

impl<P: Port> Port for Faulty<P> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let now = self.now();
        bytes.iter().for_each(|&byte| self.out.take(now, byte));
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        let until = self.now() + wait;
        loop {
            let now = self.now();
            let due = self.out.due(now);
            if !due.is_empty() {
                self.inner.send(&due)?;
            }
            let mut arrived = self.back.due(now);
            if !arrived.is_empty() {
                // What the caller has no room for goes back, to be there at once.
                let count = arrived.len().min(buffer.len());
                for byte in arrived.split_off(count).into_iter().rev() {
                    self.back.bytes.push_front((now, byte));
                }
                buffer[..count].copy_from_slice(&arrived);
                return Ok(count);
            }
            if now >= until {
                return Ok(0);
            }
            let next = [self.out.next(), self.back.next(), Some(until)];
            let next = next.into_iter().flatten().min().unwrap_or(until);
            let mut read = [0; 512];
            let step = (next.max(now) - now).max(Duration::from_micros(100));
            let count = self.inner.receive(&mut read, step)?;
            let now = self.now();
            read[..count]
                .iter()
                .for_each(|&byte| self.back.take(now, byte));
        }
    }

    fn now(&self) -> Duration {
        self.inner.now()
    }
}

impl<P> Drop for Faulty<P> {
    fn drop(&mut self) {
        let [dropped, doubled, changed, delayed] =
            [0, 1, 2, 3].map(|kind| self.out.faults[kind] + self.back.faults[kind]);
        eprintln!(
            "bytes: {dropped} dropped, {doubled} doubled, {changed} changed, {delayed} delayed"
        );
    }
}

/// A line that ends after so many bytes to the device: a cable is pulled.
pub(crate) struct Pulled<P> {
    /// The line.
    pub(crate) inner: P,
    /// Bytes that still pass.
    pub(crate) left: usize,
}

impl<P: Port> Port for Pulled<P> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let count = bytes.len().min(self.left);
        self.left -= count;
        self.inner.send(&bytes[..count])?;
        if count < bytes.len() {
            return Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the cable is pulled",
            ));
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.inner.receive(buffer, wait)
    }

    fn now(&self) -> Duration {
        self.inner.now()
    }
}
