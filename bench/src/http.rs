//! A client that does as little as can be: on a machine of few cores, what the
//! client spends is missing from the server that is measured. One connection,
//! kept open; requests are bytes made beforehand, answers need a length.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How much room an answer has at first.
const ROOM: usize = 4 << 10;

/// Where a server listens, from its URL.
pub(crate) fn address(url: &str) -> Result<SocketAddr> {
    let address = url.strip_prefix("http://").context("the server's URL begins with http://")?;
    Ok(address.trim_end_matches('/').parse()?)
}

/// A GET as it goes over the wire.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// A POST as it goes over the wire.
pub(crate) fn post(path: &str, media_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {media_type}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A connection to a server.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer; borrowed from the connection until the next request.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// The status line and the headers.
    head: &'a str,
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// All headers, in the order in which they came.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        headers(self.head)
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The answer, if the request succeeded.
    pub(crate) fn ok(self) -> Result<Self> {
        let Self { status, body, .. } = &self;
        ensure!((200..300).contains(status), "status {status}: {}", String::from_utf8_lossy(body));
        Ok(self)
    }

    /// The position that the server named.
    pub(crate) fn position(&self) -> Result<u64> {
        Ok(self.header("projectionist-position").context("an answer without a position")?.parse()?)
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(ROOM) })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = end_of_head(&self.buffer) {
                break end;
            }
            self.read().await?;
        };
        let length = content_length(std::str::from_utf8(&self.buffer[..head])?)?;
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        let (head, body) = self.buffer.split_at(head);
        let head = std::str::from_utf8(head)?;
        let status = head.get(9..12).context("an answer without a status")?.parse()?;
        Ok(Answer { status, head, body: &body[..length] })
    }

    async fn read(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection in the middle of an answer");
        }
        Ok(())
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn content_length(head: &str) -> Result<usize> {
    let length = headers(head).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Ok(length.context("an answer without a length")?.1.parse()?)
}

fn headers(head: &str) -> impl Iterator<Item = (&str, &str)> {
    head.lines().skip(1).filter_map(|line| line.split_once(": "))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    #[test]
    fn an_answer_in_pieces_is_read_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            // What is closed with something unread in it is reset.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                connection.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            for piece in
                ["HTTP/1.1 200 OK\r\nContent-", "Length: 5\r\nprojectionist-position: 7\r\n\r", "\nab", "cde"]
            {
                connection.write_all(piece.as_bytes()).unwrap();
                connection.flush().unwrap();
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = Connection::open(address).await.unwrap();
            let answer = connection.send(&get("/")).await.unwrap().ok().unwrap();
            assert_eq!((answer.status, answer.body, answer.position().unwrap()), (200, &b"abcde"[..], 7));
        });
        server.join().unwrap();
    }
}
