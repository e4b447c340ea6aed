//! Lines for whoever watches, which nobody has to wait for.
//!
//! A program that starts this one may read its first line and then no more. Its pipe fills up, and whoever
//! writes to a full pipe stands still. So lines are written by a thread of their own, and those that find no
//! room are dropped.

use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// How many lines may wait to be written.
const WAITING: usize = 1_000;

/// Where lines go. Clones go to the same place, in order.
#[derive(Clone, Debug)]
pub struct Lines(SyncSender<Vec<u8>>);

impl Lines {
    /// Lines to an output.
    #[must_use]
    pub fn to(mut output: impl Write + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel::<Vec<u8>>(WAITING);
        // It ends with the last sender, or when nobody can read any more.
        thread::spawn(move || {
            receiver.iter().try_for_each(|line| output.write_all(&line).and_then(|()| output.flush()))
        });
        Self(sender)
    }

    /// Writes a line, if there is room.
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

    /// An output that nobody reads: it takes nothing, and waits.
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
        let lines = Lines::to(Full(closed));
        for number in 0..5 * WAITING {
            lines.line(&number.to_string());
        }
        drop(open);
    }
}
