//! The mail service by itself: `mail-provider [ADDRESS]`, at 127.0.0.1:8025 unless told
//! otherwise.

use std::{io, net::SocketAddr, thread};

use mail_provider::Provider;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8025".to_owned());
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let provider = Provider::start_at(address)?;
    println!("takes mails at {}/send, lists them at {}/mails", provider.url(), provider.url());
    loop {
        thread::park();
    }
}
