//! Reading ahead: a thread of its own reads a stream while what it has read is
//! being worked on.

use std::{
    io::{self, BufRead, Read},
    sync::mpsc::{Receiver, sync_channel},
};

/// How much is read at a time, and how many times at most before it is wanted.
const PIECE: usize = 256 << 10;
const WAITING: usize = 8;

/// A stream that is read ahead.
pub struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    /// How much of the piece has been consumed.
    at: usize,
}

impl Ahead {
    /// Starts to read. The thread ends with the stream, at its first error, or
    /// when nobody wants more.
    pub fn of(mut stream: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(WAITING);
        let read = move || {
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                let read = (&mut stream).take(PIECE as u64).read_to_end(&mut piece);
                // What came before an error is still good.
                let is_over = read.is_err() || piece.is_empty();
                let gone = !piece.is_empty() && sender.send(Ok(piece)).is_err();
                if let Err(error) = read {
                    let _ = sender.send(Err(error));
                }
                if is_over || gone {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("unpack".into()).spawn(read)?;
        Ok(Self { pieces, piece: Vec::new(), at: 0 })
    }
}

impl BufRead for Ahead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() {
            self.at = 0;
            // The end, if the thread has ended.
            self.piece = self.pieces.recv().unwrap_or(Ok(Vec::new()))?;
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}
