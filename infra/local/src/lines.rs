//! Writes status lines that nobody has to read.
//!
//! A program that starts this one may read its first line and no more. Its pipe then fills up, and writing to a
//! full pipe blocks. So lines are written by a separate thread, and dropped when its queue is full.

use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// The most lines that wait to be written.
const WAITING: usize = 1_000;

/// A queue of lines for an output. Clones write to the same output, in order.
#[derive(Clone, Debug)]
pub struct Lines(SyncSender<Vec<u8>>);

impl Lines {
    /// Starts to write to an output.
    #[must_use]
    pub fn writing_to(mut output: impl Write + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel::<Vec<u8>>(WAITING);
        // The thread ends with the last sender, or when the output is closed.
        thread::spawn(move || {
            receiver.iter().try_for_each(|line| output.write_all(&line).and_then(|()| output.flush()))
        });
        Self(sender)
    }

    /// Writes a line, if the queue has room.
    pub fn line(&self, text: &str) {
        let _ = self.0.try_send(format!("{text}\n").into_bytes());
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An output that nobody reads: writing to it blocks.
    struct Full(std::sync::mpsc::Receiver<()>);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_an_output_that_is_full() {
        let (open, closed) = std::sync::mpsc::channel();
        let lines = Lines::writing_to(Full(closed));
        for number in 0..5 * WAITING {
            lines.line(&number.to_string());
        }
        drop(open);
    }
}
