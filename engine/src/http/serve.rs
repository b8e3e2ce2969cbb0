//! Serving the site on a listener until told to stop.

use std::{future::Future, io, time::Duration};

use axum::{ServiceExt as _, serve::ListenerExt as _};
use tokio::{net::TcpListener, sync::watch};

use super::Site;

/// How long requests under way may still take when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// Tells streams without an end that the server is closing.
#[derive(Clone, Debug)]
pub struct Closing(watch::Receiver<bool>);

impl Closing {
    /// For a site that nobody will close.
    #[cfg(test)]
    pub(crate) fn never() -> Self {
        Self(watch::channel(false).1)
    }

    /// Whether the server is closing.
    pub(crate) fn is_closing(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the server is closing.
    pub(crate) async fn closed(&mut self) {
        if self.0.wait_for(|closing| *closing).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Serves until `shutdown` is done. Then it takes no new connections, ends
/// endless streams, and lets other requests finish for some seconds.
pub async fn serve<S: Site>(
    listener: TcpListener,
    site: impl FnOnce(Closing) -> S,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (close, closing) = watch::channel(false);
    let site = site(Closing(closing.clone()));
    let mut stopping = closing;
    let stopped = async move {
        // An error means that `close` is gone, which is as good.
        let _ = stopping.wait_for(|closing| *closing).await;
    };
    // Answers are small and asked for one after the other: waiting to fill packets only delays them.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let server = axum::serve(listener, site.into_make_service()).with_graceful_shutdown(stopped);
    let deadline = async move {
        shutdown.await;
        close.send_replace(true);
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = server => result,
        () = deadline => {
            tracing::warn!("some requests were still under way {} seconds after the server was told to stop", GRACE.as_secs());
            Ok(())
        }
    }
}
